// SPDX-License-Identifier: GPL-2.0-only
/* Stores what the map has for each frame, twice if it has two; one program a way on. */
#include "hints.h"

#define CUT_TO 100
#define ETH_HLEN 14
#define TRAILER 4
#define V0 100000	/* VETH_INDEX in harness/datapath/links.py */
#define NOWHERE 0x7fffffff	/* no device's index */

SEC(XDP)
int to_dev(struct xdp_md *ctx)
{
	store_hints(ctx, FIRST);
	store_hints(ctx, SECOND);
	return redirect_to_dev();
}

/* Of a packet in many buffers this leaves a part of the first. */
SEC(XDP)
int to_dev_cut(struct xdp_md *ctx)
{
	store_hints(ctx, FIRST);
	if (bpf_xdp_adjust_tail(ctx, CUT_TO - (int)bpf_xdp_get_buff_len(ctx)))
		return XDP_ABORTED;
	return redirect_to_dev();
}

SEC(XDP)
int to_all(struct xdp_md *ctx)
{
	store_hints(ctx, FIRST);
	return bpf_redirect_map(&devmap, 0, BPF_F_BROADCAST);
}

/* Without a map. */
SEC(XDP)
int to_ifindex(struct xdp_md *ctx)
{
	store_hints(ctx, FIRST);
	return bpf_redirect(V0, 0);
}

SEC(XDP)
int to_cpu(struct xdp_md *ctx)
{
	store_hints(ctx, FIRST);
	return redirect_to_other_cpu();
}

SEC(XDP)
int pass(struct xdp_md *ctx)
{
	store_hints(ctx, FIRST);
	return XDP_PASS;
}

/* Of a packet between a second Ethernet header and a trailer. */
static __always_inline int store_and_take_out(struct xdp_md *ctx)
{
	int id = lab_frame_id(ctx->data, ctx->data_end);

	store_hints_of(ctx, id, FIRST);
	if (bpf_xdp_adjust_head(ctx, ETH_HLEN) ||
	    bpf_xdp_adjust_tail(ctx, -TRAILER))
		return XDP_ABORTED;
	store_hints_of(ctx, id, SECOND);
	return XDP_PASS;
}

SEC(XDP)
int pass_inner(struct xdp_md *ctx)
{
	return store_and_take_out(ctx);
}

SEC(XDP "/devmap")
int inner_on_devmap(struct xdp_md *ctx)
{
	return store_and_take_out(ctx);
}

SEC(XDP "/cpumap")
int inner_on_cpumap(struct xdp_md *ctx)
{
	return store_and_take_out(ctx);
}

/* Behind one of the others on a packet's way. */
SEC(XDP)
int pass_later(struct xdp_md *ctx)
{
	store_hints(ctx, ENTRY);
	return XDP_PASS;
}

SEC(XDP)
int tx(struct xdp_md *ctx)
{
	store_hints(ctx, FIRST);
	return XDP_TX;
}

SEC(XDP "/devmap")
int on_devmap(struct xdp_md *ctx)
{
	store_hints(ctx, ENTRY);
	return XDP_PASS;
}

SEC(XDP "/cpumap")
int on_cpumap(struct xdp_md *ctx)
{
	store_hints(ctx, ENTRY);
	return XDP_PASS;
}

/* With metadata in front: the frame's id. */
static __always_inline int store_behind_meta(struct xdp_md *ctx)
{
	int id = lab_frame_id(ctx->data, ctx->data_end);
	__u32 *meta;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*meta)))
		return XDP_ABORTED;
	meta = (void *)(long)ctx->data_meta;
	if ((void *)(meta + 1) > (void *)(long)ctx->data)
		return XDP_ABORTED;
	*meta = id;
	store_hints_of(ctx, id, ENTRY);
	return XDP_PASS;
}

SEC(XDP "/devmap")
int on_devmap_with_meta(struct xdp_md *ctx)
{
	return store_behind_meta(ctx);
}

SEC(XDP "/cpumap")
int on_cpumap_with_meta(struct xdp_md *ctx)
{
	return store_behind_meta(ctx);
}

/* Drops what is not the lab's: every second one by a redirect that fails. */
SEC(XDP "/cpumap")
int on_cpumap_or_drop(struct xdp_md *ctx)
{
	static __u32 others;

	if (lab_frame_id(ctx->data, ctx->data_end) < 0)
		return others++ & 1 ? XDP_DROP : bpf_redirect(NOWHERE, 0);
	store_hints(ctx, ENTRY);
	return XDP_PASS;
}

/* Sends frames with an even id on. */
SEC(XDP "/cpumap")
int on_cpumap_to_dev(struct xdp_md *ctx)
{
	store_hints(ctx, ENTRY);
	if (lab_frame_id(ctx->data, ctx->data_end) & 1)
		return XDP_PASS;
	return redirect_to_dev();
}

/* Stores for a frame, and sends it to the other CPU; passes it when it comes again. */
SEC(XDP "/cpumap")
int on_cpumap_to_cpu(struct xdp_md *ctx)
{
	int id = lab_frame_id(ctx->data, ctx->data_end);
	__u32 key = id | ENTRY;

	if (id < 0 || bpf_map_lookup_elem(&returned, &key))
		return XDP_PASS;
	store_hints_of(ctx, id, ENTRY);
	return redirect_to_other_cpu();
}

char LICENSE[] SEC("license") = "GPL";
