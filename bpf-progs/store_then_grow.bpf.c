// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stores all hints, then takes all the headroom that the kernel gives, fills it
 * with ones, and redirects. What is stored must be out of the program's reach.
 */
#include "redirect.h"

#define ETH_P_8021Q 0x8100
#define HASH 0x5eed5eed
#define TCI 0x5eed
#define TIMESTAMP 0x5eed5eed5eed5eed
#define LARGEST_STEP 128

static const __u8 ones[LARGEST_STEP] = { [0 ... LARGEST_STEP - 1] = 0xff };

static __always_inline void store(struct xdp_md *ctx)
{
	bpf_xdp_store_rx_hash(ctx, HASH, XDP_RSS_TYPE_L4_ANY);
	bpf_xdp_store_rx_vlan(ctx, bpf_htons(ETH_P_8021Q), TCI);
	bpf_xdp_store_rx_ts(ctx, TIMESTAMP);
}

/* Steps that halve add up to any headroom below twice the largest. */
SEC("xdp")
int grow_head(struct xdp_md *ctx)
{
	int step, grown = 0;

	store(ctx);
#pragma unroll
	for (step = LARGEST_STEP; step; step >>= 1) {
		if (bpf_xdp_adjust_head(ctx, -step))
			continue;
		grown += step;
		bpf_xdp_store_bytes(ctx, 0, (void *)ones, step);
	}
	if (bpf_xdp_adjust_head(ctx, grown))
		return XDP_ABORTED;
	return redirect_to_dev();
}

/* Metadata grows by multiples of 4. */
SEC("xdp")
int grow_meta(struct xdp_md *ctx)
{
	void *meta;
	int step;

	store(ctx);
#pragma unroll
	for (step = LARGEST_STEP; step >= 4; step >>= 1) {
		if (bpf_xdp_adjust_meta(ctx, -step))
			continue;
		meta = (void *)(long)ctx->data_meta;
		if (meta + step > (void *)(long)ctx->data)
			return XDP_ABORTED;
		__builtin_memset(meta, 0xff, step);
	}
	return redirect_to_dev();
}

char LICENSE[] SEC("license") = "GPL";
