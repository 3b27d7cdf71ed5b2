// SPDX-License-Identifier: GPL-2.0-only
/* As kv_script, for packets of one flow: the script is that of the number in the payload. */
#include "kv.h"

#define PROTOCOL (14 + 9)	/* where IPv4 says what is in it */
#define HEADERS (14 + 20)	/* of Ethernet and IPv4, without options */

static __always_inline int packet_number(struct xdp_md *ctx)
{
	const __u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const __u8 *payload = data + HEADERS;

	if (lab_frame_id(ctx->data, ctx->data_end) < 0 || payload > end)
		return -1;
	switch (data[PROTOCOL]) {
	case IPPROTO_GRE:
		payload += 4 + HEADERS;
		/* fallthrough */
	case IPPROTO_TCP:
		payload += 20;
		break;
	case IPPROTO_UDP:
		payload += 8;
		break;
	default:
		return -1;
	}
	if (payload + 2 > end)
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
