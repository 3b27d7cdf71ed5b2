// SPDX-License-Identifier: GPL-2.0-only
/* As redirect_plain, for packets in many buffers. */
#define XDP "xdp.frags"
#include "redirect_plain.bpf.c"
