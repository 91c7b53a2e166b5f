/* supervisor.c -- keeps workers running, kills them at random moments, counts what it is told
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The moment of a death is random to the microsecond, so nobody chooses what it interrupts; what
 * it did interrupt stands in the report of whoever cleans up. That is mostly this process, which
 * calls sh_reap() as soon as a victim is gone. A worker that waits for a mutex of the dead may be
 * faster; such deaths are not counted, because nothing proves what they interrupted. */
#include "supervisor.h"

#include "index.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAUSE_MAX_US = 8000, DOUBLE_KILL_ONE_IN = 8 };

/* Process. */
struct supervisor {
	const struct job *job;
	struct sh_heap *heap;
	struct index index;
	pid_t worker[WORKER_COUNT];
	int report_read_fd;  /* from workers, never blocks */
	int report_write_fd; /* theirs */
	uint64_t random_state;
	struct tally tally;
};

/* SplitMix64. */
static uint64_t random_below(struct supervisor *supervisor, uint64_t limit)
{
	supervisor->random_state += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t z = supervisor->random_state;
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (z ^ (z >> 31)) % limit;
}

/* How many of the dead were certainly inside: a process has one thread here, and that one
 * transaction at a time, but perhaps several page operations. */
static uint64_t deaths_inside(const struct sh_reap_report *report)
{
	uint64_t transactions = report->rolled_back + report->rolled_forward;
	uint64_t operations = report->operations_finished + report->operations_undone;

	if (transactions > 0)
		return transactions;
	return operations > 0 ? 1 : 0;
}

static void report_count(struct tally *tally, const struct sh_reap_report *report)
{
	tally->deaths_inside += deaths_inside(report);
	tally->found.processes += report->processes;
	tally->found.threads += report->threads;
	tally->found.rolled_back += report->rolled_back;
	tally->found.rolled_forward += report->rolled_forward;
	tally->found.blocks_freed += report->blocks_freed;
	tally->found.pages_returned += report->pages_returned;
	tally->found.operations_finished += report->operations_finished;
	tally->found.operations_undone += report->operations_undone;
}

static void workers_reports_count(struct supervisor *supervisor)
{
	struct sh_reap_report report;

	while (read(supervisor->report_read_fd, &report, sizeof(report)) == sizeof(report))
		report_count(&supervisor->tally, &report);
}

/* A look from outside at what workers write meanwhile: for showing, no decision hangs on it. */
static void progress_look(struct supervisor *supervisor)
{
	struct tally *tally = &supervisor->tally;

	tally->steps = 0;
	tally->passes = 0;
	tally->locks_inherited = 0;
	for (unsigned i = 0; i < WORKER_COUNT; i++) {
		const volatile struct progress *progress = &supervisor->index.root->progress[i];
		uint64_t passes = progress->pass + 1;
		tally->steps += progress->steps;
		tally->locks_inherited += progress->locks_inherited;
		if (passes > tally->passes)
			tally->passes = passes;
	}
}

static void worker_start(struct supervisor *supervisor, unsigned number)
{
	supervisor->worker[number] = process_start(supervisor->job, "work", number, UINT64_MAX,
		supervisor->report_write_fd, false);
}

/* Returns when nothing of the worker runs any more. */
static void worker_await_death(const struct supervisor *supervisor, unsigned number)
{
	int status;

	if (waitpid(supervisor->worker[number], &status, 0) < 0)
		fail("waitpid: %s", strerror(errno));
	process_expect_end(status, SIGKILL, "a worker");
}

static void workers_kill(struct supervisor *supervisor)
{
	unsigned victims[2];
	unsigned count = random_below(supervisor, DOUBLE_KILL_ONE_IN) == 0 ? 2 : 1;
	struct sh_reap_report report;

	victims[0] = (unsigned)random_below(supervisor, WORKER_COUNT);
	victims[1] = (victims[0] + 1 + (unsigned)random_below(supervisor, WORKER_COUNT - 1)) %
		WORKER_COUNT;
	for (unsigned i = 0; i < count; i++)
		kill(supervisor->worker[victims[i]], SIGKILL);
	for (unsigned i = 0; i < count; i++)
		worker_await_death(supervisor, victims[i]);
	must(sh_reap(supervisor->heap, &report), "sh_reap");

	supervisor->tally.kills += count;
	report_count(&supervisor->tally, &report);
	for (unsigned i = 0; i < count; i++)
		worker_start(supervisor, victims[i]);
}

static void reports_open(struct supervisor *supervisor)
{
	int fds[2];

	pipe_open(fds);
	if (fcntl(fds[0], F_SETFL, O_NONBLOCK) != 0)
		fail("fcntl(F_SETFL): %s", strerror(errno));
	supervisor->report_read_fd = fds[0];
	supervisor->report_write_fd = fds[1];
}

void supervisor_run(const struct job *job, uint64_t seed)
{
	struct supervisor supervisor = { .job = job, .random_state = seed };

	must(sh_open(job->heap_path, 0, NULL, &supervisor.heap), job->heap_path);
	index_attach(&supervisor.index, supervisor.heap);
	reports_open(&supervisor);
	for (unsigned i = 0; i < WORKER_COUNT; i++)
		worker_start(&supervisor, i);

	for (;;) {
		sleep_us(random_below(&supervisor, PAUSE_MAX_US));
		workers_kill(&supervisor);
		workers_reports_count(&supervisor);
		progress_look(&supervisor);
		report_write(STDOUT_FILENO, &supervisor.tally, sizeof(supervisor.tally));
	}
}
