// SPDX-License-Identifier: GPL-2.0-only
/* What a packet costs that a timestamp is stored for. */
#include "bench.h"

BENCH(ts, BENCH_TS(bpf_xdp_store_rx_ts))
BENCH(ts_idle, BENCH_TS(idle_ts))

char LICENSE[] SEC("license") = "GPL";
