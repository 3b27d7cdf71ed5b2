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
