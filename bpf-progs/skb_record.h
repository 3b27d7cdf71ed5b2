/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SKB_RECORD_H
#define SKB_RECORD_H

#define SKB_RECORD_DATA 128
#define SKB_RECORDS 4096	/* the most that one observer keeps */

struct skb_counts {
	__u32 seen;	/* the lab's, and also those that could not be recorded */
	__u32 recorded;
	__u32 other;	/* the guest's own: neighbour discovery and the like */
};

/*
 * One skb at TC ingress. Of fixed width and without holes; the twin is
 * harness/datapath/skb.py, a unit test holds the two together. EtherTypes are in
 * host order, the rest is as the skb has it; meta is the first four bytes
 * of XDP metadata.
 */
struct skb_record {
	__u64 tstamp;
	__u64 hwtstamp;
	__u32 hash;
	__u32 mark;
	__u32 len;
	__u32 ifindex;
	__u32 cpu;
	__u16 queue_mapping;
	__u16 protocol;
	__u16 vlan_proto;
	__u16 vlan_tci;
	__u8 l4_hash;
	__u8 sw_hash;
	__u8 vlan_present;
	__u8 pkt_type;
	__u8 meta_len;
	__u8 pfmemalloc;
	__u8 has_sender;
	__u8 data_len;
	__u32 meta;
	__u8 data[SKB_RECORD_DATA];
};

_Static_assert(sizeof(struct skb_record) == 184, "skb_record has a fixed layout");

#endif
