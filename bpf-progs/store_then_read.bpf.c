// SPDX-License-Identifier: GPL-2.0-only
/* Stores what the map has for each frame, then records what the getters say. Device-bound. */
#include "hints.h"
#include "read_hints.h"

SEC("xdp")
int pass(struct xdp_md *ctx)
{
	store_hints(ctx, ENTRY);
	read_hints(ctx);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
