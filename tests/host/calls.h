/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LAB_CALLS_H
#define LAB_CALLS_H

int kv_set(void *store, size_t len, size_t room, u64 key, const void *val, u32 size, u64 flags);
int kv_get(const void *store, size_t len, u64 key, void *val, u32 size);
int kv_del(void *store, size_t len, u64 key);
int kv_valid(const void *store, size_t len);
int kv_merge(void *store, size_t len, const void *from, size_t from_len, u64 keys);
int kv_equal(const void *a, size_t a_len, const void *b, size_t b_len, u64 keys);

#endif
