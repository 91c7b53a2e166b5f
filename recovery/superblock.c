/* superblock.c -- the superblock and its two copies
 * SPDX-License-Identifier: BSD-3-Clause */
#include "recovery/superblock.h"

#include "heap/heap.h"
#include "shm/file.h"
#include "shm/order.h"

#include <errno.h>
#include <fcntl.h>
#include <spanheap.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* Copy B is looked for this far when copy A is damaged. */
#define SEARCH_BYTES (UINT64_C(256) << 20)
#define SEARCH_STEP UINT64_C(4096)

static uint64_t fold(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 31;
}

static uint64_t checksum(const struct superblock *superblock)
{
	uint64_t words[offsetof(struct superblock, checksum) / 8];
	uint64_t hash = SUPERBLOCK_MAGIC;

	memcpy(words, superblock, sizeof(words));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		hash = fold(hash, words[i]);
	return hash;
}

uint64_t superblock_abi(void)
{
	static const uint64_t shape[] = {
		FORMAT_VERSION,
		sizeof(struct superblock),
		sizeof(struct running),
		sizeof(struct arena_entry),
		sizeof(struct root),
		sizeof(struct slot_log),
		sizeof(struct span),
		sizeof(struct span_more),
		sizeof(struct arena_header),
		META_STRIDE,
		STAGGER_BYTES,
		ARENA_HEAD_BYTES,
		LOG_INLINE_ENTRIES,
		LOG_EXTENSIONS,
		ROOT_COUNT,
		sizeof(struct control_header),
		sizeof(struct rcu_words),
		sizeof(struct process_slot),
		sizeof(struct thread_slot),
		sizeof(struct derived_header),
		sizeof(struct slot_words),
		sizeof(void *),
		__BYTE_ORDER__,
	};
	uint64_t hash = 0;

	for (size_t i = 0; i < sizeof(shape) / sizeof(shape[0]); i++)
		hash = fold(hash, shape[i]);
	return hash;
}

/* Of this build's classes; worked out once. */
static uint64_t class_hash(void)
{
	static _Atomic uint64_t known;
	uint64_t hash = atomic_load_explicit(&known, memory_order_relaxed);
	struct size_class_table table;

	if (hash != 0)
		return hash;
	size_class_table_init(&table);
	atomic_store_explicit(&known, table.hash, memory_order_relaxed);
	return table.hash;
}

void superblock_random(void *to, size_t bytes)
{
	if (getrandom(to, bytes, 0) != (ssize_t)bytes)
		abort(); /* cannot happen for so few bytes on a Linux that has booted */
}

int superblock_boot_id(char boot_id[BOOT_ID_BYTES])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t got;
	int error;

	memset(boot_id, 0, BOOT_ID_BYTES);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : errno;
	got = read(fd, boot_id, 36);
	error = got < 0 ? file_error() : 0;
	if (got != 36)
		memset(boot_id, 0, BOOT_ID_BYTES);
	close(fd);
	return error;
}

void superblock_init(struct superblock *superblock, uint64_t max_bytes, uint32_t process_slots,
	uint32_t thread_slots)
{
	memset(superblock, 0, sizeof(*superblock));
	superblock->magic = SUPERBLOCK_MAGIC;
	superblock->format_version = FORMAT_VERSION;
	superblock->header_bytes = sizeof(*superblock);
	superblock->abi = superblock_abi();
	superblock->class_hash = class_hash();
	superblock->max_bytes = max_bytes;
	superblock->page_shift = PAGE_SHIFT;
	superblock->chunk_pages_shift = CHUNK_PAGES_SHIFT;
	superblock->arena_chunks_shift = ARENA_CHUNKS_SHIFT;
	superblock->process_slot_count = process_slots;
	superblock->thread_slot_count = thread_slots;
	superblock->root_count = ROOT_COUNT;
	superblock->clean = 1;
	superblock_random(superblock->heap_id, sizeof(superblock->heap_id));
}

const char *superblock_difference(const struct superblock *superblock)
{
	if (superblock->format_version != FORMAT_VERSION)
		return "the format version differs";
	if (superblock->page_shift != PAGE_SHIFT ||
		superblock->chunk_pages_shift != CHUNK_PAGES_SHIFT ||
		superblock->arena_chunks_shift != ARENA_CHUNKS_SHIFT)
		return "the geometry (page, chunk, arena) differs";
	if (superblock->class_hash != class_hash())
		return "the table of size classes differs";
	if (superblock->root_count != ROOT_COUNT || superblock->abi != superblock_abi())
		return "the layout of the shared structures differs";
	return NULL;
}

static bool whole(const struct superblock *superblock)
{
	return superblock->magic == SUPERBLOCK_MAGIC &&
		superblock->header_bytes == sizeof(*superblock) &&
		superblock->checksum == checksum(superblock);
}

static bool sane(const struct superblock *superblock, uint64_t bytes)
{
	uint64_t max = superblock->max_bytes;

	return max >= CHUNK_BYTES && max % CHUNK_BYTES == 0 && max <= SPANS_TABLE_LIMIT_BYTES &&
		superblock->thread_slot_count >= 2 &&
		superblock->thread_slot_count <= TAG_SLOT_LIMIT &&
		superblock->process_slot_count >= 1 &&
		superblock->process_slot_count <= TAG_SLOT_LIMIT &&
		heap_header_bytes(max, superblock->thread_slot_count) <= bytes;
}

static bool read_copy(const char *base, uint64_t bytes, uint64_t offset, struct superblock *copy)
{
	if (offset > bytes || bytes - offset < sizeof(*copy))
		return false;
	memcpy(copy, base + offset, sizeof(*copy));
	return whole(copy);
}

void superblock_seal(struct superblock *superblock)
{
	superblock->sequence++;
	superblock->checksum = checksum(superblock);
}

void superblock_put(char *base, const struct superblock *superblock)
{
	uint64_t b = heap_superblock_b_offset(superblock->max_bytes, superblock->thread_slot_count);
	/* The copy that a reader relies on is written last: a torn copy A was left by a death. */
	bool a_last = read_copy(base, sizeof(struct superblock), 0, &(struct superblock){ 0 });

	memcpy(base + (a_last ? b : 0), superblock, sizeof(*superblock));
	/* Crash: this copy is torn or new, the other one whole. */
	crash_order();
	memcpy(base + (a_last ? 0 : b), superblock, sizeof(*superblock));
	crash_order();
}

void superblock_write(char *base, struct superblock *superblock)
{
	superblock_seal(superblock);
	superblock_put(base, superblock);
}

bool superblock_same_writing(const struct superblock *superblock, const struct superblock *copy)
{
	return memcmp(superblock, copy, sizeof(*superblock)) == 0;
}

/* Copy B when copy A does not tell where it is. */
static bool search_copy(const char *base, uint64_t bytes, struct superblock *copy)
{
	uint64_t limit = bytes < SEARCH_BYTES ? bytes : SEARCH_BYTES;

	for (uint64_t offset = SEARCH_STEP; offset < limit; offset += SEARCH_STEP)
		if (read_copy(base, bytes, offset, copy) &&
			(superblock_difference(copy) != NULL ||
				offset ==
					heap_superblock_b_offset(copy->max_bytes,
						copy->thread_slot_count)))
			return true;
	return false;
}

int superblock_read(const char *base, uint64_t bytes, struct superblock *superblock, int *copies)
{
	struct superblock b;
	bool has_a = read_copy(base, bytes, 0, superblock);
	bool has_b;

	*copies = 0;
	if (has_a && superblock_difference(superblock) != NULL)
		return SH_EVERSION;
	if (has_a && !sane(superblock, bytes))
		return SH_EBADHEAP;
	has_b = has_a ? read_copy(base, bytes,
				heap_superblock_b_offset(superblock->max_bytes,
					superblock->thread_slot_count),
				&b)
		      : search_copy(base, bytes, &b);
	if (!has_a && !has_b)
		return SH_EBADHEAP;
	*copies = has_a && has_b && b.sequence == superblock->sequence ? 2 : 1;
	if (has_b && (!has_a || b.sequence > superblock->sequence))
		*superblock = b;
	if (superblock_difference(superblock) != NULL)
		return SH_EVERSION;
	return sane(superblock, bytes) ? 0 : SH_EBADHEAP;
}
