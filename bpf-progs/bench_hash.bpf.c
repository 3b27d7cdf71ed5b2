// SPDX-License-Identifier: GPL-2.0-only
/* What a packet costs that a hash is stored for. */
#include "bench.h"

BENCH(hash, BENCH_HASH(bpf_xdp_store_rx_hash))
BENCH(hash_idle, BENCH_HASH(idle_hash))

char LICENSE[] SEC("license") = "GPL";
