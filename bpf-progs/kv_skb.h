/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KV_SKB_H
#define KV_SKB_H

#include "kv_calls.h"

#define TC_ACT_UNSPEC (-1)
#define TO 300000	/* ENTRANCE in harness/datapath/skb_ways.py */

/* Weak, as in lab.h. */
extern int bpf_skb_kv_set(struct __sk_buff *skb, __u64 key, const void *val,
			  __u32 val__sz, __u64 flags) __weak __ksym;
extern int bpf_skb_kv_get(struct __sk_buff *skb, __u64 key, void *val,
			  __u32 val__sz) __weak __ksym;
extern int bpf_skb_kv_del(struct __sk_buff *skb, __u64 key) __weak __ksym;

static __always_inline int kv_call(struct __sk_buff *skb, struct kv_call *call)
{
	__u32 size = call->size;

	switch (call->kind) {
	case KV_SET:
		if (!bpf_ksym_exists(bpf_skb_kv_set) || size > KV_VALUE)
			return -ENOSYS;
		return bpf_skb_kv_set(skb, call->key, call->value, size, call->flags);
	case KV_GET:
		if (!bpf_ksym_exists(bpf_skb_kv_get) || size > KV_VALUE)
			return -ENOSYS;
		return bpf_skb_kv_get(skb, call->key, call->value, size);
	case KV_DEL:
		return bpf_ksym_exists(bpf_skb_kv_del) ?
			bpf_skb_kv_del(skb, call->key) : -ENOSYS;
	}
	return -ENOSYS;
}

KV_RUN(kv_run, struct __sk_buff)

#endif
