/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Measures a packet's way from an XDP program to TC ingress in guest
 * instructions: the lab runs this under QEMU's icount, where an instruction
 * takes one nanosecond. One packet is under way at a time.
 */
#ifndef BENCH_H
#define BENCH_H

#include "redirect.h"

#define BENCH_PACKETS 256

struct way {
	__u64 started;
	__u32 arrived;	/* packets so far */
	__u32 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct way);
} way SEC(".maps");

/* Nanoseconds from the first instruction in XDP to TC, in order of arrival. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BENCH_PACKETS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u64));
} took SEC(".maps");

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
	__u64 now = bpf_ktime_get_ns(), nanoseconds;
	__u32 zero = 0, packet;
	struct way *on;

	if (lab_frame_id(ctx->data, ctx->data_end) < 0)
		return -1;
	on = bpf_map_lookup_elem(&way, &zero);
	if (!on)
		return -1;
	nanoseconds = now - on->started;
	packet = on->arrived++;
	bpf_map_update_elem(&took, &packet, &nanoseconds, BPF_ANY);
	return -1;
}

/*
 * What a behaviour costs by redirect and on PASS, and alone, for
 * BPF_PROG_TEST_RUN.
 */
#define BENCH(name, behaviour)				\
	SEC("xdp")					\
	int redirect_##name(struct xdp_md *ctx)		\
	{						\
		bench_start(ctx);			\
		behaviour(ctx);				\
		return redirect_to_dev();		\
	}						\
							\
	SEC("xdp")					\
	int pass_##name(struct xdp_md *ctx)		\
	{						\
		bench_start(ctx);			\
		behaviour(ctx);				\
		return XDP_PASS;			\
	}						\
							\
	SEC("xdp")					\
	int alone_##name(struct xdp_md *ctx)		\
	{						\
		behaviour(ctx);				\
		return XDP_DROP;			\
	}

#endif
