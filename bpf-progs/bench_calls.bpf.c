// SPDX-License-Identifier: GPL-2.0-only
/* What calls of an XDP program take. */
#include "idle.h"
#include "kv.h"

#define BENCH_CONTEXT struct xdp_md
#define BENCH_SECTION "xdp"
#define BENCH_DEL bpf_xdp_kv_del
#define BENCH_DONE XDP_DROP
#define BENCH_FAILED XDP_ABORTED
#include "bench_calls.h"

TIMED(set, bpf_xdp_kv_set(ctx, with.key, with.value, with.size, with.flags))
TIMED(set_idle, idle_set(ctx, with.key, (void *)with.value, with.size, with.flags))
TIMED(get, bpf_xdp_kv_get(ctx, with.key, with.value, with.size))
TIMED(get_idle, idle_get(ctx, with.key, (void *)with.value, with.size))
TIMED(del, bpf_xdp_kv_del(ctx, with.key))
TIMED(del_idle, idle_del(ctx, with.key))
TIMED(hash, BENCH_HASH(bpf_xdp_store_rx_hash))
TIMED(hash_idle, BENCH_HASH(idle_hash))
TIMED(vlan, BENCH_VLAN(bpf_xdp_store_rx_vlan, 0x8100))
TIMED(vlan_idle, BENCH_VLAN(idle_vlan, 0x8100))
TIMED(vlan_ad, BENCH_VLAN(bpf_xdp_store_rx_vlan, 0x88a8))
TIMED(vlan_ad_idle, BENCH_VLAN(idle_vlan, 0x88a8))
TIMED(ts, BENCH_TS(bpf_xdp_store_rx_ts))
TIMED(ts_idle, BENCH_TS(idle_ts))

char LICENSE[] SEC("license") = "GPL";
