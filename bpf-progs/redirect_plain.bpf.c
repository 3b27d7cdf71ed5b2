// SPDX-License-Identifier: GPL-2.0-only
/* Redirects and stores nothing. */
#include "redirect.h"

static __always_inline void store_nothing(struct xdp_md *ctx)
{
}

REDIRECT_AFTER(store_nothing);
