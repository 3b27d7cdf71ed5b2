// SPDX-License-Identifier: GPL-2.0-only
/* Which extensions each of the lab's skbs has where it is sent, and where it is received last. */
#include "lab.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

struct extensions {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);	/* a bit of each kind */
};

struct extensions sent SEC(".maps"), received SEC(".maps");

static __always_inline void note(struct sk_buff *skb, void *extensions)
{
	__u32 active = skb->active_extensions;
	struct ethhdr eth = {};
	int id;

	bpf_probe_read_kernel(&eth, sizeof(eth), skb->head + skb->mac_header);
	id = lab_id(eth.h_source);
	if (id >= 0)
		bpf_map_update_elem(extensions, &id, &active, BPF_ANY);
}

SEC("tp_btf/net_dev_queue")
int BPF_PROG(queued, struct sk_buff *skb)
{
	note(skb, &sent);
	return 0;
}

SEC("tp_btf/netif_receive_skb")
int BPF_PROG(came, struct sk_buff *skb)
{
	note(skb, &received);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
