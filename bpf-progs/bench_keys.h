/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BENCH_KEYS_H
#define BENCH_KEYS_H

#include "bench.h"
#include "kv.h"

/* A value of 8 bytes under that key. */
#define SET(set, number)						\
	do {								\
		__u64 value = 0x0123456789abcdefULL * (number);		\
									\
		set(ctx, number, &value, sizeof(value), 0);		\
	} while (0)

#endif
