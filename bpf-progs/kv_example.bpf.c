// SPDX-License-Identifier: GPL-2.0-only
/* Each packet carries an id and a service's number to its next hop, which notes them. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

extern int bpf_xdp_kv_set(struct xdp_md *ctx, __u64 key, const void *val,
			  __u32 val__sz, __u64 flags) __ksym;
extern int bpf_xdp_kv_get(struct xdp_md *ctx, __u64 key, void *val,
			  __u32 val__sz) __ksym;

enum { PACKET_ID, SERVICE };	/* keys */

const volatile __u16 this_service = 443;
__u64 packets;

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} next_hop SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, __u16);
} noted SEC(".maps");

SEC("xdp")
int first_hop(struct xdp_md *ctx)
{
	__u64 id = __sync_fetch_and_add(&packets, 1);
	__u16 service = this_service;	/* not from read-only memory */

	if (bpf_xdp_kv_set(ctx, PACKET_ID, &id, sizeof(id), 0) ||
	    bpf_xdp_kv_set(ctx, SERVICE, &service, sizeof(service), 0))
		return XDP_ABORTED;
	return bpf_redirect_map(&next_hop, 0, XDP_ABORTED);
}

SEC("xdp")
int second_hop(struct xdp_md *ctx)
{
	__u16 service = 0;
	__u64 id = 0;

	if (bpf_xdp_kv_get(ctx, PACKET_ID, &id, sizeof(id)) == sizeof(id) &&
	    bpf_xdp_kv_get(ctx, SERVICE, &service, sizeof(service)) > 0)
		bpf_map_update_elem(&noted, &id, &service, BPF_ANY);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
