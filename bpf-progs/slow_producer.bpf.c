// SPDX-License-Identifier: GPL-2.0-only
/*
 * Holds a CPU back that put an skb of generic XDP into a cpumap's ring until the
 * other CPU has received it: what the first does behind that comes too late.
 */
#include "lab.h"
#include <bpf/bpf_tracing.h>

#define PATIENCE 1000000000ULL	/* nanoseconds */
#define MANY (8 * 1024 * 1024)	/* BPF_MAX_LOOPS */

/* How many skbs were received in time. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} held SEC(".maps");

__u64 awaited;	/* the skb that is in the ring */

SEC("fentry/cpu_map_generic_redirect")
int BPF_PROG(begin, struct bpf_cpu_map_entry *rcpu, struct sk_buff *skb)
{
	awaited = (__u64)skb;
	return 0;
}

SEC("tp_btf/netif_receive_skb")
int BPF_PROG(receive, struct sk_buff *skb)
{
	if (awaited == (__u64)skb)
		awaited = 0;
	return 0;
}

static long is_received(__u32 index, __u64 *end)
{
	__u32 zero = 0;
	__u32 *count;

	if (awaited)
		return bpf_ktime_get_ns() > *end;
	count = bpf_map_lookup_elem(&held, &zero);
	if (count)
		++*count;
	return 1;
}

SEC("fexit/cpu_map_generic_redirect")
int BPF_PROG(hold, struct bpf_cpu_map_entry *rcpu, struct sk_buff *skb, int err)
{
	__u64 end = bpf_ktime_get_ns() + PATIENCE;

	if (!err)
		bpf_loop(MANY, is_received, &end, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
