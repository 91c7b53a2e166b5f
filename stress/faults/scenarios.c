/* scenarios.c -- what is done while calls fail
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "heap/geometry.h"
#include "recovery/superblock.h"
#include "stress/faults/case.h"
#include "stress/faults/content.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef FAULTS_URCU
#include <spanheap_urcu.h>
#include <urcu/call-rcu.h>
#include <urcu/flavor.h>
#endif

#define MIB (UINT64_C(1) << 20)

static void sleep_ms(unsigned milliseconds)
{
	struct timespec pause = { 0, milliseconds * 1000000l };

	nanosleep(&pause, NULL);
}

/* --- neighbours ---------------------------------------------------------------------------- */

static void leave(struct sh_heap *heap)
{
	wait_for(STEP_LEAVE);
	content_work(heap, "the neighbour");
	must_close(heap, "the neighbour");
}

static void idle(void)
{
	struct sh_heap *heap = must_open(0, "the neighbour");

	reach(STEP_READY);
	leave(heap);
}

/* Others wait for its mutex, or for its section, for a while. */
static void hold_gate(void)
{
	struct sh_heap *heap = must_open(0, "the neighbour");
	struct sh_mutex *gate = &content_bank(heap)->gate;

	EXPECT(sh_mutex_lock(heap, gate) == 0);
	reach(STEP_READY);
	wait_for(STEP_ACTING);
	sleep_ms(8);
	EXPECT(sh_mutex_unlock(heap, gate) == 0);
	leave(heap);
}

static void keep_gate(void)
{
	struct sh_heap *heap = must_open(0, "the neighbour");
	struct sh_mutex *gate = &content_bank(heap)->gate;

	EXPECT(sh_mutex_lock(heap, gate) == 0);
	reach(STEP_READY);
	wait_for(STEP_LEAVE);
	EXPECT(sh_mutex_unlock(heap, gate) == 0);
	leave(heap);
}

static void hold_section(void)
{
	struct sh_heap *heap = must_open(0, "the neighbour");

	EXPECT(sh_read_lock(heap) == 0);
	reach(STEP_READY);
	wait_for(STEP_ACTING);
	sleep_ms(8);
	sh_read_unlock(heap);
	leave(heap);
}

/* Waits for the subject's mutex, or its section; a wake that is not made costs time only. */
static void want_gate(void)
{
	struct sh_heap *heap = must_open(0, "the neighbour");
	struct sh_mutex *gate = &content_bank(heap)->gate;

	reach(STEP_READY);
	wait_for(STEP_ACTING);
	EXPECT(sh_mutex_lock(heap, gate) == 0);
	EXPECT(sh_mutex_unlock(heap, gate) == 0);
	leave(heap);
}

static void want_grace_period(void)
{
	struct sh_heap *heap = must_open(0, "the neighbour");

	reach(STEP_READY);
	wait_for(STEP_ACTING);
	EXPECT(sh_synchronize(heap) == 0);
	leave(heap);
}

/* --- deaths -------------------------------------------------------------------------------- */

static void die_inside(void)
{
	content_begin_all(must_open(0, "the casualty"));
}

/* As if the machine had been started again since. */
static void change_boot(void)
{
	struct superblock superblock;
	struct control_header header;
	char control[440];
	struct stat status;
	int copies;
	int fd = open(heap_path, O_RDWR | O_CLOEXEC);
	char *base;

	EXPECT(fd >= 0 && fstat(fd, &status) == 0);
	base = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	EXPECT(superblock_read(base, (uint64_t)status.st_size, &superblock, &copies) == 0);
	memset(superblock.boot_id, 'x', 36);
	superblock_write(base, &superblock);
	snprintf(control, sizeof(control), "%s-shm", heap_path);
	fd = open(control, O_RDWR | O_CLOEXEC);
	EXPECT(pread(fd, &header, sizeof(header), 0) == (ssize_t)sizeof(header));
	memset(header.boot_id, 'x', 36);
	EXPECT(pwrite(fd, &header, sizeof(header), 0) == (ssize_t)sizeof(header));
}

/* --- before the fault ---------------------------------------------------------------------- */

/* 0, or the error. Touches the block: what is given out is backed. */
static int hold(struct subject *subject, size_t size)
{
	sh_off block = sh_alloc(subject->heap, size);
	char *bytes = sh_ptr(subject->heap, block);

	if (block == 0)
		return errno;
	bytes[0] = 1;
	bytes[size - 1] = 1;
	EXPECT(subject->held_count < HELD);
	subject->held[subject->held_count++] = block;
	atomic_fetch_add(&board->blocks, 1);
	return 0;
}

static void open_before(struct subject *subject)
{
	subject->heap = must_open(subject->scenario->flags, "before the fault");
}

/* The next pages that are taken make the heap grow. */
static void open_and_use_up(struct subject *subject)
{
	struct sh_stats stats = SH_STATS_INIT;

	open_before(subject);
	do {
		EXPECT(hold(subject, PAGE_BYTES * 3) == 0);
		EXPECT(sh_stats(subject->heap, &stats) == 0);
	} while (stats.free_bytes >= 8 * PAGE_BYTES);
}

static void open_and_lock(struct subject *subject)
{
	open_before(subject);
	EXPECT(sh_mutex_lock(subject->heap, &content_bank(subject->heap)->gate) == 0);
	EXPECT(sh_read_lock(subject->heap) == 0);
}

/* A child dies in everything that a process can be in. */
static void open_and_lose_child(struct subject *subject)
{
	pid_t child;

	open_before(subject);
	child = fork();
	if (child == 0) {
		content_begin_all(subject->heap);
		kill(getpid(), SIGKILL);
	}
	EXPECT(waitpid(child, NULL, 0) == child);
}

static void open_and_work(struct subject *subject)
{
	struct sh_txn *txn;

	open_before(subject);
	content_work(subject->heap, "before the fault");
	/* Leaves an idle slot. */
	EXPECT(sh_txn_begin(subject->heap, SH_DETACHED, &txn) == 0);
	EXPECT(sh_txn_alloc(txn, 1000, 0) != 0);
	sh_txn_abort(txn);
}

/* --- under faults: opening ----------------------------------------------------------------- */

static int open_here(struct subject *subject)
{
	return open_heap(subject->scenario->flags, &subject->heap);
}

static int open_torn(struct subject *subject)
{
	int error = open_here(subject);

	if (error == 0)
		bad("a heap of another boot is opened");
	return error;
}

/* The handle that the parent had is of no use; the child may open the heap anew. */
_Noreturn static void live_as_orphan(struct sh_heap *heap)
{
	EXPECT(sh_free(heap, 16) == ECHILD && sh_walk(heap, NULL, NULL) == ECHILD);
	EXPECT(sh_close(heap) == 0);
	heap = must_open(0, "the lost child");
	content_work(heap, "the lost child");
	must_close(heap, "the lost child");
	_exit(ECHILD);
}

_Noreturn static void live_as_child(struct sh_heap *heap)
{
	sh_off block = sh_alloc(heap, 100);
	int error = block != 0 ? 0 : errno;

	if (error == 0)
		error = sh_free(heap, block);
	fault_disarm();
	if (error == ECHILD)
		live_as_orphan(heap);
	/* Its first call takes a slot. */
	if (error != 0 && error != ENOMEM && error != ENOTSUP)
		bad("sh_alloc() in the child: %s", sh_strerror(error));
	content_work(heap, "the child");
	must_close(heap, "the child");
	_exit(0);
}

static int fork_here(struct subject *subject)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		live_as_child(subject->heap);
	EXPECT(waitpid(child, &status, 0) == child);
	if (WIFSIGNALED(status))
		bad("the child is ended by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != ECHILD)
		_exit(WEXITSTATUS(status));
	return WEXITSTATUS(status);
}

/* The first sh_open() of a process, and the first fork. */
static int open_and_fork(struct subject *subject)
{
	int error = open_here(subject);

	if (error == 0)
		fork_here(subject);
	return error;
}

/* --- under faults: space ------------------------------------------------------------------- */

static int grow_small(struct subject *subject)
{
	int error = 0;

	for (unsigned i = 0; error == 0 && i < 700; i++)
		error = hold(subject, 14000);
	return error;
}

static int grow_large(struct subject *subject)
{
	int error = hold(subject, 9 * MIB);

	return error != 0 ? error : hold(subject, 3 * MIB);
}

static int grow_run(struct subject *subject)
{
	size_t pages = 9 * MIB / PAGE_BYTES;
	sh_off run = sh_pages_alloc(subject->heap, pages, SH_ZERO);

	if (run == 0)
		return errno;
	subject->run = run;
	subject->run_pages = pages;
	atomic_store(&board->pages, pages);
	memset(sh_ptr(subject->heap, run), 1, 9 * MIB);
	return 0;
}

static int reserve_here(struct subject *subject)
{
	return sh_reserve(subject->heap, 14 * MIB);
}

/* Beyond the end of an arena: runs that continue in the next one. */
static int grow_arenas(struct subject *subject)
{
	return hold(subject, 3 * ARENA_BYTES);
}

static int resize_here(struct subject *subject)
{
	struct bank *bank = content_bank(subject->heap);
	unsigned last = CONTENT_BLOCKS - 1;

	if (sh_realloc_to(subject->heap, &bank->block[last], 7 * MIB) == 0)
		return errno;
	/* To shrink never fails. */
	EXPECT(sh_realloc_to(subject->heap, &bank->block[last], 80000) != 0);
	return 0;
}

/* --- under faults: transactions and mutexes ------------------------------------------------ */

static int record_words(struct sh_txn *txn, struct bank *bank)
{
	int error = 0;

	for (uint64_t i = 0; error == 0 && i < sizeof(bank->word) / sizeof(bank->word[0]); i++)
		error = sh_txn_store(txn, &bank->word[i], i + 1);
	if (error == 0)
		error = sh_txn_add(txn, &bank->left, 2 * sizeof(bank->left));
	if (error == 0) {
		bank->left += 11;
		bank->right -= 11;
	}
	return error;
}

/* Longer than the slot's own log, and than what is searched without an index. */
static int commit_long(struct subject *subject)
{
	struct bank *bank = content_bank(subject->heap);
	struct sh_txn *txn;
	int error = sh_mutex_lock(subject->heap, &bank->mutex);

	EXPECT(error == 0);
	error = sh_txn_begin(subject->heap, 0, &txn);
	if (error == 0) {
		error = record_words(txn, bank);
		if (error == 0)
			error = sh_txn_commit(txn);
		else
			sh_txn_abort(txn);
	}
	EXPECT(sh_mutex_unlock(subject->heap, &bank->mutex) == 0);
	return error;
}

static int use_detached(struct subject *subject)
{
	struct sh_reader *reader;
	struct sh_txn *txn;
	int error = sh_txn_begin(subject->heap, SH_DETACHED, &txn);

	if (error != 0)
		return error;
	if (sh_txn_alloc(txn, 1000, 0) == 0)
		error = errno;
	sh_txn_abort(txn);
	if (error == 0)
		error = sh_reader_open(subject->heap, &reader);
	if (error != 0)
		return error;
	sh_reader_lock(reader);
	sh_reader_unlock(reader);
	sh_reader_close(reader);
	return 0;
}

static int lock_gate(struct subject *subject)
{
	struct sh_mutex *gate = &content_bank(subject->heap)->gate;
	int error = sh_mutex_lock(subject->heap, gate);

	if (error == 0)
		EXPECT(sh_mutex_unlock(subject->heap, gate) == 0);
	return error;
}

static int lock_gate_in_time(struct subject *subject)
{
	return sh_mutex_timedlock(subject->heap, &content_bank(subject->heap)->gate, 8000000);
}

static int unlock_gate(struct subject *subject)
{
	/* The neighbour waits by then. */
	sleep_ms(8);
	sh_read_unlock(subject->heap);
	return sh_mutex_unlock(subject->heap, &content_bank(subject->heap)->gate);
}

/* What the dead began is undone when the mutex comes. */
static int lock_after_death(struct subject *subject)
{
	struct bank *bank = content_bank(subject->heap);
	int error = sh_mutex_lock(subject->heap, &bank->mutex);

	if (error == SH_EOWNERDIED) {
		EXPECT(bank->left + bank->right == 0);
		EXPECT(bank->word[0] == 0 && bank->word[4095] == 4095);
		EXPECT(sh_mutex_unlock(subject->heap, &bank->mutex) == 0);
	}
	return error;
}

/* --- under faults: readers and the dead ----------------------------------------------------- */

static int synchronize(struct subject *subject)
{
	return sh_synchronize(subject->heap);
}

static int reap(struct subject *subject)
{
	return sh_reap(subject->heap, NULL);
}

static void open_and_hold(struct subject *subject)
{
	open_before(subject);
	EXPECT(grow_small(subject) == 0);
}

/* Deferred frees of more than waits for one grace period, beside a reader. */
static int defer(struct subject *subject)
{
	while (subject->held_count > 0) {
		int error = sh_free_deferred(subject->heap, subject->held[subject->held_count - 1]);

		if (error != 0)
			return error;
		subject->held_count--;
		atomic_fetch_sub(&board->blocks, 1);
	}
	return hold(subject, 5000);
}

static void *call_first(void *argument)
{
	struct subject *subject = argument;
	static int error;

	error = hold(subject, 1000);
	return &error;
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
	void *(*body)(void *), void *argument);

/* A thread's first call on the heap, and its end. */
static int use_thread(struct subject *subject)
{
	pthread_t thread;
	void *error;

	EXPECT(__real_pthread_create(&thread, NULL, call_first, subject) == 0);
	EXPECT(pthread_join(thread, &error) == 0);
	return *(int *)error;
}

static int any_block(const struct sh_block *block, void *unused)
{
	(void)block;
	(void)unused;
	return 0;
}

static int any_run(const struct sh_pages *pages, void *unused)
{
	(void)pages;
	(void)unused;
	return 0;
}

static int look(struct subject *subject)
{
	struct sh_stats stats = SH_STATS_INIT;
	uint64_t problems = 0;
	int error = sh_stats(subject->heap, &stats);

	if (error == 0)
		error = sh_check(subject->heap, 0, NULL, NULL, &problems);
	EXPECT(problems == 0);
	if (error == 0)
		error = sh_walk(subject->heap, any_block, NULL);
	return error != 0 ? error : sh_pages_walk(subject->heap, any_run, NULL);
}

/* --- under faults: closing ------------------------------------------------------------------ */

static int close_here(struct subject *subject)
{
	int error = sh_close(subject->heap);

	if (error != EBUSY)
		subject->heap = NULL;
	return error;
}

#ifdef FAULTS_URCU
static _Atomic unsigned called;

static void on_call(struct rcu_head *head)
{
	(void)head;
	atomic_fetch_add(&called, 1);
}

static void on_deferred(void *argument)
{
	(void)argument;
	atomic_fetch_add(&called, 1);
}

static int queue_callbacks(struct subject *subject, const struct rcu_flavor_struct **flavor)
{
	static struct rcu_head heads[2];

	*flavor = sh_rcu_flavor(subject->heap);
	if (*flavor == NULL)
		return errno;
	(*flavor)->update_call_rcu(&heads[0], on_call);
	(*flavor)->update_defer_rcu(on_deferred, NULL);
	(*flavor)->update_call_rcu(&heads[1], on_call);
	return 0;
}

static int call_back(struct subject *subject)
{
	const struct rcu_flavor_struct *flavor;
	int error = queue_callbacks(subject, &flavor);

	if (error != 0)
		return error;
	flavor->barrier();
	EXPECT(atomic_load(&called) == 3);
	flavor->update_synchronize_rcu();
	return 0;
}

static int close_with_callbacks(struct subject *subject)
{
	const struct rcu_flavor_struct *flavor;
	int error = queue_callbacks(subject, &flavor);

	if (error == 0)
		error = close_here(subject);
	if (error == 0)
		EXPECT(atomic_load(&called) == 3);
	return error;
}
#endif

/* --- the table ------------------------------------------------------------------------------ */

/* What the comments in spanheap.h name. Of sh_open() only what can be the case here: a sound heap is no
 * SH_EBADHEAP, whatever fails. */
static const int of_open[] = { SH_EBARRIER, 0 };
static const int of_torn[] = { 0 };
static const int of_fork[] = { ECHILD, 0 };
static const int of_alloc[] = { ENOMEM, ENOSPC, EAGAIN, 0 };
static const int of_reserve[] = { ENOMEM, ENOSPC, SH_ESLOTS, 0 };
static const int of_transaction[] = { ENOMEM, ENOSPC, SH_ESLOTS, EAGAIN, 0 };
static const int of_mutex[] = { SH_ESLOTS, 0 };
static const int of_unlock[] = { 0 };
static const int of_synchronize[] = { SH_EBARRIER, SH_ESLOTS, ENOMEM, 0 };
static const int of_reap[] = { SH_ESLOTS, 0 };
static const int of_deferred[] = { SH_ESLOTS, ENOMEM, ENOSPC, EAGAIN, 0 };
static const int of_looking[] = { ENOMEM, SH_ESLOTS, 0 };
static const int of_close[] = { EBUSY, EIO, ENOMEM, ENOTSUP, 0 };
#ifdef FAULTS_URCU
static const int of_flavor[] = { ENOMEM, EMFILE, 0 };
static const int of_close_flavor[] = { EBUSY, EIO, ENOMEM, ENOTSUP, EMFILE, 0 };
#endif

#define OPENS .opens = true, .documented = of_open, .passes_on = true, .act = open_here
#define CREATES OPENS, .is_new = true, .flags = SH_CREATE | SH_EXCL

const struct scenario scenarios[] = {
	{ .name = "create", CREATES },
	{ .name = "create-named", CREATES, .names_all = true },
	{ .name = "create-control-dir", CREATES, .in_control_folder = true },
	{ .name = "open-clean", OPENS },
	{ .name = "open-killed", OPENS, .casualty = die_inside },
	{ .name = "open-killed-salvage", OPENS, .casualty = die_inside, .flags = SH_SALVAGE },
	{ .name = "open-clean-full", OPENS, .is_full = true },
	{ .name = "open-killed-full", OPENS, .casualty = die_inside, .is_full = true },
	{ .name = "open-killed-control-dir",
		OPENS,
		.casualty = die_inside,
		.in_control_folder = true,
		.forgets_folder = true },
	{ .name = "open-other-boot",
		.documented = of_torn,
		.passes_on = true,
		.is_torn = true,
		.expected = SH_ETORN,
		.act = open_torn,
		.casualty = die_inside,
		.change = change_boot },
	{ .name = "open-spares", OPENS, .has_spares = true },
	{ .name = "open-beside", OPENS, .neighbour = idle },
	{ .name = "open-beside-control-dir",
		OPENS,
		.neighbour = idle,
		.in_control_folder = true,
		.forgets_folder = true },
	{ .name = "open-beside-dead", OPENS, .neighbour = idle, .casualty = die_inside },
	{ .name = "open-unpinned", OPENS, .pins_nothing = true },
	{ .name = "open-fork",
		.opens = true,
		.documented = of_open,
		.passes_on = true,
		.act = open_and_fork },
	{ .name = "open-readonly", OPENS, .flags = SH_RDONLY },
	{ .name = "open-readonly-beside", OPENS, .flags = SH_RDONLY, .neighbour = idle },
	{ .name = "fork", .documented = of_fork, .before = open_before, .act = fork_here },
	{ .name = "fork-spares",
		.documented = of_fork,
		.before = open_before,
		.act = fork_here,
		.has_spares = true },
	{ .name = "fork-unpinned",
		.documented = of_fork,
		.before = open_before,
		.act = fork_here,
		.pins_nothing = true },
	{ .name = "thread",
		.grows = true,
		.documented = of_alloc,
		.passes_on = true,
		.before = open_before,
		.act = use_thread },
	{ .name = "detached",
		.documented = of_transaction,
		.before = open_before,
		.act = use_detached },
	{ .name = "grow-small",
		.grows = true,
		.documented = of_alloc,
		.passes_on = true,
		.before = open_before,
		.act = grow_small },
	{ .name = "grow-large",
		.grows = true,
		.documented = of_alloc,
		.passes_on = true,
		.before = open_before,
		.act = grow_large },
	{ .name = "grow-pages",
		.grows = true,
		.documented = of_alloc,
		.passes_on = true,
		.before = open_before,
		.act = grow_run },
	{ .name = "grow-arenas",
		.grows = true,
		.documented = of_alloc,
		.passes_on = true,
		.before = open_before,
		.act = grow_arenas },
	{ .name = "reserve",
		.grows = true,
		.documented = of_reserve,
		.passes_on = true,
		.before = open_before,
		.act = reserve_here },
	{ .name = "realloc",
		.grows = true,
		.documented = of_alloc,
		.passes_on = true,
		.before = open_before,
		.act = resize_here },
	{ .name = "commit-long",
		.grows = true,
		.documented = of_transaction,
		.passes_on = true,
		.before = open_and_use_up,
		.act = commit_long },
	{ .name = "mutex",
		.documented = of_mutex,
		.before = open_before,
		.act = lock_gate,
		.neighbour = hold_gate },
	{ .name = "mutex-timed",
		.documented = of_mutex,
		.expected = ETIMEDOUT,
		.before = open_before,
		.act = lock_gate_in_time,
		.neighbour = keep_gate },
	{ .name = "mutex-unlock",
		.documented = of_unlock,
		.before = open_and_lock,
		.act = unlock_gate,
		.neighbour = want_gate },
	{ .name = "section-end",
		.documented = of_unlock,
		.before = open_and_lock,
		.act = unlock_gate,
		.neighbour = want_grace_period },
	{ .name = "mutex-dead",
		.documented = of_mutex,
		.expected = SH_EOWNERDIED,
		.before = open_and_lose_child,
		.act = lock_after_death },
	{ .name = "synchronize",
		.documented = of_synchronize,
		.before = open_before,
		.act = synchronize,
		.neighbour = hold_section },
	{ .name = "synchronize-dead",
		.documented = of_synchronize,
		.before = open_and_lose_child,
		.act = synchronize },
	{ .name = "synchronize-readonly",
		.documented = of_synchronize,
		.flags = SH_RDONLY,
		.before = open_before,
		.act = synchronize,
		.neighbour = hold_section },
	{ .name = "deferred",
		.grows = true,
		.documented = of_deferred,
		.passes_on = true,
		.before = open_and_hold,
		.act = defer,
		.neighbour = hold_section },
	{ .name = "reap", .documented = of_reap, .before = open_and_lose_child, .act = reap },
	{ .name = "look",
		.documented = of_looking,
		.passes_on = true,
		.before = open_before,
		.act = look },
	{ .name = "look-readonly",
		.documented = of_looking,
		.passes_on = true,
		.flags = SH_RDONLY,
		.before = open_before,
		.act = look,
		.neighbour = idle },
	{ .name = "close",
		.documented = of_close,
		.passes_on = true,
		.closes = true,
		.before = open_and_work,
		.act = close_here },
	{ .name = "close-unpinned",
		.documented = of_close,
		.passes_on = true,
		.closes = true,
		.before = open_and_work,
		.act = close_here,
		.pins_nothing = true },
	{ .name = "close-beside",
		.documented = of_close,
		.passes_on = true,
		.closes = true,
		.before = open_and_work,
		.act = close_here,
		.neighbour = idle },
#ifdef FAULTS_URCU
	{ .name = "callbacks",
		.documented = of_flavor,
		.may_abort = true,
		.before = open_before,
		.act = call_back,
		.neighbour = hold_section },
	{ .name = "close-callbacks",
		.documented = of_close_flavor,
		.passes_on = true,
		.closes = true,
		.may_abort = true,
		.before = open_before,
		.act = close_with_callbacks,
		.neighbour = hold_section },
#else
	{ .name = "callbacks" },
	{ .name = "close-callbacks" },
#endif
};

const unsigned scenario_count = sizeof(scenarios) / sizeof(scenarios[0]);

const char *scenario_lacks(const struct scenario *scenario)
{
	if (scenario->act == NULL)
		return "built without liburcu";
	if (scenario->act == grow_arenas && ARENA_BYTES > 64 * MIB)
		return "wants the small geometry: cmake --preset small";
	return NULL;
}
