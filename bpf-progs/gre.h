/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef GRE_H
#define GRE_H

#include "redirect.h"

#define ETH_P_IP	0x0800
#define ETH_P_IPV6	0x86DD
#define GRE_KEY		0x2000	/* in the flags; the only one */
#define OUTER_SOURCE	0xc0000201	/* 192.0.2.1 */
#define OUTER_TARGET	0xc0000202
#define OUTER_TTL	64

/* What is between Ethernet header and packet; the key is the first NIC's RX hash. */
struct outer {
	struct iphdr ip;
	struct gre_base_hdr gre;
	__be32 key;
};

_Static_assert(sizeof(struct outer) == 28, "struct outer is what is on the wire");

#endif
