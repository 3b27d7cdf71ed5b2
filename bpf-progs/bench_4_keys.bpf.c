// SPDX-License-Identifier: GPL-2.0-only
/* What a packet costs that four values are stored for. */
#include "bench_keys.h"

#define KEYS(set)							\
	do {								\
		SET(set, 1);						\
		SET(set, 2);						\
		SET(set, 3);						\
		SET(set, 4);						\
	} while (0)

BENCH(4_keys, KEYS(bpf_xdp_kv_set))
BENCH(4_keys_idle, KEYS(idle_set))

char LICENSE[] SEC("license") = "GPL";
