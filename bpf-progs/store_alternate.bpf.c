// SPDX-License-Identifier: GPL-2.0-only
/*
 * Numbers the frames itself, and stores hints made from the number in those
 * with an even one, nothing in the others, for which it calls a setter wrongly.
 * leak_observer knows what to expect.
 */
#include "hints.h"
#include "alternate.h"

#define ETH_P_IP 0x0800

__u32 next;

static __always_inline void store_if_even(struct xdp_md *ctx)
{
	__u8 *frame = (void *)(long)ctx->data;
	__u32 id = __sync_fetch_and_add(&next, 1) & 0xffff;

	if (frame + ETH_HLEN > (__u8 *)(long)ctx->data_end)
		return;
	frame[10] = id >> 8;
	frame[11] = id;
	if (id & 1) {
		if (bpf_ksym_exists(bpf_xdp_store_rx_vlan))
			bpf_xdp_store_rx_vlan(ctx, bpf_htons(ETH_P_IP), 1);
		return;
	}
	if (bpf_ksym_exists(bpf_xdp_store_rx_hash))
		bpf_xdp_store_rx_hash(ctx, ALTERNATE_HASH(id),
				      XDP_RSS_TYPE_L4_IPV4_UDP);
	if (bpf_ksym_exists(bpf_xdp_store_rx_vlan))
		bpf_xdp_store_rx_vlan(ctx, bpf_htons(ETH_P_8021Q),
				      ALTERNATE_TCI(id));
	if (bpf_ksym_exists(bpf_xdp_store_rx_ts))
		bpf_xdp_store_rx_ts(ctx, ALTERNATE_TS(id));
}

SEC("xdp")
int pass(struct xdp_md *ctx)
{
	store_if_even(ctx);
	return XDP_PASS;
}

REDIRECT_AFTER(store_if_even);
