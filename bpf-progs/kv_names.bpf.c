// SPDX-License-Identifier: GPL-2.0-only
/* Makes calls on the registry of keys' names, as a test asks for them. */
#include "lab.h"

/* Weak, as in lab.h. A name can only be a constant string. */
extern int bpf_kv_register(const char *name__str, __u32 size, __u64 flags) __weak __ksym;
extern int bpf_kv_unregister(const char *name__str) __weak __ksym;

#define ENOSYS 38
#define ETIMEDOUT 110
#define REGISTER 1
#define UNREGISTER 2
#define CALLS 256	/* of each of the two programs */
#define TRIES 16	/* of at least 0.2 s each */

/* The twin of Request in harness/datapath/kv_names.py; kind: 0 ends the list; meets: waits until the
 * other program has come to such a call, too.
 */
struct names_call {
	__u32 name;
	__u16 kind;
	__u16 meets;
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

static volatile __u32 arrived;	/* at calls that wait, of both programs */

static long both_are_there(__u32 at, __u32 *both)
{
	return (__s32)(arrived - *both) >= 0;
}

/* Whether the other one came within some seconds. */
static __always_inline bool meet(void)
{
	__u32 both = (__sync_fetch_and_add(&arrived, 1) | 1) + 1;
	int tries;

	for (tries = 0; tries < TRIES; tries++) {
		bpf_loop(1 << 23, both_are_there, &both, 0);
		if (both_are_there(0, &both))
			return true;
	}
	__sync_fetch_and_sub(&arrived, 1);
	return false;
}

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
	call->returned = call->meets && !meet() ? -ETIMEDOUT : one(call);
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
