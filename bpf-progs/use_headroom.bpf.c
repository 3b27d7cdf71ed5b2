// SPDX-License-Identifier: GPL-2.0-only
/*
 * Takes all the headroom, byte by byte until the kernel refuses, writes ones
 * to it and gives it back, then the same with metadata; stores what the map has
 * before that, or when that many bytes are taken, and, from the second map
 * entry, when all of it is. Records how much there was.
 */
#include "hints.h"

#define MORE_THAN_THERE_IS 400
#define METADATA 32

/* The twin of Taken in tests/guest/test_headroom.py. */
struct taken {
	__u32 head;
	__u32 meta;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_HINTS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct taken));
} taken SEC(".maps");

/* How many bytes to take before the first store, by the frame's id. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_HINTS);
	__type(key, __u32);
	__type(value, __u32);
} before SEC(".maps");

/* The guest sends frames of its own. */
static __always_inline void record(int id, const struct taken *there)
{
	if (id >= 0)
		bpf_map_update_elem(&taken, &id, there, BPF_ANY);
}

/* Returns how many bytes there were, which are taken. */
static __always_inline int fill_headroom(struct xdp_md *ctx, __u32 id)
{
	__u32 *first = bpf_map_lookup_elem(&before, &id);
	int begin = first ? *first : 0;
	__u8 ones = 0xff;
	int steps;

	if (bpf_xdp_adjust_head(ctx, -begin))
		return 0;
	store_hints_of(ctx, id, FIRST);
	for (steps = 0; steps < MORE_THAN_THERE_IS; steps++) {
		if (bpf_xdp_adjust_head(ctx, -1))
			break;
		bpf_xdp_store_bytes(ctx, 0, &ones, sizeof(ones));
	}
	store_hints_of(ctx, id, SECOND);
	return begin + steps;
}

/* The same with metadata. */
static __always_inline int fill_metadata(struct xdp_md *ctx)
{
	__u32 *meta;
	int steps;

	for (steps = 0; steps < MORE_THAN_THERE_IS; steps++) {
		if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*meta)))
			break;
		meta = (void *)(long)ctx->data_meta;
		if ((void *)(meta + 1) > (void *)(long)ctx->data)
			break;
		*meta = 0xffffffff;
	}
	return steps * sizeof(*meta);
}

static __always_inline int measure(struct xdp_md *ctx)
{
	__u32 id = lab_frame_id(ctx->data, ctx->data_end);
	struct taken there;

	there.head = fill_headroom(ctx, id);
	if (bpf_xdp_adjust_head(ctx, there.head))
		return XDP_ABORTED;
	there.meta = fill_metadata(ctx);
	if (there.meta && bpf_xdp_adjust_meta(ctx, there.meta))
		return XDP_ABORTED;
	record(id, &there);
	return XDP_PASS;
}

SEC("xdp")
int measure_and_pass(struct xdp_md *ctx)
{
	return measure(ctx);
}

SEC("xdp/devmap")
int measure_on_devmap(struct xdp_md *ctx)
{
	return measure(ctx);
}

SEC("xdp/cpumap")
int measure_on_cpumap(struct xdp_md *ctx)
{
	return measure(ctx);
}

SEC("xdp")
int measure_to_dev(struct xdp_md *ctx)
{
	return measure(ctx) == XDP_PASS ? redirect_to_dev() : XDP_ABORTED;
}

/* The metadata reach the skb. */
SEC("xdp")
int use_meta(struct xdp_md *ctx)
{
	__u32 id = lab_frame_id(ctx->data, ctx->data_end);
	struct taken there = {};

	store_hints_of(ctx, id, FIRST);
	there.meta = fill_metadata(ctx);
	store_hints_of(ctx, id, SECOND);
	record(id, &there);
	return redirect_to_dev();
}

/* Metadata move with the head. */
SEC("xdp")
int use_head_behind_meta(struct xdp_md *ctx)
{
	__u32 id = lab_frame_id(ctx->data, ctx->data_end);
	struct taken there = { .meta = METADATA };
	__u8 *meta;

	if (bpf_xdp_adjust_meta(ctx, -METADATA))
		return XDP_ABORTED;
	meta = (void *)(long)ctx->data_meta;
	if (meta + METADATA > (__u8 *)(long)ctx->data)
		return XDP_ABORTED;
	__builtin_memset(meta, 0xff, METADATA);
	there.head = fill_headroom(ctx, id);
	record(id, &there);
	return bpf_xdp_adjust_head(ctx, there.head) ? XDP_ABORTED : XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
