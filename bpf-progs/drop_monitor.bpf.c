// SPDX-License-Identifier: GPL-2.0-only
/* Each packet gets an id in XDP. Where one is dropped later, that is noted, with the reason. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

extern int bpf_kv_register(const char *name__str, __u32 size, __u64 flags) __ksym;
extern int bpf_kv_unregister(const char *name__str) __ksym;
extern int bpf_xdp_kv_set(struct xdp_md *ctx, __u64 key, const void *val,
			  __u32 val__sz, __u64 flags) __ksym;
extern int bpf_skb_kv_get(struct __sk_buff *skb, __u64 key, void *val,
			  __u32 val__sz) __ksym;

/* Those of enum bpf_kv_register_flags, so that older headers will do. */
#define CREATE	1
#define GRO_FIRST	2

struct drop {
	enum skb_drop_reason reason;
	char where[60];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct drop);
} drops SEC(".maps");

int packet_id = -1;	/* the key of that name */
__u64 packets;

/*
 * To GRO, packets that each have an id of their own differ: it would merge none.
 * With this policy it does, and what was merged has the first packet's id.
 */
SEC("syscall")
int start(void *ctx)
{
	packet_id = bpf_kv_register("packet_id", sizeof(packets), CREATE | GRO_FIRST);
	return packet_id < 0 ? packet_id : 0;
}

SEC("syscall")
int stop(void *ctx)
{
	packet_id = -1;
	return bpf_kv_unregister("packet_id");
}

SEC("xdp")
int give_id(struct xdp_md *ctx)
{
	__u64 id = __sync_fetch_and_add(&packets, 1);

	bpf_xdp_kv_set(ctx, packet_id, &id, sizeof(id), 0);
	return XDP_PASS;
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(dropped, struct sk_buff *skb, void *location, enum skb_drop_reason reason)
{
	struct drop drop = { .reason = reason };
	__u64 at = (__u64)location;
	__u64 id = 0;

	if (bpf_skb_kv_get((struct __sk_buff *)skb, packet_id, &id, sizeof(id)) < 0)
		return 0;
	BPF_SNPRINTF(drop.where, sizeof(drop.where), "%pS", at);
	bpf_map_update_elem(&drops, &id, &drop, BPF_ANY);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
