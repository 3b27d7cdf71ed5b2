/* SPDX-License-Identifier: GPL-2.0-only */
/* A rival of the store: a third map, which alone is a flag, a key without a value; all three are
 * 16 bytes. The rest as the store: values packed in key order, places told by counting.
 */
#define KEYS 64
#define HEADER 24
#define MOST 1024 /* bytes: as many as are compared */

struct maps {
	u64 high;
	u64 low;
	u64 third;
};

static __always_inline long skip(long from, struct maps maps)
{
	u64 bits = maps.low;

	OPTIMIZER_HIDE_VAR(bits);
	from += 2 * hweight64(bits);
	OPTIMIZER_HIDE_VAR(from);
	bits &= maps.high;
	from += 2 * hweight64(bits);
	OPTIMIZER_HIDE_VAR(from);
	from += 8 * hweight64(bits & maps.third);
	OPTIMIZER_HIDE_VAR(from);
	return from + 4 * hweight64(maps.high);
}

static __always_inline struct maps until(struct maps maps, u32 key)
{
	maps.high <<= KEYS - 1 - key;
	maps.low <<= KEYS - 1 - key;
	maps.third <<= KEYS - 1 - key;
	return maps;
}

static __always_inline bool read_maps(const void *store, size_t len, struct maps *maps)
{
	const u64 *header = store;

	if (len < HEADER)
		return false;
	maps->high = get_unaligned(header);
	maps->low = get_unaligned(header + 1);
	maps->third = get_unaligned(header + 2);
	OPTIMIZER_HIDE_VAR(maps->high);
	OPTIMIZER_HIDE_VAR(maps->low);
	OPTIMIZER_HIDE_VAR(maps->third);
	return skip(HEADER - (long)len, *maps) == 0;
}

static __always_inline void write_maps(void *store, struct maps maps)
{
	put_unaligned(maps.high, (u64 *)store);
	put_unaligned(maps.low, (u64 *)store + 1);
	put_unaligned(maps.third, (u64 *)store + 2);
}

/* Of the key whose bits are the signs; -1: not there */
static __always_inline int size_of(struct maps maps)
{
	if ((s64)maps.high < 0) {
		if ((s64)maps.low >= 0)
			return 4;
		return (s64)maps.third < 0 ? 16 : 8;
	}
	if ((s64)maps.low < 0)
		return 2;
	return (s64)maps.third < 0 ? 0 : -1;
}

static __always_inline void copy(void *at, const void *from, u32 size)
{
	if (size == 8) {
		put_unaligned(get_unaligned((const u64 *)from), (u64 *)at);
	} else if (size == 4) {
		put_unaligned(get_unaligned((const u32 *)from), (u32 *)at);
	} else if (size == 2) {
		put_unaligned(get_unaligned((const u16 *)from), (u16 *)at);
	} else if (size == 16) {
		put_unaligned(get_unaligned((const u64 *)from), (u64 *)at);
		put_unaligned(get_unaligned((const u64 *)from + 1), (u64 *)at + 1);
	}
}

static __always_inline bool bpf_kv_valid(const void *store, size_t len)
{
	struct maps maps;

	return read_maps(store, len, &maps);
}

static __always_inline int bpf_kv_get(const void *store, size_t len, u64 key, void *val, u32 size)
{
	struct maps maps;
	const void *end;
	int has;

	if (key >= KEYS)
		return -EINVAL;
	if (!read_maps(store, len, &maps))
		return -ENOENT;
	maps = until(maps, key);
	end = (void *)skip((long)store + HEADER, maps);
	has = size_of(maps);
	if (has < 0)
		return -ENOENT;
	if (size < (u32)has)
		return -EFBIG;
	copy(val, end - has, has);
	return has;
}

static noinline int update(void *store, struct maps maps, size_t len, size_t room, u64 key,
			   const void *val, u32 size, u64 flags)
{
	struct maps cut = until(maps, key);
	int old = size_of(cut);
	u64 bit = BIT_ULL(key);
	void *at = (void *)skip((long)store + HEADER, cut);
	size_t new = len + size;

	if (old >= 0) {
		if (flags & 1)
			return -EEXIST;
		at -= old;
		new -= old;
		if (old == (int)size) {
			copy(at, val, size);
			return len;
		}
		if (!(flags & 2))
			return -EBUSY;
	} else {
		old = 0;
	}
	if (new > room || new > MOST)
		return -ENOSPC;
	maps.high = size >= 4 ? maps.high | bit : maps.high & ~bit;
	maps.low = size && size != 4 ? maps.low | bit : maps.low & ~bit;
	maps.third = size == 0 || size == 16 ? maps.third | bit : maps.third & ~bit;
	write_maps(store, maps);
	memmove(at + size, at + old, store + len - at - old);
	copy(at, val, size);
	return new;
}

static __always_inline int bpf_kv_set(void *store, size_t len, size_t room, u64 key,
				      const void *val, u32 size, u64 flags)
{
	struct maps maps;
	size_t new;

	if (unlikely(key >= KEYS || flags > 2))
		return -EINVAL;
	if (size > 16 || (size & (size - 1)) || size == 1)
		return -EINVAL;
	if (unlikely(!read_maps(store, len, &maps))) {
		len = HEADER;
		maps.high = 0;
		maps.low = 0;
		maps.third = 0;
		OPTIMIZER_HIDE_VAR(maps.high);
	}
	if ((maps.high | maps.low | maps.third) >> key)
		return update(store, maps, len, room, key, val, size, flags);
	new = len + size;
	if (new > room || new > MOST)
		return -ENOSPC;
	copy(store + len, val, size);
	if (size >= 4)
		maps.high |= BIT_ULL(key);
	if (size && size != 4)
		maps.low |= BIT_ULL(key);
	if (!size || size == 16)
		maps.third |= BIT_ULL(key);
	write_maps(store, maps);
	return new;
}

static __always_inline int bpf_kv_del(void *store, size_t len, u64 key)
{
	struct maps maps, cut;
	void *end;
	int size;

	if (key >= KEYS)
		return -EINVAL;
	if (!read_maps(store, len, &maps))
		return -ENOENT;
	cut = until(maps, key);
	size = size_of(cut);
	if (size < 0)
		return -ENOENT;
	end = (void *)skip((long)store + HEADER, cut);
	memmove(end - size, end, store + len - end);
	maps.high &= ~BIT_ULL(key);
	maps.low &= ~BIT_ULL(key);
	maps.third &= ~BIT_ULL(key);
	if (!(maps.high | maps.low | maps.third))
		return 0;
	write_maps(store, maps);
	return len - size;
}
