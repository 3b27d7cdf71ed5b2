// SPDX-License-Identifier: GPL-2.0-only
/* Runs two programs in turn, once they are in the place of its functions, as libxdp's does. */
#include "lab.h"

/*
 * Without a helper that moves the head, no program that does may come here; were
 * the result a constant, callers would know it.
 */
static __always_inline int to_be_replaced(struct xdp_md *ctx)
{
	volatile int ret = XDP_ABORTED;

	return bpf_xdp_adjust_head(ctx, 0) ? XDP_DROP : ret;
}

__noinline int first(struct xdp_md *ctx)
{
	return to_be_replaced(ctx);
}

__noinline int second(struct xdp_md *ctx)
{
	return to_be_replaced(ctx);
}

SEC("xdp")
int dispatch(struct xdp_md *ctx)
{
	int ret = first(ctx);

	return ret == XDP_PASS ? second(ctx) : ret;
}

char LICENSE[] SEC("license") = "GPL";
