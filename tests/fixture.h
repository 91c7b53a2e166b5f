/* fixture.h -- a heap in memory, with threads that can be declared dead and a disk that can be full
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The heap file's buffer can be read everywhere and written only where it was backed, so a store to
 * a page that growth did not back ends the test program, as it would end a process. */
#ifndef SPANHEAP_TESTS_FIXTURE_H
#define SPANHEAP_TESTS_FIXTURE_H

#include "heap/heap.h"
#include "recovery/image.h"

#include <CUnit/CUnit.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Slots that threads of a test use; recovery has one more. */
#define FIXTURE_SLOTS 16u
#define FIXTURE_PROCESSES 4u

#define LENGTH_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Process. */
struct fixture {
	struct image image;
	struct heap *heap; /* &image.heap */
	struct thread threads[FIXTURE_SLOTS];
	_Atomic bool dead[FIXTURE_SLOTS];
	_Atomic uint64_t back_calls; /* to both files since it was set to 0 */
	uint64_t fail_at;            /* the call that finds the disk full; 0: none */
	bool disk_full;              /* all calls do */
	bool trusted;                /* the next fixture_reopen() is told that the file is whole */
	_Atomic uint64_t backed_end; /* of the heap file: one past the last byte */
	char problem[256];           /* the first one that the last check found */
};

/* A formatted and opened heap of at most `max_bytes`, with `threads` threads in the first slots. */
struct fixture *fixture_open_bytes(uint64_t max_bytes, unsigned threads);
struct fixture *fixture_open(unsigned arenas, unsigned threads);
void fixture_close(struct fixture *f);

/* Everybody dies, and the heap is opened anew with `threads` threads. Returns image_open's result. */
int fixture_reopen(struct fixture *f, unsigned threads);

/* The system table of the fixture, for an image of a test's own. */
struct system fixture_system(struct fixture *f);

struct thread *fixture_attach(struct fixture *f, uint32_t slot);
void fixture_kill(struct fixture *f, uint32_t slot);

/* A tag that names no living thread. */
uint64_t fixture_dead_tag(void);

/* Checks the heap beside a living thread, or offline when `thread` is NULL; returns the number of
 * problems and keeps the text of the first. */
uint64_t fixture_problems(struct fixture *f, struct thread *thread);

/* Asserts that the heap is in order, and shows what is not. */
void fixture_expect_good(struct fixture *f);

/* Allocates a block outside of a transaction; 0 and *error. */
uint64_t fixture_allocate(struct thread *thread, uint64_t bytes, int *error);

/* The same, expected to succeed. */
uint64_t fixture_block(struct thread *thread, uint64_t bytes);

/* Whether a live block begins there. */
bool fixture_is_live(const struct fixture *f, uint64_t off);

uint64_t fixture_live_blocks(struct fixture *f);

/* Everything that the thread holds goes back. */
void fixture_give_back(struct thread *thread);

/* Free pages in all published chunks, and pages of these chunks. */
uint64_t fixture_free_pages(const struct fixture *f);
uint64_t fixture_data_pages(const struct fixture *f);

/* The first page that can hold data. */
uint64_t fixture_first_page(const struct fixture *f);

/* The 64-bit word of the heap at an offset. */
static inline _Atomic uint64_t *fixture_word(const struct fixture *f, uint64_t off)
{
	return (_Atomic uint64_t *)(void *)(f->image.base + off);
}

/* splitmix64, seeded from SH_SEED in the environment or the clock; prints the seed. */
struct random {
	uint64_t state;
};

struct random random_seeded(const char *test);
uint64_t random_next(struct random *random);
uint64_t random_below(struct random *random, uint64_t limit);

/* Sleeps for less than so many microseconds, at most a second. */
void random_sleep(struct random *random, uint64_t limit_us);

#endif
