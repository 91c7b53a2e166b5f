/* campaign.c -- all cases: which instructions, beside which survivors, and what came of them
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Workers take rows of the table, an operation beside a survivor each. A row's operation is recorded once, which
 * shows at which instructions the heap file or the control file changes. */
#define _GNU_SOURCE
#include "stress/killk/campaign.h"

#include "stress/common/totals.h"
#include "stress/killk/actors.h"
#include "stress/killk/trial.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROWS_LIMIT 192u
#define WORKERS_LIMIT 64u
/* A row with so many bad cases ends; so many of them are told. */
#define BAD_LIMIT 20u
#define BAD_TOLD 3u
/* Of instructions that change nothing those count that were executed so often at most. */
#define LOOP_TURNS 32u
/* More strayed cases are a failure: 1 of so many. A busy survivor changes the way. */
#define STRAYED_SHARE 20u
#define HANG_NS UINT64_C(10000000000)
#define LINE_BYTES 1200u

/* Shared mapping. */
struct row {
	uint32_t operation;
	enum survivor survivor;
	uint64_t instructions;
	uint64_t heap_changes;
	uint64_t control_changes;
	uint64_t images; /* that the recorded execution has */
	uint64_t killed_images;
	uint64_t cases;
	uint64_t strayed;
	uint64_t bad;
	double seconds;
	_Atomic uint32_t done;
};

struct table {
	struct row row[ROWS_LIMIT];
	unsigned rows;
	_Atomic unsigned next;
	struct campaign_options options;
};

static struct table *table;

const char *survivor_name(enum survivor survivor)
{
	static const char *const names[SURVIVORS] = { "none", "idle", "busy", "watch" };

	return names[survivor];
}

/* --- images -------------------------------------------------------------------------------- */

/* One write(2) for each line: workers share the file. */
static void write_images(const char *operation, const struct image *images, uint64_t count)
{
	FILE *file = fopen(table->options.images, "a");

	if (file == NULL) {
		complain("%s: %s", table->options.images, strerror(errno));
		return;
	}
	setvbuf(file, NULL, _IOLBF, 4096);
	for (uint64_t i = 0; i < count; i++)
		fprintf(file, "%s %016llx%016llx\n", operation,
			(unsigned long long)images[i].half[0],
			(unsigned long long)images[i].half[1]);
	fclose(file);
}

static void note_images(struct row *row, const struct trace *trace)
{
	struct image *images;

	row->images = trace_images(trace, &images);
	if (table->options.images != NULL && row->survivor == SURVIVOR_NONE && images != NULL)
		write_images(operations[row->operation].name, images, row->images);
	free(images);
}

/* --- a row --------------------------------------------------------------------------------- */

static void tell_bad(struct row *row, uint64_t step)
{
	char line[LINE_BYTES];
	const char *operation = operations[row->operation].name;
	const char *survivor = survivor_name(row->survivor);
	int length = snprintf(line, sizeof(line),
		"FAILED: %s, survivor %s, step %llu: %s\n"
		"  to repeat: killk --operation %s --survivor %s --step %llu --seed %llu\n",
		operation, survivor, (unsigned long long)step, board->text, operation, survivor,
		(unsigned long long)step, (unsigned long long)board->seed);

	if (++row->bad <= BAD_TOLD && write(STDOUT_FILENO, line, (size_t)length) < 0)
		return;
}

/* Of the changes that a loop makes the first ones, and a few. */
static bool is_chosen_change(const struct trace *trace, uint64_t k)
{
	const struct campaign_options *options = &table->options;
	uint64_t times = trace_times(trace, k);

	return trace->moment[k].change != 0 &&
		(times <= options->loop_first ||
			(options->loop_nth != 0 && times % options->loop_nth == 0));
}

static bool is_candidate(const struct trace *trace, uint64_t k)
{
	return k == 0 || k == trace->route.instructions || is_chosen_change(trace, k);
}

/* Changes are killed, and both ends, and each nth of the rest, if not far into a loop. */
static bool is_killed(const struct row *row, const struct trace *trace, uint64_t k)
{
	const struct campaign_options *options = &table->options;
	unsigned nth = row->survivor == SURVIVOR_BUSY ? options->nth_busy : options->nth;

	return is_candidate(trace, k) || nth == 1 ||
		(nth != 0 && k % nth == 0 && trace_times(trace, k) <= LOOP_TURNS);
}

/* Of stops there is a sample. */
static bool is_stopped(const struct trace *trace, uint64_t k)
{
	uint64_t stops = table->options.stops;
	uint64_t before = 0;
	uint64_t all = 0;

	if (!is_candidate(trace, k) || table->options.nth == 1)
		return table->options.nth == 1;
	for (uint64_t i = 0; i <= trace->route.instructions; i++)
		if (is_candidate(trace, i)) {
			before += i < k;
			all++;
		}
	return before * stops / all != (before + 1) * stops / all || all <= stops;
}

static void run_case(struct row *row, struct target *target, struct trace *trace, uint64_t k,
	struct trial_result *result)
{
	uint64_t start_ns = now_ns();

	row->cases++;
	if (!trial_run(target, &operations[row->operation], row->survivor, k, trace, result))
		tell_bad(row, k);
	row->strayed += result->strayed;
	/* Who hangs once hangs every time. */
	if (now_ns() - start_ns > HANG_NS)
		row->bad += row->bad != 0 ? BAD_LIMIT : 0;
}

static void run_chosen(struct row *row, struct target *target, struct trace *trace)
{
	struct image *images = calloc(trace->route.instructions + 1, sizeof(*images));
	struct trial_result result;
	uint64_t kills = 0;

	if (images == NULL)
		return;
	for (uint64_t k = 0; k <= trace->route.instructions && row->bad < BAD_LIMIT; k++)
		if (row->survivor == SURVIVOR_WATCH ? is_stopped(trace, k)
						    : is_killed(row, trace, k)) {
			run_case(row, target, trace, k, &result);
			images[kills++] = result.image;
		}
	if (row->survivor != SURVIVOR_BUSY && row->strayed * STRAYED_SHARE > row->cases) {
		complain("%llu of %llu cases strayed from the recorded way",
			(unsigned long long)row->strayed, (unsigned long long)row->cases);
		tell_bad(row, 0);
	}
	row->killed_images = row->survivor == SURVIVOR_BUSY ? 0 : images_distinct(images, kills);
	free(images);
}

/* A busy survivor makes another execution each time: the one beside a survivor that has worked shows the way. */
static void run_row(struct row *row, struct target *target)
{
	enum survivor recorded = row->survivor == SURVIVOR_BUSY ? SURVIVOR_WATCH : row->survivor;
	uint64_t start_ns = now_ns();
	struct trial_result result;
	struct trace trace;

	if (table->options.step != ANY_STEP) {
		run_case(row, target, NULL, table->options.step, &result);
	} else if (trace_record(&trace, target, &operations[row->operation], recorded)) {
		row->instructions = trace.route.instructions;
		row->heap_changes = trace.heap_changes;
		row->control_changes = trace.control_changes;
		note_images(row, &trace);
		run_chosen(row, target, &trace);
		trace_free(&trace);
	} else {
		tell_bad(row, 0);
		trace_free(&trace);
	}
	row->seconds = (double)(now_ns() - start_ns) / 1e9;
	post(&row->done, 1);
}

/* --- workers ------------------------------------------------------------------------------- */

/* The victim on the worker's processor: a step then is a switch, and no call to another one. */
void campaign_settle_down(unsigned worker)
{
	cpu_set_t allowed;
	cpu_set_t here;
	unsigned wanted;

	sched_getaffinity(0, sizeof(allowed), &allowed);
	wanted = worker % (unsigned)CPU_COUNT(&allowed);
	actor_elsewhere = allowed;
	for (unsigned processor = 0; processor < CPU_SETSIZE; processor++)
		if (CPU_ISSET(processor, &allowed) && wanted-- == 0) {
			CPU_ZERO(&here);
			CPU_SET(processor, &here);
			if (CPU_COUNT(&allowed) > 1)
				CPU_CLR(processor, &actor_elsewhere);
			sched_setaffinity(0, sizeof(here), &here);
			return;
		}
}

static void work(unsigned worker)
{
	struct target target = { .fd = -1 };
	unsigned next;

	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		0);
	if (board == MAP_FAILED)
		exit(2);
	campaign_settle_down(worker);
	board->seed = table->options.seed;
	if (!target_make(&target, table->options.folder)) {
		fprintf(stderr, "killk: %s\n", board->text);
		exit(2);
	}
	while ((next = atomic_fetch_add(&table->next, 1)) < table->rows)
		run_row(&table->row[next], &target);
	target_remove(&target);
}

static void start_workers(pid_t *workers)
{
	fflush(NULL);
	for (unsigned i = 0; i < table->options.workers; i++) {
		workers[i] = fork();
		if (workers[i] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			work(i);
			exit(0);
		}
	}
}

/* --- the table ----------------------------------------------------------------------------- */

static void add_rows(void)
{
	static const enum survivor order[] = { SURVIVOR_NONE, SURVIVOR_IDLE, SURVIVOR_WATCH,
		SURVIVOR_BUSY };
	const struct campaign_options *options = &table->options;

	for (unsigned i = 0; i < SURVIVORS; i++)
		for (uint32_t k = 0; k < operation_count; k++)
			if ((options->survivor == ALL || options->survivor == order[i]) &&
				(options->operation == ALL || options->operation == k))
				table->row[table->rows++] =
					(struct row){ .operation = k, .survivor = order[i] };
}

static void print_row(const struct row *row)
{
	printf("%-16s %-8s %12llu %8llu %8llu %7llu %7llu %7llu %8llu %5llu %8.2f\n",
		operations[row->operation].name, survivor_name(row->survivor),
		(unsigned long long)row->instructions, (unsigned long long)row->heap_changes,
		(unsigned long long)row->control_changes, (unsigned long long)row->images,
		(unsigned long long)row->cases, (unsigned long long)row->killed_images,
		(unsigned long long)row->strayed, (unsigned long long)row->bad, row->seconds);
	fflush(stdout);
}

/* Waits for the row. False: nobody is left who could do it. */
static bool await_row(struct row *row)
{
	while (!await(&row->done, 1, 1000))
		if (waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD)
			return atomic_load(&row->done) != 0;
	return true;
}

static unsigned print_rows(unsigned *failed)
{
	unsigned passed = 0;
	uint64_t images = 0;
	uint64_t deaths = 0;
	uint64_t stops = 0;
	uint64_t bad = 0;

	printf("%-16s %-8s %12s %8s %8s %7s %7s %7s %8s %5s %8s\n", "operation", "survivor",
		"instructions", "heap", "control", "images", "cases", "theirs", "strayed", "bad",
		"seconds");
	for (unsigned i = 0; i < table->rows; i++) {
		struct row *row = &table->row[i];

		if (!await_row(row)) {
			printf("FAILED: %s, survivor %s: no worker is left\n",
				operations[row->operation].name, survivor_name(row->survivor));
			row->bad++;
		}
		print_row(row);
		*(row->survivor == SURVIVOR_WATCH ? &stops : &deaths) += row->cases;
		images += row->killed_images;
		bad += row->bad;
		if (row->bad == 0)
			passed++;
		else
			++*failed;
	}
	printf("%llu deaths, %llu stops\n", (unsigned long long)deaths, (unsigned long long)stops);
	totals_print(&(struct totals){
		.cases = deaths + stops,
		.images = images,
		.states = TOTALS_NONE,
		.deaths = deaths,
		.bad = bad,
	});
	return passed;
}

unsigned campaign_run(const struct campaign_options *options, unsigned *failed)
{
	pid_t workers[WORKERS_LIMIT];
	unsigned passed;

	table = mmap(NULL, sizeof(*table), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		0);
	if (table == MAP_FAILED) {
		perror("killk: mmap");
		exit(2);
	}
	table->options = *options;
	add_rows();
	start_workers(workers);
	passed = print_rows(failed);
	while (wait(NULL) > 0 || errno == EINTR)
		;
	return passed;
}
