// SPDX-License-Identifier: GPL-2.0-only
/* Stores what the map has, then all that the device gives. Must be device-bound. */
#include "hints.h"

extern int bpf_xdp_store_rx_all(struct xdp_md *ctx) __ksym;

/* By id, as in store_all. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_HINTS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__s32));
} all_returned SEC(".maps");

static __always_inline void store_then_all(struct xdp_md *ctx)
{
	int id = lab_frame_id(ctx->data, ctx->data_end);
	__s32 ret;

	store_hints_of(ctx, id, FIRST);
	ret = bpf_xdp_store_rx_all(ctx);
	bpf_map_update_elem(&all_returned, &id, &ret, BPF_ANY);
}

REDIRECT_AFTER(store_then_all);
