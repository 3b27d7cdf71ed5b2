// SPDX-License-Identifier: GPL-2.0-only
/* Makes calls on the registry of keys' names, as a test asks for them. */
#include "lab.h"

/* Weak, as in lab.h. A name can only be a constant string. */
extern int bpf_kv_register(const char *name__str, __u32 size, __u64 flags) __weak __ksym;
extern int bpf_kv_unregister(const char *name__str) __weak __ksym;

#define ENOSYS 38
#define REGISTER 1
#define UNREGISTER 2
#define CALLS 256	/* of each of the two programs */

/* The twin of Request in harness/kvnames.py; kind: 0 ends the list. */
struct names_call {
	__u32 name;
	__u32 kind;
	__u32 size;
	__s32 returned;
	__u64 flags;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * CALLS);
	__type(key, __u32);
	__type(value, struct names_call);
} calls SEC(".maps");

/* The asm has the compiler not make one call, with a name that is no constant, of two. */
#define NAME(number, text)							\
	if (call->name == number) {						\
		asm volatile("# %0" :: "i"(number));				\
		return call->kind == UNREGISTER ? bpf_kv_unregister(text) :		\
			bpf_kv_register(text, call->size, call->flags);		\
	}

#define TEN(n)									\
	NAME(n##0, "name" #n "0") NAME(n##1, "name" #n "1")			\
	NAME(n##2, "name" #n "2") NAME(n##3, "name" #n "3")			\
	NAME(n##4, "name" #n "4") NAME(n##5, "name" #n "5")			\
	NAME(n##6, "name" #n "6") NAME(n##7, "name" #n "7")			\
	NAME(n##8, "name" #n "8") NAME(n##9, "name" #n "9")

static __always_inline int one(struct names_call *call)
{
	if (!bpf_ksym_exists(bpf_kv_register) || !bpf_ksym_exists(bpf_kv_unregister))
		return -ENOSYS;
	NAME(0, "")
	NAME(1, "x")
	NAME(2, "a name of thirty-one characters")
	NAME(3, "a name of thirty-two characters!")
	NAME(4, "two words\\\n")
	NAME(5, "name1")
	TEN(1) TEN(2) TEN(3) TEN(4) TEN(5) TEN(6) TEN(7)
	return -ENOSYS;
}

static long next(__u32 at, void *first)
{
	struct names_call *call;

	at += *(__u32 *)first;
	call = bpf_map_lookup_elem(&calls, &at);
	if (!call || !call->kind)
		return 1;
	call->returned = one(call);
	return 0;
}

SEC("syscall")
int run(void *ctx)
{
	__u32 first = 0;

	bpf_loop(CALLS, next, &first, 0);
	return 0;
}

/* For another CPU at the same time. */
SEC("syscall")
int run_second(void *ctx)
{
	__u32 first = CALLS;

	bpf_loop(CALLS, next, &first, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
