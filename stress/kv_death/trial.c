/* trial.c -- processes that die in a call, and who looks afterwards
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Each death begins from the same file: closed, so it may be put back. Its content as a whole is a hash of what cursors
 * show of all tables; it must be as before the call or as afterwards. */
#define _GNU_SOURCE
#include "stress/kv_death/trial.h"

#include "stress/common/expect.h"
#include "stress/common/heap_files.h"
#include "stress/common/stepper.h"
#include "stress/kv_death/content.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEAP_BYTES_MAX (UINT64_C(1) << 30)
#define LIMIT_SECONDS 20u
#define STATUS_RETURNED 0

static char path[256];

void trial_folder(const char *folder)
{
	snprintf(path, sizeof(path), "%s/kv_death.%d.heap", folder, (int)getpid());
}

static struct kv *open_store(void)
{
	struct sh_options options = SH_OPTIONS_INIT;
	struct kv *store;
	int error;

	options.max_size = HEAP_BYTES_MAX;
	error = kv_open(path, KV_CREATE, &options, &store);
	if (error != 0)
		fail(__FILE__, __LINE__, "kv_open: %s", kv_strerror(error));
	return store;
}

/* Each key of the first table is put again, so each leaf is locked, and others come and go. */
static void work_on(struct kv *store)
{
	struct kv_table *table = calls_table(store);
	struct kv_bytes key, value;
	struct kv_cursor *cursor;

	EXPECT_EQUAL(kv_cursor_open(table, &cursor), 0);
	for (int error = kv_cursor_first(cursor, &key, &value); error == 0;
		error = kv_cursor_next(cursor, &key, &value))
		EXPECT_EQUAL(kv_put(table, key, value, 0), 0);
	kv_cursor_close(cursor);
	for (unsigned i = 0; i < 100; i++) {
		struct kv_bytes extra = { &i, sizeof(i) };

		EXPECT_EQUAL(kv_put(table, extra, extra, KV_INSERT), 0);
	}
	for (unsigned i = 0; i < 100; i++)
		EXPECT_EQUAL(kv_delete(table, (struct kv_bytes){ &i, sizeof(i) }), 0);
}

/* --- processes ----------------------------------------------------------------------------- */

/* Runs act(argument) in a process of its own; its wait status. */
static int in_process(void (*act)(void *argument), void *argument)
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	EXPECT(pid >= 0);
	if (pid == 0) {
		alarm(LIMIT_SECONDS);
		act(argument);
		fflush(stdout);
		_exit(STATUS_RETURNED);
	}
	EXPECT(waitpid(pid, &status, 0) == pid);
	return status;
}

/* A death that is to be. Process; what others learn of it is in shared memory. */
struct death {
	const struct call *call;
	enum survivor survivor;
	struct kv *store; /* SURVIVOR_IDLE: opened by the parent */
	uint64_t kill_at; /* 0: none */
	uint64_t wanted[2];
	struct shared {
		uint64_t stores;
		uint64_t hash;
		uint64_t found[2];
	} * shared;
};

static void act(void *argument)
{
	struct death *death = argument;

	death->call->act(death->store);
}

/* The victim: its thread is known to the heap, and the table to it, before it is stepped. */
static void be_victim(void *argument)
{
	struct death *death = argument;
	struct step_area area = { .kill_at = death->kill_at };
	struct kv_bytes value;
	struct stat status;

	if (death->store == NULL)
		death->store = open_store();
	EXPECT_EQUAL(kv_read_begin(death->store), 0);
	kv_get(calls_table(death->store), (struct kv_bytes){ "", 0 }, &value);
	kv_read_end(death->store);
	EXPECT_EQUAL(stat(path, &status), 0);
	area.memory = sh_base(kv_heap(death->store));
	area.bytes = (uint64_t)status.st_size;
	death->shared->stores = stepper_run(&area, act, death, NULL, 0);
}

static void judge(struct death *death, struct kv *store)
{
	uint64_t hash = content_shown(store);

	if (hash != death->wanted[0] && hash != death->wanted[1])
		fail(__FILE__, __LINE__, "neither as before the call nor as afterwards");
	content_expect_good(store);
	work_on(store);
	EXPECT(content_shown(store) == hash);
	content_expect_good(store);
	EXPECT_EQUAL(kv_close(store), 0);
	death->shared->found[hash == death->wanted[1]]++;
}

static void expect_killed(int status)
{
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		fail(__FILE__, __LINE__, "the victim was not killed: status %#x", (unsigned)status);
}

/* Who was there before: reaps, and looks. */
static void survive(void *argument)
{
	struct death *death = argument;

	death->store = open_store();
	calls_table(death->store);
	expect_killed(in_process(be_victim, death));
	EXPECT_EQUAL(sh_reap(kv_heap(death->store), NULL), 0);
	judge(death, death->store);
}

static void recover(void *argument)
{
	judge(argument, open_store());
}

/* --- all deaths of a call ------------------------------------------------------------------ */

static void begin(void *argument)
{
	const struct death *death = argument;
	struct kv *store = open_store();

	calls_table(store);
	death->call->begin(store);
	death->shared->hash = content_shown(store);
	EXPECT_EQUAL(kv_close(store), 0);
}

/* The call to its end, by who the victims will be. */
static void complete(void *argument)
{
	struct death *death = argument;

	if (death->survivor == SURVIVOR_IDLE) {
		death->store = open_store();
		calls_table(death->store);
		EXPECT_EQUAL(in_process(be_victim, death), 0);
	} else {
		be_victim(death);
	}
	death->shared->hash = content_shown(death->store);
	content_expect_good(death->store);
	EXPECT_EQUAL(kv_close(death->store), 0);
}

/* Whether all was as it must be. */
static bool die(struct death *death)
{
	if (death->survivor == SURVIVOR_IDLE)
		return in_process(survive, death) == 0;
	expect_killed(in_process(be_victim, death));
	return in_process(recover, death) == 0;
}

static void die_behind(struct death *death, const struct content *content, uint64_t store,
	struct outcome *outcome)
{
	death->kill_at = store;
	content_put_back(content, path);
	outcome->deaths++;
	if (die(death))
		return;
	outcome->bad++;
	printf("    to repeat: kv_death --call \"%s\" --survivor %s --store %llu\n",
		death->call->name, death->survivor == SURVIVOR_NONE ? "none" : "idle",
		(unsigned long long)store);
}

static struct shared *share(void)
{
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	EXPECT(shared != MAP_FAILED);
	return shared;
}

/* The file before the call, and what stores show before and afterwards. */
static struct content prepare(struct death *death, struct outcome *outcome)
{
	struct content content;

	heap_files_remove(path);
	EXPECT_EQUAL(in_process(begin, death), 0);
	death->wanted[0] = death->shared->hash;
	content = content_read(path);
	EXPECT_EQUAL(in_process(complete, death), 0);
	death->wanted[1] = death->shared->hash;
	outcome->stores = death->shared->stores;
	return content;
}

struct outcome trial_run(const struct call *call, enum survivor survivor, uint64_t limit,
	uint64_t only)
{
	struct death death = { .call = call, .survivor = survivor, .shared = share() };
	struct outcome outcome = { .stores = 0 };
	struct content content = prepare(&death, &outcome);
	uint64_t deaths = outcome.stores < limit ? outcome.stores : limit;

	if (only != 0)
		die_behind(&death, &content, only, &outcome);
	for (uint64_t i = 1; only == 0 && i <= deaths; i++)
		die_behind(&death, &content, i * outcome.stores / deaths, &outcome);
	outcome.before = death.shared->found[0];
	outcome.after = death.shared->found[1];
	content_free(&content);
	munmap(death.shared, sizeof(*death.shared));
	heap_files_remove(path);
	return outcome;
}
