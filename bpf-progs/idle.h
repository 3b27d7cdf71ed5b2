/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef IDLE_H
#define IDLE_H

#include "lab.h"

/*
 * Functions with the kfuncs' arguments that do nothing: two programs that
 * differ only in the functions they call tell what the kernel does. Weak, so
 * that neither calls nor arguments are optimised away.
 */
__weak int idle_hash(struct xdp_md *ctx, __u32 hash, enum xdp_rss_hash_type type)
{
	return 0;
}

__weak int idle_vlan(struct xdp_md *ctx, __be16 proto, __u16 tci)
{
	return 0;
}

__weak int idle_ts(struct xdp_md *ctx, __u64 ns)
{
	return 0;
}

__weak int idle_set(struct xdp_md *ctx, __u64 key, const __u64 *val, __u32 size,
		    __u64 flags)
{
	return 0;
}

__weak int idle_get(struct xdp_md *ctx, __u64 key, __u64 *val, __u32 size)
{
	return 0;
}

__weak int idle_del(struct xdp_md *ctx, __u64 key)
{
	return 0;
}

__weak int idle_set_skb(struct __sk_buff *skb, __u64 key, const __u64 *val, __u32 size,
			__u64 flags)
{
	return 0;
}

__weak int idle_get_skb(struct __sk_buff *skb, __u64 key, __u64 *val, __u32 size)
{
	return 0;
}

__weak int idle_del_skb(struct __sk_buff *skb, __u64 key)
{
	return 0;
}

/* What the setters are called with. */
#define BENCH_HASH(store) store(ctx, 0x12345678, XDP_RSS_TYPE_L4_IPV4_UDP)
#define BENCH_VLAN(store, proto) store(ctx, bpf_htons(proto), 0xefff)
#define BENCH_TS(store) store(ctx, 1234567890123456789ULL)

#endif
