/* faults.c -- each call of the library fails, one at a time and all from one on
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Counts the calls that a scenario makes, then runs it again for each of them, each error that such a call
 * can give, and each with the fault once and lasting. What succeeded in spite is run a second time, with a
 * kill instead of a close at the end. Then disks that are full. */
#define _GNU_SOURCE
#include "stress/common/totals.h"
#include "stress/faults/case.h"
#include "stress/faults/full_disk.h"
#include "stress/faults/symbols.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SCENARIO_LIMIT 64u
#define JOB_LIMIT 16u

static const char usage[] =
	"usage: faults [--quick] [--jobs N] [--folder PATH] [--list] [--scenario NAME\n"
	"              [--call NAME [--k K] [--errno NAME] [--on] [--kill]]]\n"
	"  --quick          every scenario and call, the first error of each only, and every "
	"fourth\n"
	"                   number from which on all fail\n"
	"  --jobs N         so many cases at a time (3)\n"
	"  --folder PATH    where heaps are made (/dev/shm)\n"
	"  --list           print the scenarios and the calls\n"
	"  --scenario NAME  this one only; or full-disk, or symbols\n"
	"  --call, --k, --errno   these calls, numbers, errors only\n"
	"  --on             from the k-th call on; --once: that one; without: each\n"
	"  --kill           the subject is killed afterwards, whatever came of it\n";

/* Memory that the jobs share. */
struct score {
	_Atomic unsigned injected;
	_Atomic unsigned errors;
	_Atomic unsigned successes;
	_Atomic unsigned bad;
	_Atomic unsigned unreached;
};

static struct {
	struct score score[SCENARIO_LIMIT];
	_Atomic unsigned injected[CALLS];
	unsigned made[SCENARIO_LIMIT][CALLS];
	_Atomic unsigned job_failed;
} * shared;

static struct {
	bool quick;
	bool kills;
	unsigned jobs;
	const char *parent;
	const char *scenario;
	const char *call;
	unsigned number;
	int error;
	int lasts; /* -1: both */
} options = { .jobs = 3, .parent = "/dev/shm", .lasts = -1 };

static char parent[300];

/* --- one case ------------------------------------------------------------------------------- */

static void report(const struct scenario *scenario, const struct fault *fault, enum ending ending)
{
	printf("BAD %s: %s\n    repeat: --scenario %s --call %s --k %u --errno %s %s%s\n",
		scenario->name, board->text, scenario->name, calls[fault->call].name, fault->number,
		error_name(fault->error), fault->lasts ? "--on" : "--once",
		ending == ENDING_KILL ? " --kill" : "");
	fflush(stdout);
}

/* Whether it is of use to run the case again with a kill at the end. */
static bool ends_twice(const struct scenario *scenario, const struct fault *fault, bool good)
{
	return good && !fault->lasts && !scenario->closes && !scenario->is_torn && !options.kills &&
		atomic_load(&board->result) == scenario->expected;
}

static bool try(const struct scenario *scenario, const struct fault *fault, enum ending ending)
{
	struct score *score = &shared->score[scenario - scenarios];
	bool good = case_run(scenario, fault, ending, parent);

	if (!good) {
		atomic_fetch_add(&score->bad, 1);
		report(scenario, fault, ending);
	} else if (atomic_load(&board->tally.failed) == 0) {
		atomic_fetch_add(&score->unreached, 1);
		return false;
	}
	atomic_fetch_add(&score->injected, 1);
	atomic_fetch_add(&shared->injected[fault->call], 1);
	if (good && atomic_load(&board->result) == scenario->expected)
		atomic_fetch_add(&score->successes, 1);
	else if (good)
		atomic_fetch_add(&score->errors, 1);
	return good;
}

static void run_fault(const struct scenario *scenario, const struct fault *fault)
{
	bool good = try(scenario, fault, options.kills ? ENDING_KILL : ENDING_CLOSE);

	if (ends_twice(scenario, fault, good))
		try(scenario, fault, ENDING_KILL);
}

/* --- all of them ---------------------------------------------------------------------------- */

static bool is_wanted(const struct scenario *scenario)
{
	return scenario_lacks(scenario) == NULL &&
		(options.scenario == NULL || strcmp(options.scenario, scenario->name) == 0);
}

static bool is_wanted_error(int error, unsigned index)
{
	if (options.error != 0)
		return error == options.error;
	return index == 0 || !options.quick;
}

typedef void fault_fn(const struct scenario *scenario, const struct fault *fault);

/* Of the numbers from which on all fail every fourth, when it is said to be quick; and where spare descriptors
 * are opened, which are eight times the same. */
static bool is_in_plan(const struct scenario *scenario, const struct fault *fault)
{
	bool is_thin = options.quick || scenario->has_spares;

	return options.number == 0 && (!is_thin || !fault->lasts || fault->number % 4 == 1);
}

static void each_number(const struct scenario *scenario, struct fault *fault, fault_fn *body)
{
	unsigned made = shared->made[scenario - scenarios][fault->call];

	for (fault->number = 1; fault->number <= made; fault->number++)
		if (options.number == fault->number || is_in_plan(scenario, fault))
			body(scenario, fault);
}

static void each_error(const struct scenario *scenario, enum call call, fault_fn *body)
{
	for (unsigned i = 0; i < CALL_ERRORS && calls[call].errors[i] != 0; i++) {
		struct fault fault = { .call = call, .error = calls[call].errors[i] };

		if (!is_wanted_error(fault.error, i))
			continue;
		if (options.lasts != 1)
			each_number(scenario, &fault, body);
		fault.lasts = true;
		if (options.lasts != 0 && fault.error != calls[call].once)
			each_number(scenario, &fault, body);
	}
}

static void each_fault(fault_fn *body)
{
	for (unsigned i = 0; i < scenario_count; i++)
		for (unsigned call = 0; is_wanted(&scenarios[i]) && call < CALLS; call++)
			if (options.call == NULL || strcmp(options.call, calls[call].name) == 0)
				each_error(&scenarios[i], call, body);
}

static unsigned this_job;
static unsigned case_number;

static void run_if_ours(const struct scenario *scenario, const struct fault *fault)
{
	if (case_number++ % options.jobs == this_job)
		run_fault(scenario, fault);
}

static void be_job(unsigned job)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	this_job = job;
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		0);
	if (board == MAP_FAILED)
		_exit(1);
	each_fault(run_if_ours);
	case_clean_up();
	fflush(stdout);
	_exit(0);
}

static void run_jobs(void)
{
	pid_t jobs[JOB_LIMIT];

	fflush(stdout);
	for (unsigned i = 0; i < options.jobs; i++) {
		jobs[i] = fork();
		if (jobs[i] == 0)
			be_job(i);
	}
	for (unsigned i = 0; i < options.jobs; i++) {
		int status = 1;

		waitpid(jobs[i], &status, 0);
		if (status != 0)
			atomic_fetch_add(&shared->job_failed, 1);
	}
}

/* --- counting ------------------------------------------------------------------------------- */

/* Without a fault; false when even that is bad. */
static bool count_calls(const struct scenario *scenario)
{
	if (!case_run(scenario, NULL, ENDING_CLOSE, parent)) {
		printf("BAD %s: without a fault: %s\n    repeat: --scenario %s\n", scenario->name,
			board->text, scenario->name);
		return false;
	}
	if (atomic_load(&board->result) != scenario->expected) {
		printf("BAD %s: without a fault it gives %d\n", scenario->name,
			atomic_load(&board->result));
		return false;
	}
	for (unsigned call = 0; call < CALLS; call++)
		shared->made[scenario - scenarios][call] = atomic_load(&board->tally.made[call]);
	return true;
}

static unsigned count_all(void)
{
	unsigned failed = 0;

	for (unsigned i = 0; i < scenario_count; i++)
		if (is_wanted(&scenarios[i]) && !count_calls(&scenarios[i]))
			failed++;
	case_clean_up();
	return failed;
}

/* --- the table ------------------------------------------------------------------------------ */

static unsigned print_scenario(const struct scenario *scenario)
{
	const struct score *score = &shared->score[scenario - scenarios];
	const char *lacks = scenario_lacks(scenario);

	if (lacks != NULL) {
		printf("SKIPPED %s: %s\n", scenario->name, lacks);
		return 0;
	}
	if (is_wanted(scenario))
		printf("%-26s %9u %9u %9u %9u\n", scenario->name, score->injected, score->errors,
			score->successes, score->bad);
	return score->bad;
}

/* A call that no scenario makes is not tested, and who thinks so is wrong. */
static unsigned print_unmade(void)
{
	unsigned unmade = 0;

	for (unsigned call = 0; call < CALLS; call++) {
		if (atomic_load(&shared->injected[call]) != 0)
			continue;
		if (calls[call].rare == NULL)
			unmade++;
		printf("%s: the call %s failed in no scenario%s%s\n",
			calls[call].rare == NULL ? "BAD" : "note", calls[call].name,
			calls[call].rare == NULL ? "" : "; it is made ",
			calls[call].rare == NULL ? "" : calls[call].rare);
	}
	return unmade;
}

static void list(void)
{
	printf("scenarios:");
	for (unsigned i = 0; i < scenario_count; i++)
		printf(" %s", scenarios[i].name);
	printf(" full-disk symbols\ncalls:");
	for (unsigned call = 0; call < CALLS; call++)
		printf(" %s", calls[call].name);
	printf("\n");
}

/* --- arguments ------------------------------------------------------------------------------ */

_Noreturn static void refuse(const char *what)
{
	fprintf(stderr, "faults: what is %s?\n%s", what, usage);
	exit(2);
}

static bool take_switch(const char *name)
{
	if (strcmp(name, "--quick") == 0)
		options.quick = true;
	else if (strcmp(name, "--kill") == 0)
		options.kills = true;
	else if (strcmp(name, "--on") == 0)
		options.lasts = 1;
	else if (strcmp(name, "--once") == 0)
		options.lasts = 0;
	else
		return false;
	return true;
}

static void take_value(const char *name, const char *value)
{
	if (strcmp(name, "--jobs") == 0)
		options.jobs = (unsigned)strtoul(value, NULL, 10);
	else if (strcmp(name, "--folder") == 0)
		options.parent = value;
	else if (strcmp(name, "--scenario") == 0)
		options.scenario = value;
	else if (strcmp(name, "--call") == 0)
		options.call = value;
	else if (strcmp(name, "--k") == 0)
		options.number = (unsigned)strtoul(value, NULL, 10);
	else if (strcmp(name, "--errno") == 0)
		options.error = error_named(value);
	else
		refuse(name);
	if (options.jobs == 0 || options.jobs > JOB_LIMIT ||
		(strcmp(name, "--errno") == 0 && options.error == 0) ||
		(options.call != NULL && call_named(options.call) == CALLS))
		refuse(value);
}

static bool is_known(const char *name)
{
	for (unsigned i = 0; i < scenario_count; i++)
		if (strcmp(scenarios[i].name, name) == 0)
			return true;
	return strcmp(name, "full-disk") == 0 || strcmp(name, "symbols") == 0;
}

static void take_arguments(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--list") == 0) {
			list();
			exit(0);
		}
		if (take_switch(argv[i]))
			continue;
		if (i + 1 == argc)
			refuse(argv[i]);
		take_value(argv[i], argv[i + 1]);
		i++;
	}
	if (options.scenario != NULL && !is_known(options.scenario))
		refuse(options.scenario);
}

/* --- the program ----------------------------------------------------------------------------- */

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void *share(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		perror("faults");
		exit(2);
	}
	return memory;
}

static void set_up(void)
{
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	/* A thread's own arena would look like a mapping that is left. */
	mallopt(M_ARENA_MAX, 1);
	shared = share(sizeof(*shared));
	board = share(sizeof(*board));
	snprintf(parent, sizeof(parent), "%s/spanheap-faults-XXXXXX", options.parent);
	if (mkdtemp(parent) == NULL) {
		fprintf(stderr, "faults: %s: %s\n", options.parent, strerror(errno));
		exit(2);
	}
}

static unsigned print_table(uint64_t begun_ms, unsigned *good)
{
	unsigned injected = 0;
	unsigned failed = 0;
	unsigned unreached = 0;

	printf("%-26s %9s %9s %9s %9s\n", "scenario", "injected", "error", "success", "bad");
	for (unsigned i = 0; i < scenario_count; i++) {
		failed += print_scenario(&scenarios[i]);
		injected += shared->score[i].injected;
		unreached += shared->score[i].unreached;
	}
	printf("%u cases, %u more whose call was not made this time; %.1f s\n", injected, unreached,
		(double)(now_ms() - begun_ms) / 1000);
	*good = injected - failed;
	return failed;
}

static void print_totals(unsigned cases, unsigned bad)
{
	const struct totals totals = {
		.cases = cases,
		.images = TOTALS_NONE,
		.states = TOTALS_NONE,
		.deaths = TOTALS_NONE,
		.bad = bad,
	};

	totals_print(&totals);
}

static bool wants(const char *name)
{
	return options.scenario == NULL || strcmp(options.scenario, name) == 0;
}

int main(int argc, char **argv)
{
	uint64_t begun_ms = now_ms();
	struct verdict verdict = { 0, 0, 0 };
	unsigned good;

	take_arguments(argc, argv);
	set_up();
	verdict.failed += count_all();
	run_jobs();
	verdict.failed += print_table(begun_ms, &good) + atomic_load(&shared->job_failed);
	verdict.passed += good;
	if (options.scenario == NULL && options.call == NULL)
		verdict.failed += print_unmade();
	if (wants("symbols"))
		symbols_check(&verdict);
	if (wants("full-disk"))
		full_disk_run(options.quick, parent, &verdict);
	rmdir(parent);
	for (unsigned i = 0; i < scenario_count; i++)
		verdict.skipped +=
			wants(scenarios[i].name) && scenario_lacks(&scenarios[i]) != NULL;
	print_totals(verdict.passed + verdict.failed, verdict.failed);
	printf("%u passed, %u failed", verdict.passed, verdict.failed);
	printf(verdict.skipped > 0 ? ", %u skipped\n" : "\n", verdict.skipped);
	return verdict.failed != 0;
}
