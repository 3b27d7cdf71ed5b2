// SPDX-License-Identifier: GPL-2.0-only
/* Calls an XDP setter from TC: the verifier must refuse it. */
#include "hints.h"

SEC("tc")
int ts_in_tc(struct __sk_buff *skb)
{
	bpf_xdp_store_rx_ts((struct xdp_md *)skb, 1);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
