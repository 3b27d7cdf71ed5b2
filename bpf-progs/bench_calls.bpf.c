// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a call takes that stores or reads something, whatever is stored before: in
 * nanoseconds, which are guest instructions where bench.h's are. Each program
 * comes as two, which differ in the functions they call.
 */
#include "idle.h"
#include "kv.h"

#define BENCH_RUNS 64	/* of which the latest are kept */
#define KEYS 67		/* those of the hints included */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BENCH_RUNS);
	__type(key, __u32);
	__type(value, __u64);
} took SEC(".maps");

__u32 runs;

/*
 * Bring the store into the state that the first script describes, from whatever the
 * run before left, and give the second script's only call.
 * Of the setters' programs it has no more than the place for what they return.
 */
static __always_inline struct kv_call *prepare(struct xdp_md *ctx)
{
	__u32 measured = SECOND;
	struct kv_script *script;
	__u64 key;

	for (key = 0; key < KEYS; key++)
		bpf_xdp_kv_del(ctx, key);
	kv_script_of(ctx, 0, FIRST);
	script = bpf_map_lookup_elem(&scripts, &measured);
	if (!script)
		return NULL;
	script->runs++;
	return &script->call[0];
}

/* On the stack, as a program has them. */
struct arguments {
	__u64 key;
	__u64 size;
	__u64 flags;
	__u8 value[KV_VALUE];
};

static __always_inline int note(struct kv_call *call, int returned, __u64 ns)
{
	__u32 run = runs++ % BENCH_RUNS;

	call->returned = returned;
	bpf_map_update_elem(&took, &run, &ns, BPF_ANY);
	return XDP_DROP;
}

#define TIMED(name, make_call)						\
	SEC("xdp")							\
	int name(struct xdp_md *ctx)					\
	{								\
		struct kv_call *call = prepare(ctx);			\
		struct arguments with;					\
		__u64 start;						\
		int returned;						\
									\
		if (!call)						\
			return XDP_ABORTED;				\
		with.key = call->key;					\
		with.size = call->size;					\
		with.flags = call->flags;				\
		__builtin_memcpy(with.value, call->value, KV_VALUE);	\
		if (with.size > KV_VALUE)				\
			return XDP_ABORTED;				\
		start = bpf_ktime_get_ns();				\
		returned = make_call;					\
		return note(call, returned, bpf_ktime_get_ns() - start); \
	}

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
