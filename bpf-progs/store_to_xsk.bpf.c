// SPDX-License-Identifier: GPL-2.0-only
/* Stores what the map has for each frame, and gives it to an AF_XDP socket. */
#include "hints.h"

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} xskmap SEC(".maps");

SEC("xdp")
int to_xsk(struct xdp_md *ctx)
{
	store_hints(ctx, FIRST);
	return bpf_redirect_map(&xskmap, 0, XDP_ABORTED);
}

char LICENSE[] SEC("license") = "GPL";
