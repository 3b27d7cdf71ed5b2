// SPDX-License-Identifier: GPL-2.0-only
/* As kv_flow, on skbs of TCP over IPv4, wherever their bytes are. */
#include "kv_skb.h"

#define PAYLOAD (14 + 20 + 20)	/* behind Ethernet, IPv4 and TCP, without options */

SEC("tc")
int store_then_send(struct __sk_buff *skb)
{
	struct ethhdr eth = {};
	__u8 number[2];

	bpf_skb_load_bytes(skb, 0, &eth, sizeof(eth));
	if (lab_id(eth.h_source) < 0 || bpf_skb_load_bytes(skb, PAYLOAD, number, sizeof(number)))
		return TC_ACT_UNSPEC;
	kv_run(skb, (number[0] << 8 | number[1]) | FIRST);
	return bpf_redirect(TO, 0);
}

char LICENSE[] SEC("license") = "GPL";
