/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LAB_H
#define LAB_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

extern int bpf_xdp_metadata_rx_hash(const struct xdp_md *ctx, __u32 *hash,
				    enum xdp_rss_hash_type *rss_type) __ksym;
/*
 * Weak: on a kernel that lacks one of them a program that asks first can still
 * be loaded, and a test fails by what arrives.
 */
extern int bpf_xdp_store_rx_hash(struct xdp_md *ctx, __u32 hash,
				 enum xdp_rss_hash_type rss_type) __weak __ksym;
extern int bpf_xdp_store_rx_vlan(struct xdp_md *ctx, __be16 vlan_proto,
				 __u16 vlan_tci) __weak __ksym;
extern int bpf_xdp_store_rx_ts(struct xdp_md *ctx, __u64 ns) __weak __ksym;

/*
 * The id of a frame that the lab sent, from its source address
 * 02:4c:41:42:HI:LO (harness/datapath/packets.py), or -1.
 */
static __always_inline int lab_id(const __u8 *source)
{
	if (source[0] != 0x02 || source[1] != 'L' ||
	    source[2] != 'A' || source[3] != 'B')
		return -1;
	return source[4] << 8 | source[5];
}

static __always_inline int lab_frame_id(__u32 data, __u32 data_end)
{
	const struct ethhdr *eth = (void *)(long)data;

	if ((void *)(eth + 1) > (void *)(long)data_end)
		return -1;
	return lab_id(eth->h_source);
}

#endif
