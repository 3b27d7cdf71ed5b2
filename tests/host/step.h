/* SPDX-License-Identifier: GPL-2.0-only */
/* A function's call, instruction by instruction, by the trap flag of x86-64: no other process, and
 * no right to trace one, is needed.
 */
#ifndef LAB_STEP_H
#define LAB_STEP_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#define TRAP_FLAG 0x100

static struct {
	unsigned long entry; /* of the function */
	unsigned long back; /* where it returns to; 0 before it is entered */
	long done; /* instructions */
	void (*after)(long done); /* called after each of them, if set */
	bool begins;
} stepped;

static void on_trap(int number, siginfo_t *info, void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
	unsigned long at = registers[REG_RIP];

	(void)number;
	(void)info;
	if (stepped.begins) {
		stepped.begins = false;
		registers[REG_EFL] |= TRAP_FLAG;
	} else if (!stepped.back) {
		if (at == stepped.entry)
			stepped.back = *(unsigned long *)registers[REG_RSP];
	} else {
		stepped.done++;
		if (at == stepped.back)
			registers[REG_EFL] &= ~TRAP_FLAG;
		else if (stepped.after)
			stepped.after(stepped.done);
	}
}

/* Have call() call the function, once; how many instructions that took, its return included.
 * after: called after each but the last one.
 */
static long step_through(const void *function, void (*call)(const void *with), const void *with,
			 void (*after)(long done))
{
	struct sigaction action = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };

	if (sigaction(SIGTRAP, &action, NULL)) {
		perror("sigaction");
		exit(3);
	}
	memset(&stepped, 0, sizeof(stepped));
	stepped.entry = (unsigned long)function;
	stepped.after = after;
	stepped.begins = true;
	raise(SIGTRAP);
	call(with);
	return stepped.done;
}

#endif
