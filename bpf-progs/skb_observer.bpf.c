// SPDX-License-Identifier: GPL-2.0-only
/* Records each of the lab's frames as the skb that it became; decides nothing. */
#include "lab.h"
#include <bpf/bpf_core_read.h>
#include "skb_record.h"

#define TC_ACT_UNSPEC (-1)

/* Both are read in place, by bpfcall.c. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct skb_counts);
} counts SEC(".maps");

/* By sequence number. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SKB_RECORDS);
	__type(key, __u32);
	__type(value, struct skb_record);
} records SEC(".maps");

extern void *bpf_cast_to_kern_ctx(void *obj) __ksym;
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym;

static __always_inline void record(struct __sk_buff *ctx, struct skb_record *rec)
{
	struct sk_buff *skb = bpf_cast_to_kern_ctx(ctx);
	__u32 len = ctx->len;
	struct skb_shared_info *shinfo;

	shinfo = bpf_rdonly_cast(skb->head + skb->end,
				 bpf_core_type_id_kernel(struct skb_shared_info));
	rec->tstamp = skb->tstamp;
	rec->hwtstamp = shinfo->hwtstamps.hwtstamp;
	rec->hash = skb->hash;
	rec->mark = ctx->mark;
	rec->len = len;
	rec->ifindex = ctx->ifindex;
	rec->cpu = bpf_get_smp_processor_id();
	rec->queue_mapping = skb->queue_mapping;
	rec->protocol = bpf_ntohs(ctx->protocol);
	rec->vlan_proto = bpf_ntohs(ctx->vlan_proto);
	rec->vlan_tci = ctx->vlan_tci;
	rec->l4_hash = BPF_CORE_READ_BITFIELD(skb, l4_hash);
	rec->sw_hash = BPF_CORE_READ_BITFIELD(skb, sw_hash);
	rec->vlan_present = ctx->vlan_present;
	rec->pkt_type = ctx->pkt_type;
	rec->meta_len = shinfo->meta_len;
	rec->pfmemalloc = BPF_CORE_READ_BITFIELD(skb, pfmemalloc);
	rec->has_sender = !!skb->sk;
	if (len > SKB_RECORD_DATA)
		len = SKB_RECORD_DATA;
	if (len && !bpf_skb_load_bytes(ctx, 0, rec->data, len))
		rec->data_len = len;
}

SEC("tc")
int skb_observer(struct __sk_buff *ctx)
{
	struct skb_record rec = {};
	struct skb_counts *counted;
	__u32 zero = 0, seq;
	__u32 *meta;

	counted = bpf_map_lookup_elem(&counts, &zero);
	if (!counted)
		return TC_ACT_UNSPEC;
	if (lab_frame_id(ctx->data, ctx->data_end) < 0) {
		__sync_fetch_and_add(&counted->other, 1);
		return TC_ACT_UNSPEC;
	}
	record(ctx, &rec);
	meta = (void *)(long)ctx->data_meta;
	if ((void *)(meta + 1) <= (void *)(long)ctx->data)
		rec.meta = *meta;
	seq = __sync_fetch_and_add(&counted->seen, 1);
	if (!bpf_map_update_elem(&records, &seq, &rec, BPF_ANY))
		__sync_fetch_and_add(&counted->recorded, 1);
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "GPL";
