// SPDX-License-Identifier: GPL-2.0-only
/* What a packet costs that an 802.1ad tag is stored for. */
#include "bench.h"

BENCH(vlan_ad, BENCH_VLAN(bpf_xdp_store_rx_vlan, 0x88a8))
BENCH(vlan_ad_idle, BENCH_VLAN(idle_vlan, 0x88a8))

char LICENSE[] SEC("license") = "GPL";
