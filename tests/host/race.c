// SPDX-License-Identifier: GPL-2.0-only
/* Somebody else changes the maps while a call is made, as user space can whose AF_XDP buffer it
 * is: here after each instruction of the call in turn. A call that reads them a second time
 * takes the second for checked, and leaves the store, behind which a page can't be touched.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "calls.h"
#include "step.h"

#define KEYS 8
#define FIRST 56 /* of the keys: all that is put before it moves them */
#define SIZE 8
#define LEN (16 + KEYS * SIZE)
#define PAGE 4096

struct call {
	const char *name;
	char what;
	u64 key;
	size_t room;
	u32 size;
	u64 flags;
};

static const struct call calls[] = {
	{ "get, first", 'g', FIRST, LEN, 8, 0 },
	{ "get, last", 'g', 63, LEN, 8, 0 },
	{ "get, miss", 'g', 0, LEN, 8, 0 },
	{ "set, overwrite", 's', FIRST + 4, LEN, 8, 0 },
	{ "set, smaller", 's', FIRST, LEN, 2, 2 },
	{ "set, before", 's', 0, LEN + 8, 8, 0 },
	{ "del, first", 'd', FIRST, LEN, 8, 0 },
	{ "del, last", 'd', 63, LEN, 8, 0 },
	{ "valid", 'v', 0, LEN, 8, 0 },
};

static const struct call *made;
static long change_after;
static u8 *guard; /* the page behind the store */
static u8 value[8];

static void write_maps(u64 keys)
{
	u8 *store = guard - made->room;

	memcpy(store, &keys, 8);
	memcpy(store + 8, &keys, 8);
}

static void change(long done)
{
	if (done == change_after)
		write_maps(~0ULL);
}

static void make(const void *with)
{
	const struct call *call = with;
	u8 *store = guard - call->room;

	switch (call->what) {
	case 'g':
		kv_get(store, LEN, call->key, value, call->size);
		break;
	case 's':
		kv_set(store, LEN, call->room, call->key, value, call->size, call->flags);
		break;
	case 'd':
		kv_del(store, LEN, call->key);
		break;
	default:
		kv_valid(store, LEN);
	}
}

static const void *function(char what)
{
	switch (what) {
	case 'g':
		return kv_get;
	case 's':
		return kv_set;
	case 'd':
		return kv_del;
	default:
		return kv_valid;
	}
}

static void on_fault(int number)
{
	(void)number;
	printf("%s: left the store when its maps were changed after %ld instructions\n", made->name,
	       change_after);
	fflush(stdout);
	_exit(1);
}

int main(void)
{
	u8 *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED || mprotect(pages + PAGE, PAGE, PROT_NONE)) {
		perror("mmap");
		return 3;
	}
	guard = pages + PAGE;
	signal(SIGSEGV, on_fault);
	for (made = calls; made < calls + sizeof(calls) / sizeof(*calls); made++) {
		long steps;

		change_after = 0;
		do {
			write_maps(~0ULL << FIRST);
			steps = step_through(function(made->what), make, made, change);
		} while (++change_after < steps);
		printf("%s: %ld instructions\n", made->name, steps);
	}
	return 0;
}
