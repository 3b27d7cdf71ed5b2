// SPDX-License-Identifier: GPL-2.0-only
/* Carries the driver's RX hash over the redirect. Must be device-bound. */
#include "redirect.h"

static __always_inline void store_driver_hash(struct xdp_md *ctx)
{
	enum xdp_rss_hash_type type;
	__u32 hash;

	if (!bpf_xdp_metadata_rx_hash(ctx, &hash, &type) &&
	    bpf_ksym_exists(bpf_xdp_store_rx_hash))
		bpf_xdp_store_rx_hash(ctx, hash, type);
}

REDIRECT_AFTER(store_driver_hash);
