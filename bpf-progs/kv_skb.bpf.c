// SPDX-License-Identifier: GPL-2.0-only
/* Makes the calls that a script has for each frame, on its skb; one program a place on its way. */
#include "kv_skb.h"

/* Bytes in front of the frame in a tunnel's packet: of Ethernet and IP, then GRE; or UDP, VXLAN */
#define IN_GRE		(14 + 20 + 4)
#define IN_VXLAN	(14 + 20 + 8 + 8)
#define IN_GRE6		(14 + 40 + 4)
#define IN_VXLAN6	(14 + 40 + 8 + 8)

static __always_inline int id_within(struct __sk_buff *skb, __u32 offset)
{
	struct ethhdr eth = {};

	bpf_skb_load_bytes(skb, offset, &eth, sizeof(eth));
	return lab_id(eth.h_source);
}

static __always_inline int kv_skb_script(struct __sk_buff *skb, __u32 which)
{
	int id = id_within(skb, 0);

	if (id < 0)
		id = id_within(skb, IN_GRE);
	if (id < 0)
		id = id_within(skb, IN_VXLAN);
	if (id < 0)
		id = id_within(skb, IN_GRE6);
	if (id < 0)
		id = id_within(skb, IN_VXLAN6);
	if (id >= 0)
		kv_run(skb, id | which);
	return id;
}

SEC("tc")
int first(struct __sk_buff *skb)
{
	kv_skb_script(skb, FIRST);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int second(struct __sk_buff *skb)
{
	kv_skb_script(skb, SECOND);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int third(struct __sk_buff *skb)
{
	kv_skb_script(skb, THIRD);
	return TC_ACT_UNSPEC;
}

SEC("action")
int second_in_action(struct __sk_buff *skb)
{
	kv_skb_script(skb, SECOND);
	return TC_ACT_UNSPEC;
}

/* Into the device at whose other end the skb is looked at again. */
SEC("tc")
int first_then_send(struct __sk_buff *skb)
{
	return kv_skb_script(skb, FIRST) < 0 ? TC_ACT_UNSPEC : bpf_redirect(TO, 0);
}

SEC("tc")
int send(struct __sk_buff *skb)
{
	return id_within(skb, 0) < 0 ? TC_ACT_UNSPEC : bpf_redirect(TO, 0);
}

/* Into the other end of that device. */
SEC("tc")
int first_then_peer(struct __sk_buff *skb)
{
	return kv_skb_script(skb, FIRST) < 0 ? TC_ACT_UNSPEC : bpf_redirect_peer(TO, 0);
}

/* A clone goes there, and this one stays, with another script. */
SEC("tc")
int first_then_clone(struct __sk_buff *skb)
{
	if (kv_skb_script(skb, FIRST) < 0)
		return TC_ACT_UNSPEC;
	bpf_clone_redirect(skb, TO, 0);
	kv_skb_script(skb, THIRD);
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "GPL";
