// SPDX-License-Identifier: GPL-2.0-only
/* Calls an XDP setter from TC: the verifier must refuse it. */
#include "hints.h"

SEC("tc")
int vlan_in_tc(struct __sk_buff *skb)
{
	bpf_xdp_store_rx_vlan((struct xdp_md *)skb, bpf_htons(0x8100), 1);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
