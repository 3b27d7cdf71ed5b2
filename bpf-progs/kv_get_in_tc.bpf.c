// SPDX-License-Identifier: GPL-2.0-only
/* Must be refused: the call is for XDP programs. */
#include "kv.h"

SEC("tc")
int kv_get_in_tc(struct __sk_buff *skb)
{
	__u32 value = 1;

	bpf_xdp_kv_get((void *)skb, 0, &value, sizeof(value));
	return -1;
}

char LICENSE[] SEC("license") = "GPL";
