/* target.c -- the heap under test, and how it comes back to its beginning
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/killk/target.h"

#include "heap/size_class.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define GIB (UINT64_C(1) << 30)
#define MAX_BYTES (DEFAULT_MAX_BYTES < GIB ? DEFAULT_MAX_BYTES : GIB)
#define PROCESSES 8u
#define THREADS 16u
#define PATIENCE_MS 20000

/* --- its content --------------------------------------------------------------------------- */

struct sh_heap *target_open(void)
{
	struct sh_options options = SH_OPTIONS_INIT;
	struct sh_heap *heap;
	int error;

	options.max_size = MAX_BYTES;
	options.max_processes = PROCESSES;
	options.max_threads = THREADS;
	error = sh_open(board->path, SH_CREATE, &options, &heap);
	if (error != 0)
		fail(__FILE__, __LINE__, "sh_open: %s", sh_strerror(error));
	return heap;
}

sh_off root_of(struct sh_heap *heap, const char *name)
{
	sh_off off;

	EXPECT_EQUAL(sh_root_get(heap, name, &off), 0);
	return off;
}

struct field *field_of(struct sh_heap *heap)
{
	return sh_ptr(heap, root_of(heap, ROOT_FIELD));
}

uint64_t words_later(uint64_t fill, uint64_t bytes)
{
	return fill + bytes / sizeof(uint64_t) * UINT64_C(0x9e3779b97f4a7c15);
}

void words_fill(void *words, uint64_t bytes, uint64_t fill)
{
	uint64_t *word = words;

	for (uint64_t i = 0; i < bytes / sizeof(*word); i++)
		word[i] = words_later(fill, i * sizeof(*word));
}

bool words_agree(const void *words, uint64_t bytes, uint64_t fill)
{
	const uint64_t *word = words;

	for (uint64_t i = 0; i < bytes / sizeof(*word); i++)
		if (word[i] != words_later(fill, i * sizeof(*word)))
			return false;
	return true;
}

void known_add(struct sh_heap *heap, sh_off off, uint64_t bytes)
{
	struct known *known = &board->known.at[board->known.count];

	EXPECT(board->known.count < KNOWN_LIMIT);
	*known = (struct known){ .off = off, .bytes = bytes, .fill = mix(off) };
	words_fill(sh_ptr(heap, off), bytes, known->fill);
	board->known.count++;
}

sh_off known_allocate(struct sh_heap *heap, uint64_t bytes)
{
	sh_off off = sh_alloc(heap, bytes);

	if (off == 0)
		fail(__FILE__, __LINE__, "no block of %llu bytes: %s", (unsigned long long)bytes,
			strerror(errno));
	known_add(heap, off, bytes);
	return off;
}

sh_off known_of_bytes(uint64_t bytes)
{
	for (unsigned i = 0; i < board->known.count; i++)
		if (board->known.at[i].bytes == bytes)
			return board->known.at[i].off;
	fail(__FILE__, __LINE__, "no block of %llu bytes is known", (unsigned long long)bytes);
}

static unsigned blocks_of_span(uint64_t bytes)
{
	static struct size_class_table table;

	size_class_table_init(&table);
	return table.of[size_class_of(bytes)].objects;
}

static void fill_heap(struct sh_heap *heap)
{
	static const unsigned sizes[] = { 16, 64, PARTLY_BYTES, PAGE_BYTES / 8, PAGE_BYTES,
		SMALL_MAX_BYTES + PAGE_BYTES };
	unsigned full = blocks_of_span(FULL_BYTES);

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (unsigned k = 0; k < OTHERS; k++)
			known_allocate(heap, sizes[i]);
	for (unsigned k = 0; k < full; k++)
		known_allocate(heap, FULL_BYTES);
}

static void build(void)
{
	struct sh_heap *heap = target_open();
	sh_off run = sh_pages_alloc(heap, RUN_PAGES, 0);

	board->known.count = 0;
	fill_heap(heap);
	EXPECT(run != 0);
	words_fill(sh_ptr(heap, run), RUN_PAGES * PAGE_BYTES, mix(run));
	EXPECT_EQUAL(sh_root_set(heap, ROOT_RUN, run), 0);
	EXPECT_EQUAL(sh_root_set(heap, ROOT_SWITCH, board->known.at[0].off), 0);
	EXPECT_EQUAL(sh_root_set(heap, ROOT_FIELD,
			     sh_alloc_ex(heap, sizeof(struct field), 0, SH_ZERO)),
		0);
	EXPECT_EQUAL(sh_close(heap), 0);
}

/* --- its beginning ------------------------------------------------------------------------- */

/* Calls `page` for each page of the file that holds data. */
static void each_page(const struct target *target,
	void (*page)(const struct target *target, uint64_t offset))
{
	off_t end = 0;
	off_t begin;

	while ((begin = lseek(target->fd, end, SEEK_DATA)) >= 0 &&
		(uint64_t)begin < target->bytes) {
		end = lseek(target->fd, begin, SEEK_HOLE);
		for (uint64_t at = (uint64_t)begin & ~(FOUR_KIB - 1);
			at < (uint64_t)end && at < target->bytes; at += FOUR_KIB)
			page(target, at);
	}
}

static void keep_page(const struct target *target, uint64_t offset)
{
	memcpy((char *)(uintptr_t)target->beginning + offset, target->file + offset, FOUR_KIB);
}

static void restore_page(const struct target *target, uint64_t offset)
{
	if (memcmp(target->file + offset, target->beginning + offset, FOUR_KIB) != 0)
		memcpy(target->file + offset, target->beginning + offset, FOUR_KIB);
}

static char *map(uint64_t bytes, int flags, int fd)
{
	char *mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (mapped == MAP_FAILED)
		return NULL;
	madvise(mapped, bytes, MADV_DONTFORK);
	return mapped;
}

static bool keep(struct target *target)
{
	target->fd = open(board->path, O_RDWR | O_CLOEXEC);
	target->bytes = target->fd < 0 ? 0 : (uint64_t)lseek(target->fd, 0, SEEK_END);
	/* The end copy of the superblock ends with the file, anywhere in a page. */
	uint64_t mapped_bytes = (target->bytes + FOUR_KIB - 1) & ~(FOUR_KIB - 1);

	target->file = map(mapped_bytes, MAP_SHARED, target->fd);
	target->beginning = map(mapped_bytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	if (target->file == NULL || target->beginning == NULL) {
		complain("%s cannot be mapped: %s", board->path, strerror(errno));
		return false;
	}
	each_page(target, keep_page);
	return true;
}

static void name_files(struct target *target)
{
	snprintf(board->path, PATH_BYTES, "%.480s/heap", target->folder);
	snprintf(target->control, PATH_BYTES, "%.500s-shm", board->path);
}

bool target_adopt(struct target *target, const char *folder, const struct known_blocks *known)
{
	snprintf(target->folder, PATH_BYTES, "%s", folder);
	name_files(target);
	target->known = *known;
	return keep(target);
}

bool target_make(struct target *target, const char *parent)
{
	snprintf(target->folder, PATH_BYTES, "%s/spanheap-killk-XXXXXX", parent);
	if (mkdtemp(target->folder) == NULL) {
		complain("%s: %s", target->folder, strerror(errno));
		return false;
	}
	name_files(target);
	if (finish(start(build), PATIENCE_MS) != 0) {
		complain("the heap cannot be made");
		return false;
	}
	target->known = board->known;
	return keep(target);
}

void target_reset(struct target *target)
{
	unlink(target->control);
	if (ftruncate(target->fd, (off_t)target->bytes) != 0)
		complain("ftruncate: %s", strerror(errno));
	each_page(target, restore_page);
	board->known = target->known;
}

void target_remove(struct target *target)
{
	unlink(target->control);
	unlink(board->path);
	rmdir(target->folder);
}
