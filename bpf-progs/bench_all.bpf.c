// SPDX-License-Identifier: GPL-2.0-only
/* What a packet costs that all three hints are stored for. */
#include "bench.h"

#define ALL(hash, vlan, ts)						\
	do {								\
		BENCH_HASH(hash);					\
		BENCH_VLAN(vlan, 0x8100);				\
		BENCH_TS(ts);						\
	} while (0)

BENCH(all, ALL(bpf_xdp_store_rx_hash, bpf_xdp_store_rx_vlan, bpf_xdp_store_rx_ts))
BENCH(all_idle, ALL(idle_hash, idle_vlan, idle_ts))

char LICENSE[] SEC("license") = "GPL";
