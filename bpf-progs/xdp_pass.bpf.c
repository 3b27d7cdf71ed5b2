// SPDX-License-Identifier: GPL-2.0-only
/* Lets every frame pass. */
#include "lab.h"

SEC("xdp")
int xdp_pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
