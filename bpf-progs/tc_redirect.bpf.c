// SPDX-License-Identifier: GPL-2.0-only
/* Sends each of the lab's frames, as an skb, into a veth: v0 or w0 of harness/topology.py. */
#include "lab.h"

#define TC_ACT_UNSPEC (-1)
#define V0 100
#define W0 200

SEC("tc")
int to_v0(struct __sk_buff *skb)
{
	if (lab_frame_id(skb->data, skb->data_end) < 0)
		return TC_ACT_UNSPEC;
	return bpf_redirect(V0, 0);
}

SEC("tc")
int to_w0(struct __sk_buff *skb)
{
	if (lab_frame_id(skb->data, skb->data_end) < 0)
		return TC_ACT_UNSPEC;
	return bpf_redirect(W0, 0);
}

char LICENSE[] SEC("license") = "GPL";
