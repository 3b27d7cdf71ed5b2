// SPDX-License-Identifier: GPL-2.0-only
/* Calls an XDP setter from a TC action: the verifier must refuse it. */
#include "lab.h"

SEC("action")
int store_in_action(struct __sk_buff *skb)
{
	struct xdp_md none = {};

	bpf_xdp_store_rx_hash(&none, 1, XDP_RSS_TYPE_L4_ANY);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
