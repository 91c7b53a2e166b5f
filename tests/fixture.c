/* fixture.c -- a heap in memory, with threads that can be declared dead and a disk that can be full
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "tests/fixture.h"

#include "heap/object.h"
#include "heap/pages.h"
#include "heap/span.h"
#include "recovery/check.h"
#include "recovery/superblock.h"
#include "shm/system.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

/* --- the system ---------------------------------------------------------------------------- */

static bool alive(void *context, uint64_t tag)
{
	struct fixture *f = context;

	return tag_plausible(tag, FIXTURE_SLOTS) && !atomic_load(&f->dead[tag_slot(tag)]) &&
		atomic_load(&f->heap->thread_slot[tag_slot(tag)].owner) == tag;
}

static bool process_alive(void *context, uint32_t process)
{
	(void)context;
	return process == 0;
}

static bool out_of_disk(struct fixture *f)
{
	return f->disk_full || atomic_fetch_add(&f->back_calls, 1) + 1 == f->fail_at;
}

static void make_writable(struct fixture *f, uint64_t offset, uint64_t bytes)
{
	uint64_t first = offset & ~UINT64_C(4095);
	uint64_t end = (offset + bytes + 4095) & ~UINT64_C(4095);
	uint64_t seen = atomic_load(&f->backed_end);

	if (mprotect(f->image.base + first, end - first, PROT_READ | PROT_WRITE) != 0)
		abort();
	while (seen < end && !atomic_compare_exchange_weak(&f->backed_end, &seen, end))
		;
}

static int back_heap(void *context, uint64_t offset, uint64_t bytes)
{
	struct fixture *f = context;

	if (out_of_disk(f))
		return ENOSPC;
	if (offset > f->image.bytes || bytes > f->image.bytes - offset)
		return EFBIG;
	make_writable(f, offset, bytes);
	return 0;
}

static int back_control(void *context, uint64_t offset, uint64_t bytes)
{
	struct fixture *f = context;

	if (out_of_disk(f))
		return ENOSPC;
	return offset <= f->image.control_bytes && bytes <= f->image.control_bytes - offset ? 0
											    : EFBIG;
}

/* The buffer is anonymous memory: what is dropped reads as zeros. */
static int zero_heap(void *context, uint64_t offset, uint64_t bytes)
{
	struct fixture *f = context;

	return madvise(f->image.base + offset, bytes, MADV_DONTNEED) == 0 ? 0 : errno;
}

struct system fixture_system(struct fixture *f)
{
	return (struct system){
		.context = f,
		.alive = alive,
		.process_alive = process_alive,
		.futex_wait = system_futex_wait,
		.futex_wake = system_futex_wake,
		.now_ns = system_now_ns,
		.back_heap = back_heap,
		.back_control = back_control,
		.zero_heap = zero_heap,
	};
}

/* --- opening and closing ------------------------------------------------------------------- */

static char *map(uint64_t bytes, int protection)
{
	void *memory =
		mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		abort();
	return memory;
}

struct fixture *fixture_open_bytes(uint64_t max_bytes, unsigned threads)
{
	struct fixture *f = calloc(1, sizeof(*f));
	uint64_t header_bytes = heap_header_bytes(max_bytes, FIXTURE_SLOTS + 1);

	if (f == NULL)
		abort();
	f->heap = &f->image.heap;
	f->image.bytes = max_bytes;
	f->image.base = map(f->image.bytes, PROT_READ);
	f->image.control_bytes =
		heap_control_bytes(max_bytes, FIXTURE_PROCESSES, FIXTURE_SLOTS + 1);
	f->image.control = map(f->image.control_bytes, PROT_READ | PROT_WRITE);
	make_writable(f, 0, header_bytes);
	image_format(f->image.base, max_bytes, FIXTURE_PROCESSES, FIXTURE_SLOTS + 1);
	if (fixture_reopen(f, threads) != 0)
		abort();
	return f;
}

struct fixture *fixture_open(unsigned arenas, unsigned threads)
{
	return fixture_open_bytes(arenas * ARENA_BYTES, threads);
}

void fixture_close(struct fixture *f)
{
	munmap(f->image.base, f->image.bytes);
	munmap(f->image.control, f->image.control_bytes);
	free(f);
}

int fixture_reopen(struct fixture *f, unsigned threads)
{
	struct system system = fixture_system(f);
	int error;

	memset(&f->image.recovery, 0, sizeof(f->image.recovery));
	f->image.recovery.trusts = f->trusted;
	memset(f->image.control, 0, f->image.control_bytes);
	error = image_open(&f->image, &system);
	for (unsigned slot = 0; error == 0 && slot < threads; slot++)
		fixture_attach(f, slot);
	return error;
}

struct thread *fixture_attach(struct fixture *f, uint32_t slot)
{
	atomic_store(&f->dead[slot], false);
	image_attach_thread(&f->image, &f->threads[slot], slot);
	return &f->threads[slot];
}

void fixture_kill(struct fixture *f, uint32_t slot)
{
	atomic_store(&f->dead[slot], true);
}

uint64_t fixture_dead_tag(void)
{
	return tag_make(FIXTURE_SLOTS - 1, TAG_SERIAL_LIMIT - 1);
}

/* --- looking ------------------------------------------------------------------------------- */

static int keep_problem(const struct sh_problem *problem, void *argument)
{
	struct fixture *f = argument;

	if (f->problem[0] == '\0')
		snprintf(f->problem, sizeof(f->problem), "0x%" PRIx64 ": %s", problem->off,
			problem->text);
	return 0;
}

uint64_t fixture_problems(struct fixture *f, struct thread *thread)
{
	uint64_t problems = 0;

	f->problem[0] = '\0';
	CU_ASSERT_EQUAL(check_heap(f->heap, thread, keep_problem, f, &problems), 0);
	return problems;
}

static struct thread *living_thread(struct fixture *f)
{
	for (uint32_t slot = 0; slot < FIXTURE_SLOTS; slot++)
		if (f->threads[slot].tag != 0 && alive(f, f->threads[slot].tag))
			return &f->threads[slot];
	return NULL;
}

void fixture_expect_good(struct fixture *f)
{
	uint64_t problems = fixture_problems(f, living_thread(f));

	CU_ASSERT_EQUAL(problems, 0);
	if (problems != 0)
		printf("\n    %" PRIu64 " problems, the first: %s\n", problems, f->problem);
}

bool fixture_is_live(const struct fixture *f, uint64_t off)
{
	struct block block;

	return block_find(f->heap, off, &block) == 0 && block_is_live(&block);
}

static int count_block(const struct sh_block *block, void *argument)
{
	uint64_t *count = argument;

	(void)block;
	++*count;
	return 0;
}

uint64_t fixture_live_blocks(struct fixture *f)
{
	uint64_t count = 0;

	walk_heap(f->heap, NULL, count_block, &count);
	return count;
}

static uint64_t published_end(const struct heap *heap, uint64_t arena)
{
	return atomic_load(&heap->published[arena]) << CHUNK_PAGES_SHIFT;
}

uint64_t fixture_free_pages(const struct fixture *f)
{
	uint64_t pages = 0;

	for (uint64_t arena = 0; arena < heap_arena_count(f->heap); arena++) {
		uint64_t first = arena_first_chunk(f->heap, arena) << CHUNK_PAGES_SHIFT;

		if (published_end(f->heap, arena) > first)
			pages += page_index_count(&f->heap->pages, first,
				published_end(f->heap, arena) - first);
	}
	return pages;
}

uint64_t fixture_data_pages(const struct fixture *f)
{
	uint64_t pages = 0;

	for (uint64_t arena = 0; arena < heap_arena_count(f->heap); arena++)
		if (arena_is_ordinary(f->heap, arena))
			pages += published_end(f->heap, arena) -
				(arena_first_chunk(f->heap, arena) << CHUNK_PAGES_SHIFT);
	return pages;
}

uint64_t fixture_first_page(const struct fixture *f)
{
	return arena_first_chunk(f->heap, 0) << CHUNK_PAGES_SHIFT;
}

/* --- acting -------------------------------------------------------------------------------- */

uint64_t fixture_allocate(struct thread *thread, uint64_t bytes, int *error)
{
	uint64_t head;

	if (size_is_small(bytes))
		return object_allocate(thread, span_class_make(size_class_of(bytes), false), error);
	head = span_prepare_large(thread, bytes, SPAN_LARGE, false, error);
	if (head != 0)
		span_commit_large(thread, head);
	return page_offset(head);
}

uint64_t fixture_block(struct thread *thread, uint64_t bytes)
{
	int error = 0;
	uint64_t off = fixture_allocate(thread, bytes, &error);

	CU_ASSERT_NOT_EQUAL_FATAL(off, 0);
	return off;
}

void fixture_give_back(struct thread *thread)
{
	object_give_back(thread);
	pages_give_back(thread);
}

/* --- random -------------------------------------------------------------------------------- */

struct random random_seeded(const char *test)
{
	const char *text = getenv("SH_SEED");
	struct random random;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	random.state = (uint64_t)now.tv_sec * UINT64_C(1000000007) ^ (uint64_t)now.tv_nsec;
	if (text != NULL)
		random.state = strtoull(text, NULL, 0);
	printf(" %s: SH_SEED=0x%" PRIx64 " ", test, random.state);
	fflush(stdout);
	return random;
}

uint64_t random_next(struct random *random)
{
	uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t random_below(struct random *random, uint64_t limit)
{
	return random_next(random) % limit;
}

void random_sleep(struct random *random, uint64_t limit_us)
{
	struct timespec time = { .tv_nsec = (long)(random_below(random, limit_us) * 1000) };

	nanosleep(&time, NULL);
}
