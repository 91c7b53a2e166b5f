/* table.c -- the open heaps of this process, and the locks around them
 * SPDX-License-Identifier: BSD-3-Clause */
#include "api/table.h"

#include <pthread.h>

static pthread_mutex_t open_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t table_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct sh_heap *heaps;
static struct presence *presences;

void table_lock_open(void)
{
	pthread_mutex_lock(&open_mutex);
}

void table_unlock_open(void)
{
	pthread_mutex_unlock(&open_mutex);
}

void table_lock(void)
{
	pthread_mutex_lock(&table_mutex);
}

void table_unlock(void)
{
	pthread_mutex_unlock(&table_mutex);
}

void table_wait(void)
{
	pthread_cond_wait(&changed, &table_mutex);
}

void table_wake(void)
{
	pthread_cond_broadcast(&changed);
}

void table_wait_for_leaving(struct sh_heap *heap)
{
	while (heap->leaving != 0)
		table_wait();
}

void table_left(struct sh_heap *heap)
{
	heap->leaving--;
	table_wake();
}

void table_forget_waiters(void)
{
	pthread_cond_init(&changed, NULL);
}

void table_add(struct sh_heap *heap)
{
	heap->next = heaps;
	heaps = heap;
}

void table_remove(struct sh_heap *heap)
{
	struct sh_heap **link = &heaps;

	while (*link != heap)
		link = &(*link)->next;
	*link = heap->next;
}

struct sh_heap *table_first(void)
{
	return heaps;
}

void table_add_presence(struct presence *presence)
{
	presence->next = presences;
	presences = presence;
}

void table_hold_presence(struct presence *presence)
{
	presence->references++;
}

void table_put_presence(struct presence *presence)
{
	struct presence **link = &presences;

	if (presence->references == 1) {
		while (*link != presence)
			link = &(*link)->next;
		*link = presence->next;
	}
	presence_put(presence);
}

void table_forget_presences(void)
{
	while (presences != NULL) {
		struct presence *presence = presences;

		presences = presence->next;
		presence_forget(presence);
	}
}

struct sh_heap *table_find(const struct file_identity *identity, bool read_only)
{
	struct sh_heap *heap = heaps;

	/* A lost one is of no use; the child may open the heap anew. */
	while (heap != NULL &&
		(heap->lost || heap->read_only != read_only ||
			!file_same(&heap->heap_file.identity, identity)))
		heap = heap->next;
	return heap;
}
