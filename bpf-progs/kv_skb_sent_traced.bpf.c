// SPDX-License-Identifier: GPL-2.0-only
/* Must be refused: the driver that was given the skb may have freed it by then. */
#include "kv_skb.h"
#include <bpf/bpf_tracing.h>

SEC("tp_btf/net_dev_xmit")
int BPF_PROG(sent, struct sk_buff *skb)
{
	__u64 value;

	bpf_skb_kv_get((struct __sk_buff *)skb, 0, &value, sizeof(value));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
