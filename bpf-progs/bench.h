/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Measures a packet's way from the driver's poll to an XDP program, and from
 * there to TC ingress, in guest instructions: the lab runs this under QEMU's
 * icount, where an instruction takes one nanosecond. One packet is under way
 * at a time.
 */
#ifndef BENCH_H
#define BENCH_H

#include "idle.h"
#include "redirect.h"

#define BENCH_PACKETS 512

struct way {
	__u64 polled;	/* the driver's latest poll */
	__u64 started;	/* the latest packet in XDP */
	__u32 arrived;	/* packets so far */
	__u32 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct way);
} way SEC(".maps");

struct taken {
	__u64 to_program;	/* nanoseconds from the poll to the program */
	__u64 to_tc;		/* and from there to TC */
};

/* In order of arrival. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BENCH_PACKETS);
	__type(key, __u32);
	__type(value, struct taken);
} took SEC(".maps");

/* eth0 is polled, too, but never between eth1's poll and its program. */
SEC("fentry/virtnet_poll")
int bench_polled(void *ctx)
{
	__u32 zero = 0;
	struct way *on = bpf_map_lookup_elem(&way, &zero);

	if (on)
		on->polled = bpf_ktime_get_ns();
	return 0;
}

static __always_inline void bench_start(struct xdp_md *ctx)
{
	struct way *on;
	__u32 zero = 0;

	if (lab_frame_id(ctx->data, ctx->data_end) < 0)
		return;
	on = bpf_map_lookup_elem(&way, &zero);
	if (on)
		on->started = bpf_ktime_get_ns();
}

SEC("tc")
int bench_arrived(struct __sk_buff *ctx)
{
	__u64 now = bpf_ktime_get_ns();
	struct taken taken;
	__u32 zero = 0, packet;
	struct way *on;

	if (lab_frame_id(ctx->data, ctx->data_end) < 0)
		return -1;
	on = bpf_map_lookup_elem(&way, &zero);
	if (!on)
		return -1;
	taken.to_program = on->started - on->polled;
	taken.to_tc = now - on->started;
	packet = on->arrived++;
	bpf_map_update_elem(&took, &packet, &taken, BPF_ANY);
	return -1;
}

/* What a behaviour costs by redirect and on PASS. */
#define BENCH(name, behaviour)				\
	SEC("xdp")					\
	int redirect_##name(struct xdp_md *ctx)		\
	{						\
		bench_start(ctx);			\
		behaviour;				\
		return redirect_to_dev();		\
	}						\
							\
	SEC("xdp")					\
	int pass_##name(struct xdp_md *ctx)		\
	{						\
		bench_start(ctx);			\
		behaviour;				\
		return XDP_PASS;			\
	}

#endif
