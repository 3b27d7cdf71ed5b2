// SPDX-License-Identifier: GPL-2.0-only
/* What a packet costs that a VLAN tag is stored for. */
#include "bench.h"

static __always_inline void vlan(struct xdp_md *ctx)
{
	bpf_xdp_store_rx_vlan(ctx, bpf_htons(0x8100), 0xefff);
}

BENCH(vlan, vlan)

char LICENSE[] SEC("license") = "GPL";
