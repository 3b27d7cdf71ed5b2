// SPDX-License-Identifier: GPL-2.0-only
/* Must be refused: an XDP program has no skb. */
#include "kv_skb.h"

SEC("xdp")
int in_xdp(struct xdp_md *ctx)
{
	__u32 value = 1;

	return bpf_skb_kv_get((void *)ctx, 0, &value, sizeof(value)) > 0;
}

char LICENSE[] SEC("license") = "GPL";
