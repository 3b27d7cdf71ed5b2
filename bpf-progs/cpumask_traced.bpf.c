// SPDX-License-Identifier: GPL-2.0-only
/* Must be accepted: that a program on net_dev_xmit can't read keys is no reason to refuse more. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

extern struct bpf_cpumask *bpf_cpumask_create(void) __ksym;
extern void bpf_cpumask_release(struct bpf_cpumask *cpumask) __ksym;

SEC("tp_btf/net_dev_xmit")
int BPF_PROG(sent, struct sk_buff *skb)
{
	struct bpf_cpumask *cpumask = bpf_cpumask_create();

	if (cpumask)
		bpf_cpumask_release(cpumask);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
