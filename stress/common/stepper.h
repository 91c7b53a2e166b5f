/* stepper.h -- every store of a function into a piece of memory, one after the other
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The memory is write-protected while the function runs. A store faults, is let through with the
 * processor's trap flag set, and what it changed is noted before the next instruction. So the code
 * that runs is the code that is installed, and it is as slow as 20 microseconds a store. x86-64 only. */
#ifndef STRESS_STEPPER_H
#define STRESS_STEPPER_H

#include <stdbool.h>
#include <stdint.h>

#define STEP_BYTES 64u

/* Process. What a store changed: from the first byte to the last. */
struct step {
	uint64_t where; /* from the start of the memory */
	uint64_t code;  /* address of the instruction */
	uint16_t bytes;
	unsigned char content[STEP_BYTES];
};

/* Whether this machine can do it. */
bool stepper_works(void);

/* Process. Where stores are noted: pages of `memory`, but for `open_count` of them. */
struct step_area {
	char *memory;
	uint64_t bytes;
	const uint64_t *open; /* offsets of pages */
	unsigned open_count;
	uint64_t kill_at; /* SIGKILL behind so many stores; 0: never */
};

#define STEP_PAGE_BYTES UINT64_C(4096)

/* Runs function(argument), and notes up to `limit` stores that change something; `steps` NULL: only counts them.
 * Returns how many there were. */
uint64_t stepper_run(const struct step_area *area, void (*function)(void *argument), void *argument,
	struct step *steps, uint64_t limit);

#endif
