// SPDX-License-Identifier: GPL-2.0-only
/* Must be refused: who registers a name may have to wait. */
#include "lab.h"

extern int bpf_kv_register(const char *name__str, __u32 size, __u64 flags) __weak __ksym;

SEC("tc")
int register_in_tc(struct __sk_buff *skb)
{
	return bpf_kv_register("name", 4, 1);
}

char LICENSE[] SEC("license") = "GPL";
