// SPDX-License-Identifier: GPL-2.0-only
/* Somebody else changes the header while calls are made, as user space can whose AF_XDP
 * buffer it is. A call that read it twice would take the second for checked.
 */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "calls.h"

#define LEN (16 + 64) /* 8 values of 8 bytes */
#define FOUND 2000 /* gets that found a store, between others that found none */
#define SECONDS 60 /* it takes about one */

static u8 *store;
static volatile int done; /* gcc 12 with UBSan reads a volatile bool once */

static void write_maps(u64 high, u64 low)
{
	volatile u64 *maps = (volatile u64 *)store;

	maps[0] = high;
	maps[1] = low;
}

static void *change(void *unused)
{
	for (unsigned int i = 0; !done; i++) {
		/* Each for a while, or the other CPU hardly sees the first */
		if (i & 64)
			write_maps(0xff, 0xff);
		else
			write_maps(~0ULL, ~0ULL);
	}
	return unused;
}

int main(void)
{
	pthread_t other;
	u8 value[8] = { 0 };
	int found = 0;

	alarm(SECONDS);
	store = malloc(LEN); /* and not a byte more: the sanitizer watches */
	memset(store, 0, LEN);
	if (pthread_create(&other, NULL, change, NULL))
		return 1;
	for (int i = 0; found < FOUND; i++) {
		found += kv_get(store, LEN, i % 64, value, 8) == 8;
		kv_set(store, LEN, LEN, i % 64, value, 8, 0);
		kv_set(store, LEN, LEN, i % 64, value, 2, 2);
		kv_del(store, LEN, i % 64);
	}
	done = 1;
	pthread_join(other, NULL);
	free(store);
	return 0;
}
