/* coroutine.h -- a model process: a stack of its own that is left at any access and entered again
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * What a suspended coroutine is, lies between its stack pointer and the top of its stack: the live
 * frames and, below them, the registers that a called function must preserve. Copying these bytes
 * copies the process. */
#ifndef MODEL_COROUTINE_H
#define MODEL_COROUTINE_H

#include <stddef.h>

#include "stress/model/fingerprint.h"

#define COROUTINE_STACK_BYTES ((size_t)64 * 1024)

/* Process. */
struct coroutine {
	unsigned char *stack;  /* lowest byte; the page below it is inaccessible */
	unsigned char *lowest; /* bytes below are zero, as far as suspensions can tell */
	void *stack_pointer;   /* of the suspended coroutine */
};

/* Maps the stack at the first call; later calls do nothing. */
void coroutine_create(struct coroutine *coroutine);

/* The next resume calls entry on an all-zero stack. entry must not return: its last act is
 * coroutine_suspend(). */
void coroutine_start(struct coroutine *coroutine, void (*entry)(void));

/* Runs the coroutine until it suspends itself. Its stack below the live frames is zero when it goes
 * on, so that what it leaves there depends on its state only, not on how that was reached. */
void coroutine_resume(struct coroutine *coroutine);

/* Called on the coroutine's stack: back to whoever resumed it. */
void coroutine_suspend(void);

size_t coroutine_bytes(const struct coroutine *coroutine);
void coroutine_save(const struct coroutine *coroutine, unsigned char *copy);
void coroutine_load(struct coroutine *coroutine, void *stack_pointer, const unsigned char *copy);
struct fingerprint coroutine_fingerprint(const struct coroutine *coroutine, uint64_t key);

#endif
