// SPDX-License-Identifier: GPL-2.0-only
/* As redirect_hash, for packets in many buffers. */
#define XDP "xdp.frags"
#include "redirect_hash.bpf.c"
