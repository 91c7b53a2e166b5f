/* opener.c -- a process that opens an image, with and without SH_SALVAGE
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/torn/opener.h"

#include "heap/geometry.h"
#include "stress/torn/give_up.h"
#include "stress/torn/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define WATCHDOG_S 20u

/* Shared mapping. */
static struct outcome *shared;

__attribute__((format(printf, 1, 2))) static void fault(const char *format, ...)
{
	va_list arguments;

	if (shared->fault[0] != '\0')
		return;
	va_start(arguments, format);
	vsnprintf(shared->fault, sizeof(shared->fault), format, arguments);
	va_end(arguments);
}

/* --- opening ------------------------------------------------------------------------------- */

static void close_again(struct sh_heap *heap)
{
	int error = sh_close(heap);

	if (error != 0)
		fault("sh_close says: %s", sh_strerror(error));
}

/* What is behind the end of a clean file counts as zero, whatever a copy holds there. */
static void expect_zeros(struct sh_heap *heap)
{
	static const uint64_t sizes[] = { CHUNK_BYTES + CHUNK_BYTES / 4, CHUNK_BYTES / 9, 300 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		sh_off off = sh_alloc_ex(heap, sizes[i], 0, SH_ZERO);
		const char *bytes = sh_ptr(heap, off);

		for (uint64_t at = 0; off != 0 && at + 8 <= sizes[i]; at += 8)
			if (*(const uint64_t *)(const void *)(bytes + at) != 0) {
				fault("0x%llx should be zero", (unsigned long long)(off + at));
				break;
			}
	}
}

static void open_and_check(const char *path, bool unused)
{
	struct sh_heap *heap;

	(void)unused;
	shared->read_only = heap_open(path, SH_RDONLY, &heap);
	if (shared->read_only == 0)
		close_again(heap);
	shared->opened = heap_open(path, 0, &heap);
	if (shared->opened != 0)
		return;
	sh_check(heap, 0, NULL, NULL, &shared->problems);
	if (shared->problems == 0) {
		expect_zeros(heap);
		sh_check(heap, 0, NULL, NULL, &shared->problems);
	}
	close_again(heap);
	shared->closed = true;
}

/* --- after a salvage ----------------------------------------------------------------------- */

#define EXTENTS_MOST 65536u

enum extent_from { FROM_WALK, FROM_RUN, FROM_ALLOCATION };

/* Process. Something that has bytes of the heap for itself. */
struct extent {
	sh_off off;
	uint64_t bytes;
	enum extent_from from;
};

static struct extent extents[EXTENTS_MOST];
static unsigned extent_count;

static void add(sh_off off, uint64_t bytes, enum extent_from from)
{
	if (extent_count < EXTENTS_MOST)
		extents[extent_count++] = (struct extent){ off, bytes, from };
}

static int add_block(const struct sh_block *block, void *unused)
{
	(void)unused;
	add(block->off, block->size, FROM_WALK);
	return 0;
}

static int add_run(const struct sh_pages *run, void *unused)
{
	(void)unused;
	add(run->off, run->npages * PAGE_BYTES, FROM_RUN);
	return 0;
}

/* Both ends are written: a block that lies over something else spoils it. */
static bool allocate(struct sh_heap *heap, uint64_t bytes)
{
	sh_off off = sh_alloc(heap, bytes);
	char *block;

	if (off == 0) {
		if (errno != ENOMEM)
			fault("sh_alloc says: %s", strerror(errno));
		return false;
	}
	block = sh_ptr(heap, off);
	block[0] = block[bytes - 1] = 'x';
	add(off, bytes, FROM_ALLOCATION);
	shared->blocks++;
	return true;
}

/* Some blocks of each size; with `whole` the rest as well. */
static void fill(struct sh_heap *heap, bool whole)
{
	static const uint64_t sizes[] = { CHUNK_BYTES / 3, CHUNK_BYTES / 17, 3 * PAGE_BYTES,
		PAGE_BYTES / 2, 700, 100, 16 };
	sh_off run = sh_pages_alloc(heap, 5, 0);

	if (run != 0)
		add(run, 5 * PAGE_BYTES, FROM_RUN);
	for (size_t i = whole ? 0 : 2; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (unsigned k = 0; k < 60 && allocate(heap, sizes[i]); k++)
			;
}

static int compare_extents(const void *a, const void *b)
{
	const struct extent *x = a;
	const struct extent *y = b;

	return x->off < y->off ? -1 : x->off > y->off;
}

static void expect_disjoint(void)
{
	qsort(extents, extent_count, sizeof(extents[0]), compare_extents);
	for (unsigned i = 1; i < extent_count; i++)
		if (extents[i - 1].off + extents[i - 1].bytes > extents[i].off)
			fault("0x%llx (from %d) and 0x%llx (from %d) overlap",
				(unsigned long long)extents[i - 1].off, extents[i - 1].from,
				(unsigned long long)extents[i].off, extents[i].from);
}

/* Of pages and spans that allocation and free go by; the rest is what was set aside, or the user's. */
static int expect_usable(const struct sh_problem *problem, void *unused)
{
	static const char *const fatal[] = { "free and in use", "lost, neither", "in two places",
		"summaries", "not listed", "no slot knows", "no drain", "does not know it",
		"log is damaged", "an intent" };

	(void)unused;
	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		if (strstr(problem->text, fatal[i]) != NULL)
			fault("after a salvage: 0x%llx: %s", (unsigned long long)problem->off,
				problem->text);
	return 0;
}

static bool is_found(const struct extent *extent, const struct extent *in, unsigned count)
{
	return bsearch(extent, in, count, sizeof(*in), compare_extents) != NULL;
}

/* sh_walk() and sh_pages_walk() show all of it, and no more. */
static void expect_walked(struct sh_heap *heap)
{
	static struct extent before[EXTENTS_MOST];
	unsigned count = extent_count;

	memcpy(before, extents, count * sizeof(before[0]));
	extent_count = 0;
	sh_walk(heap, add_block, NULL);
	sh_pages_walk(heap, add_run, NULL);
	qsort(extents, extent_count, sizeof(extents[0]), compare_extents);
	for (unsigned i = 0; i < count; i++)
		if (!is_found(&before[i], extents, extent_count))
			fault("0x%llx (from %d) is walked no more",
				(unsigned long long)before[i].off, before[i].from);
	if (extent_count != count)
		fault("%u blocks and runs are walked, not %u", extent_count, count);
}

static void free_all(struct sh_heap *heap)
{
	for (unsigned i = 0; i < extent_count; i++) {
		int error = extents[i].from == FROM_RUN
			? sh_pages_free(heap, extents[i].off, extents[i].bytes / PAGE_BYTES)
			: sh_free(heap, extents[i].off);

		if (error != 0)
			fault("to free 0x%llx (%llu bytes): %s", (unsigned long long)extents[i].off,
				(unsigned long long)extents[i].bytes, sh_strerror(error));
	}
}

static void reopen(const char *path)
{
	struct sh_heap *heap;
	int error = heap_open(path, 0, &heap);

	if (error != 0) {
		fault("salvaged and closed, sh_open says: %s", sh_strerror(error));
		return;
	}
	sh_check(heap, 0, expect_usable, NULL, NULL);
	close_again(heap);
}

static void salvage(const char *path, bool whole)
{
	struct sh_heap *heap;

	shared->opened = heap_open(path, SH_SALVAGE, &heap);
	if (shared->opened != 0)
		return;
	sh_check(heap, 0, expect_usable, NULL, &shared->problems);
	extent_count = 0;
	sh_walk(heap, add_block, NULL);
	sh_pages_walk(heap, add_run, NULL);
	expect_disjoint();
	fill(heap, whole);
	expect_disjoint();
	expect_walked(heap);
	sh_check(heap, 0, expect_usable, NULL, NULL);
	free_all(heap);
	sh_check(heap, 0, expect_usable, NULL, NULL);
	close_again(heap);
	reopen(path);
}

/* --- in a process of its own --------------------------------------------------------------- */

static bool watch(void (*body)(const char *path, bool whole), const char *path, bool whole,
	struct outcome *outcome)
{
	int status = 0;
	pid_t child;

	if (shared == NULL)
		shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		give_up("mmap");
	memset(shared, 0, sizeof(*shared));
	fflush(stdout);
	child = fork();
	if (child < 0)
		give_up("fork");
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(WATCHDOG_S);
		body(path, whole);
		_exit(0);
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	*outcome = *shared;
	if (status == 0)
		return true;
	snprintf(outcome->fault, sizeof(outcome->fault),
		WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM
			? "the opener hangs (status 0x%x)"
			: "the opener dies (status 0x%x)",
		(unsigned)status);
	return false;
}

bool opener_try(const char *path, struct outcome *outcome)
{
	return watch(open_and_check, path, false, outcome);
}

bool opener_salvage(const char *path, bool whole, struct outcome *outcome)
{
	return watch(salvage, path, whole, outcome);
}
