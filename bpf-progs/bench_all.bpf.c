// SPDX-License-Identifier: GPL-2.0-only
/* What a packet costs that all three hints are stored for. */
#include "bench.h"

static __always_inline void store_all(struct xdp_md *ctx)
{
	bpf_xdp_store_rx_hash(ctx, 0x12345678, XDP_RSS_TYPE_L4_IPV4_UDP);
	bpf_xdp_store_rx_vlan(ctx, bpf_htons(0x8100), 0xefff);
	bpf_xdp_store_rx_ts(ctx, 1234567890123456789ULL);
}

BENCH(all, store_all)

char LICENSE[] SEC("license") = "GPL";
