// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves head and metadata as the map says, reads the driver's RX hash there,
 * moves back, and stores what it read. Must be device-bound.
 */
#include "redirect.h"

#define MAX_FRAMES 1024

struct moves {
	__s32 head;	/* what bpf_xdp_adjust_head() is told */
	__s32 meta;	/* likewise; 0: no metadata */
	__s32 err;	/* of the getter */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_FRAMES);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct moves));
} moves SEC(".maps");

SEC("xdp")
int to_dev(struct xdp_md *ctx)
{
	__u32 id = lab_frame_id(ctx->data, ctx->data_end);
	enum xdp_rss_hash_type type;
	struct moves *move;
	__u32 hash;

	move = bpf_map_lookup_elem(&moves, &id);
	if (!move)
		return XDP_ABORTED;
	if (bpf_xdp_adjust_head(ctx, move->head))
		return XDP_ABORTED;
	if (move->meta && bpf_xdp_adjust_meta(ctx, move->meta))
		return XDP_ABORTED;
	move->err = bpf_xdp_metadata_rx_hash(ctx, &hash, &type);
	if (move->meta && bpf_xdp_adjust_meta(ctx, -move->meta))
		return XDP_ABORTED;
	if (bpf_xdp_adjust_head(ctx, -move->head))
		return XDP_ABORTED;
	if (!move->err)
		bpf_xdp_store_rx_hash(ctx, hash, type);
	return redirect_to_dev();
}

char LICENSE[] SEC("license") = "GPL";
