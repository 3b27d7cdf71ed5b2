// SPDX-License-Identifier: GPL-2.0-only
/* Must be refused: an skb that a program only found may be gone. */
#include "kv_skb.h"
#include <bpf/bpf_tracing.h>

SEC("tp_btf/netif_receive_skb")
int BPF_PROG(untrusted, struct sk_buff *skb)
{
	__u32 value = 1;

	return bpf_skb_kv_get((struct __sk_buff *)skb->next, 0, &value, sizeof(value)) > 0;
}

char LICENSE[] SEC("license") = "GPL";
