// SPDX-License-Identifier: GPL-2.0-only
/* Must be refused: the call is for XDP programs. */
#include "kv.h"

SEC("tc")
int kv_del_in_tc(struct __sk_buff *skb)
{
	bpf_xdp_kv_del((void *)skb, 0);
	return -1;
}

char LICENSE[] SEC("license") = "GPL";
