/* stepper.c -- every store of a function into a piece of memory, one after the other
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/common/stepper.h"

#ifdef __x86_64__

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define TRAP_FLAG 0x100
/* An instruction stores into two pages at most. */
#define OPEN_PAGES 2u

/* A page that the instruction under way may store into. */
struct open_page {
	char *page;
	char before[STEP_PAGE_BYTES];
};

/* Process. What the handlers work on. */
static struct {
	char *memory;
	uint64_t bytes;
	struct step *steps;
	uint64_t limit;
	uint64_t kill_at;
	uint64_t count;
	struct open_page open[OPEN_PAGES];
	unsigned open_count;
	uint64_t code;
} run;

static void note(const struct open_page *open)
{
	uint64_t first = 0;
	uint64_t last = STEP_PAGE_BYTES;
	struct step *step;

	while (first < STEP_PAGE_BYTES && open->page[first] == open->before[first])
		first++;
	if (first == STEP_PAGE_BYTES)
		return;
	while (open->page[last - 1] == open->before[last - 1])
		last--;
	if (++run.count == run.kill_at)
		kill(getpid(), SIGKILL);
	if (run.steps == NULL)
		return;
	if (run.count > run.limit || last - first > STEP_BYTES)
		abort();
	step = &run.steps[run.count - 1];
	step->where = (uint64_t)(open->page - run.memory) + first;
	step->code = run.code;
	step->bytes = (uint16_t)(last - first);
	memcpy(step->content, open->page + first, last - first);
}

/* The instruction is over. */
static void on_trap(int signal_number, siginfo_t *info, void *context)
{
	ucontext_t *at = context;

	(void)signal_number;
	(void)info;
	at->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
	for (unsigned i = 0; i < run.open_count; i++) {
		note(&run.open[i]);
		mprotect(run.open[i].page, STEP_PAGE_BYTES, PROT_READ);
	}
	run.open_count = 0;
}

/* An instruction is about to store. */
static void on_fault(int signal_number, siginfo_t *info, void *context)
{
	ucontext_t *at = context;
	uint64_t offset = (uint64_t)((char *)info->si_addr - run.memory);
	struct open_page *open;

	if (offset >= run.bytes || run.open_count == OPEN_PAGES) {
		/* A fault of the code under test: as if there were no handler. */
		signal(signal_number, SIG_DFL);
		return;
	}
	open = &run.open[run.open_count++];
	open->page = run.memory + offset / STEP_PAGE_BYTES * STEP_PAGE_BYTES;
	memcpy(open->before, open->page, STEP_PAGE_BYTES);
	mprotect(open->page, STEP_PAGE_BYTES, PROT_READ | PROT_WRITE);
	run.code = (uint64_t)at->uc_mcontext.gregs[REG_RIP];
	at->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

bool stepper_works(void)
{
	return true;
}

uint64_t stepper_run(const struct step_area *area, void (*function)(void *argument), void *argument,
	struct step *steps, uint64_t limit)
{
	struct sigaction fault = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	struct sigaction trap = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };
	struct sigaction old_fault;
	struct sigaction old_trap;

	run.memory = area->memory;
	run.bytes = area->bytes;
	run.steps = steps;
	run.limit = limit;
	run.kill_at = area->kill_at;
	run.count = 0;
	run.open_count = 0;
	sigaction(SIGSEGV, &fault, &old_fault);
	sigaction(SIGTRAP, &trap, &old_trap);
	mprotect(run.memory, run.bytes, PROT_READ);
	for (unsigned i = 0; i < area->open_count; i++)
		mprotect(run.memory + area->open[i], STEP_PAGE_BYTES, PROT_READ | PROT_WRITE);
	function(argument);
	mprotect(run.memory, run.bytes, PROT_READ | PROT_WRITE);
	sigaction(SIGSEGV, &old_fault, NULL);
	sigaction(SIGTRAP, &old_trap, NULL);
	return run.count;
}

#else

bool stepper_works(void)
{
	return false;
}

uint64_t stepper_run(const struct step_area *area, void (*function)(void *argument), void *argument,
	struct step *steps, uint64_t limit)
{
	(void)area;
	(void)steps;
	(void)limit;
	function(argument);
	return 0;
}

#endif
