/* reader.c -- a process that reads in sections until it is killed, or told to stop
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/rcu/reader.h"

#include "stress/rcu/delay.h"
#include "stress/rcu/dirt.h"
#include "stress/rcu/fault.h"
#include "stress/rcu/pool.h"

#include <pthread.h>

/* Stack. One thread. */
struct reading_thread {
	struct dirt dirt;
	struct sh_heap *heap;
	struct pool *pool;
	struct seat *seat;
	struct sh_reader *reader; /* the other way to read */
	struct chance chance;
	int error;
};

static void count_reading(enum reading reading)
{
	if (reading == READING_POISONED)
		atomic_fetch_add(&shared->counts.poisoned, 1);
	else if (reading == READING_TORN)
		atomic_fetch_add(&shared->counts.torn, 1);
}

/* Looks at the object again and again: nothing of it may change. */
static void verify(struct reading_thread *thread, const struct object *object)
{
	uint64_t looks = 2 + chance_below(&thread->chance, 4);
	uint64_t first;
	uint64_t serial;
	enum reading reading = pool_read(object, &first);

	count_reading(reading);
	for (; looks > 0 && reading == READING_GOOD; looks--) {
		chance_window(&thread->chance);
		reading = pool_read(object, &serial);
		count_reading(reading);
		if (reading == READING_GOOD && serial != first)
			atomic_fetch_add(&shared->counts.changed, 1);
	}
}

static void follow(struct reading_thread *thread)
{
	unsigned updater = (unsigned)chance_below(&thread->chance, UPDATERS);
	const struct object *object;

	object = pool_follow(thread->heap, thread->pool, updater);
	if (object != NULL)
		verify(thread, object);
}

/* --- sections: of the thread, or of its reader --------------------------------------------- */

static void begin(struct reading_thread *thread, bool own)
{
	if (own)
		sh_read_lock(thread->heap);
	else
		sh_reader_lock(thread->reader);
}

static void end(struct reading_thread *thread, bool own)
{
	if (own)
		sh_read_unlock(thread->heap);
	else
		sh_reader_unlock(thread->reader);
}

/* A section inside of the first, whose end ends nothing. Either may be of the other kind. */
static void read_inside(struct reading_thread *thread, bool own)
{
	begin(thread, own);
	follow(thread);
	end(thread, own);
	chance_window(&thread->chance);
}

static void read_once(struct reading_thread *thread)
{
	bool own = chance_once_in(&thread->chance, 2);
	bool nested = chance_once_in(&thread->chance, 4);
	bool other = chance_once_in(&thread->chance, 4);

	dirt_spread(&thread->dirt, &thread->chance);
	begin(thread, own);
	atomic_store_explicit(&thread->seat->inside, 1, memory_order_relaxed);
	if (nested)
		read_inside(thread, own != other);
	follow(thread);
	atomic_store_explicit(&thread->seat->inside, 0, memory_order_relaxed);
	end(thread, own);
	chance_window(&thread->chance);
	atomic_fetch_add_explicit(&thread->seat->done, 1, memory_order_relaxed);
}

/* --- the thread ---------------------------------------------------------------------------- */

/* Its first section of each kind, after which a fault can be planted in them. */
static int enter(struct reading_thread *thread)
{
	int error = sh_reader_open(thread->heap, &thread->reader);

	if (error == 0)
		error = sh_read_lock(thread->heap);
	if (error != 0)
		return error;
	sh_read_unlock(thread->heap);
	fault_plant_in_reader(thread->heap, &sh_read_here.section);
	fault_plant_in_reader(thread->heap, (struct sh_section *)(void *)thread->reader);
	return 0;
}

static void *thread_main(void *argument)
{
	struct reading_thread *thread = argument;

	thread->error = enter(thread);
	while (thread->error == 0 && !stopping())
		read_once(thread);
	sh_reader_close(thread->reader);
	return NULL;
}

int reader_main(struct sh_heap *heap, unsigned reader, uint64_t generation)
{
	static struct reading_thread threads[READER_THREADS];
	pthread_t second;

	for (unsigned i = 0; i < READER_THREADS; i++) {
		threads[i].heap = heap;
		threads[i].pool = pool_find(heap);
		threads[i].seat = reader_seat(reader, i);
		threads[i].chance = chance_of(shared->seed, generation * READER_THREADS + i);
	}
	if (pthread_create(&second, NULL, thread_main, &threads[1]) != 0)
		return 1;
	thread_main(&threads[0]);
	pthread_join(second, NULL);
	return threads[0].error == 0 && threads[1].error == 0 ? 0 : 1;
}
