// SPDX-License-Identifier: GPL-2.0-only
/* Records what the device's getters say of each frame. Must be device-bound. */
#include "redirect.h"
#include "read_hints.h"

SEC("xdp")
int to_dev(struct xdp_md *ctx)
{
	read_hints(ctx);
	return redirect_to_dev();
}

SEC("xdp")
int pass(struct xdp_md *ctx)
{
	read_hints(ctx);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
