/* SPDX-License-Identifier: GPL-2.0-only */
/* A rival of the store: a plain list, each entry a byte for the key, one for the size, and the
 * value, in the order in which they were set. No header; a search walks. It ends where an entry
 * is not whole or has a size that can't be, so hostile bytes cost what lies behind them.
 */
#define KEYS 64
#define MOST 1024 /* bytes: as many as are compared */

struct entry {
	u8 key;
	u8 size;
	u8 value[];
};

static __always_inline bool good_size(u32 size)
{
	return size == 2 || size == 4 || size == 8;
}

/* The key's entry, or none, and *end is where the list ends */
static __always_inline void *find(const void *store, size_t len, u64 key, u32 *size, size_t *end)
{
	size_t at = 0;

	*end = 0;
	while (len - at > sizeof(struct entry)) {
		const struct entry *entry = store + at;
		u32 has = *(const volatile u8 *)&entry->size; /* once */

		if (!good_size(has) || len - at < sizeof(*entry) + has)
			break;
		if (entry->key == key) {
			*size = has;
			return (void *)entry;
		}
		at += sizeof(*entry) + has;
	}
	*end = at;
	return NULL;
}

static __always_inline void copy(void *at, const void *from, u32 size)
{
	if (size == 8)
		put_unaligned(get_unaligned((const u64 *)from), (u64 *)at);
	else if (size == 4)
		put_unaligned(get_unaligned((const u32 *)from), (u32 *)at);
	else
		put_unaligned(get_unaligned((const u16 *)from), (u16 *)at);
}

static __always_inline bool bpf_kv_valid(const void *store, size_t len)
{
	size_t end;
	u32 size;

	return len && !find(store, len, KEYS, &size, &end) && end == len;
}

static __always_inline int bpf_kv_get(const void *store, size_t len, u64 key, void *val, u32 size)
{
	struct entry *entry;
	size_t end;
	u32 has;

	if (key >= KEYS)
		return -EINVAL;
	entry = find(store, len, key, &has, &end);
	if (!entry)
		return -ENOENT;
	if (size < has)
		return -EFBIG;
	copy(val, entry->value, has);
	return has;
}

static __always_inline int bpf_kv_set(void *store, size_t len, size_t room, u64 key,
				      const void *val, u32 size, u64 flags)
{
	struct entry *entry;
	size_t end;
	u32 old;

	if (key >= KEYS || flags > 2 || !good_size(size))
		return -EINVAL;
	entry = find(store, len, key, &old, &end);
	if (entry) {
		void *behind = entry->value + old;

		if (flags & 1)
			return -EEXIST;
		if (old != size) {
			if (!(flags & 2))
				return -EBUSY;
			if (len - old + size > room || len - old + size > MOST)
				return -ENOSPC;
			memmove(entry->value + size, behind, store + len - behind);
			entry->size = size;
			len = len - old + size;
		}
		copy(entry->value, val, size);
		return len;
	}
	if (end + sizeof(*entry) + size > room || end + sizeof(*entry) + size > MOST)
		return -ENOSPC;
	entry = store + end;
	entry->key = key;
	entry->size = size;
	copy(entry->value, val, size);
	return end + sizeof(*entry) + size;
}

static __always_inline int bpf_kv_del(void *store, size_t len, u64 key)
{
	struct entry *entry;
	void *behind;
	size_t end;
	u32 size;

	if (key >= KEYS)
		return -EINVAL;
	entry = find(store, len, key, &size, &end);
	if (!entry)
		return -ENOENT;
	behind = entry->value + size;
	memmove(entry, behind, store + len - behind);
	return len - sizeof(*entry) - size;
}
