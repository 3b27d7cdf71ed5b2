// SPDX-License-Identifier: GPL-2.0-only
/* Calls an XDP setter from TC: the verifier must refuse it. */
#include "lab.h"

SEC("tc")
int store_in_tc(struct __sk_buff *skb)
{
	bpf_xdp_store_rx_hash((struct xdp_md *)skb, 1, XDP_RSS_TYPE_L4_ANY);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
