// SPDX-License-Identifier: GPL-2.0-only
/* What a packet costs that a hash is stored for. */
#include "bench.h"

static __always_inline void hash(struct xdp_md *ctx)
{
	bpf_xdp_store_rx_hash(ctx, 0x12345678, XDP_RSS_TYPE_L4_IPV4_UDP);
}

BENCH(hash, hash)

char LICENSE[] SEC("license") = "GPL";
