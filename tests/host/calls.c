// SPDX-License-Identifier: GPL-2.0-only
/* An encoding's calls as functions: of the series, or of a rival in a header of its own. */
#include "calls.h"

#ifdef RIVAL
#include RIVAL
#else
#include <net/bpf_kv.h>
#endif

int kv_set(void *store, size_t len, size_t room, u64 key, const void *val, u32 size, u64 flags)
{
	return bpf_kv_set(store, len, room, key, val, size, flags);
}

int kv_get(const void *store, size_t len, u64 key, void *val, u32 size)
{
	return bpf_kv_get(store, len, key, val, size);
}

int kv_del(void *store, size_t len, u64 key)
{
	return bpf_kv_del(store, len, key);
}

int kv_valid(const void *store, size_t len)
{
	return bpf_kv_valid(store, len);
}

#ifndef RIVAL
int kv_merge(void *store, size_t len, const void *from, size_t from_len, u64 keys)
{
	return bpf_kv_merge(store, len, from, from_len, keys);
}

int kv_equal(const void *a, size_t a_len, const void *b, size_t b_len, u64 keys)
{
	return bpf_kv_equal(a, a_len, b, b_len, keys);
}
#else /* which are compared by what a packet's programs call */
int kv_merge(void *store, size_t len, const void *from, size_t from_len, u64 keys)
{
	return -ENOSYS;
}

int kv_equal(const void *a, size_t a_len, const void *b, size_t b_len, u64 keys)
{
	return -ENOSYS;
}
#endif
