// SPDX-License-Identifier: GPL-2.0-only
/* Calls an XDP setter with something else than its context: the verifier must refuse it. */
#include "hints.h"

SEC("xdp")
int store_without_context(struct xdp_md *ctx)
{
	struct xdp_md other = {};

	bpf_xdp_store_rx_ts(&other, 1);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
