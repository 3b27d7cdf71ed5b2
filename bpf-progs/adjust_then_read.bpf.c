// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves head and metadata as the map says, reads the driver's RX hash there
 * and moves back. Must be device-bound.
 */
#include "redirect.h"

#define MAX_FRAMES 1024

/* The twin is Move in tests/guest/test_adjust.py. */
struct move {
	__s32 head;	/* what bpf_xdp_adjust_head() is told */
	__s32 meta;	/* likewise; 0: no metadata */
	__s32 err;	/* what the getter says, from here on */
	__u32 hash;
	__u32 type;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_FRAMES);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct move));
} moves SEC(".maps");

SEC("xdp")
int to_dev(struct xdp_md *ctx)
{
	__u32 id = lab_frame_id(ctx->data, ctx->data_end);
	enum xdp_rss_hash_type type = 0;
	struct move *move;

	move = bpf_map_lookup_elem(&moves, &id);
	if (!move)
		return XDP_ABORTED;
	if (bpf_xdp_adjust_head(ctx, move->head))
		return XDP_ABORTED;
	if (move->meta && bpf_xdp_adjust_meta(ctx, move->meta))
		return XDP_ABORTED;
	move->err = bpf_xdp_metadata_rx_hash(ctx, &move->hash, &type);
	move->type = type;
	if (move->meta && bpf_xdp_adjust_meta(ctx, -move->meta))
		return XDP_ABORTED;
	if (bpf_xdp_adjust_head(ctx, -move->head))
		return XDP_ABORTED;
	return redirect_to_dev();
}

char LICENSE[] SEC("license") = "GPL";
