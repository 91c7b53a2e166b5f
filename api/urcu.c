/* urcu.c -- flavors of liburcu: a heap's read sections and grace periods under liburcu's names
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Of liburcu this needs the layout of two structures, and no function. Left out of a build without it.
 *
 * The functions of a flavor have no argument, so there is a set of them for each of a few flavors, which are
 * bound to heaps. Callbacks wait in a queue per flavor, in memory of the process, for its worker: a thread
 * that takes all there is, waits for a grace period, and calls them. A fork child has an empty queue, other
 * than with liburcu: what is in it is the parent's to do, because it may free blocks of the heap, and those
 * are not copied.
 *
 * Lock order: forking -> binding -> a flavor's mutex -> tables_mutex -> table_lock_open() and all below.
 * Under table_lock_open() a flavor's mutex is only tried. */
#define _GNU_SOURCE
#include "api/read.h"
#include "api/table.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spanheap_urcu.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <urcu/call-rcu.h>
#include <urcu/flavor.h>

/* How long to wait for a slot, or for a thread, that is not to be had now. */
#define PATIENCE_US 10000

struct queue {
	struct cds_wfcq_node *first;
	struct cds_wfcq_node *last;
};

/* Process. */
struct flavor {
	_Atomic(struct sh_heap *) heap; /* NULL: not bound. Written under binding and mutex */
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	/* --- under mutex */
	struct queue waiting;
	uint64_t queued; /* ever */
	uint64_t done;   /* of these */
	pthread_t worker;
	bool has_worker;
	bool stop; /* the worker ends when nothing is queued */
};

/* Of who forks, or acts on liburcu's tables as a fork does. */
static pthread_mutex_t forking = PTHREAD_MUTEX_INITIALIZER;

/* Which flavor is which heap's. */
static pthread_mutex_t binding = PTHREAD_MUTEX_INITIALIZER;
static unsigned last_bound;

/* What liburcu's tables want to be told of forks: all have the same, and count. */
static pthread_mutex_t tables_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct urcu_atfork *tables;
static unsigned tables_count;

/* Those that were told of a fork that is under way. Under forking. */
static struct urcu_atfork *tables_told;

/* What does not return an error must not return. */
static _Noreturn void die(const char *function, const char *why)
{
	fprintf(stderr, "spanheap: %s of a flavor of liburcu: %s\n", function, why);
	abort();
}

static struct sh_heap *heap_of(const struct flavor *flavor, const char *function)
{
	struct sh_heap *heap = atomic_load_explicit(&flavor->heap, memory_order_relaxed);

	if (heap == NULL)
		die(function, "its heap is closed");
	return heap;
}

/* --- sections and grace periods ------------------------------------------------------------ */

static void begin_section(const struct flavor *flavor)
{
	int error = sh_read_lock(heap_of(flavor, "read_lock"));

	if (__builtin_expect(error != 0, 0))
		die("read_lock", sh_strerror(error));
}

static void end_section(const struct flavor *flavor)
{
	sh_read_unlock(heap_of(flavor, "read_unlock"));
}

static bool is_in_section(const struct flavor *flavor)
{
	const struct sh_heap *heap = atomic_load_explicit(&flavor->heap, memory_order_relaxed);

	return heap != NULL && read_is_reading(heap);
}

static void synchronize(const struct flavor *flavor)
{
	int error = sh_synchronize(heap_of(flavor, "synchronize_rcu"));

	if (error != 0)
		die("synchronize_rcu", sh_strerror(error));
}

/* liburcu's own threads also come when their table was destroyed and the heap closed. */
static void take_slot(const struct flavor *flavor)
{
	struct sh_heap *heap = atomic_load_explicit(&flavor->heap, memory_order_relaxed);
	int error = 0;

	if (heap != NULL && thread_here(heap, &error) == NULL)
		die("register_thread", sh_strerror(error));
}

static void do_nothing(void)
{
}

#ifdef SPANHEAP_URCU_POLL
/* liburcu 0.14 and later. */
static enum rcu_state poll_tag(struct sh_heap *heap, uint64_t tag)
{
	enum rcu_state state = rcu_poll(&heap->heap.rcu, &heap->heap.system, tag, NULL);

	if (state == RCU_FAILED)
		die("poll_state_synchronize_rcu", sh_strerror(SH_EBARRIER));
	return state;
}

static struct urcu_gp_poll_state start_poll(const struct flavor *flavor)
{
	struct sh_heap *heap = heap_of(flavor, "start_poll_synchronize_rcu");
	struct urcu_gp_poll_state state;

	if (heap->lost)
		die("start_poll_synchronize_rcu", sh_strerror(ECHILD));
	state.grace_period_id = rcu_tag(&heap->heap.rcu);
	poll_tag(heap, state.grace_period_id);
	return state;
}

static bool poll_state(const struct flavor *flavor, struct urcu_gp_poll_state state)
{
	struct sh_heap *heap = heap_of(flavor, "poll_state_synchronize_rcu");

	if (heap->lost)
		die("poll_state_synchronize_rcu", sh_strerror(ECHILD));
	return poll_tag(heap, state.grace_period_id) == RCU_OVER;
}
#endif

/* --- the queue ----------------------------------------------------------------------------- */

static void queue_append(struct queue *queue, struct cds_wfcq_node *node)
{
	node->next = NULL;
	if (queue->first == NULL)
		queue->first = node;
	else
		queue->last->next = node;
	queue->last = node;
}

static struct rcu_head *queue_take(struct queue *queue)
{
	struct cds_wfcq_node *node = queue->first;

	queue->first = node->next;
	return (struct rcu_head *)(void *)((char *)node - offsetof(struct rcu_head, next));
}

/* --- the worker ---------------------------------------------------------------------------- */

static void await_grace_period(struct flavor *flavor)
{
	struct sh_heap *heap = heap_of(flavor, "call_rcu");
	int error;

	while ((error = sh_synchronize(heap)) != 0) {
		if (error != SH_ESLOTS && error != ENOMEM)
			die("call_rcu", sh_strerror(error));
		usleep(PATIENCE_US);
	}
}

static void call_all(struct flavor *flavor, struct queue due)
{
	while (due.first != NULL) {
		struct rcu_head *head = queue_take(&due);

		head->func(head);
		pthread_mutex_lock(&flavor->mutex);
		flavor->done++;
		pthread_cond_broadcast(&flavor->changed);
		pthread_mutex_unlock(&flavor->mutex);
	}
}

/* Waits for something to do, and takes it all. False: there is nothing, and the worker ends. */
static bool take_waiting(struct flavor *flavor, struct queue *due)
{
	pthread_mutex_lock(&flavor->mutex);
	while (flavor->waiting.first == NULL && !flavor->stop)
		pthread_cond_wait(&flavor->changed, &flavor->mutex);
	*due = flavor->waiting;
	flavor->waiting.first = NULL;
	pthread_mutex_unlock(&flavor->mutex);
	return due->first != NULL;
}

static void *work(void *argument)
{
	struct flavor *flavor = argument;
	struct queue due;

	while (take_waiting(flavor, &due)) {
		await_grace_period(flavor);
		call_all(flavor, due);
	}
	return NULL;
}

/* Under the mutex. Without a thread to be had, the next one who comes tries again. */
static void start_worker(struct flavor *flavor)
{
	sigset_t all;
	sigset_t before;

	if (flavor->has_worker)
		return;
	/* Signals are for the application's threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	flavor->has_worker = pthread_create(&flavor->worker, NULL, work, flavor) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static bool is_worker(struct flavor *flavor)
{
	bool is;

	pthread_mutex_lock(&flavor->mutex);
	is = flavor->has_worker && pthread_equal(flavor->worker, pthread_self());
	pthread_mutex_unlock(&flavor->mutex);
	return is;
}

/* --- callbacks ----------------------------------------------------------------------------- */

static void call_later(struct flavor *flavor, struct rcu_head *head,
	void (*function)(struct rcu_head *head))
{
	heap_of(flavor, "call_rcu");
	head->func = function;
	pthread_mutex_lock(&flavor->mutex);
	queue_append(&flavor->waiting, &head->next);
	flavor->queued++;
	start_worker(flavor);
	pthread_cond_broadcast(&flavor->changed);
	pthread_mutex_unlock(&flavor->mutex);
}

struct deferred {
	struct rcu_head head; /* first */
	void (*function)(void *argument);
	void *argument;
};

static void call_deferred(struct rcu_head *head)
{
	struct deferred *deferred = (struct deferred *)(void *)head;

	deferred->function(deferred->argument);
	free(deferred);
}

static void defer(struct flavor *flavor, void (*function)(void *argument), void *argument)
{
	struct deferred *deferred = malloc(sizeof(*deferred));

	/* liburcu, too, may wait here, and forbids it in a section. */
	if (deferred == NULL) {
		synchronize(flavor);
		function(argument);
		return;
	}
	deferred->function = function;
	deferred->argument = argument;
	call_later(flavor, &deferred->head, call_deferred);
}

/* Waits until what is queued now is done. */
static void await_callbacks(struct flavor *flavor)
{
	uint64_t last;

	pthread_mutex_lock(&flavor->mutex);
	last = flavor->queued;
	while (flavor->done < last) {
		start_worker(flavor);
		if (flavor->has_worker) {
			pthread_cond_wait(&flavor->changed, &flavor->mutex);
			continue;
		}
		pthread_mutex_unlock(&flavor->mutex);
		usleep(PATIENCE_US);
		pthread_mutex_lock(&flavor->mutex);
	}
	pthread_mutex_unlock(&flavor->mutex);
}

static void barrier(struct flavor *flavor)
{
	heap_of(flavor, "barrier");
	if (is_in_section(flavor))
		die("barrier", "inside a read section");
	if (is_worker(flavor))
		die("barrier", "inside a callback");
	await_callbacks(flavor);
}

/* --- liburcu's tables, which have a thread of their own ------------------------------------- */

static void register_tables(struct urcu_atfork *atfork)
{
	pthread_mutex_lock(&tables_mutex);
	if (tables_count++ == 0)
		tables = atfork;
	pthread_mutex_unlock(&tables_mutex);
}

static void unregister_tables(struct urcu_atfork *atfork)
{
	(void)atfork;
	pthread_mutex_lock(&tables_mutex);
	if (--tables_count == 0)
		tables = NULL;
	pthread_mutex_unlock(&tables_mutex);
}

/* Stops their thread between two jobs. Under forking. */
static void tables_pause(void)
{
	pthread_mutex_lock(&tables_mutex);
	tables_told = tables;
	pthread_mutex_unlock(&tables_mutex);
	if (tables_told != NULL)
		tables_told->before_fork(tables_told->priv);
}

static void tables_go_on(void)
{
	if (tables_told != NULL)
		tables_told->after_fork_parent(tables_told->priv);
}

static void tables_go_on_in_child(void)
{
	if (tables_told != NULL)
		tables_told->after_fork_child(tables_told->priv);
}

/* Waits until their thread is done with all that it has been given: liburcu 0.14 and later destroy tables,
 * and end a resize, behind the user's back. A pause waits for the jobs that the thread has taken, so the
 * second one waits for those that it takes after the first. */
static void tables_settle(void)
{
	pthread_mutex_lock(&forking);
	for (unsigned i = 0; i < 2; i++) {
		tables_pause();
		tables_go_on();
	}
	pthread_mutex_unlock(&forking);
}

/* --- the flavors --------------------------------------------------------------------------- */

#define FLAVOR_INIT                                                                     \
	{                                                                               \
		.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER \
	}

static struct flavor flavors[SH_RCU_FLAVORS] = { FLAVOR_INIT, FLAVOR_INIT, FLAVOR_INIT, FLAVOR_INIT,
	FLAVOR_INIT, FLAVOR_INIT, FLAVOR_INIT, FLAVOR_INIT };

#ifdef SPANHEAP_URCU_POLL
#define POLL_FUNCTIONS(n)                                           \
	static struct urcu_gp_poll_state start_poll_##n(void)       \
	{                                                           \
		return start_poll(&flavors[n]);                     \
	}                                                           \
	static bool poll_state_##n(struct urcu_gp_poll_state state) \
	{                                                           \
		return poll_state(&flavors[n], state);              \
	}
#define POLL_MEMBERS(n)                                      \
	.update_start_poll_synchronize_rcu = start_poll_##n, \
	.update_poll_state_synchronize_rcu = poll_state_##n,
#else
#define POLL_FUNCTIONS(n)
#define POLL_MEMBERS(n)
#endif

#define FUNCTIONS(n)                                                                         \
	static void read_lock_##n(void)                                                      \
	{                                                                                    \
		begin_section(&flavors[n]);                                                  \
	}                                                                                    \
	static void read_unlock_##n(void)                                                    \
	{                                                                                    \
		end_section(&flavors[n]);                                                    \
	}                                                                                    \
	static int read_ongoing_##n(void)                                                    \
	{                                                                                    \
		return is_in_section(&flavors[n]);                                           \
	}                                                                                    \
	static void call_rcu_##n(struct rcu_head *head, void (*function)(struct rcu_head *)) \
	{                                                                                    \
		call_later(&flavors[n], head, function);                                     \
	}                                                                                    \
	static void synchronize_##n(void)                                                    \
	{                                                                                    \
		synchronize(&flavors[n]);                                                    \
	}                                                                                    \
	static void defer_##n(void (*function)(void *), void *argument)                      \
	{                                                                                    \
		defer(&flavors[n], function, argument);                                      \
	}                                                                                    \
	static void register_thread_##n(void)                                                \
	{                                                                                    \
		take_slot(&flavors[n]);                                                      \
	}                                                                                    \
	static void barrier_##n(void)                                                        \
	{                                                                                    \
		barrier(&flavors[n]);                                                        \
	}                                                                                    \
	POLL_FUNCTIONS(n)

FUNCTIONS(0)
FUNCTIONS(1)
FUNCTIONS(2)
FUNCTIONS(3)
FUNCTIONS(4)
FUNCTIONS(5)
FUNCTIONS(6)
FUNCTIONS(7)

/* `later`: NULL for whatever a later liburcu comes to look for behind the end. */
struct function_set {
	struct rcu_flavor_struct functions;
	void (*later[8])(void);
};

#define FUNCTION_SET(n)                                                   \
	{                                                                 \
		.functions = { .read_lock = read_lock_##n,                \
			.read_unlock = read_unlock_##n,                   \
			.read_ongoing = read_ongoing_##n,                 \
			.read_quiescent_state = do_nothing,               \
			.update_call_rcu = call_rcu_##n,                  \
			.update_synchronize_rcu = synchronize_##n,        \
			.update_defer_rcu = defer_##n,                    \
			.thread_offline = do_nothing,                     \
			.thread_online = do_nothing,                      \
			.register_thread = register_thread_##n,           \
			.unregister_thread = do_nothing,                  \
			.barrier = barrier_##n,                           \
			.register_rculfhash_atfork = register_tables,     \
			.unregister_rculfhash_atfork = unregister_tables, \
			POLL_MEMBERS(n) },                                \
	}

static const struct function_set function_sets[SH_RCU_FLAVORS] = { FUNCTION_SET(0), FUNCTION_SET(1),
	FUNCTION_SET(2), FUNCTION_SET(3), FUNCTION_SET(4), FUNCTION_SET(5), FUNCTION_SET(6),
	FUNCTION_SET(7) };

/* --- fork ---------------------------------------------------------------------------------- */

static void before_fork(void)
{
	pthread_mutex_lock(&forking);
	/* Before any lock that a reader may want, for whose section the tables' thread waits. */
	tables_pause();
	pthread_mutex_lock(&binding);
	for (unsigned i = 0; i < SH_RCU_FLAVORS; i++)
		pthread_mutex_lock(&flavors[i].mutex);
	pthread_mutex_lock(&tables_mutex);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&tables_mutex);
	for (unsigned i = 0; i < SH_RCU_FLAVORS; i++)
		pthread_mutex_unlock(&flavors[i].mutex);
	pthread_mutex_unlock(&binding);
}

static void in_parent(void)
{
	after_fork();
	tables_go_on();
	pthread_mutex_unlock(&forking);
}

static void forget_queue(struct flavor *flavor)
{
	pthread_cond_init(&flavor->changed, NULL);
	flavor->waiting.first = NULL;
	flavor->done = flavor->queued;
	flavor->has_worker = false;
	flavor->stop = false;
}

static void in_child(void)
{
	for (unsigned i = 0; i < SH_RCU_FLAVORS; i++)
		forget_queue(&flavors[i]);
	after_fork();
	tables_go_on_in_child();
	pthread_mutex_unlock(&forking);
}

/* Registered after those of fork.c: so they run before them before a fork, when the tables' thread needs
 * the heap to come to its pause, and after them in the child, whose tables' new thread wants the heap. */
static int atfork_error;

static void init_module(void)
{
	atfork_error = pthread_atfork(before_fork, in_parent, in_child);
}

/* --- closing ------------------------------------------------------------------------------- */

static struct flavor *find(const struct sh_heap *heap)
{
	for (unsigned i = 0; i < SH_RCU_FLAVORS; i++)
		if (atomic_load_explicit(&flavors[i].heap, memory_order_relaxed) == heap)
			return &flavors[i];
	return NULL;
}

/* The thread of the tables serves all heaps: it could wait for a section on another one. */
static bool is_in_any_section(void)
{
	for (unsigned i = 0; i < SH_RCU_FLAVORS; i++)
		if (is_in_section(&flavors[i]))
			return true;
	return false;
}

static void end_worker(struct flavor *flavor)
{
	bool has_worker;

	pthread_mutex_lock(&flavor->mutex);
	has_worker = flavor->has_worker;
	flavor->stop = true;
	pthread_cond_broadcast(&flavor->changed);
	pthread_mutex_unlock(&flavor->mutex);
	if (has_worker)
		pthread_join(flavor->worker, NULL);
	pthread_mutex_lock(&flavor->mutex);
	flavor->has_worker = false;
	flavor->stop = false;
	pthread_mutex_unlock(&flavor->mutex);
}

/* Does what is queued, and ends the worker. */
static int drain(struct sh_heap *heap)
{
	struct flavor *flavor = find(heap);

	if (flavor == NULL)
		return 0;
	if (is_worker(flavor) || is_in_any_section())
		return EBUSY;
	tables_settle();
	await_callbacks(flavor);
	end_worker(flavor);
	return 0;
}

/* Under table_lock_open(): one who forks may hold the mutex and wait for that. */
static bool release(struct sh_heap *heap)
{
	struct flavor *flavor = find(heap);
	bool idle;

	if (flavor == NULL || pthread_mutex_trylock(&flavor->mutex) != 0)
		return flavor == NULL;
	idle = !flavor->has_worker && flavor->done == flavor->queued;
	if (idle) {
		atomic_store_explicit(&heap->flavor, NULL, memory_order_relaxed);
		atomic_store_explicit(&flavor->heap, NULL, memory_order_relaxed);
	}
	pthread_mutex_unlock(&flavor->mutex);
	return idle;
}

static const struct flavor_calls calls = { .drain = drain, .release = release };

/* --- binding ------------------------------------------------------------------------------- */

/* The one that was free for longest, so that calls on the flavor of a closed heap are noticed. NULL: none is
 * free. */
static struct flavor *bind_heap(struct sh_heap *heap)
{
	for (unsigned i = 1; i <= SH_RCU_FLAVORS; i++) {
		struct flavor *flavor = &flavors[(last_bound + i) % SH_RCU_FLAVORS];

		if (atomic_load_explicit(&flavor->heap, memory_order_relaxed) != NULL)
			continue;
		last_bound = (unsigned)(flavor - flavors);
		pthread_mutex_lock(&flavor->mutex);
		atomic_store_explicit(&flavor->heap, heap, memory_order_relaxed);
		atomic_store_explicit(&heap->flavor, &calls, memory_order_relaxed);
		pthread_mutex_unlock(&flavor->mutex);
		return flavor;
	}
	return NULL;
}

/* The heap's, old or new; NULL: all are other heaps'. */
static struct flavor *find_or_bind(struct sh_heap *heap)
{
	struct flavor *flavor;

	pthread_mutex_lock(&binding);
	flavor = find(heap);
	if (flavor == NULL)
		flavor = bind_heap(heap);
	pthread_mutex_unlock(&binding);
	return flavor;
}

const struct rcu_flavor_struct *sh_rcu_flavor(struct sh_heap *heap)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct flavor *flavor = NULL;
	int error = handle_refuses(heap);

	pthread_once(&once, init_module);
	if (error == 0)
		error = atfork_error;
	if (error == 0) {
		flavor = find_or_bind(heap);
		error = EMFILE;
	}
	if (flavor != NULL)
		return &function_sets[flavor - flavors].functions;
	errno = error;
	return NULL;
}
