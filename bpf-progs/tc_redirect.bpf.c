// SPDX-License-Identifier: GPL-2.0-only
/* Sends each of the lab's frames, as an skb, into a veth: v0 or w0 of harness/datapath/links.py. */
#include "lab.h"

#define TC_ACT_UNSPEC (-1)
#define V0 100000
#define W0 200000
#define HASH 0x50f7

static __always_inline int send(struct __sk_buff *skb, __u32 ifindex)
{
	if (lab_frame_id(skb->data, skb->data_end) < 0)
		return TC_ACT_UNSPEC;
	return bpf_redirect(ifindex, 0);
}

SEC("tc")
int to_v0(struct __sk_buff *skb)
{
	return send(skb, V0);
}

/* With a hash that counts as the kernel's own. */
SEC("tc")
int to_v0_hashed(struct __sk_buff *skb)
{
	bpf_set_hash(skb, HASH);
	return send(skb, V0);
}

SEC("tc")
int to_w0(struct __sk_buff *skb)
{
	return send(skb, W0);
}

char LICENSE[] SEC("license") = "GPL";
