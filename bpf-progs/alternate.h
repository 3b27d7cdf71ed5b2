/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef ALTERNATE_H
#define ALTERNATE_H

#define ETH_HLEN 14
#define ETH_P_8021Q 0x8100

/* What frames with an even id carry in proofs that nothing leaks. */
#define ALTERNATE_HASH(id) (0x5eed0000 | (id))
#define ALTERNATE_TCI(id) ((__u16)(id))
#define ALTERNATE_TS(id) (0x7153000000000000 | (id))

#endif
