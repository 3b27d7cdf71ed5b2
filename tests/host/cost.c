// SPDX-License-Identifier: GPL-2.0-only
/* What an encoding's calls cost: a line a call, with the keys in the store before it, the bytes of
 * the store then, instructions from entry to return, and nanoseconds. A call on each key in
 * turn gives the mean and the most.
 *
 * Instructions are counted by single steps, so they are the same on any machine; nanoseconds are
 * those of a call in a loop, less what the loop takes without it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "calls.h"
#include "step.h"

#define ROOM 512
#define FIRST 10 /* the keys are 10, 12 and so on */
#define BEFORE 1
#define BEHIND 63
#define LOOPS 1000
#define ROUNDS 400

struct state {
	u8 store[ROOM];
	size_t len;
};

struct call {
	const char *name;
	char what;
	u64 key;
};

static u8 value[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

static noinline int nothing(void *store, size_t len, size_t room, u64 key, const void *val,
			    u32 size, u64 flags)
{
	__asm__ volatile("" : : "r"(store), "r"(len), "r"(room), "r"(key), "r"(val), "r"(size),
			 "r"(flags));
	return 0;
}

static __always_inline int make(const struct call *call, struct state *state, u32 size)
{
	u8 out[8];

	switch (call->what) {
	case 's':
		return kv_set(state->store, state->len, ROOM, call->key, value, size, 0);
	case 'g':
		return kv_get(state->store, state->len, call->key, out, sizeof(out));
	case 'd':
		return kv_del(state->store, state->len, call->key);
	default:
		return nothing(state->store, state->len, ROOM, call->key, value, size, 0);
	}
}

static void *function(char what)
{
	switch (what) {
	case 's':
		return kv_set;
	case 'g':
		return kv_get;
	case 'd':
		return kv_del;
	default:
		return nothing;
	}
}

static void fill(struct state *state, int keys, u32 size)
{
	memset(state, 0, sizeof(*state));
	for (int i = 0; i < keys; i++) {
		int len = kv_set(state->store, state->len, ROOM, FIRST + 2 * i, value, size, 0);

		if (len <= 0)
			exit(2);
		state->len = len;
	}
}

struct counted {
	const struct call *call;
	struct state *state;
	u32 size;
};

static void make_counted(const void *with)
{
	const struct counted *counted = with;

	make(counted->call, counted->state, counted->size);
}

static long count(const struct call *call, const struct state *state, u32 size)
{
	struct state copy = *state;
	struct counted counted = { call, &copy, size };

	return step_through(function(call->what), make_counted, &counted, NULL);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

/* used: bytes to put back after each call, which is to find what the first one found */
static double loop(const struct call *call, const struct state *state, u32 size, size_t used)
{
	struct state copy = *state;
	double begin = now();

	for (int i = 0; i < LOOPS; i++) {
		if (call)
			make(call, &copy, size);
		if (used)
			memcpy(copy.store, state->store, used);
		__asm__ volatile("" : : : "memory");
	}
	return (now() - begin) / LOOPS;
}

/* Of the round that took least: what else runs on the processor only adds to it, to both loops */
static double nanoseconds(const struct call *call, const struct state *state, u32 size)
{
	double least = 1e9, nanos = 0;
	struct state copy = *state;
	size_t used = 0;

	make(call, &copy, size);
	if (memcmp(&copy, state, sizeof(copy)))
		used = state->len + sizeof(value) + 2;
	for (int i = 0; i < ROUNDS; i++) {
		double with = loop(call, state, size, used);
		double without = loop(NULL, state, size, used);

		if (with + without < least) {
			least = with + without;
			nanos = with - without;
		}
	}
	return nanos;
}

static void print(const char *name, int keys, const struct state *state, double mean, long most,
		  double nanos)
{
	printf("%s\t%d\t%zu\t%.1f\t%ld\t%.2f\n", name, keys, state->len, mean, most, nanos);
}

/* A call on this key, or, where it is 0, on each key of the store */
static void cost(struct call call, int keys, u32 size)
{
	int calls = call.key ? 1 : keys;
	double steps = 0, nanos = 0;
	struct state state;
	long most = 0;

	fill(&state, keys, size);
	for (int i = 0; i < calls; i++) {
		struct call one = call;
		long took;

		if (!call.key)
			one.key = FIRST + 2 * i;
		took = count(&one, &state, size);
		steps += took;
		most = took > most ? took : most;
		nanos += nanoseconds(&one, &state, size);
	}
	print(call.name, keys, &state, steps / calls, most, nanos / calls);
}

int main(void)
{
	static const struct {
		int keys;
		u32 size;
	} stores[] = { { 1, 8 }, { 4, 8 }, { 8, 8 }, { 20, 4 } };

	cost((struct call){ "nothing", 'n', BEHIND }, 1, 8);
	cost((struct call){ "set, first", 's', FIRST }, 0, 8);
	for (unsigned int i = 0; i < sizeof(stores) / sizeof(*stores); i++) {
		int keys = stores[i].keys;
		u32 size = stores[i].size;

		cost((struct call){ "get, hit", 'g', 0 }, keys, size);
		cost((struct call){ "get, miss", 'g', FIRST + keys / 2 * 2 + 1 }, keys, size);
		cost((struct call){ "set, append", 's', BEHIND }, keys, size);
		cost((struct call){ "set, overwrite", 's', 0 }, keys, size);
		cost((struct call){ "set, before", 's', BEFORE }, keys, size);
		cost((struct call){ "del, first", 'd', FIRST }, keys, size);
	}
	return 0;
}
