// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stores, for each frame that the map has an entry for, the hash and type of
 * that entry, and records what the kfunc returned.
 */
#include "redirect.h"

#define MAX_FRAMES 1024

struct rx_hash {
	__u32 hash;
	__u32 type;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_FRAMES);
	__type(key, __u32);
	__type(value, struct rx_hash);
} values SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_FRAMES);
	__type(key, __u32);
	__type(value, __s32);
} returned SEC(".maps");

static __always_inline void store_value(struct xdp_md *ctx)
{
	__u32 id = lab_frame_id(ctx->data, ctx->data_end);
	struct rx_hash *value;
	__s32 err;

	value = bpf_map_lookup_elem(&values, &id);
	if (!value)
		return;
	err = bpf_xdp_store_rx_hash(ctx, value->hash, value->type);
	bpf_map_update_elem(&returned, &id, &err, BPF_ANY);
}

REDIRECT_AFTER(store_value);
