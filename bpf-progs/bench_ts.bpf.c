// SPDX-License-Identifier: GPL-2.0-only
/* What a packet costs that a timestamp is stored for. */
#include "bench.h"

static __always_inline void ts(struct xdp_md *ctx)
{
	bpf_xdp_store_rx_ts(ctx, 1234567890123456789ULL);
}

BENCH(ts, ts)

char LICENSE[] SEC("license") = "GPL";
