/* kernel.c -- the system as the model sees it: who is dead, futexes, space in the files
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/model/kernel.h"

#include "stress/model/explorer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

struct kernel kernel;

/* --- who is dead --------------------------------------------------------------------------- */

static bool process_lives(uint32_t process)
{
	explorer_will_read(&kernel.dead[process], sizeof(uint64_t));
	return kernel.dead[process] == 0;
}

/* The byte of the process is held still. */
static bool process_is_there(uint32_t process)
{
	if (!kernel.detaching)
		return process_lives(process);
	explorer_will_read(&kernel.gone[process], sizeof(uint64_t));
	return kernel.gone[process] == 0;
}

/* Whose detached transaction's tag it is; KERNEL_PROCESSES: nobody's. */
static uint32_t process_of_detached(uint64_t tag)
{
	for (uint32_t i = 0; kernel.detaching && i < KERNEL_PROCESSES; i++) {
		explorer_will_read(&kernel.detached_lives[i], sizeof(uint64_t));
		if (kernel.detached_lives[i] == tag)
			return i;
	}
	return KERNEL_PROCESSES;
}

/* Whose tag it is, by the bits of the mask; KERNEL_PROCESSES: of a thread that does not die. */
static uint32_t process_of(uint64_t tag, uint64_t mask)
{
	for (uint32_t i = 0; i < KERNEL_PROCESSES; i++) {
		explorer_will_read(&kernel.lives[i], sizeof(uint64_t));
		if (((kernel.lives[i] ^ tag) & mask) == 0)
			return i;
	}
	return KERNEL_PROCESSES;
}

static bool alive(void *context, uint64_t tag)
{
	const struct heap *heap = &kernel.image->heap;
	uint32_t process;

	(void)context;
	if (!tag_plausible(tag, heap->thread_slots))
		return false;
	explorer_will_read(&heap->thread_slot[tag_slot(tag)].owner, sizeof(uint64_t));
	if (atomic_load(&heap->thread_slot[tag_slot(tag)].owner) != tag)
		return false;
	process = process_of_detached(tag);
	if (process != KERNEL_PROCESSES)
		return process_is_there(process);
	process = process_of(tag, UINT64_MAX);
	return process == KERNEL_PROCESSES || process_lives(process);
}

static bool process_alive(void *context, uint32_t process)
{
	(void)context;
	return process >= KERNEL_PROCESSES || process_is_there(process);
}

/* --- waiting, and the clock --------------------------------------------------------------- */

static void futex_wait(void *context, const uint32_t *word, uint32_t expected, uint64_t limit_ns)
{
	/* The futex is the low half of a tag's word. */
	uint32_t holder = process_of(expected, UINT32_MAX & ~TAG_WAITERS);

	(void)context;
	(void)limit_ns;
	/* Whoever begins to wait for the dead wakes by the limit, not when the others have returned:
	 * what follows a take-over runs beside them. */
	if (holder == KERNEL_PROCESSES || process_lives(holder))
		explorer_block(word, expected);
	else if (process_is_there(holder))
		explorer_block((const uint32_t *)(const void *)&kernel.gone[holder], 0);
}

static void futex_wake(void *context, const uint32_t *word, int count)
{
	(void)context;
	(void)word;
	(void)count;
}

static uint64_t now(void *context)
{
	(void)context;
	return 0;
}

/* --- space --------------------------------------------------------------------------------- */

static void back(uint64_t *mask, uint64_t first, uint64_t count)
{
	explorer_will_write(mask, sizeof(*mask));
	for (uint64_t i = first; i < first + count; i++)
		*mask |= UINT64_C(1) << i;
}

static int back_heap(void *context, uint64_t offset, uint64_t bytes)
{
	const struct heap *heap = &kernel.image->heap;
	uint64_t first = arena_first_chunk(heap, 0);
	uint64_t metadata = offset - chunk_meta_offset(heap, 0);
	uint64_t table = offset - chunk_table_offset(heap, 0);

	(void)context;
	if (offset + bytes > kernel.image->bytes)
		return ENOSPC;
	if (offset >= first * CHUNK_BYTES)
		back(&kernel.backed.chunks, offset / CHUNK_BYTES, bytes / CHUNK_BYTES);
	else if (metadata < ARENA_CHUNKS * META_STRIDE)
		back(&kernel.backed.metadata, metadata / META_STRIDE, bytes / META_STRIDE);
	else if (table < ARENA_CHUNKS * TABLE_CHUNK_BYTES)
		back(&kernel.backed.tables, table / TABLE_CHUNK_BYTES, bytes / TABLE_CHUNK_BYTES);
	return 0;
}

static int back_control(void *context, uint64_t offset, uint64_t bytes)
{
	(void)context;
	return offset + bytes <= kernel.image->control_bytes ? 0 : ENOSPC;
}

/* Words that are zero already are no stores. */
static int zero_heap(void *context, uint64_t offset, uint64_t bytes)
{
	uint64_t *words = (uint64_t *)(void *)(kernel.image->base + offset);

	(void)context;
	for (uint64_t i = 0; i < bytes / sizeof(*words); i++) {
		if (words[i] == 0)
			continue;
		explorer_will_write(&words[i], sizeof(*words));
		words[i] = 0;
	}
	return 0;
}

const struct system kernel_system = {
	.alive = alive,
	.process_alive = process_alive,
	.futex_wait = futex_wait,
	.futex_wake = futex_wake,
	.now_ns = now,
	.back_heap = back_heap,
	.back_control = back_control,
	.zero_heap = zero_heap,
};

/* --- deaths -------------------------------------------------------------------------------- */

unsigned kernel_going(void)
{
	for (unsigned i = 0; kernel.detaching && i < KERNEL_PROCESSES; i++)
		if (kernel.dead[i] && !kernel.gone[i])
			return i;
	return KERNEL_PROCESSES;
}

void kernel_let_go(unsigned process)
{
	explorer_will_write(&kernel.gone[process], sizeof(uint64_t));
	kernel.gone[process] = 1;
}

void kernel_die(unsigned process)
{
	explorer_will_write(&kernel.dead[process], sizeof(uint64_t));
	kernel.dead[process] = 1;
}

/* --- memory -------------------------------------------------------------------------------- */

void *kernel_memory(uint64_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return memory;
}

void kernel_track(void)
{
	explorer_track("backed", &kernel.backed, sizeof(kernel.backed), EXPLORER_TRUTH);
	explorer_track("dead", kernel.dead, sizeof(kernel.dead), EXPLORER_SHARED);
	explorer_track("lives", kernel.lives, sizeof(kernel.lives), EXPLORER_SHARED);
	if (kernel.detaching) {
		explorer_track("detached lives", kernel.detached_lives,
			sizeof(kernel.detached_lives), EXPLORER_SHARED);
		explorer_track("gone", kernel.gone, sizeof(kernel.gone), EXPLORER_SHARED);
	}
}
