// SPDX-License-Identifier: GPL-2.0-only
/* Counts what the device's RX hash getter answers, for any frame. Must be device-bound. */
#include "lab.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __s32);
	__type(value, __u64);
} answers SEC(".maps");

SEC("xdp")
int pass(struct xdp_md *ctx)
{
	enum xdp_rss_hash_type type;
	__u64 first = 1, *count;
	__s32 answer;
	__u32 hash;

	answer = bpf_xdp_metadata_rx_hash(ctx, &hash, &type);
	count = bpf_map_lookup_elem(&answers, &answer);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&answers, &answer, &first, BPF_ANY);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
