// SPDX-License-Identifier: GPL-2.0-only
/* Answers requests on stdin: one call each, on bytes that lie as near to the edges of their
 * memory as the alignment that is asked for allows, so that a sanitizer sees each byte too far.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "calls.h"

#define MOST 256

struct request {
	u64 key;      /* or, of two stores, a mask of them */
	u64 flags;
	u32 call;     /* 's', 'g', 'd', 'v'; of two stores 'm' or 'e' */
	u32 size;     /* of the value, the buffer for it, or the other store */
	u32 len;      /* of the store */
	u32 room;     /* bytes of the store's memory; the call may use no more */
	u32 store_at; /* their distance from an aligned address */
	u32 value_at;
	u8 value[MOST];
	u8 store[MOST];
};

struct reply {
	s32 result;
	u8 value[MOST];
	u8 store[MOST];
};

static u8 *placed(u32 at, const u8 *bytes, u32 count)
{
	u8 *memory = malloc(at + count);

	if (!memory && at + count)
		abort();
	if (count)
		memcpy(memory + at, bytes, count);
	return memory;
}

static void answer(const struct request *asked, struct reply *reply)
{
	u8 *store = placed(asked->store_at, asked->store, asked->room);
	u8 *value = placed(asked->value_at, asked->value, asked->size);
	void *area = store + asked->store_at;
	void *buffer = value + asked->value_at;

	switch (asked->call) {
	case 's':
		reply->result = kv_set(area, asked->len, asked->room, asked->key, buffer,
				       asked->size, asked->flags);
		break;
	case 'g':
		reply->result = kv_get(area, asked->len, asked->key, buffer, asked->size);
		break;
	case 'd':
		reply->result = kv_del(area, asked->len, asked->key);
		break;
	case 'm':
		reply->result = kv_merge(area, asked->len, buffer, asked->size, asked->key);
		break;
	case 'e':
		reply->result = kv_equal(area, asked->len, buffer, asked->size, asked->key);
		break;
	default:
		reply->result = kv_valid(area, asked->len);
	}
	memcpy(reply->store, area, asked->room);
	memcpy(reply->value, buffer, asked->size);
	free(store);
	free(value);
}

int main(void)
{
	struct request asked;

	while (fread(&asked, sizeof(asked), 1, stdin) == 1) {
		struct reply reply = { 0 };

		answer(&asked, &reply);
		if (fwrite(&reply, sizeof(reply), 1, stdout) != 1 || fflush(stdout))
			return 1;
	}
	return 0;
}
