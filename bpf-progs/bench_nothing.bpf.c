// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a packet costs that no hint is stored for; loads on the bare kernel too.
 * alone_idle: one call more than alone_nothing, of a function that does nothing,
 * its context the only argument and in place.
 */
#include "bench.h"

BENCH(nothing, )

__weak int idle(struct xdp_md *ctx)
{
	return 0;
}

SEC("xdp")
int alone_nothing(struct xdp_md *ctx)
{
	return XDP_DROP;
}

SEC("xdp")
int alone_idle(struct xdp_md *ctx)
{
	idle(ctx);
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
