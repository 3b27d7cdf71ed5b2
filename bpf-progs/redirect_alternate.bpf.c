// SPDX-License-Identifier: GPL-2.0-only
/* Stores a hash for frames with an even id, nothing for the others. */
#include "redirect.h"

static __always_inline void store_if_even(struct xdp_md *ctx)
{
	int id = lab_frame_id(ctx->data, ctx->data_end);

	if (id >= 0 && !(id & 1) && bpf_ksym_exists(bpf_xdp_store_rx_hash))
		bpf_xdp_store_rx_hash(ctx, 0x5eed0000 | id, XDP_RSS_TYPE_L4_IPV4_UDP);
}

REDIRECT_AFTER(store_if_even);
