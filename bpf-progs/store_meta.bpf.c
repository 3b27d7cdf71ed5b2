// SPDX-License-Identifier: GPL-2.0-only
/* Gives each frame four bytes of metadata, which say its id, between two stores. */
#include "hints.h"

static __always_inline void store_and_set_meta(struct xdp_md *ctx)
{
	int id = lab_frame_id(ctx->data, ctx->data_end);
	__u32 *meta;

	store_hints_of(ctx, id, FIRST);
	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*meta)))
		return;
	meta = (void *)(long)ctx->data_meta;
	if ((void *)(meta + 1) > (void *)(long)ctx->data)
		return;
	*meta = 0xda7a0000 | id;
	store_hints_of(ctx, id, SECOND);
}

SEC("xdp")
int pass(struct xdp_md *ctx)
{
	store_and_set_meta(ctx);
	return XDP_PASS;
}

SEC("xdp")
int to_all(struct xdp_md *ctx)
{
	store_and_set_meta(ctx);
	return bpf_redirect_map(&devmap, 0, BPF_F_BROADCAST);
}

REDIRECT_AFTER(store_and_set_meta);
