// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counts frames that came as store_alternate meant them: those with an even id
 * with their hints, the others with a hash that the map names and nothing else.
 */
#include "lab.h"
#include <bpf/bpf_core_read.h>
#include "alternate.h"

#define TC_ACT_UNSPEC (-1)

/* The twin is in tests/guest/test_leaks.py. */
struct verdicts {
	__u32 with_hints;
	__u32 without;
	__u32 wrong;
	__u32 first_wrong[5];	/* id, hash, l4_hash, VLAN tag, low half of the timestamp */
	__u32 plain_hash;	/* what frames without hints must have: given */
	__u32 plain_l4;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct verdicts));
} verdicts SEC(".maps");

extern void *bpf_cast_to_kern_ctx(void *obj) __ksym;
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym;

SEC("tc")
int leak_observer(struct __sk_buff *ctx)
{
	int id = lab_frame_id(ctx->data, ctx->data_end);
	struct sk_buff *skb = bpf_cast_to_kern_ctx(ctx);
	struct skb_shared_info *shinfo;
	__u32 zero = 0, l4, tag;
	struct verdicts *v;
	__u64 ts;

	v = bpf_map_lookup_elem(&verdicts, &zero);
	if (id < 0 || !v)
		return TC_ACT_UNSPEC;
	shinfo = bpf_rdonly_cast(skb->head + skb->end,
				 bpf_core_type_id_kernel(struct skb_shared_info));
	ts = shinfo->hwtstamps.hwtstamp;
	l4 = BPF_CORE_READ_BITFIELD(skb, l4_hash);
	tag = ctx->vlan_present ? ctx->vlan_tci | 1 << 31 : 0;
	if (!(id & 1) && skb->hash == ALTERNATE_HASH(id) && l4 &&
	    tag == (ALTERNATE_TCI(id) | 1U << 31) && ts == ALTERNATE_TS(id)) {
		__sync_fetch_and_add(&v->with_hints, 1);
	} else if (id & 1 && skb->hash == v->plain_hash && l4 == v->plain_l4 &&
		   !tag && !ts) {
		__sync_fetch_and_add(&v->without, 1);
	} else if (!__sync_fetch_and_add(&v->wrong, 1)) {
		v->first_wrong[0] = id;
		v->first_wrong[1] = skb->hash;
		v->first_wrong[2] = l4;
		v->first_wrong[3] = tag;
		v->first_wrong[4] = ts;
	}
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "GPL";
