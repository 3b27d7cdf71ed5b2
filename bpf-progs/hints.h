/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HINTS_H
#define HINTS_H

#include "redirect.h"

#define ENOSYS 38
#define MAX_HINTS 4096

/* As bpf_xdp_store_rx_all() returns them. */
#define RX_HASH (1 << 0)
#define RX_VLAN (1 << 1)
#define RX_TS	(1 << 2)

/* What to store; the twin is Hints in harness/datapath/hints.py. vlan_proto in host order. */
struct rx_hints {
	__u64 timestamp;
	__u32 hash;
	__u32 hash_type;
	__u16 vlan_proto;
	__u16 vlan_tci;
	__u32 fields;	/* which of them: RX_... */
};

/* What each kfunc returned; 0 also for those that were not called. */
struct rx_returned {
	__s32 hash;
	__s32 vlan;
	__s32 timestamp;
};

/* A frame's id is in the lower 16 bits of the key, which call it is for above. */
#define FIRST	0
#define SECOND	(1 << 16)
#define ENTRY	(2 << 16)

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_HINTS);
	__type(key, __u32);
	__type(value, struct rx_hints);
} hints SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_HINTS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct rx_returned));
} returned SEC(".maps");

/*
 * Stores what the map has for the frame of that id and this call, and records
 * what the kfuncs returned.
 */
static __always_inline void store_hints_of(struct xdp_md *ctx, int id, __u32 call)
{
	struct rx_returned ret = {};
	__u32 key = id | call;
	struct rx_hints *rx;

	if (id < 0)
		return;
	rx = bpf_map_lookup_elem(&hints, &key);
	if (!rx)
		return;
	if (rx->fields & RX_HASH)
		ret.hash = bpf_ksym_exists(bpf_xdp_store_rx_hash) ?
			bpf_xdp_store_rx_hash(ctx, rx->hash, rx->hash_type) :
			-ENOSYS;
	if (rx->fields & RX_VLAN)
		ret.vlan = bpf_ksym_exists(bpf_xdp_store_rx_vlan) ?
			bpf_xdp_store_rx_vlan(ctx, bpf_htons(rx->vlan_proto),
					      rx->vlan_tci) : -ENOSYS;
	if (rx->fields & RX_TS)
		ret.timestamp = bpf_ksym_exists(bpf_xdp_store_rx_ts) ?
			bpf_xdp_store_rx_ts(ctx, rx->timestamp) : -ENOSYS;
	bpf_map_update_elem(&returned, &key, &ret, BPF_ANY);
}

static __always_inline void store_hints(struct xdp_md *ctx, __u32 call)
{
	store_hints_of(ctx, lab_frame_id(ctx->data, ctx->data_end), call);
}

#endif
