/* test_urcu.c -- the flavor of liburcu of a heap, under liburcu's hash tables
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Steps as in test_read.c. */
#define _GNU_SOURCE
#include "api/handle.h"
#include "tests/fixture.h"
#include "tests/heap_files.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spanheap_urcu.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <urcu/call-rcu.h>
#include <urcu/flavor.h>
#include <urcu/rculfhash.h>

#define INSIDE 1u
#define MAY_END 2u

static const struct rcu_flavor_struct *flavor_of(struct sh_heap *heap)
{
	const struct rcu_flavor_struct *flavor = sh_rcu_flavor(heap);

	CU_ASSERT_PTR_NOT_NULL_FATAL(flavor);
	if (flavor == NULL)
		abort();
	return flavor;
}

/* --- sections ------------------------------------------------------------------------------ */

static void test_members(void)
{
	struct sh_heap *heap = files_new();
	const struct rcu_flavor_struct *flavor = flavor_of(heap);
	void (*members[sizeof(*flavor) / sizeof(void (*)(void))])(void);

	memcpy(members, flavor, sizeof(members));
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		CU_ASSERT_TRUE(members[i] != NULL);
	CU_ASSERT_PTR_EQUAL(sh_rcu_flavor(heap), flavor);
	files_close(heap);
}

static void test_sections(void)
{
	struct sh_heap *heap = files_new();
	const struct rcu_flavor_struct *flavor = flavor_of(heap);

	for (int i = 0; i < 3; i++)
		flavor->register_thread();
	CU_ASSERT_FALSE(flavor->read_ongoing());
	flavor->read_lock();
	CU_ASSERT_TRUE(flavor->read_ongoing());
	CU_ASSERT_EQUAL(sh_synchronize(heap), EDEADLK);
	CU_ASSERT_EQUAL(sh_close(heap), EBUSY);
	/* One section of two names. */
	CU_ASSERT_EQUAL(sh_read_lock(heap), 0);
	flavor->read_unlock();
	flavor->read_quiescent_state();
	flavor->thread_offline();
	flavor->thread_online();
	CU_ASSERT_TRUE(flavor->read_ongoing());
	sh_read_unlock(heap);
	CU_ASSERT_FALSE(flavor->read_ongoing());
	for (int i = 0; i < 3; i++)
		flavor->unregister_thread();
	flavor->read_lock();
	flavor->read_unlock();
	flavor->update_synchronize_rcu();
	flavor->barrier();
	files_close(heap);
}

/* --- callbacks ----------------------------------------------------------------------------- */

static void hold_until_two(void *argument)
{
	REQUIRE(sh_read_lock(argument) == 0);
	files_reach(INSIDE);
	files_wait_for(MAY_END);
	sh_read_unlock(argument);
	REQUIRE(sh_close(argument) == 0);
}

static pid_t start_holder(struct sh_heap *heap)
{
	pid_t child;

	files_reset_steps();
	child = files_start(hold_until_two, heap);
	files_wait_for(INSIDE);
	return child;
}

#define CALLS 100u

static struct call {
	struct rcu_head head;
	unsigned number;
} all_calls[CALLS];

static _Atomic unsigned called;
static _Atomic unsigned out_of_order;
static _Atomic unsigned early;

static void note_call(unsigned number)
{
	if (!files_has_reached(MAY_END))
		atomic_fetch_add(&early, 1);
	if (atomic_fetch_add(&called, 1) != number)
		atomic_fetch_add(&out_of_order, 1);
}

static void called_back(struct rcu_head *head)
{
	note_call(((struct call *)(void *)head)->number);
}

static void deferred(void *argument)
{
	note_call(((struct call *)argument)->number);
}

/* Every third one by defer_rcu. */
static void queue_calls(const struct rcu_flavor_struct *flavor)
{
	atomic_store(&called, 0);
	atomic_store(&out_of_order, 0);
	atomic_store(&early, 0);
	for (unsigned i = 0; i < CALLS; i++) {
		all_calls[i].number = i;
		if (i % 3 == 0)
			flavor->update_defer_rcu(deferred, &all_calls[i]);
		else
			flavor->update_call_rcu(&all_calls[i].head, called_back);
	}
}

static void expect_all_called(void)
{
	CU_ASSERT_EQUAL(atomic_load(&called), CALLS);
	CU_ASSERT_EQUAL(atomic_load(&out_of_order), 0);
	CU_ASSERT_EQUAL(atomic_load(&early), 0);
}

static void await_somebody(const struct sh_heap *heap)
{
	while (atomic_load(&heap->heap.rcu.words->waiting) == 0)
		usleep(200);
}

/* They wait for a section of another process. */
static void test_callbacks(void)
{
	struct sh_heap *heap = files_new();
	const struct rcu_flavor_struct *flavor = flavor_of(heap);
	pid_t child = start_holder(heap);

	queue_calls(flavor);
	await_somebody(heap);
	CU_ASSERT_EQUAL(atomic_load(&called), 0);
	files_reach(MAY_END);
	flavor->barrier();
	expect_all_called();
	CU_ASSERT_EQUAL(files_finish(child), 0);
	files_close(heap);
}

/* Closing waits for them. */
static void test_close_with_callbacks(void)
{
	struct sh_heap *heap = files_new();
	pid_t child = start_holder(heap);
	struct sh_heap *again;

	queue_calls(flavor_of(heap));
	await_somebody(heap);
	CU_ASSERT_EQUAL(sh_open(files_path, 0, NULL, &again), 0);
	/* One of several handles does not count. */
	CU_ASSERT_EQUAL(sh_close(again), 0);
	CU_ASSERT_EQUAL(atomic_load(&called), 0);
	files_reach(MAY_END);
	files_close(heap);
	expect_all_called();
	CU_ASSERT_EQUAL(files_finish(child), 0);
	/* Closed cleanly: otherwise it could not be opened like this. */
	heap = files_open(SH_RDONLY);
	errno = 0;
	CU_ASSERT_PTR_NULL(sh_rcu_flavor(heap));
	CU_ASSERT_EQUAL(errno, EROFS);
	files_close(heap);
}

/* What keeps the heap open keeps its flavor, too. */
static void test_close_refused(void)
{
	struct sh_heap *heap = files_new();
	const struct rcu_flavor_struct *flavor = flavor_of(heap);
	struct sh_reader *reader;

	CU_ASSERT_EQUAL_FATAL(sh_reader_open(heap, &reader), 0);
	CU_ASSERT_EQUAL(sh_close(heap), EBUSY);
	files_reset_steps();
	files_reach(MAY_END);
	queue_calls(flavor);
	flavor->barrier();
	expect_all_called();
	CU_ASSERT_PTR_EQUAL(sh_rcu_flavor(heap), flavor);
	sh_reader_close(reader);
	files_close(heap);
}

/* A callback that frees a block of the heap, and queues another one. */
struct chain {
	struct rcu_head head;
	struct sh_heap *heap;
	const struct rcu_flavor_struct *flavor;
	sh_off block;
	unsigned left;
	int close_error;
	bool failed;
};

static void free_and_go_on(struct rcu_head *head)
{
	struct chain *chain = (struct chain *)(void *)head;

	chain->failed |= sh_free(chain->heap, chain->block) != 0;
	chain->close_error = sh_close(chain->heap);
	if (--chain->left == 0)
		return;
	chain->block = sh_alloc(chain->heap, 100);
	chain->flavor->update_call_rcu(head, free_and_go_on);
}

static void test_callbacks_of_callbacks(void)
{
	struct sh_heap *heap = files_new();
	struct chain chain = { .heap = heap, .flavor = flavor_of(heap), .left = 50 };

	chain.block = sh_alloc(heap, 100);
	chain.flavor->update_call_rcu(&chain.head, free_and_go_on);
	files_close(heap);
	CU_ASSERT_EQUAL(chain.left, 0);
	CU_ASSERT_FALSE(chain.failed);
	CU_ASSERT_EQUAL(chain.close_error, EBUSY);
	heap = files_open(0);
	CU_ASSERT_EQUAL(files_live_blocks(heap), 0);
	files_close(heap);
}

/* --- fork ---------------------------------------------------------------------------------- */

static void expect_empty_queue(void *argument)
{
	struct sh_heap *heap = argument;
	const struct rcu_flavor_struct *flavor = sh_rcu_flavor(heap);

	/* It waits for nothing: the section that all are waiting for has not ended. */
	flavor->barrier();
	REQUIRE(atomic_load(&called) == 0);
	files_reach(MAY_END);
	queue_calls(flavor);
	flavor->barrier();
	REQUIRE(atomic_load(&called) == CALLS);
	REQUIRE(atomic_load(&out_of_order) == 0);
	REQUIRE(sh_close(heap) == 0);
	REQUIRE(atomic_load(&called) == CALLS);
}

/* What is queued is done once, by whoever queued it. */
static void test_fork_with_callbacks(void)
{
	struct sh_heap *heap = files_new();
	pid_t holder = start_holder(heap);

	queue_calls(flavor_of(heap));
	await_somebody(heap);
	CU_ASSERT_EQUAL(files_run(expect_empty_queue, heap), 0);
	flavor_of(heap)->barrier();
	expect_all_called();
	CU_ASSERT_EQUAL(files_finish(holder), 0);
	files_close(heap);
}

static void expect_no_heap(void *argument)
{
	struct sh_heap *heap = argument;

	errno = 0;
	REQUIRE(sh_rcu_flavor(heap) == NULL && errno == ECHILD);
	files_reach(MAY_END);
	REQUIRE(sh_close(heap) == 0);
	REQUIRE(atomic_load(&called) == 0);
}

static void test_children_without_the_heap(void)
{
	struct sh_options options = files_options();
	struct sh_heap *heap;
	struct sh_reader *reader;

	options.fork = SH_FORK_DONTFORK;
	heap = files_new_with(&options);
	files_reset_steps();
	CU_ASSERT_EQUAL_FATAL(sh_reader_open(heap, &reader), 0);
	sh_reader_lock(reader);
	queue_calls(flavor_of(heap));
	await_somebody(heap);
	CU_ASSERT_EQUAL(files_run(expect_no_heap, heap), 0);
	sh_reader_close(reader);
	flavor_of(heap)->barrier();
	expect_all_called();
	files_close(heap);
}

#define QUEUED_AT_A_TIME 64u

struct forker;

/* Neither allocated nor freed beside the forks: see files_start(). */
struct counted {
	struct rcu_head head; /* first */
	struct forker *forker;
	_Atomic bool queued;
};

struct forker {
	const struct rcu_flavor_struct *flavor;
	_Atomic bool stop;
	_Atomic unsigned rounds; /* of the thread, after a barrier each */
	_Atomic unsigned done;
	_Atomic unsigned done_twice;
	unsigned queued;
	/* The last one is a child's. */
	struct counted all[QUEUED_AT_A_TIME + 1];
};

static void count(struct rcu_head *head)
{
	struct counted *counted = (struct counted *)(void *)head;

	if (!atomic_exchange(&counted->queued, false))
		atomic_fetch_add(&counted->forker->done_twice, 1);
	atomic_fetch_add(&counted->forker->done, 1);
}

static void queue_number(struct forker *forker, unsigned number)
{
	struct counted *counted = &forker->all[number];

	counted->forker = forker;
	atomic_store(&counted->queued, true);
	forker->flavor->update_call_rcu(&counted->head, count);
}

static void *queue_all_the_time(void *argument)
{
	struct forker *forker = argument;

	while (!atomic_load(&forker->stop)) {
		for (unsigned i = 0; i < QUEUED_AT_A_TIME; i++) {
			forker->flavor->read_lock();
			queue_number(forker, i);
			forker->queued++;
			forker->flavor->read_unlock();
		}
		forker->flavor->barrier();
		atomic_fetch_add(&forker->rounds, 1);
	}
	return NULL;
}

static void use_queue_in_child(void *argument)
{
	struct forker *forker = argument;
	unsigned before = atomic_load(&forker->done);

	queue_number(forker, QUEUED_AT_A_TIME);
	forker->flavor->barrier();
	REQUIRE(atomic_load(&forker->done) == before + 1);
}

/* Forks beside a busy queue: no callback is lost, or done twice, in either process. */
static void test_forks_beside_callbacks(void)
{
	struct sh_heap *heap = files_new();
	struct forker forker = { .flavor = flavor_of(heap) };
	pthread_t thread;

	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, queue_all_the_time, &forker), 0);
	/* It and the flavor's own thread have started. */
	while (atomic_load(&forker.rounds) == 0)
		usleep(200);
	for (unsigned i = 0; i < 30; i++)
		CU_ASSERT_EQUAL(files_run(use_queue_in_child, &forker), 0);
	atomic_store(&forker.stop, true);
	pthread_join(thread, NULL);
	forker.flavor->barrier();
	CU_ASSERT_EQUAL(atomic_load(&forker.done), forker.queued);
	CU_ASSERT_EQUAL(atomic_load(&forker.done_twice), 0);
	files_close(heap);
}

/* --- hash tables --------------------------------------------------------------------------- */

/* What the tables do ThreadSanitizer does not see, and takes for no order at all. */
static bool is_seen_through(void)
{
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
	printf("SKIPPED: liburcu is not made for ThreadSanitizer: ");
	return false;
#endif
#endif
	return true;
}

/* A key of a table of this process, and a block of the heap that holds it, too. */
struct entry {
	struct cds_lfht_node node; /* first */
	struct rcu_head head;
	struct sh_heap *heap;
	uint64_t key;
	sh_off block;
};

static struct entry *entry_of_node(struct cds_lfht_node *node)
{
	return (struct entry *)(void *)node;
}

static unsigned long hash(uint64_t key)
{
	return key * UINT64_C(0x9e3779b97f4a7c15) ^ key >> 7;
}

static int matches(struct cds_lfht_node *node, const void *key)
{
	return entry_of_node(node)->key == *(const uint64_t *)key;
}

static _Atomic unsigned bad_frees;

static void free_entry(struct rcu_head *head)
{
	struct entry *entry = (struct entry *)(void *)((char *)head - offsetof(struct entry, head));

	*(uint64_t *)sh_ptr(entry->heap, entry->block) = 0;
	if (sh_free(entry->heap, entry->block) != 0)
		atomic_fetch_add(&bad_frees, 1);
	free(entry);
}

static struct entry *make_entry(struct sh_heap *heap, uint64_t key)
{
	struct entry *entry = calloc(1, sizeof(*entry));

	if (entry == NULL)
		abort();
	cds_lfht_node_init(&entry->node);
	entry->heap = heap;
	entry->key = key;
	entry->block = sh_alloc(heap, 64);
	if (entry->block == 0)
		abort();
	*(uint64_t *)sh_ptr(heap, entry->block) = ~key;
	return entry;
}

/* A table of a process. */
struct index {
	struct sh_heap *heap;
	const struct rcu_flavor_struct *flavor;
	struct cds_lfht *table;
};

static bool look_up(const struct index *index, uint64_t key, bool *right)
{
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;

	index->flavor->read_lock();
	cds_lfht_lookup(index->table, hash(key), matches, &key, &iter);
	node = cds_lfht_iter_get_node(&iter);
	*right = node == NULL ||
		*(uint64_t *)sh_ptr(index->heap, entry_of_node(node)->block) == ~key;
	index->flavor->read_unlock();
	return node != NULL;
}

static void put(const struct index *index, uint64_t key)
{
	struct entry *entry = make_entry(index->heap, key);
	struct cds_lfht_node *old;

	index->flavor->read_lock();
	old = cds_lfht_add_replace(index->table, hash(key), matches, &key, &entry->node);
	if (old != NULL)
		index->flavor->update_call_rcu(&entry_of_node(old)->head, free_entry);
	index->flavor->read_unlock();
}

static bool take_out(const struct index *index, uint64_t key)
{
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;
	bool taken;

	index->flavor->read_lock();
	cds_lfht_lookup(index->table, hash(key), matches, &key, &iter);
	node = cds_lfht_iter_get_node(&iter);
	taken = node != NULL && cds_lfht_del(index->table, node) == 0;
	if (taken)
		index->flavor->update_call_rcu(&entry_of_node(node)->head, free_entry);
	index->flavor->read_unlock();
	return taken;
}

static bool open_index(struct index *index, struct sh_heap *heap, int flags)
{
	*index = (struct index){ .heap = heap, .flavor = sh_rcu_flavor(heap) };
	if (index->flavor == NULL)
		return false;
	index->flavor->register_thread();
	index->table = cds_lfht_new_flavor(1, 1, 0, flags, index->flavor, NULL);
	return index->table != NULL;
}

static void close_index(struct index *index, uint64_t keys)
{
	for (uint64_t key = 0; key < keys; key++)
		take_out(index, key);
	if (cds_lfht_destroy(index->table, NULL) != 0)
		abort();
	index->flavor->unregister_thread();
}

#define KEYS 2000u
#define OPERATIONS 20000u
#define THREADS 3u

struct worker {
	const struct index *index;
	uint64_t seed;
	bool failed;
};

static void *work_on_index(void *argument)
{
	struct worker *worker = argument;
	const struct index *index = worker->index;
	struct random random = { .state = worker->seed };

	index->flavor->register_thread();
	index->flavor->register_thread();
	for (unsigned i = 0; i < OPERATIONS; i++) {
		uint64_t key = random_below(&random, KEYS);
		uint64_t what = random_below(&random, 8);
		bool right = true;

		if (what < 4)
			look_up(index, key, &right);
		else if (what < 7)
			put(index, key);
		else
			take_out(index, key);
		worker->failed |= !right;
	}
	index->flavor->unregister_thread();
	index->flavor->unregister_thread();
	return NULL;
}

/* Threads beside each other, and resizes on top of what the table does by itself. */
static bool index_holds(struct sh_heap *heap, uint64_t seed)
{
	struct worker workers[THREADS];
	pthread_t threads[THREADS];
	struct index index;
	bool failed = !open_index(&index, heap, CDS_LFHT_AUTO_RESIZE | CDS_LFHT_ACCOUNTING);

	if (failed)
		return false;
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ &index, seed + i, false };
		if (pthread_create(&threads[i], NULL, work_on_index, &workers[i]) != 0)
			abort();
	}
	for (unsigned i = 0; i < 10; i++) {
		cds_lfht_resize(index.table, 1u << 14);
		cds_lfht_resize(index.table, 16);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		failed |= workers[i].failed;
	}
	close_index(&index, KEYS);
	index.flavor->barrier();
	return !failed && atomic_load(&bad_frees) == 0;
}

static void index_in_child(void *argument)
{
	struct sh_heap *heap = files_child_open(0);

	REQUIRE(index_holds(heap, *(uint64_t *)argument));
	REQUIRE(sh_close(heap) == 0);
}

#define PROCESSES 3u

static void test_tables(void)
{
	struct random random = random_seeded("tables");
	pid_t children[PROCESSES];
	struct sh_heap *heap;

	if (!is_seen_through())
		return;
	heap = files_new();
	for (unsigned i = 0; i < PROCESSES; i++) {
		uint64_t seed = random_next(&random);

		children[i] = files_start(index_in_child, &seed);
	}
	CU_ASSERT_TRUE(index_holds(heap, random_next(&random)));
	for (unsigned i = 0; i < PROCESSES; i++)
		CU_ASSERT_EQUAL(files_finish(children[i]), 0);
	CU_ASSERT_EQUAL(files_live_blocks(heap), 0);
	files_expect_good(heap);
	files_close(heap);
}

static void fill(const struct index *index, uint64_t first, uint64_t end)
{
	for (uint64_t key = first; key < end; key++)
		put(index, key);
}

static bool holds_exactly(const struct index *index, uint64_t keys, uint64_t limit)
{
	for (uint64_t key = 0; key < limit; key++) {
		bool right;

		if (look_up(index, key, &right) != (key < keys) || !right)
			return false;
	}
	return true;
}

/* The blocks are the parent's as well: only the table and the entries are the child's own. */
static void forget_entries(const struct index *index)
{
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;

	index->flavor->read_lock();
	cds_lfht_first(index->table, &iter);
	while ((node = cds_lfht_iter_get_node(&iter)) != NULL) {
		REQUIRE(cds_lfht_del(index->table, node) == 0);
		cds_lfht_next(index->table, &iter);
	}
	index->flavor->read_unlock();
}

static void grow_in_child(void *argument)
{
	struct index *index = argument;

	REQUIRE(holds_exactly(index, 500, 1000));
	forget_entries(index);
	REQUIRE(holds_exactly(index, 0, 1000));
	/* It grows by a thread of the child's. */
	fill(index, 0, 5000);
	cds_lfht_resize(index->table, 1u << 14);
	cds_lfht_resize(index->table, 4);
	REQUIRE(holds_exactly(index, 5000, 6000));
	close_index(index, 5000);
	REQUIRE(sh_close(index->heap) == 0);
	REQUIRE(atomic_load(&bad_frees) == 0);
}

/* Before, while and after a child has the table, too. */
static void test_tables_and_forks(void)
{
	struct index index;
	struct sh_heap *heap;

	if (!is_seen_through())
		return;
	heap = files_new();
	CU_ASSERT_TRUE_FATAL(open_index(&index, heap, CDS_LFHT_AUTO_RESIZE));
	for (unsigned i = 0; i < 3; i++) {
		pid_t child;

		fill(&index, 0, 500);
		/* free_entry() is not beside the fork: see files_start(). */
		index.flavor->barrier();
		child = files_start(grow_in_child, &index);
		fill(&index, 500, 3000);
		CU_ASSERT_EQUAL(files_finish(child), 0);
		CU_ASSERT_TRUE(holds_exactly(&index, 3000, 4000));
		for (uint64_t key = 500; key < 3000; key++)
			CU_ASSERT_TRUE(take_out(&index, key));
	}
	close_index(&index, 500);
	index.flavor->barrier();
	CU_ASSERT_EQUAL(atomic_load(&bad_frees), 0);
	CU_ASSERT_EQUAL(files_live_blocks(heap), 0);
	files_expect_good(heap);
	files_close(heap);
}

/* --- several heaps ------------------------------------------------------------------------- */

static struct sh_heap *open_number(unsigned number)
{
	struct sh_options options = files_options();
	struct sh_heap *heap;
	char path[PATH_MAX];
	char name[16];

	snprintf(name, sizeof(name), "heap%u", number);
	files_beside(path, name);
	CU_ASSERT_EQUAL_FATAL(sh_open(path, SH_CREATE, &options, &heap), 0);
	return heap;
}

static void test_several_heaps(void)
{
	struct sh_heap *first = files_new();
	const struct rcu_flavor_struct *flavors[SH_RCU_FLAVORS];
	struct sh_heap *heaps[SH_RCU_FLAVORS + 1] = { first };

	for (unsigned i = 0; i <= SH_RCU_FLAVORS; i++)
		heaps[i] = i == 0 ? first : open_number(i);
	for (unsigned i = 0; i < SH_RCU_FLAVORS; i++) {
		flavors[i] = flavor_of(heaps[i]);
		for (unsigned j = 0; j < i; j++)
			CU_ASSERT_PTR_NOT_EQUAL(flavors[i], flavors[j]);
	}
	errno = 0;
	CU_ASSERT_PTR_NULL(sh_rcu_flavor(heaps[SH_RCU_FLAVORS]));
	CU_ASSERT_EQUAL(errno, EMFILE);
	/* Those inside of one do not keep the others. */
	flavors[3]->read_lock();
	CU_ASSERT_FALSE(flavors[4]->read_ongoing());
	flavors[4]->update_synchronize_rcu();
	CU_ASSERT_EQUAL(sh_close(heaps[4]), EBUSY);
	CU_ASSERT_EQUAL(sh_close(heaps[SH_RCU_FLAVORS]), 0);
	heaps[SH_RCU_FLAVORS] = open_number(SH_RCU_FLAVORS);
	flavors[3]->read_unlock();
	CU_ASSERT_EQUAL(sh_close(heaps[4]), 0);
	CU_ASSERT_PTR_NOT_NULL(sh_rcu_flavor(heaps[SH_RCU_FLAVORS]));
	for (unsigned i = 1; i <= SH_RCU_FLAVORS; i++)
		if (i != 4)
			CU_ASSERT_EQUAL(sh_close(heaps[i]), 0);
	files_close(first);
}

/* --- misuse -------------------------------------------------------------------------------- */

static void expect_silent_abort(void)
{
	int nowhere = open("/dev/null", O_WRONLY);

	signal(SIGABRT, SIG_DFL);
	REQUIRE(dup2(nowhere, STDERR_FILENO) == STDERR_FILENO);
}

static void read_closed_heap(void *argument)
{
	const struct rcu_flavor_struct *flavor = sh_rcu_flavor(argument);

	REQUIRE(sh_close(argument) == 0);
	/* These are harmless. */
	flavor->register_thread();
	flavor->unregister_thread();
	REQUIRE(!flavor->read_ongoing());
	expect_silent_abort();
	flavor->read_lock();
}

static void wait_inside_a_section(void *argument)
{
	const struct rcu_flavor_struct *flavor = sh_rcu_flavor(argument);

	expect_silent_abort();
	flavor->read_lock();
	flavor->update_synchronize_rcu();
}

static void barrier_inside_a_section(void *argument)
{
	const struct rcu_flavor_struct *flavor = sh_rcu_flavor(argument);

	expect_silent_abort();
	flavor->read_lock();
	flavor->barrier();
}

static void test_misuse(void)
{
	struct sh_heap *heap = files_new();

	CU_ASSERT_EQUAL(WTERMSIG(files_run(read_closed_heap, heap)), SIGABRT);
	CU_ASSERT_EQUAL(WTERMSIG(files_run(wait_inside_a_section, heap)), SIGABRT);
	CU_ASSERT_EQUAL(WTERMSIG(files_run(barrier_inside_a_section, heap)), SIGABRT);
	files_expect_good(heap);
	files_close(heap);
}

static CU_TestInfo tests[] = {
	{ "members", test_members },
	{ "sections", test_sections },
	{ "callbacks", test_callbacks },
	{ "close with callbacks", test_close_with_callbacks },
	{ "close refused", test_close_refused },
	{ "callbacks of callbacks", test_callbacks_of_callbacks },
	{ "fork with callbacks", test_fork_with_callbacks },
	{ "children without the heap", test_children_without_the_heap },
	{ "forks beside callbacks", test_forks_beside_callbacks },
	{ "tables", test_tables },
	{ "tables and forks", test_tables_and_forks },
	{ "several heaps", test_several_heaps },
	{ "misuse", test_misuse },
	CU_TEST_INFO_NULL,
};

int test_urcu_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "urcu",
			.pInitFunc = files_enter,
			.pCleanupFunc = files_leave,
			.pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
