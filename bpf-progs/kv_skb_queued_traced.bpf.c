// SPDX-License-Identifier: GPL-2.0-only
/* Must be refused: another CPU may have sent and freed the skb by then. */
#include "kv_skb.h"
#include <bpf/bpf_tracing.h>

SEC("tp_btf/qdisc_enqueue")
int BPF_PROG(queued, struct Qdisc *qdisc, const struct netdev_queue *queue, struct sk_buff *skb)
{
	__u64 value;

	bpf_skb_kv_get((struct __sk_buff *)skb, 0, &value, sizeof(value));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
