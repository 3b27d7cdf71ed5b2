// SPDX-License-Identifier: GPL-2.0-only
/* A tracing program reads a key of each of the lab's skbs that it meets on its way into IP. */
#include "kv_skb.h"
#include <bpf/bpf_tracing.h>

struct seen {
	__s32 returned;
	__u32 len;
	__u64 value;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct seen);
} seen SEC(".maps");

SEC("tp_btf/netif_receive_skb")
int BPF_PROG(received, struct sk_buff *skb)
{
	struct seen saw = { .len = skb->len };
	struct ethhdr eth = {};
	int id;

	bpf_probe_read_kernel(&eth, sizeof(eth), skb->head + skb->mac_header);
	id = lab_id(eth.h_source);
	if (id < 0)
		return 0;
	saw.returned = bpf_skb_kv_get((struct __sk_buff *)skb, 7, &saw.value, sizeof(saw.value));
	bpf_map_update_elem(&seen, &id, &saw, BPF_ANY);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
