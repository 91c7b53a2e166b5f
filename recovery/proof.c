/* proof.c -- what an opener, a tool and a test ask of a heap file before they trust it
 * SPDX-License-Identifier: BSD-3-Clause */
#include "recovery/proof.h"

#include "recovery/superblock.h"

#include <string.h>

static uint64_t continuation_end(const struct heap *heap, uint64_t arena, uint64_t word)
{
	uint64_t end = arena * ARENA_CHUNKS + arena_word_chunks(word);

	return end < arena_end_chunk(heap, arena) ? end : arena_end_chunk(heap, arena);
}

uint64_t proof_arena_end(const struct heap *heap, uint64_t arena)
{
	uint64_t frontier = arena_frontier(heap, arena);
	uint64_t word = arena_word(heap, arena);

	if (word & ARENA_CONTINUES)
		return continuation_end(heap, arena, word) * CHUNK_BYTES;
	return frontier > arena_first_chunk(heap, arena)
		? frontier * CHUNK_BYTES
		: arena_zone(heap, arena) + ARENA_HEAD_BYTES;
}

uint64_t proof_end(const struct heap *heap)
{
	uint64_t end = heap_header_bytes(heap->max_bytes, heap->thread_slots);

	for (uint64_t arena = 0; arena < heap_arena_count(heap); arena++)
		if (proof_arena_end(heap, arena) > end)
			end = proof_arena_end(heap, arena);
	return end;
}

bool proof_entry_sane(const struct heap *heap, uint64_t arena)
{
	uint64_t word = arena_word(heap, arena);

	if (word == ARENA_GIVEN_BACK)
		return arena > 0;
	if (word & ARENA_CONTINUES)
		return arena_word_origin(word) < arena &&
			arena_word_chunks(word) <=
			arena_end_chunk(heap, arena) - arena * ARENA_CHUNKS;
	return word >= arena_first_chunk(heap, arena);
}

bool proof_directory_inside(const struct heap *heap, uint64_t bytes)
{
	if (atomic_load_explicit(&heap->running->arena_count, memory_order_relaxed) >
		heap->max_arenas)
		return false;
	for (uint64_t arena = 0; arena < heap_arena_count(heap); arena++)
		if (!proof_entry_sane(heap, arena) || proof_arena_end(heap, arena) > bytes)
			return false;
	return true;
}

bool proof_only_began(const struct superblock *superblock, int copies,
	const struct control_header *header)
{
	return superblock->clean == 1 && copies == 1 &&
		memcmp(header->nonce, superblock->nonce, sizeof(header->nonce)) != 0 &&
		memcmp(header->nonce_before, superblock->nonce, sizeof(header->nonce)) == 0;
}

/* Not when there is nothing that tells: a power failure may have come between. */
static bool same_boot(const char boot_id[BOOT_ID_BYTES], const char kernels[BOOT_ID_BYTES])
{
	static const char unknown[BOOT_ID_BYTES];

	return memcmp(kernels, unknown, BOOT_ID_BYTES) != 0 &&
		memcmp(kernels, boot_id, BOOT_ID_BYTES) == 0;
}

const char *proof_gap(const struct superblock *superblock, int copies, uint64_t stamp,
	const struct control_header *header, const char boot_id[BOOT_ID_BYTES])
{
	uint64_t theirs = atomic_load_explicit(&header->stamp, memory_order_relaxed);
	/* The superblock is then of the run before, and of whatever boot. */
	bool only_began = proof_only_began(superblock, copies, header);

	if (memcmp(header->heap_id, superblock->heap_id, sizeof(header->heap_id)) != 0)
		return "the control file beside it is another heap's";
	if (!only_began && memcmp(header->nonce, superblock->nonce, sizeof(header->nonce)) != 0)
		return "the control file beside it is of another run";
	if (!same_boot(header->boot_id, boot_id) ||
		(!only_began && !same_boot(superblock->boot_id, boot_id)))
		return "the machine was restarted since, or there is no /proc to tell";
	if (theirs != stamp && (only_began || theirs + 1 != stamp))
		return "the file was copied or put back while the heap was in use";
	return NULL;
}
