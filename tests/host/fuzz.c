// SPDX-License-Identifier: GPL-2.0-only
/* libFuzzer: any bytes as a store, any call on it. What lies beside is the sanitizers' to see;
 * here are the promises about what lies inside.
 */
#include <errno.h>
#include <stdlib.h>

#include "calls.h"

struct input {
	u64 key;
	u64 flags;
	u8 call;
	u8 size;
	u8 len;
	u8 more; /* room beyond len */
	u8 at;
	u8 value[8];
} __attribute__((__packed__));

#define MOST (255 + 255)
#define FULL (16 + 128)

static void hold(bool promise)
{
	if (!promise)
		abort();
}

/* What a set or a del gave: a whole store of the length it said, or nothing has changed */
static void hold_changed(int result, const u8 *store, const u8 *before, size_t room)
{
	if (result < 0)
		hold(!memcmp(store, before, room));
	else if (result)
		hold((size_t)result <= room && kv_valid(store, result));
}

static void set(const struct input *in, u8 *store, const u8 *before, size_t room)
{
	u8 *value = malloc(in->size);
	u8 back[8];
	int result;

	memset(value, 0, in->size);
	memcpy(value, in->value, in->size < 8 ? in->size : 8);
	result = kv_set(store, in->len, room, in->key, value, in->size, in->flags);
	hold_changed(result, store, before, room);
	if (result >= 0) {
		hold(result <= FULL || (size_t)result <= in->len);
		hold(in->flags <= 2);
		hold(kv_get(store, result, in->key, back, 8) == in->size);
		hold(!memcmp(back, value, in->size));
		hold(kv_set(store, result, room, in->key, value, in->size, 1) == -EEXIST);
	} else {
		hold(result == -EINVAL || result == -EEXIST || result == -EBUSY ||
		     result == -ENOSPC);
	}
	free(value);
}

static void get(const struct input *in, const u8 *store, const u8 *before, size_t room)
{
	u8 *value = malloc(in->size);
	int result;

	result = kv_get(store, in->len, in->key, value, in->size);
	hold(!memcmp(store, before, room));
	hold(result == 2 || result == 4 || result == 8 || result == -EINVAL ||
	     result == -ENOENT || result == -EFBIG);
	hold(result <= in->size);
	if (result > 0)
		hold(kv_valid(store, in->len));
	free(value);
}

static void del(const struct input *in, u8 *store, const u8 *before, size_t room)
{
	int result = kv_del(store, in->len, in->key);
	u8 value[8];

	hold_changed(result, store, before, room);
	if (result >= 0)
		hold(kv_get(store, result, in->key, value, 8) == -ENOENT);
	else
		hold(result == -EINVAL || result == -ENOENT);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	u8 before[MOST] = { 0 };
	struct input in;
	u8 *memory, *store;
	size_t room;

	if (size < sizeof(in))
		return -1;
	memcpy(&in, data, sizeof(in));
	in.at %= 8;
	if (in.call & 4)
		in.key %= 64;
	if (in.call & 8)
		in.flags %= 4;
	if (in.call & 16)
		in.size = 2 << in.size % 3;
	/* Only a set may go beyond the length */
	room = in.len + (in.call % 4 == 0 ? in.more : 0);
	size -= sizeof(in);
	memcpy(before, data + sizeof(in), size < room ? size : room);

	memory = malloc(in.at + room);
	store = memory + in.at;
	memcpy(store, before, room);
	switch (in.call % 4) {
	case 0:
		set(&in, store, before, room);
		break;
	case 1:
		get(&in, store, before, room);
		break;
	case 2:
		del(&in, store, before, room);
		break;
	default:
		kv_valid(store, in.len);
	}
	free(memory);
	return 0;
}
