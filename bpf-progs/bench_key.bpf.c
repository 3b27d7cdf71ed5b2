// SPDX-License-Identifier: GPL-2.0-only
/* What a packet costs that a value is stored for. */
#include "bench_keys.h"

#define KEY(set) SET(set, 1)

BENCH(key, KEY(bpf_xdp_kv_set))
BENCH(key_idle, KEY(idle_set))

char LICENSE[] SEC("license") = "GPL";
