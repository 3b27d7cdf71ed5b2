// SPDX-License-Identifier: GPL-2.0-only
/*
 * The load balancer's first hop: sends each IP packet back in GRE, with the RX
 * hash of this NIC in the key. Must be device-bound.
 */
#include "gre.h"

static __always_inline void set_checksum(struct iphdr *ip)
{
	__u32 sum = bpf_csum_diff(NULL, 0, (void *)ip, sizeof(*ip), 0);

	sum = (sum & 0xffff) + (sum >> 16);
	ip->check = ~(sum + (sum >> 16));
}

SEC("xdp")
int tx(struct xdp_md *ctx)
{
	struct outer outer = {
		.ip.version = 4,
		.ip.ihl = sizeof(outer.ip) / 4,
		.ip.ttl = OUTER_TTL,
		.ip.protocol = IPPROTO_GRE,
		.ip.saddr = bpf_htonl(OUTER_SOURCE),
		.ip.daddr = bpf_htonl(OUTER_TARGET),
		.gre.flags = bpf_htons(GRE_KEY),
	};
	enum xdp_rss_hash_type type;
	struct ethhdr *from, *to;
	__u32 hash;

	if (lab_frame_id(ctx->data, ctx->data_end) < 0 ||
	    bpf_xdp_metadata_rx_hash(ctx, &hash, &type))
		return XDP_ABORTED;
	outer.key = bpf_htonl(hash);
	outer.ip.tot_len = bpf_htons(ctx->data_end - ctx->data -
				     sizeof(*from) + sizeof(outer));
	set_checksum(&outer.ip);
	if (bpf_xdp_adjust_head(ctx, -(int)sizeof(outer)))
		return XDP_ABORTED;
	to = (void *)(long)ctx->data;
	from = (void *)to + sizeof(outer);
	if ((void *)(from + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	outer.gre.protocol = from->h_proto;
	__builtin_memcpy(to, from, sizeof(*to));
	to->h_proto = bpf_htons(ETH_P_IP);
	__builtin_memcpy(to + 1, &outer, sizeof(outer));
	return XDP_TX;
}

char LICENSE[] SEC("license") = "GPL";
