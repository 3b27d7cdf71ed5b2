// SPDX-License-Identifier: GPL-2.0-only
/* What a packet costs that no hint is stored for; loads on the bare kernel too. */
#include "bench.h"

static __always_inline void nothing(struct xdp_md *ctx)
{
}

BENCH(nothing, nothing)

char LICENSE[] SEC("license") = "GPL";
