/* SPDX-License-Identifier: GPL-2.0-only */
/* Scripts of calls on a packet's store, for XDP (kv.h) and for skbs (kv_skb.bpf.c). */
#ifndef KV_CALLS_H
#define KV_CALLS_H

#include "lab.h"

#define ENOSYS 38
#define KV_CALLS 24
#define KV_VALUE 16
#define KV_SCRIPTS 512

/* What to call; the twin of Kind in harness/datapath/kv_script.py. */
#define KV_SET	1
#define KV_GET	2
#define KV_DEL	3
#define KV_HEAD	4	/* bpf_xdp_adjust_head(ctx, by), and so on */
#define KV_META	5
#define KV_TAIL	6
#define KV_WRITE 7	/* an Ethernet header in front, for a packet that grew */

/*
 * A call, and what it returned; the value is what is stored, or what was read.
 * The twin of Call in harness/datapath/kv_script.py.
 */
struct kv_call {
	__u32 kind;
	__s32 returned;
	__u64 key;
	__u64 flags;
	__u32 size;
	__s32 by;
	__u8 value[KV_VALUE];
};

/* A frame's id is in the lower 16 bits of the key, which program's script it is above. */
#define FIRST	0
#define SECOND	(1 << 16)
#define THIRD	(2 << 16)

struct kv_script {
	__u32 calls;
	__u32 runs;
	struct kv_call call[KV_CALLS];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, KV_SCRIPTS);
	__type(key, __u32);
	__type(value, struct kv_script);
} scripts SEC(".maps");

/*
 * Defines a function that runs the script of a frame and a place on its way, each call
 * by kv_call(). It is a subprogram, so that calls from one are tried as well. The verifier
 * reads the body of bpf_loop() once, where it would follow each round of a loop.
 */
#define KV_RUN(name, context)							\
struct name##_run {								\
	context *ctx;								\
	struct kv_script *script;						\
};										\
										\
static long name##_one(__u32 at, struct name##_run *run)			\
{										\
	struct kv_script *script = run->script;				\
										\
	if (at >= KV_CALLS || at >= script->calls)				\
		return 1;							\
	script->call[at].returned = kv_call(run->ctx, &script->call[at]);	\
	return 0;								\
}										\
										\
__attribute__((unused))						\
static __noinline int name(context *ctx, __u32 key)				\
{										\
	struct name##_run run = { ctx, bpf_map_lookup_elem(&scripts, &key) };	\
										\
	if (!run.script)							\
		return 0;							\
	run.script->runs++;							\
	bpf_loop(KV_CALLS, name##_one, &run, 0);				\
	return 0;								\
}

#endif
