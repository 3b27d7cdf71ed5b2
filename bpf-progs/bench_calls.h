/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a call takes that stores or reads something, whatever is stored before: in
 * nanoseconds, which are guest instructions where bench.h's are. Each program
 * comes as two, which differ in the functions they call. Included behind what runs a
 * script, with BENCH_CONTEXT, BENCH_SECTION and BENCH_DEL.
 */
#ifndef BENCH_CALLS_H
#define BENCH_CALLS_H

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
static __always_inline struct kv_call *prepare(BENCH_CONTEXT *ctx)
{
	__u32 measured = SECOND;
	struct kv_script *script;
	__u64 key;

	for (key = 0; key < KEYS; key++)
		BENCH_DEL(ctx, key);
	kv_run(ctx, FIRST);
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
	return BENCH_DONE;
}

#define TIMED(name, make_call)						\
	SEC(BENCH_SECTION)						\
	int name(BENCH_CONTEXT *ctx)					\
	{								\
		struct kv_call *call = prepare(ctx);			\
		struct arguments with;					\
		__u64 start;						\
		int returned;						\
									\
		if (!call)						\
			return BENCH_FAILED;				\
		with.key = call->key;					\
		with.size = call->size;					\
		with.flags = call->flags;				\
		__builtin_memcpy(with.value, call->value, KV_VALUE);	\
		if (with.size > KV_VALUE)				\
			return BENCH_FAILED;				\
		start = bpf_ktime_get_ns();				\
		returned = make_call;					\
		return note(call, returned, bpf_ktime_get_ns() - start); \
	}

#endif
