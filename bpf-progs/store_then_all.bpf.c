// SPDX-License-Identifier: GPL-2.0-only
/* Stores what the map has, then all that the device gives. Must be device-bound. */
#include "hints.h"

extern int bpf_xdp_store_rx_all(struct xdp_md *ctx) __ksym;

static __always_inline void store_then_all(struct xdp_md *ctx)
{
	store_hints(ctx, FIRST);
	bpf_xdp_store_rx_all(ctx);
}

REDIRECT_AFTER(store_then_all);
