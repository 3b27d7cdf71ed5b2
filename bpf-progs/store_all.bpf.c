// SPDX-License-Identifier: GPL-2.0-only
/* Stores whatever the device's getters give. Must be device-bound. */
#include "redirect.h"

#define MAX_FRAMES 1024

extern int bpf_xdp_store_rx_all(struct xdp_md *ctx) __ksym;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_FRAMES);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__s32));
} returned SEC(".maps");

static __always_inline void store_all(struct xdp_md *ctx)
{
	int id = lab_frame_id(ctx->data, ctx->data_end);
	__s32 ret;

	if (id < 0)
		return;
	ret = bpf_xdp_store_rx_all(ctx);
	bpf_map_update_elem(&returned, &id, &ret, BPF_ANY);
}

SEC("xdp")
int to_dev(struct xdp_md *ctx)
{
	store_all(ctx);
	return redirect_to_dev();
}

SEC("xdp")
int pass(struct xdp_md *ctx)
{
	store_all(ctx);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
