// SPDX-License-Identifier: GPL-2.0-only
/* As store_hints, for packets in many buffers. */
#define XDP "xdp.frags"
#include "store_hints.bpf.c"
