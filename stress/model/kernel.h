/* kernel.h -- the system as the model sees it: who is dead, futexes, space in the files
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Which process a tag belongs to is known before its slot shows it. A thread is dead before its process, and before its
 * detached transactions, where the scenario says so (`detaching`); elsewhere both die at once. */
#ifndef MODEL_KERNEL_H
#define MODEL_KERNEL_H

#include "recovery/image.h"

#include <stdbool.h>
#include <stdint.h>

#define KERNEL_PROCESSES 4u

/* Process. All by process. What is promised of truth holds for everybody in it alive: who is dead is no truth. */
struct kernel {
	const struct image *image; /* the heap of all processes */
	bool detaching;
	uint64_t dead[KERNEL_PROCESSES];
	uint64_t gone[KERNEL_PROCESSES];  /* detaching: the process is dead, too */
	uint64_t lives[KERNEL_PROCESSES]; /* the tag that its thread has now */
	uint64_t
		detached_lives[KERNEL_PROCESSES]; /* the tag of its detached transaction; 0: none */
	/* Which chunks of two arenas are backed; and of the first one, whose part of the spans table and whose
	 * metadata. */
	struct {
		uint64_t chunks;
		uint64_t tables;
		uint64_t metadata;
	} backed;
};

extern struct kernel kernel;
extern const struct system kernel_system;

/* Has the explorer track it. */
void kernel_track(void);

/* A process whose thread is dead and that is not gone; KERNEL_PROCESSES: none. */
unsigned kernel_going(void);
void kernel_let_go(unsigned process);

/* A thread dies. */
void kernel_die(unsigned process);

/* Memory of zeros that takes no space. */
void *kernel_memory(uint64_t bytes);

#endif
