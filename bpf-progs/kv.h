/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KV_H
#define KV_H

#include "redirect.h"

/* Weak, as in lab.h. */
extern int bpf_xdp_kv_set(struct xdp_md *ctx, __u64 key, const void *val,
			  __u32 val__sz, __u64 flags) __weak __ksym;
extern int bpf_xdp_kv_get(struct xdp_md *ctx, __u64 key, void *val,
			  __u32 val__sz) __weak __ksym;
extern int bpf_xdp_kv_del(struct xdp_md *ctx, __u64 key) __weak __ksym;

#define ENOSYS 38
#define KV_CALLS 24
#define KV_VALUE 16
#define KV_SCRIPTS 512

/* What to call; the twin of Kind in harness/kvscript.py. */
#define KV_SET	1
#define KV_GET	2
#define KV_DEL	3
#define KV_HEAD	4	/* bpf_xdp_adjust_head(ctx, by), and so on */
#define KV_META	5
#define KV_TAIL	6
#define KV_WRITE 7	/* an Ethernet header in front, for a packet that grew */

/*
 * A call, and what it returned; the value is what is stored, or what was read.
 * The twin of Call in harness/kvscript.py.
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

static __always_inline int kv_call(struct xdp_md *ctx, struct kv_call *call)
{
	void *data = (void *)(long)ctx->data;
	__u32 size = call->size;

	switch (call->kind) {
	case KV_SET:
		if (!bpf_ksym_exists(bpf_xdp_kv_set) || size > KV_VALUE)
			return -ENOSYS;
		return bpf_xdp_kv_set(ctx, call->key, call->value, size, call->flags);
	case KV_GET:
		if (!bpf_ksym_exists(bpf_xdp_kv_get) || size > KV_VALUE)
			return -ENOSYS;
		return bpf_xdp_kv_get(ctx, call->key, call->value, size);
	case KV_DEL:
		return bpf_ksym_exists(bpf_xdp_kv_del) ?
			bpf_xdp_kv_del(ctx, call->key) : -ENOSYS;
	case KV_HEAD:
		return bpf_xdp_adjust_head(ctx, call->by);
	case KV_META:
		return bpf_xdp_adjust_meta(ctx, call->by);
	case KV_TAIL:
		return bpf_xdp_adjust_tail(ctx, call->by);
	case KV_WRITE:
		if (data + sizeof(struct ethhdr) > (void *)(long)ctx->data_end)
			return -ENOSYS;
		__builtin_memcpy(data, call->value, sizeof(struct ethhdr));
		return 0;
	}
	return -ENOSYS;
}

/* A subprogram, so that calls from one are tried as well. */
static __noinline int kv_run(struct xdp_md *ctx, __u32 key)
{
	struct kv_script *script = bpf_map_lookup_elem(&scripts, &key);
	__u32 at;

	if (!script)
		return 0;
	script->runs++;
	for (at = 0; at < KV_CALLS && at < script->calls; at++)
		script->call[at].returned = kv_call(ctx, &script->call[at]);
	return 0;
}

/* Makes the calls that are in the script for the frame of that id. */
static __always_inline void kv_script_of(struct xdp_md *ctx, int id, __u32 which)
{
	if (id >= 0)
		kv_run(ctx, id | which);
}

static __always_inline void kv_script(struct xdp_md *ctx, __u32 which)
{
	kv_script_of(ctx, lab_frame_id(ctx->data, ctx->data_end), which);
}

#endif
