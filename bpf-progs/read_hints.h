/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef READ_HINTS_H
#define READ_HINTS_H

#include "lab.h"

#define MAX_FRAMES 1024

extern int bpf_xdp_metadata_rx_vlan_tag(const struct xdp_md *ctx,
					__be16 *vlan_proto,
					__u16 *vlan_tci) __ksym;
extern int bpf_xdp_metadata_rx_timestamp(const struct xdp_md *ctx,
					 __u64 *timestamp) __ksym;

/* The twin is Got in tests/guest/test_two_hops.py. vlan_proto in host order. */
struct got {
	__u64 timestamp;
	__u32 hash;
	__u32 hash_type;
	__u16 vlan_proto;
	__u16 vlan_tci;
	__s32 hash_err;
	__s32 vlan_err;
	__s32 timestamp_err;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_FRAMES);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct got));
} got SEC(".maps");

/* What the device's getters say of the frame */
static __always_inline void read_hints(struct xdp_md *ctx)
{
	int id = lab_frame_id(ctx->data, ctx->data_end);
	enum xdp_rss_hash_type type = 0;
	struct got rec = {};
	__be16 proto = 0;

	if (id < 0)
		return;
	rec.hash_err = bpf_xdp_metadata_rx_hash(ctx, &rec.hash, &type);
	rec.hash_type = type;
	rec.vlan_err = bpf_xdp_metadata_rx_vlan_tag(ctx, &proto, &rec.vlan_tci);
	rec.vlan_proto = bpf_ntohs(proto);
	rec.timestamp_err = bpf_xdp_metadata_rx_timestamp(ctx, &rec.timestamp);
	bpf_map_update_elem(&got, &id, &rec, BPF_ANY);
}

#endif
