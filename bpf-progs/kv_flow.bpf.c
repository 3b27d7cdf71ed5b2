// SPDX-License-Identifier: GPL-2.0-only
/* As kv_script, for packets of one flow: the script is that of the number in the payload. */
#include "kv.h"

#define PAYLOAD (14 + 20 + 20)	/* of TCP over IPv4, without options */

static __always_inline int packet_number(struct xdp_md *ctx)
{
	const __u8 *data = (void *)(long)ctx->data;
	const __u8 *payload = data + PAYLOAD;

	if (lab_frame_id(ctx->data, ctx->data_end) < 0 ||
	    (void *)(payload + 2) > (void *)(long)ctx->data_end)
		return -1;
	return payload[0] << 8 | payload[1];
}

SEC(XDP)
int to_dev(struct xdp_md *ctx)
{
	kv_script_of(ctx, packet_number(ctx), FIRST);
	return redirect_to_dev();
}

SEC(XDP)
int pass(struct xdp_md *ctx)
{
	kv_script_of(ctx, packet_number(ctx), FIRST);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
