// SPDX-License-Identifier: GPL-2.0-only
/*
 * Numbers the frames itself, and stores values made from the number in those
 * with an even one, nothing in the others. Counts what the next program finds,
 * and every key that is there before any was stored.
 */
#include "kv.h"

#define ENOENT 2
#define ETH_HLEN 14
#define KEYS 3

__u32 next;

/* The twin is in tests/guest/test_kv_leaks.py. */
struct verdicts {
	__u32 first;	/* frames that the first program saw */
	__u32 with_keys;
	__u32 without;
	__u32 wrong;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct verdicts);
} verdicts SEC(".maps");

static __always_inline struct verdicts *all_verdicts(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&verdicts, &zero);
}

static __always_inline bool is_empty(struct xdp_md *ctx)
{
	__u64 value = 0;
	int key;

	for (key = 0; key < KEYS; key++)
		if (bpf_xdp_kv_get(ctx, key, &value, sizeof(value)) != -ENOENT)
			return false;
	return true;
}

static __always_inline void store_if_even(struct xdp_md *ctx)
{
	__u8 *frame = (void *)(long)ctx->data;
	__u32 id = __sync_fetch_and_add(&next, 1) & 0xffff;
	struct verdicts *v = all_verdicts();
	__u64 eight = 0x5eed5eed00000000 | id;
	__u32 four = 0x5eed0000 | id;
	__u16 two = id;

	if (!v || lab_frame_id(ctx->data, ctx->data_end) < 0 ||
	    frame + ETH_HLEN > (__u8 *)(long)ctx->data_end)
		return;
	frame[10] = id >> 8;
	frame[11] = id;
	__sync_fetch_and_add(&v->first, 1);
	if (!is_empty(ctx))
		__sync_fetch_and_add(&v->wrong, 1);
	if (id & 1)
		return;
	if (bpf_xdp_kv_set(ctx, 2, &eight, sizeof(eight), 0) ||
	    bpf_xdp_kv_set(ctx, 0, &two, sizeof(two), 0) ||
	    bpf_xdp_kv_set(ctx, 1, &four, sizeof(four), 0))
		__sync_fetch_and_add(&v->wrong, 1);
}

static __always_inline int count(struct xdp_md *ctx)
{
	int id = lab_frame_id(ctx->data, ctx->data_end);
	struct verdicts *v = all_verdicts();
	__u64 eight = 0;
	__u32 four = 0;
	__u16 two = 0;

	if (!v || id < 0)
		return XDP_PASS;
	if (id & 1 && is_empty(ctx))
		__sync_fetch_and_add(&v->without, 1);
	else if (!(id & 1) &&
		 bpf_xdp_kv_get(ctx, 0, &two, sizeof(two)) == sizeof(two) &&
		 bpf_xdp_kv_get(ctx, 1, &four, sizeof(four)) == sizeof(four) &&
		 bpf_xdp_kv_get(ctx, 2, &eight, sizeof(eight)) == sizeof(eight) &&
		 two == id && four == (0x5eed0000 | id) &&
		 eight == (0x5eed5eed00000000 | id))
		__sync_fetch_and_add(&v->with_keys, 1);
	else
		__sync_fetch_and_add(&v->wrong, 1);
	return XDP_DROP;
}

SEC("xdp")
int count_and_drop(struct xdp_md *ctx)
{
	return count(ctx);
}

SEC("xdp/cpumap")
int count_on_cpumap(struct xdp_md *ctx)
{
	return count(ctx);
}

/* What is stored ends with it; the next packet in the buffer has nothing. */
SEC("xdp")
int pass(struct xdp_md *ctx)
{
	store_if_even(ctx);
	return XDP_PASS;
}

/* The same: it ends with the packets that are dropped, each second one. */
SEC("xdp")
int drop_even(struct xdp_md *ctx)
{
	store_if_even(ctx);
	return lab_frame_id(ctx->data, ctx->data_end) & 1 ? redirect_to_dev() : XDP_DROP;
}

SEC("xdp")
int abort_even(struct xdp_md *ctx)
{
	store_if_even(ctx);
	return lab_frame_id(ctx->data, ctx->data_end) & 1 ? redirect_to_dev() : XDP_ABORTED;
}

REDIRECT_AFTER(store_if_even);
