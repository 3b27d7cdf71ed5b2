// SPDX-License-Identifier: GPL-2.0-only
/* Must be refused: a tracing program only reads. */
#include "kv_skb.h"
#include <bpf/bpf_tracing.h>

SEC("tp_btf/netif_receive_skb")
int BPF_PROG(del_traced, struct sk_buff *skb)
{
	bpf_skb_kv_del((struct __sk_buff *)skb, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
