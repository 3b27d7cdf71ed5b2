// SPDX-License-Identifier: GPL-2.0-only
/*
 * Takes all the headroom, byte by byte until the kernel refuses, writes ones
 * to it and gives it back, or the same with metadata, which stays; stores
 * what the map has before that and, from the second map entry, when all of it
 * is taken. Records how much there was.
 */
#include "hints.h"

#define MORE_THAN_THERE_IS 400
#define METADATA 32

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_HINTS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} taken SEC(".maps");

static __always_inline int fill_headroom(struct xdp_md *ctx)
{
	__u32 id = lab_frame_id(ctx->data, ctx->data_end);
	__u8 ones = 0xff;
	int steps, grown;

	store_hints_of(ctx, id, FIRST);
	for (steps = 0; steps < MORE_THAN_THERE_IS; steps++) {
		if (bpf_xdp_adjust_head(ctx, -1))
			break;
		bpf_xdp_store_bytes(ctx, 0, &ones, sizeof(ones));
	}
	store_hints_of(ctx, id, SECOND);
	grown = steps;
	bpf_map_update_elem(&taken, &id, &grown, BPF_ANY);
	return bpf_xdp_adjust_head(ctx, grown);
}

SEC("xdp")
int use_head(struct xdp_md *ctx)
{
	return fill_headroom(ctx) ? XDP_ABORTED : redirect_to_dev();
}

SEC("xdp")
int use_head_and_pass(struct xdp_md *ctx)
{
	return fill_headroom(ctx) ? XDP_ABORTED : XDP_PASS;
}

SEC("xdp")
int use_meta(struct xdp_md *ctx)
{
	__u32 id = lab_frame_id(ctx->data, ctx->data_end);
	int steps, grown;
	__u32 *meta;

	store_hints_of(ctx, id, FIRST);
	for (steps = 0; steps < MORE_THAN_THERE_IS; steps++) {
		if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*meta)))
			break;
		meta = (void *)(long)ctx->data_meta;
		if ((void *)(meta + 1) > (void *)(long)ctx->data)
			return XDP_ABORTED;
		*meta = 0xffffffff;
	}
	store_hints_of(ctx, id, SECOND);
	grown = steps * sizeof(*meta);
	bpf_map_update_elem(&taken, &id, &grown, BPF_ANY);
	return redirect_to_dev();
}

/* Metadata move with the head. */
SEC("xdp")
int use_head_behind_meta(struct xdp_md *ctx)
{
	__u8 *meta;

	if (bpf_xdp_adjust_meta(ctx, -METADATA))
		return XDP_ABORTED;
	meta = (void *)(long)ctx->data_meta;
	if (meta + METADATA > (__u8 *)(long)ctx->data)
		return XDP_ABORTED;
	__builtin_memset(meta, 0xff, METADATA);
	return fill_headroom(ctx) ? XDP_ABORTED : XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
