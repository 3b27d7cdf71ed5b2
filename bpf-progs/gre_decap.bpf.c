// SPDX-License-Identifier: GPL-2.0-only
/*
 * The load balancer's last hop: takes the packet out of GRE and stores the
 * first NIC's hash. Its type is known by what is in the packet.
 */
#include "gre.h"

static __always_inline __u32 type_of(__be16 protocol, const void *packet,
				     const void *end)
{
	const struct ipv6hdr *ip6 = packet;
	const struct iphdr *ip = packet;
	__u32 type;
	__u8 next;

	if (protocol == bpf_htons(ETH_P_IP) && (void *)(ip + 1) <= end) {
		type = XDP_RSS_L3_IPV4;
		next = ip->protocol;
	} else if (protocol == bpf_htons(ETH_P_IPV6) && (void *)(ip6 + 1) <= end) {
		type = XDP_RSS_L3_IPV6;
		next = ip6->nexthdr;
	} else {
		return XDP_RSS_TYPE_NONE;
	}
	if (next == IPPROTO_TCP)
		type |= XDP_RSS_L4 | XDP_RSS_L4_TCP;
	else if (next == IPPROTO_UDP)
		type |= XDP_RSS_L4 | XDP_RSS_L4_UDP;
	return type;
}

static __always_inline int decap(struct xdp_md *ctx)
{
	struct ethhdr *from = (void *)(long)ctx->data, *to;
	struct outer *outer = (void *)(from + 1);
	__u32 type, hash;

	to = (void *)from + sizeof(*outer);
	if ((void *)(to + 1) > (void *)(long)ctx->data_end ||
	    outer->ip.protocol != IPPROTO_GRE ||
	    outer->gre.flags != bpf_htons(GRE_KEY))
		return -1;
	hash = bpf_ntohl(outer->key);
	type = type_of(outer->gre.protocol, to + 1, (void *)(long)ctx->data_end);
	from->h_proto = outer->gre.protocol;
	__builtin_memcpy(to, from, sizeof(*to));
	if (bpf_xdp_adjust_head(ctx, sizeof(*outer)))
		return -1;
	if (bpf_ksym_exists(bpf_xdp_store_rx_hash))
		bpf_xdp_store_rx_hash(ctx, hash, type);
	return 0;
}

SEC("xdp")
int pass(struct xdp_md *ctx)
{
	return decap(ctx) ? XDP_ABORTED : XDP_PASS;
}

SEC("xdp")
int to_dev(struct xdp_md *ctx)
{
	return decap(ctx) ? XDP_ABORTED : redirect_to_dev();
}

char LICENSE[] SEC("license") = "GPL";
