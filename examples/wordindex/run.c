/* run.c -- the whole story: create, build under fire, kill everything, open, finish, look
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * This process is not attached while workers are being killed: the supervisor is, and it is
 * killed together with them, so that the heap loses all its processes at one moment (P2). */
#include "run.h"

#include "index.h"
#include "listing.h"
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECOND_NS UINT64_C(1000000000)

/* What must have been seen before the killing ends, and how long it lasts at least. */
enum {
	GOAL_DEATHS_INSIDE = 20,
	GOAL_ROLLED_BACK = 5,
	GOAL_ROLLED_FORWARD = 5,
	KILLING_MIN_SECONDS = 5,
	SILENCE_MAX_SECONDS = 30,
	TOP_ROWS = 20,
};

static void heap_create(const struct job *job)
{
	struct sh_heap *heap;

	must(sh_open(job->heap_path, SH_CREATE | SH_EXCL, NULL, &heap), job->heap_path);
	index_create(heap);
	must(sh_close(heap), "sh_close");
}

/* A worker without words would make passes without end, and its deaths would prove nothing. */
static void texts_show(const struct texts *texts)
{
	uint64_t words = 0;
	size_t bytes = 0;

	for (size_t i = 0; i < texts->count; i++)
		bytes += texts->text[i].length;
	for (unsigned i = 0; i < WORKER_COUNT; i++) {
		struct text_share share = { .index = i, .count = WORKER_COUNT };
		uint64_t share_words = texts_count_words(texts, share);
		if (share_words == 0)
			fail("no words for worker %u: give texts with words in more lines", i);
		words += share_words;
	}
	printf("  Texts: %zu; bytes: %zu; words: %" PRIu64 ".\n", texts->count, bytes, words);
}

static bool goal_reached(const struct tally *tally)
{
	return tally->deaths_inside >= GOAL_DEATHS_INSIDE &&
		tally->found.rolled_back >= GOAL_ROLLED_BACK &&
		tally->found.rolled_forward >= GOAL_ROLLED_FORWARD;
}

static void tally_show_head(void)
{
	printf("  %7s %7s %7s %12s %14s %11s %7s\n", "seconds", "killed", "inside", "rolled back",
		"rolled forward", "words done", "pass");
}

static void tally_show(const struct tally *tally, uint64_t elapsed_ns)
{
	printf("  %7" PRIu64 " %7" PRIu64 " %7" PRIu64, elapsed_ns / SECOND_NS, tally->kills,
		tally->deaths_inside);
	printf(" %12" PRIu64 " %14" PRIu64, tally->found.rolled_back, tally->found.rolled_forward);
	printf(" %11" PRIu64 " %7" PRIu64 "\n", tally->steps, tally->passes);
	fflush(stdout);
}

/* The next tally. Without one for long, a survivor hangs: the one thing that must not happen. */
static void tally_read(int fd, struct tally *tally)
{
	struct pollfd readable = { .fd = fd, .events = POLLIN };
	int count = poll(&readable, 1, SILENCE_MAX_SECONDS * 1000);

	if (count < 0)
		fail("poll: %s", strerror(errno));
	if (count == 0)
		fail("the supervisor has been silent for %d s: it hangs", SILENCE_MAX_SECONDS);
	if (read(fd, tally, sizeof(*tally)) != sizeof(*tally))
		fail("the supervisor ended by itself; its message stands above");
}

static void killing_watch(int fd, uint64_t limit_seconds, struct tally *tally)
{
	uint64_t start = now_ns();
	uint64_t shown = start;

	tally_show_head();
	for (;;) {
		tally_read(fd, tally);
		uint64_t now = now_ns();
		bool late = now - start >= limit_seconds * SECOND_NS;
		bool enough = goal_reached(tally) &&
			(late || now - start >= KILLING_MIN_SECONDS * SECOND_NS);
		if (enough || late || now - shown >= SECOND_NS) {
			tally_show(tally, now - start);
			shown = now;
		}
		if (enough)
			return;
		if (late)
			fail("%" PRIu64 " s are over; needed: %d deaths inside, %d transactions "
			     "rolled back, %d rolled forward",
				limit_seconds, GOAL_DEATHS_INSIDE, GOAL_ROLLED_BACK,
				GOAL_ROLLED_FORWARD);
	}
}

/* Kills the supervisor and all workers by one signal, and waits until the last is gone. */
static void everybody_kill(pid_t supervisor)
{
	int status;

	kill(-supervisor, SIGKILL);
	if (waitpid(supervisor, &status, 0) < 0)
		fail("waitpid: %s", strerror(errno));
	process_expect_end(status, SIGKILL, "the supervisor");
	while (waitpid(-1, &status, 0) > 0)
		process_expect_end(status, SIGKILL, "a worker");
}

static void tally_explain(const struct tally *tally)
{
	const struct sh_reap_report *found = &tally->found;

	printf("  Workers killed: %" PRIu64
	       ". Each was replaced by one that went on where it stood.\n",
		tally->kills);
	printf("  Deaths inside a transaction or an allocation, proved by the reports of those\n"
	       "  who cleaned up: %" PRIu64 ".\n",
		tally->deaths_inside);
	printf("  Given back for the dead: %" PRIu64 " blocks, %" PRIu64 " pages.\n",
		found->blocks_freed, found->pages_returned);
	printf("  Page operations of the dead: %" PRIu64 " finished, %" PRIu64 " undone.\n",
		found->operations_finished, found->operations_undone);
	printf("  Mutexes that passed from a dead worker to a live one: %" PRIu64 ".\n",
		tally->locks_inherited);
}

static void build_under_fire(const struct job *job, uint64_t seed, uint64_t limit_seconds)
{
	struct tally tally = { 0 };
	int fds[2];

	/* The supervisor's workers become children of this process when it dies. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
		fail("prctl(PR_SET_CHILD_SUBREAPER): %s", strerror(errno));
	pipe_open(fds);
	pid_t supervisor = process_start(job, "supervise", seed, 0, fds[1], true);
	close(fds[1]);
	killing_watch(fds[0], limit_seconds, &tally);
	everybody_kill(supervisor);
	close(fds[0]);
	tally_explain(&tally);
}

static void recovery_show(struct sh_heap *heap, uint64_t open_ns)
{
	struct sh_reap_report report;
	uint64_t recovery_ns;

	must(sh_recovery_report(heap, &report, &recovery_ns), "sh_recovery_report");
	printf("  sh_open() took %.2f ms, %.2f ms of it for recovery.\n", (double)open_ns / 1e6,
		(double)recovery_ns / 1e6);
	printf("  Found dead: %" PRIu64 " processes. Transactions: %" PRIu64
	       " rolled back, %" PRIu64 " rolled forward.\n",
		report.processes, report.rolled_back, report.rolled_forward);
}

static uint64_t steps_done(const struct index *index)
{
	uint64_t steps = 0;

	for (unsigned i = 0; i < WORKER_COUNT; i++)
		steps += ((const volatile struct progress *)&index->root->progress[i])->steps;
	return steps;
}

/* Every worker does as many passes as the foremost one began, so that the index holds each text
 * equally often. */
static uint64_t passes_needed(const struct index *index)
{
	uint64_t passes = 0;

	for (unsigned i = 0; i < WORKER_COUNT; i++)
		if (index->root->progress[i].pass + 1 > passes)
			passes = index->root->progress[i].pass + 1;
	return passes;
}

static void workers_start(const struct job *job, uint64_t passes)
{
	int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (null_fd < 0)
		fail("/dev/null: %s", strerror(errno));
	for (unsigned i = 0; i < WORKER_COUNT; i++)
		process_start(job, "work", i, passes, null_fd, false);
	close(null_fd);
}

/* However slow the machine is, somebody must move. */
static void workers_await(const struct index *index)
{
	uint64_t moved_ns = now_ns();
	uint64_t steps = steps_done(index);

	for (unsigned ended = 0; ended < WORKER_COUNT;) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);
		if (pid < 0)
			fail("waitpid: %s", strerror(errno));
		if (pid > 0) {
			process_expect_end(status, 0, "a worker");
			ended++;
			continue;
		}
		sleep_us(1000);
		if (steps_done(index) != steps) {
			steps = steps_done(index);
			moved_ns = now_ns();
		}
		if (now_ns() - moved_ns > SILENCE_MAX_SECONDS * SECOND_NS)
			fail("no worker has moved for %d s: they hang", SILENCE_MAX_SECONDS);
	}
}

static void finish(const struct job *job, struct index *index)
{
	uint64_t passes = passes_needed(index);
	uint64_t steps = steps_done(index);

	workers_start(job, passes);
	workers_await(index);
	index_finish(index, passes);
	printf("  Words done before: %" PRIu64 "; after: %" PRIu64 ", which makes %" PRIu64
	       " passes.\n",
		steps, steps_done(index) - steps, passes);
}

static uint64_t disk_bytes(const char *path)
{
	enum { STAT_BLOCK_BYTES = 512 };
	struct stat status;

	if (stat(path, &status) != 0)
		fail("%s: %s", path, strerror(errno));
	return (uint64_t)status.st_blocks * STAT_BLOCK_BYTES;
}

/* Each block was allocated by a transaction that also linked it, so none may be out of reach. */
static void blocks_compare(struct index *index)
{
	uint64_t reachable = count_index_blocks(index);
	struct heap_use use = count_heap_blocks(index->heap);

	printf("  Live blocks: %" PRIu64 ", with %" PRIu64 " usable bytes.\n", use.blocks,
		use.bytes);
	if (use.blocks != reachable)
		fail("%" PRIu64 " blocks are live, but the index consists of %" PRIu64, use.blocks,
			reachable);
	printf("  The index consists of exactly these blocks: nothing leaked.\n");
}

void run(const struct job *job, uint64_t seed, uint64_t limit_seconds)
{
	struct texts texts;
	struct sh_heap *heap;
	struct index index;

	printf("\nThe texts\n");
	texts_map(&texts, job->text_names, job->text_count);
	texts_show(&texts);

	printf("\nFour workers index them, one transaction per word; SIGKILL at random moments\n");
	printf("  (seed %" PRIu64 "; when the texts are done, another pass begins)\n", seed);
	fflush(stdout);
	heap_create(job);
	build_under_fire(job, seed, limit_seconds);

	printf("\nAll workers and the supervisor are killed at once; the heap is opened again\n");
	uint64_t start = now_ns();
	must(sh_open(job->heap_path, 0, NULL, &heap), job->heap_path);
	recovery_show(heap, now_ns() - start);

	printf("\nFresh workers finish the work\n");
	fflush(stdout);
	index_attach(&index, heap);
	finish(job, &index);
	blocks_compare(&index);

	printf("\nThe most frequent words\n");
	list_top(&index, TOP_ROWS, &texts);
	index_detach(&index);
	must(sh_close(heap), "sh_close");
	printf("\nClosed; the heap file takes %" PRIu64 " KiB on disk\n",
		disk_bytes(job->heap_path) / 1024);
	texts_unmap(&texts);
}
