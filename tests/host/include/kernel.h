/* SPDX-License-Identifier: GPL-2.0-only */
/* What the store's encoding uses of the kernel, for user space. Force-included; the headers
 * beside it, in linux/ and asm/, are here only to be found.
 */
#ifndef LAB_KERNEL_H
#define LAB_KERNEL_H

#ifndef __ASSEMBLER__

#define _GNU_SOURCE /* for the registers in a ucontext_t */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;

#undef __always_inline /* libc has another one */
#define __always_inline inline __attribute__((__always_inline__))
#define noinline __attribute__((__noinline__))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define BIT_ULL(nr) (1ULL << (nr))
#define OPTIMIZER_HIDE_VAR(var) __asm__("" : "=r"(var) : "0"(var))

#ifndef LAB_READ
#define LAB_READ /* or volatile: the compiler then merges no two reads */
#endif

#define get_unaligned(ptr)                                                    \
	({                                                                    \
		const LAB_READ struct {                                                \
			__typeof__(*(ptr)) value;                             \
		} __attribute__((__packed__)) *there = (const void *)(ptr);   \
		there->value;                                                 \
	})

#define put_unaligned(val, ptr)                                               \
	do {                                                                  \
		struct {                                                      \
			__typeof__(*(ptr)) value;                             \
		} __attribute__((__packed__)) *there = (void *)(ptr);         \
		there->value = (val);                                         \
	} while (0)

#define __ffs64(word) ((u32)__builtin_ctzll(word))

static __always_inline unsigned long hweight64(u64 word)
{
#if defined(__x86_64__) && defined(__POPCNT__)
	unsigned long bits;

	/* In the registers in which the kernel has them: it may be a call there. */
	__asm__("popcntq %1, %0" : "=a"(bits) : "D"(word));
	return bits;
#else
	return __builtin_popcountll(word);
#endif
}

#else /* arch/x86/lib/memmove_64.S, as it runs on a CPU that has neither ERMS nor FSRM */

#define SYM_FUNC_START(name)                                                  \
	.text;                                                                \
	.globl memmove;                                                       \
	.type memmove, @function;                                             \
memmove:
#define SYM_FUNC_END(name) .section .note.GNU-stack, "", @progbits
#define SYM_FUNC_ALIAS_MEMFUNC(alias, name)
#define EXPORT_SYMBOL(name)
#define RET ret
#define __stringify_1(...) #__VA_ARGS__
#define __stringify(...) __stringify_1(__VA_ARGS__)

.macro ALTERNATIVE_2 code, erms, x86_feature_erms, fsrm, x86_feature_fsrm
	\code
.endm
#define X86_FEATURE_ERMS 0
#define X86_FEATURE_FSRM 0

#endif
#endif
