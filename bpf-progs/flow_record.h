/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FLOW_RECORD_H
#define FLOW_RECORD_H

#define FLOW_DATA 2048
#define FLOW_KEYS 8
#define FLOW_RECORDS 64

/*
 * One skb of a flow at TC ingress, which may be of many packets. Of fixed width and
 * without holes; the twin is RECORD in harness/datapath/flow.py. returned, values: what a
 * get of each of the keys gave.
 */
struct flow_record {
	__u64 hwtstamp;
	__u64 values[FLOW_KEYS];
	__s32 returned[FLOW_KEYS];
	__u32 len;
	__u32 segments;
	__u32 hash;
	__u32 data_len;
	__u16 vlan_tci;
	__u8 vlan_present;
	__u8 l4_hash;
	__u8 data[FLOW_DATA + 4];
};

#endif
