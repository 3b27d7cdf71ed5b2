// SPDX-License-Identifier: GPL-2.0-only
/* Says what values the kernel's BTF has for the store's constants; 0 for one that it lacks. */
#include "lab.h"
#include <bpf/bpf_core_read.h>

/*
 * libbpf drops what follows three underscores, and puts the kernel's value in the
 * place of this one.
 */
enum bpf_kv_flags___wanted {
	BPF_KV_NOEXIST___wanted = 1000,
	BPF_KV_REPLACE___wanted,
};

enum bpf_kv_hw_key___wanted {
	BPF_KV_HW_HASH___wanted = 2000,
	BPF_KV_HW_VLAN___wanted,
	BPF_KV_HW_TIMESTAMP___wanted,
};

enum bpf_kv_register_flags___wanted {
	BPF_KV_CREATE___wanted = 3000,
	BPF_KV_GRO_FIRST___wanted,
	BPF_KV_GRO_LAST___wanted,
};

#define VALUE(type, name)						\
	(bpf_core_enum_value_exists(enum type, name) ?			\
	 bpf_core_enum_value(enum type, name) : 0)

struct kv_constants {
	__u32 noexist;
	__u32 replace;
	__u32 hw_hash;
	__u32 hw_vlan;
	__u32 hw_timestamp;
	__u32 create;
	__u32 gro_first;
	__u32 gro_last;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kv_constants);
} constants SEC(".maps");

SEC("xdp")
int say(struct xdp_md *ctx)
{
	struct kv_constants has = {
		.noexist = VALUE(bpf_kv_flags___wanted, BPF_KV_NOEXIST___wanted),
		.replace = VALUE(bpf_kv_flags___wanted, BPF_KV_REPLACE___wanted),
		.hw_hash = VALUE(bpf_kv_hw_key___wanted, BPF_KV_HW_HASH___wanted),
		.hw_vlan = VALUE(bpf_kv_hw_key___wanted, BPF_KV_HW_VLAN___wanted),
		.hw_timestamp = VALUE(bpf_kv_hw_key___wanted, BPF_KV_HW_TIMESTAMP___wanted),
		.create = VALUE(bpf_kv_register_flags___wanted, BPF_KV_CREATE___wanted),
		.gro_first = VALUE(bpf_kv_register_flags___wanted, BPF_KV_GRO_FIRST___wanted),
		.gro_last = VALUE(bpf_kv_register_flags___wanted, BPF_KV_GRO_LAST___wanted),
	};
	__u32 zero = 0;

	bpf_map_update_elem(&constants, &zero, &has, BPF_ANY);
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
