// SPDX-License-Identifier: GPL-2.0-only
/* Records the skbs of a flow of the lab's frames, whole; GRO may have merged them. */
#include "lab.h"
#include <bpf/bpf_core_read.h>
#include "skb_record.h"
#include "flow_record.h"

#define TC_ACT_UNSPEC (-1)

extern void *bpf_cast_to_kern_ctx(void *obj) __ksym;
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym;
extern int bpf_skb_kv_get(struct __sk_buff *skb, __u64 key, void *val,
			  __u32 val__sz) __weak __ksym;

/* Recorded: packets, not skbs. Read in place, by bpfcall.c. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct skb_counts);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FLOW_RECORDS);
	__type(key, __u32);
	__type(value, struct flow_record);
} records SEC(".maps");

/* Which ones to get. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FLOW_KEYS);
	__type(key, __u32);
	__type(value, __u64);
} keys SEC(".maps");

static __always_inline void get(struct __sk_buff *ctx, struct flow_record *rec,
				const __u32 number)
{
	__u32 at = number;	/* its address is taken: the verifier forgets what it is */
	__u64 *key = bpf_map_lookup_elem(&keys, &at);

	if (key && bpf_ksym_exists(bpf_skb_kv_get))
		rec->returned[number] = bpf_skb_kv_get(ctx, *key, &rec->values[number],
						       sizeof(rec->values[number]));
}

SEC("tc")
int flow_observer(struct __sk_buff *ctx)
{
	struct sk_buff *skb = bpf_cast_to_kern_ctx(ctx);
	struct skb_shared_info *shinfo;
	__u32 zero = 0, len = ctx->len;
	struct skb_counts *counted;
	struct flow_record *rec;
	__u32 at, seq;

	counted = bpf_map_lookup_elem(&counts, &zero);
	if (!counted || lab_frame_id(ctx->data, ctx->data_end) < 0)
		return TC_ACT_UNSPEC;
	seq = __sync_fetch_and_add(&counted->seen, 1);
	rec = bpf_map_lookup_elem(&records, &seq);
	if (!rec)
		return TC_ACT_UNSPEC;
	shinfo = bpf_rdonly_cast(skb->head + skb->end,
				 bpf_core_type_id_kernel(struct skb_shared_info));
	rec->hwtstamp = shinfo->hwtstamps.hwtstamp;
	rec->len = len;
	rec->segments = ctx->gso_segs ?: 1;
	rec->hash = skb->hash;
	rec->l4_hash = BPF_CORE_READ_BITFIELD(skb, l4_hash);
	rec->vlan_present = ctx->vlan_present;
	rec->vlan_tci = ctx->vlan_tci;
#pragma unroll
	for (at = 0; at < FLOW_KEYS; at++)
		get(ctx, rec, at);
	barrier_var(len);	/* else the bound is lost on the verifier */
	if (len > FLOW_DATA)
		len = FLOW_DATA;
	if (len && !bpf_skb_load_bytes(ctx, 0, rec->data, len))
		rec->data_len = len;
	__sync_fetch_and_add(&counted->recorded, rec->segments);
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "GPL";
