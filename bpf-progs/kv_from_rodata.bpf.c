// SPDX-License-Identifier: GPL-2.0-only
/*
 * Must be refused, and the documentation says so: for the verifier a buffer of
 * a kfunc is written to, and this one can't be.
 */
#include "kv.h"

static const volatile __u32 value = 1;

SEC("xdp")
int kv_from_rodata(struct xdp_md *ctx)
{
	bpf_xdp_kv_set(ctx, 0, (void *)&value, sizeof(value), 0);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
