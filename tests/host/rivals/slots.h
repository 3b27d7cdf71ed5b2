/* SPDX-License-Identifier: GPL-2.0-only */
/* A rival of the store: the same maps, but each value has 8 bytes of its own, whatever its size.
 * A place is told by one count instead of three; a value that grows moves nothing.
 */
#define KEYS 64
#define HEADER 16
#define MOST 1024 /* bytes: as many as are compared */

static __always_inline bool slots_read(const void *store, size_t len, u64 *high, u64 *low)
{
	const u64 *header = store;
	long left = HEADER - (long)len;

	if (unlikely(left > 0))
		return false;
	*high = get_unaligned(header);
	*low = get_unaligned(header + 1);
	OPTIMIZER_HIDE_VAR(*high);
	OPTIMIZER_HIDE_VAR(*low);
	return likely(!(left + 8 * (long)hweight64(*high | *low)));
}

static __always_inline void slots_write(void *store, u64 high, u64 low)
{
	put_unaligned(high, (u64 *)store);
	put_unaligned(low, (u64 *)store + 1);
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
	u64 high, low;

	return slots_read(store, len, &high, &low);
}

static __always_inline int bpf_kv_get(const void *store, size_t len, u64 key, void *val, u32 size)
{
	const void *at;
	u64 high, low;

	if (unlikely(key >= KEYS))
		return -EINVAL;
	if (unlikely(!slots_read(store, len, &high, &low)))
		return -ENOENT;
	high <<= KEYS - 1 - key;
	low <<= KEYS - 1 - key;
	at = store + HEADER - 8 + 8 * hweight64(high | low);
	if ((s64)(high & low) < 0) {
		if (size < 8)
			return -EFBIG;
		copy(val, at, 8);
		return 8;
	}
	if ((s64)high < 0) {
		if (size < 4)
			return -EFBIG;
		copy(val, at, 4);
		return 4;
	}
	if ((s64)low >= 0)
		return -ENOENT;
	if (size < 2)
		return -EFBIG;
	copy(val, at, 2);
	return 2;
}

static noinline int slots_update(void *store, u64 high, u64 low, size_t len, size_t room, u64 key,
				 const void *val, u32 size, u64 flags)
{
	u64 bit = BIT_ULL(key);
	void *at = store + HEADER + 8 * hweight64((high | low) & (bit - 1));
	u32 old = high & bit ? (low & bit ? 8 : 4) : (low & bit ? 2 : 0);

	if (size != 2 && size != 4 && size != 8)
		return -EINVAL;
	if (old) {
		if (flags & 1)
			return -EEXIST;
		if (old != size) {
			if (!(flags & 2))
				return -EBUSY;
			slots_write(store, size == 2 ? high & ~bit : high | bit,
				    size == 4 ? low & ~bit : low | bit);
		}
		copy(at, val, size);
		return len;
	}
	if (len + 8 > room || len + 8 > MOST)
		return -ENOSPC;
	slots_write(store, size == 2 ? high : high | bit, size == 4 ? low : low | bit);
	memmove(at + 8, at, store + len - at);
	copy(at, val, size);
	return len + 8;
}

static __always_inline int bpf_kv_set(void *store, size_t len, size_t room, u64 key,
				      const void *val, u32 size, u64 flags)
{
	u64 high, low;

	if (unlikely(key >= KEYS || flags > 2))
		return -EINVAL;
	if (unlikely(!slots_read(store, len, &high, &low))) {
		len = HEADER;
		high = 0;
		low = 0;
		OPTIMIZER_HIDE_VAR(high);
	}
	if ((high | low) >> key)
		return slots_update(store, high, low, len, room, key, val, size, flags);
	if (size != 2 && size != 4 && size != 8)
		return -EINVAL;
	if (unlikely(len + 8 > room || len > MOST - 8))
		return -ENOSPC;
	copy(store + len, val, size);
	if (size != 2)
		high |= BIT_ULL(key);
	if (size != 4)
		low |= BIT_ULL(key);
	slots_write(store, high, low);
	return len + 8;
}

static __always_inline int bpf_kv_del(void *store, size_t len, u64 key)
{
	u64 high, low, bit;
	void *at;

	if (key >= KEYS)
		return -EINVAL;
	bit = BIT_ULL(key);
	if (!slots_read(store, len, &high, &low) || !((high | low) & bit))
		return -ENOENT;
	if (len == HEADER + 8)
		return 0;
	at = store + HEADER + 8 * hweight64((high | low) & (bit - 1));
	memmove(at, at + 8, store + len - at - 8);
	slots_write(store, high & ~bit, low & ~bit);
	return len - 8;
}
