/* case.c -- one case: a heap, a fault, a process that meets it, and what all of them must show afterwards
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/faults/case.h"

#include "stress/faults/content.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Of one process. */
#define PATIENCE_MS 6000u
#define BAD_STATUS 3

struct board *board;
char folder[400];
char heap_path[420];
char control_folder[420];

static const struct scenario *scenario_here;
static bool says_folder;

/* --- telling ------------------------------------------------------------------------------- */

_Noreturn void bad(const char *format, ...)
{
	va_list arguments;

	fault_disarm();
	if (atomic_fetch_add(&board->writers, 1) == 0) {
		va_start(arguments, format);
		vsnprintf(board->text, TEXT_BYTES, format, arguments);
		va_end(arguments);
	}
	_exit(BAD_STATUS);
}

void reach(enum step step)
{
	if (atomic_load(&board->step) < step)
		atomic_store(&board->step, step);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void sleep_a_little(void)
{
	struct timespec pause = { 0, 50000 };

	nanosleep(&pause, NULL);
}

void wait_for(enum step step)
{
	uint64_t end = now_ms() + PATIENCE_MS;

	while (atomic_load(&board->step) < step && now_ms() < end)
		sleep_a_little();
}

/* --- processes ----------------------------------------------------------------------------- */

static pid_t start(void (*body)(const void *argument), const void *argument)
{
	static const struct rlimit many = { 1024, 4096 };
	static const struct rlimit few = { 1000, 4096 };
	pid_t child = fork();

	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setrlimit(RLIMIT_NOFILE, scenario_here->has_spares ? &many : &few);
		says_folder = scenario_here->in_control_folder;
		file_system_names_all = scenario_here->names_all;
		file_system_pins_nothing = scenario_here->pins_nothing;
		body(argument);
		_exit(0);
	}
	return child;
}

static void blame(const char *who, const char *format, int number)
{
	char text[100];

	snprintf(text, sizeof(text), format, number);
	if (atomic_fetch_add(&board->writers, 1) == 0)
		snprintf(board->text, TEXT_BYTES, "%s %s", who, text);
}

/* Waits for the end of a process; false when it was a bad one. `wanted` is its wait status. */
static bool finish(pid_t child, const char *who, int wanted)
{
	uint64_t end = now_ms() + PATIENCE_MS;
	int status = -1;
	pid_t ended;

	while ((ended = waitpid(child, &status, WNOHANG)) == 0 && now_ms() < end)
		sleep_a_little();
	if (ended == 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		blame(who, "hangs", 0);
		return false;
	}
	if (status == wanted)
		return true;
	blame(who, WIFSIGNALED(status) ? "is ended by signal %d" : "ends with status %d",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return false;
}

/* --- the heap ------------------------------------------------------------------------------ */

void case_say_control_folder(bool says)
{
	says_folder = says;
}

int open_heap(unsigned flags, struct sh_heap **heap)
{
	struct sh_options options = SH_OPTIONS_INIT;

	options.max_size = HEAP_BYTES;
	options.max_processes = 8;
	options.max_threads = 16;
	options.control_dir = says_folder ? control_folder : NULL;
	return sh_open(heap_path, flags, &options, heap);
}

struct sh_heap *must_open(unsigned flags, const char *who)
{
	struct sh_heap *heap;
	int error = open_heap(flags, &heap);

	if (error != 0)
		bad("%s: sh_open: %s", who, sh_strerror(error));
	return heap;
}

void must_close(struct sh_heap *heap, const char *who)
{
	int error = sh_close(heap);

	if (error != 0)
		bad("%s: sh_close: %s", who, sh_strerror(error));
}

/* --- who prepares, who is there, who dies --------------------------------------------------- */

static void prepare(const void *unused)
{
	struct sh_heap *heap = must_open(SH_CREATE | SH_EXCL, "prepare");

	(void)unused;
	content_make(heap);
	must_close(heap, "prepare");
}

static void be_neighbour(const void *unused)
{
	(void)unused;
	scenario_here->neighbour();
}

static void be_casualty(const void *unused)
{
	(void)unused;
	scenario_here->casualty();
	kill(getpid(), SIGKILL);
}

static void change_file(const void *unused)
{
	(void)unused;
	scenario_here->change();
}

/* --- the subject --------------------------------------------------------------------------- */

static bool is_named(const int *errors, int error)
{
	for (; *errors != 0; errors++)
		if (*errors == error)
			return true;
	return false;
}

/* What the library makes of an error of the system. */
static bool is_passed_on(int injected, int error)
{
	if (error == injected)
		return true;
	/* No byte locks, no fallocate. */
	return error == ENOTSUP && (injected == ENOLCK || injected == EINVAL || injected == ENOSYS);
}

static bool is_documented(const struct scenario *scenario, const struct fault *fault, int error)
{
	return error == scenario->expected || (scenario->is_full && error == ENOSPC) ||
		is_named(scenario->documented, error) ||
		(scenario->passes_on && fault != NULL && is_passed_on(fault->error, error));
}

static bool is_fault(const struct fault *fault, enum call call)
{
	return fault != NULL && fault->call == call;
}

/* A descriptor that is not known to be the library's own is left open: the application may have closed it,
 * and opened another file under its number. */
static bool may_keep_descriptors(const struct fault *fault, bool has_closed)
{
	return is_fault(fault, CALL_FSTAT) && (fault->lasts || has_closed);
}

static void expect_no_leak(const struct subject *subject, bool has_closed)
{
	struct census now;
	char text[200];

	census_take(&now, folder);
	if (may_keep_descriptors(subject->fault, has_closed))
		now.descriptors = subject->begin.descriptors;
	if (is_fault(subject->fault, CALL_MUNMAP))
		now.mappings = subject->begin.mappings;
	if (census_leaks(&subject->begin, &now, text, sizeof(text)))
		bad("after %s: %s", has_closed ? "sh_close()" : "a failed sh_open()", text);
}

/* A failed creation leaves nothing, or a heap. */
static void expect_no_litter(const struct subject *subject)
{
	DIR *entries = opendir(folder);
	struct dirent *entry;

	EXPECT(entries != NULL);
	while ((entry = readdir(entries)) != NULL)
		if (entry->d_name[0] != '.' && strcmp(entry->d_name, "heap") != 0 &&
			strcmp(entry->d_name, "heap-shm") != 0 &&
			strcmp(entry->d_name, "control") != 0 &&
			!is_fault(subject->fault, CALL_UNLINK))
			bad("after a failed sh_open(): the file %s is left", entry->d_name);
	closedir(entries);
}

/* What is not on the disk must not be called so. */
static bool must_tell(const struct subject *subject)
{
	return (subject->scenario->closes && is_fault(subject->fault, CALL_FSYNC) &&
		       subject->fault->error != EINTR) ||
		(subject->scenario->opens && is_fault(subject->fault, CALL_MSYNC));
}

static void act(struct subject *subject)
{
	const struct scenario *scenario = subject->scenario;
	int result;

	fault_arm(subject->fault, &board->tally);
	result = scenario->act(subject);
	fault_disarm();
	atomic_store(&board->result, result);
	atomic_store(&board->has_acted, true);
	if (result == 0 && must_tell(subject) && atomic_load(&board->tally.failed) != 0)
		bad("it hides that what it synced is lost");
	if (result != 0 && !is_documented(scenario, subject->fault, result))
		bad("it gives %s, which is not documented for that", sh_strerror(result));
}

/* The failed sh_open() took nothing, and is no hindrance to the next one. */
static void open_after(struct subject *subject)
{
	unsigned flags = subject->scenario->flags & ~SH_EXCL;

	if (subject->heap != NULL && atomic_load(&board->result) != 0)
		bad("sh_open() fails, and gives a handle");
	if (subject->heap != NULL)
		return;
	expect_no_leak(subject, false);
	expect_no_litter(subject);
	subject->heap = must_open(flags, "after the fault");
}

static void give_back(struct subject *subject)
{
	for (unsigned i = 0; i < subject->held_count; i++)
		EXPECT(sh_free(subject->heap, subject->held[i]) == 0);
	atomic_store(&board->blocks, 0);
	if (subject->run != 0)
		EXPECT(sh_pages_free(subject->heap, subject->run, subject->run_pages) == 0);
	atomic_store(&board->pages, 0);
}

/* Of what a failed sh_open() took nothing is kept: the handle has one process slot. */
static void expect_one_slot(const struct subject *subject)
{
	unsigned wanted = subject->scenario->neighbour != NULL ? 2 : 1;
	struct sh_stats stats = SH_STATS_INIT;

	EXPECT(sh_reap(subject->heap, NULL) == 0 && sh_stats(subject->heap, &stats) == 0);
	if (stats.processes != wanted)
		bad("after the fault: %u process slots, not %u", (unsigned)stats.processes, wanted);
}

/* Works on, and ends. */
static void go_on(struct subject *subject)
{
	struct sh_heap *heap = subject->heap;

	if (subject->scenario->flags & SH_RDONLY) {
		content_look(heap, "after the fault");
	} else {
		if (subject->scenario->is_new && sh_root_get(heap, "bank", &(sh_off){ 0 }) != 0)
			content_make(heap);
		content_work(heap, "after the fault");
		if (subject->scenario->opens)
			expect_one_slot(subject);
	}
	if (subject->ending == ENDING_KILL)
		kill(getpid(), SIGKILL);
	give_back(subject);
	must_close(heap, "after the fault");
	expect_no_leak(subject, true);
}

/* Nothing is kept; and what was closed without an error is clean. */
static void expect_closed(const struct subject *subject)
{
	expect_no_leak(subject, true);
	if (atomic_load(&board->result) == 0 && subject->scenario->neighbour == NULL)
		must_close(must_open(SH_RDONLY, "after sh_close(), which gave 0"),
			"after sh_close(), which gave 0");
}

static bool is_abort_allowed(const struct fault *fault)
{
	return scenario_here->may_abort && is_fault(fault, CALL_MEMBARRIER);
}

/* Who aborts says why, hundreds of times. */
static void be_silent(void)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	dup2(null, STDERR_FILENO);
	close(null);
}

static void be_subject(const void *argument)
{
	struct subject subject = *(const struct subject *)argument;
	const struct scenario *scenario = subject.scenario;

	if (is_abort_allowed(subject.fault))
		be_silent();

	says_folder = says_folder && !scenario->forgets_folder;
	file_system_is_full = scenario->is_full;
	/* The first one allocates. */
	census_take(&subject.begin, folder);
	census_take(&subject.begin, folder);
	if (scenario->before != NULL)
		scenario->before(&subject);
	reach(STEP_ACTING);
	act(&subject);
	if (scenario->is_torn)
		return;
	if (scenario->closes) {
		if (subject.heap == NULL)
			expect_closed(&subject);
		else
			go_on(&subject);
		return;
	}
	if (scenario->opens)
		open_after(&subject);
	go_on(&subject);
}

/* --- the opener ---------------------------------------------------------------------------- */

static void look(const void *unused)
{
	struct sh_heap *heap;

	(void)unused;
	says_folder = says_folder && !scenario_here->forgets_folder;
	if (scenario_here->is_torn) {
		EXPECT(open_heap(0, &heap) == SH_ETORN);
		return;
	}
	heap = must_open(0, "the next opener");
	content_check(heap, atomic_load(&board->blocks), atomic_load(&board->pages),
		"the next opener");
	must_close(heap, "the next opener");
	heap = must_open(SH_RDONLY, "a reader of the closed file");
	content_look(heap, "a reader of the closed file");
	must_close(heap, "a reader of the closed file");
}

/* --- the case ------------------------------------------------------------------------------ */

static void empty_folder(const char *path)
{
	DIR *entries = opendir(path);
	struct dirent *entry;
	char name[700];

	if (entries == NULL)
		return;
	while ((entry = readdir(entries)) != NULL) {
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		if (entry->d_name[0] != '.')
			unlink(name);
	}
	closedir(entries);
}

/* Whether the folder has the heap that the scenario begins with. */
static bool is_prepared;

void case_clean_up(void)
{
	empty_folder(control_folder);
	empty_folder(folder);
	rmdir(control_folder);
	rmdir(folder);
	is_prepared = false;
}

static void enter_folder(const struct scenario *scenario, const char *parent)
{
	if (is_prepared && scenario == scenario_here)
		return;
	if (folder[0] != '\0')
		case_clean_up();
	is_prepared = false;
	snprintf(folder, sizeof(folder), "%s/case-%d", parent, (int)getpid());
	snprintf(heap_path, sizeof(heap_path), "%s/heap", folder);
	snprintf(control_folder, sizeof(control_folder), "%s/control", folder);
	mkdir(folder, 0700);
	mkdir(control_folder, 0700);
}

/* The heap as the subject is to find it. */
static bool set_up(pid_t *neighbour)
{
	*neighbour = -1;
	if (!scenario_here->is_new && !is_prepared && !finish(start(prepare, NULL), "prepare", 0))
		return false;
	if (scenario_here->neighbour != NULL) {
		*neighbour = start(be_neighbour, NULL);
		wait_for(STEP_READY);
	}
	if (scenario_here->casualty != NULL &&
		!finish(start(be_casualty, NULL), "the casualty", SIGKILL))
		return false;
	return scenario_here->change == NULL || finish(start(change_file, NULL), "prepare", 0);
}

static bool run_subject(const struct fault *fault, enum ending ending)
{
	struct subject subject = { .scenario = scenario_here, .fault = fault, .ending = ending };
	pid_t child = start(be_subject, &subject);
	bool kills = ending == ENDING_KILL && !scenario_here->is_torn && !scenario_here->closes;
	int status;

	if (is_abort_allowed(fault)) {
		waitpid(child, &status, 0);
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
			return true;
		return status == (kills ? SIGKILL : 0) ||
			(blame("the subject", "ends with status %d", status), false);
	}
	return finish(child, "the subject", kills ? SIGKILL : 0);
}

bool case_run(const struct scenario *scenario, const struct fault *fault, enum ending ending,
	const char *parent)
{
	pid_t neighbour;
	bool good;

	memset(board, 0, sizeof(*board));
	enter_folder(scenario, parent);
	scenario_here = scenario;
	good = set_up(&neighbour) && run_subject(fault, ending);
	reach(STEP_LEAVE);
	if (neighbour > 0)
		good = finish(neighbour, "the neighbour", 0) && good;
	good = good && finish(start(look, NULL), "the next opener", 0);
	is_prepared = good && !scenario->is_new && !scenario->is_torn && !scenario->grows &&
		atomic_load(&board->blocks) == 0 && atomic_load(&board->pages) == 0;
	if (!is_prepared)
		case_clean_up();
	return good;
}
