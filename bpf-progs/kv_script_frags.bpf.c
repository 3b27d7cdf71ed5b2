// SPDX-License-Identifier: GPL-2.0-only
/* As kv_script, for packets in many buffers. */
#define XDP "xdp.frags"
#include "kv_script.bpf.c"
