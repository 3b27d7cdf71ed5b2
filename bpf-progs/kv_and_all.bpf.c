// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes a script's calls, stores whatever the device's getters give, and makes another
 * script's. Must be device-bound.
 */
#include "kv.h"

extern int bpf_xdp_store_rx_all(struct xdp_md *ctx) __ksym;

static __always_inline void call_and_store_all(struct xdp_md *ctx)
{
	kv_script(ctx, FIRST);
	bpf_xdp_store_rx_all(ctx);
	kv_script(ctx, THIRD);
}

REDIRECT_AFTER(call_and_store_all);
