/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KV_H
#define KV_H

#include "redirect.h"
#include "kv_calls.h"

/* Weak, as in lab.h. */
extern int bpf_xdp_kv_set(struct xdp_md *ctx, __u64 key, const void *val,
			  __u32 val__sz, __u64 flags) __weak __ksym;
extern int bpf_xdp_kv_get(struct xdp_md *ctx, __u64 key, void *val,
			  __u32 val__sz) __weak __ksym;
extern int bpf_xdp_kv_del(struct xdp_md *ctx, __u64 key) __weak __ksym;

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

KV_RUN(kv_run, struct xdp_md)

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
