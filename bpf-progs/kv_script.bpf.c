// SPDX-License-Identifier: GPL-2.0-only
/* Makes the calls that a script has for each frame; one program a way on. */
#include "kv.h"

#define V0 100000	/* VETH_INDEX in harness/datapath/links.py */

SEC(XDP)
int to_dev(struct xdp_md *ctx)
{
	kv_script(ctx, FIRST);
	return redirect_to_dev();
}

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bpf_devmap_val);
} devmap_hash SEC(".maps");

SEC(XDP)
int to_dev_by_hash(struct xdp_md *ctx)
{
	kv_script(ctx, FIRST);
	return bpf_redirect_map(&devmap_hash, 0, XDP_ABORTED);
}

SEC(XDP)
int to_all(struct xdp_md *ctx)
{
	kv_script(ctx, FIRST);
	return bpf_redirect_map(&devmap, 0, BPF_F_BROADCAST);
}

/* Without a map. */
SEC(XDP)
int to_ifindex(struct xdp_md *ctx)
{
	kv_script(ctx, FIRST);
	return bpf_redirect(V0, 0);
}

SEC(XDP)
int to_cpu(struct xdp_md *ctx)
{
	kv_script(ctx, FIRST);
	return redirect_to_other_cpu();
}

SEC(XDP)
int pass(struct xdp_md *ctx)
{
	kv_script(ctx, FIRST);
	return XDP_PASS;
}

SEC(XDP)
int tx(struct xdp_md *ctx)
{
	kv_script(ctx, SECOND);
	return XDP_TX;
}

SEC(XDP "/devmap")
int on_devmap(struct xdp_md *ctx)
{
	kv_script(ctx, SECOND);
	return XDP_PASS;
}

SEC(XDP "/devmap")
int pass_on_devmap(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC(XDP "/devmap")
int third_on_devmap(struct xdp_md *ctx)
{
	kv_script(ctx, THIRD);
	return XDP_PASS;
}

SEC(XDP "/cpumap")
int on_cpumap(struct xdp_md *ctx)
{
	kv_script(ctx, SECOND);
	return XDP_PASS;
}

SEC(XDP "/cpumap")
int on_cpumap_to_dev(struct xdp_md *ctx)
{
	kv_script(ctx, SECOND);
	return redirect_to_dev();
}

/* Behind one of the others on a packet's way. */
SEC(XDP)
int pass_second(struct xdp_md *ctx)
{
	kv_script(ctx, SECOND);
	return XDP_PASS;
}

SEC(XDP)
int pass_third(struct xdp_md *ctx)
{
	kv_script(ctx, THIRD);
	return XDP_PASS;
}

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} tails SEC(".maps");

SEC(XDP)
int tail_call(struct xdp_md *ctx)
{
	kv_script(ctx, FIRST);
	bpf_tail_call(ctx, &tails, 0);
	return XDP_ABORTED;
}

char LICENSE[] SEC("license") = "GPL";
