/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRECT_H
#define REDIRECT_H

#include "lab.h"

/* xdp.frags: also for packets in many buffers. */
#ifndef XDP
#define XDP "xdp"
#endif

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct bpf_devmap_val);
} devmap SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct bpf_cpumap_val);
} cpumap SEC(".maps");

static __always_inline int redirect_to_dev(void)
{
	return bpf_redirect_map(&devmap, 0, XDP_ABORTED);
}

/* The guest has two CPUs. */
static __always_inline int redirect_to_other_cpu(void)
{
	return bpf_redirect_map(&cpumap, !bpf_get_smp_processor_id(), XDP_ABORTED);
}

/* Each behaviour comes as two programs, which differ in where the frame goes. */
#define REDIRECT_AFTER(behaviour)			\
	SEC(XDP)					\
	int to_dev(struct xdp_md *ctx)			\
	{						\
		behaviour(ctx);				\
		return redirect_to_dev();		\
	}						\
							\
	SEC(XDP)					\
	int to_cpu(struct xdp_md *ctx)			\
	{						\
		behaviour(ctx);				\
		return redirect_to_other_cpu();		\
	}						\
							\
	char LICENSE[] SEC("license") = "GPL"

#endif
