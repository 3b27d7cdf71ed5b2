// SPDX-License-Identifier: GPL-2.0-only
/* Must be refused: a tracing program only reads. */
#include "kv_skb.h"
#include <bpf/bpf_tracing.h>

SEC("tp_btf/netif_receive_skb")
int BPF_PROG(set_traced, struct sk_buff *skb)
{
	__u32 value = 1;

	bpf_skb_kv_set((struct __sk_buff *)skb, 0, &value, sizeof(value), 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
