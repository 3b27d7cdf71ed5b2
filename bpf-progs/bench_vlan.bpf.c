// SPDX-License-Identifier: GPL-2.0-only
/* What a packet costs that an 802.1Q tag is stored for. */
#include "bench.h"

BENCH(vlan, BENCH_VLAN(bpf_xdp_store_rx_vlan, 0x8100))
BENCH(vlan_idle, BENCH_VLAN(idle_vlan, 0x8100))

char LICENSE[] SEC("license") = "GPL";
