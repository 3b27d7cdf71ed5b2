// SPDX-License-Identifier: GPL-2.0-only
/* What calls of a TC program take. */
#include "idle.h"
#include "kv_skb.h"

#define BENCH_CONTEXT struct __sk_buff
#define BENCH_SECTION "tc"
#define BENCH_DEL bpf_skb_kv_del
#define BENCH_DONE 0
#define BENCH_FAILED 2
#include "bench_calls.h"

TIMED(set, bpf_skb_kv_set(ctx, with.key, with.value, with.size, with.flags))
TIMED(set_idle, idle_set_skb(ctx, with.key, (void *)with.value, with.size, with.flags))
TIMED(get, bpf_skb_kv_get(ctx, with.key, with.value, with.size))
TIMED(get_idle, idle_get_skb(ctx, with.key, (void *)with.value, with.size))
TIMED(del, bpf_skb_kv_del(ctx, with.key))
TIMED(del_idle, idle_del_skb(ctx, with.key))
/* A clone is made, sent to a device that drops it, and freed. */
TIMED(clone, bpf_clone_redirect(ctx, TO, 0))

char LICENSE[] SEC("license") = "GPL";
