/* agreement.c -- do single steps and logged stores show the same?
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/killk/agreement.h"

#include "stress/killk/logged.h"
#include "stress/killk/tool.h"
#include "stress/killk/trial.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define NUMBER_BYTES 16u
#define STATUS_LIMIT 100u
/* Of a long copy the first stores stand for all. */
#define DROPPED_LIMIT 200u

/* Of an operation that is stepped. Process. */
struct stepped {
	struct image *images; /* distinct; NULL: it could not be recorded */
	uint64_t count;
};

/* Process. What was compared of an operation. */
struct comparison {
	uint64_t stores;
	uint64_t logged;
	uint64_t only_stepped;
	uint64_t only_logged;
	uint64_t dropped; /* stores that were left out, one at a time, */
	uint64_t noticed; /* and made a difference */
};

static void make_board(void)
{
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		0);
	if (board == MAP_FAILED) {
		perror("killk: mmap");
		exit(2);
	}
}

static bool is_wanted(const char *operation, uint32_t i)
{
	uint32_t wanted = (uint32_t)strtoul(operation, NULL, 10);

	return wanted == ALL || wanted == i;
}

/* --- under the tool ------------------------------------------------------------------------ */

static const char *known_path(const char *folder)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/known", folder);
	return path;
}

int agreement_be_logged(const char *operation, const char *folder)
{
	struct target target = { .fd = -1 };
	struct known_blocks known;
	FILE *file = fopen(known_path(folder), "re");

	make_board();
	if (file == NULL || fread(&known, sizeof(known), 1, file) != 1 ||
		!target_adopt(&target, folder, &known))
		return 2;
	fclose(file);
	for (uint32_t i = 0; i < operation_count; i++)
		if (is_wanted(operation, i) &&
			!trial_play(&target, &operations[i], SURVIVOR_NONE, ACTING_LOGGED)) {
			fprintf(stderr, "killk: %s, logged: %s\n", operations[i].name, board->text);
			return 2;
		}
	return 0;
}

static bool write_known(const struct target *target)
{
	FILE *file = fopen(known_path(target->folder), "we");
	bool written = file != NULL && fwrite(&target->known, sizeof(target->known), 1, file) == 1;

	return file != NULL && fclose(file) == 0 && written;
}

static const char *output_path(const char *folder)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/output", folder);
	return path;
}

static void show(const char *path)
{
	FILE *file = fopen(path, "re");
	int letter;

	while (file != NULL && (letter = getc(file)) != EOF)
		putchar(letter);
	if (file != NULL)
		fclose(file);
}

/* Valgrind speaks of system calls that it does not know. */
_Noreturn static void exec_quietly(const struct target *target, const char *log,
	char *const arguments[])
{
	int fd = open(output_path(target->folder), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd >= 0) {
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
	}
	tool_exec(log, arguments);
}

/* Has all of them logged. NULL: it did not come to an end. */
static struct logged *log_all(struct target *target, const char *program, const char *operation)
{
	char log[PATH_BYTES + 8];
	char *arguments[] = { (char *)(uintptr_t)program, AGREEMENT_LOGGED,
		(char *)(uintptr_t)operation, target->folder, NULL };
	struct logged *logged = NULL;
	int status = -1;
	pid_t child;

	snprintf(log, sizeof(log), "%s/log", target->folder);
	target_reset(target);
	child = write_known(target) ? fork() : -1;
	if (child == 0)
		exec_quietly(target, log, arguments);
	if (child > 0 && waitpid(child, &status, 0) == child && status == 0)
		logged = logged_read(log);
	else
		show(output_path(target->folder));
	unlink(log);
	unlink(output_path(target->folder));
	unlink(known_path(target->folder));
	return logged;
}

/* --- comparing ----------------------------------------------------------------------------- */

static struct stepped step_one(struct target *target, const struct operation *operation)
{
	struct stepped stepped = { .images = NULL };
	struct trace trace;

	if (trace_record(&trace, target, operation, SURVIVOR_NONE))
		stepped.count = trace_images(&trace, &stepped.images);
	else
		printf("FAILED: %s cannot be stepped: %s\n", operation->name, board->text);
	trace_free(&trace);
	return stepped;
}

/* Whether the set is another one when a store is left out. */
static bool is_noticed(struct logged *logged, uint64_t which, const struct stepped *stepped)
{
	struct image *images;
	uint64_t count = logged_images(logged, which, &images);
	bool equal = count == stepped->count &&
		images_missing(images, count, stepped->images, stepped->count) == 0;

	free(images);
	return !equal;
}

static void leave_out_each(struct logged *logged, const struct stepped *stepped,
	struct comparison *comparison)
{
	for (uint64_t i = 0; i < comparison->stores && i < DROPPED_LIMIT; i++)
		if (!logged_changes_nothing(logged, i)) {
			comparison->dropped++;
			comparison->noticed += is_noticed(logged, i, stepped);
		}
}

static struct comparison compare(struct logged *logged, const struct stepped *stepped)
{
	struct comparison comparison = { .stores = logged_stores(logged) };
	struct image *images;

	comparison.logged = logged_images(logged, NONE_DROPPED, &images);
	comparison.only_stepped =
		images_missing(stepped->images, stepped->count, images, comparison.logged);
	comparison.only_logged =
		images_missing(images, comparison.logged, stepped->images, stepped->count);
	free(images);
	leave_out_each(logged, stepped, &comparison);
	return comparison;
}

/* Nearly all: a set does not miss a store that leads back to a content that was there already, and whose word is
 * the next that is stored to. */
static bool would_be_noticed(const struct comparison *comparison)
{
	return comparison->noticed * 10 >= comparison->dropped * 9;
}

/* Prints its row. Whether it agrees, and would not if a store had not been logged. */
static bool judge(const char *name, const struct stepped *stepped,
	const struct comparison *comparison)
{
	bool agrees = comparison->only_stepped + comparison->only_logged == 0 &&
		would_be_noticed(comparison);

	printf("%-16s %8llu %8llu %8llu %8llu %8llu %8llu %8llu%s\n", name,
		(unsigned long long)comparison->stores, (unsigned long long)stepped->count,
		(unsigned long long)comparison->logged,
		(unsigned long long)comparison->only_stepped,
		(unsigned long long)comparison->only_logged,
		(unsigned long long)comparison->dropped, (unsigned long long)comparison->noticed,
		agrees ? "" : "  FAILED: steps and log do not agree");
	return agrees;
}

static bool compare_one(struct target *target, struct logged *logged, uint32_t i)
{
	struct stepped stepped = step_one(target, &operations[i]);
	struct comparison comparison;
	bool agrees = false;

	if (!logged_find(logged, i + 1, target->beginning, target->bytes)) {
		printf("FAILED: %s is not in the log\n", operations[i].name);
	} else if (stepped.images != NULL) {
		comparison = compare(logged, &stepped);
		agrees = judge(operations[i].name, &stepped, &comparison);
	}
	free(stepped.images);
	return agrees;
}

int agreement_compare(const char *program, const char *operation, const char *parent)
{
	struct target target = { .fd = -1 };
	struct logged *logged;
	int failed = 0;

	make_board();
	campaign_settle_down(0);
	if (!target_make(&target, parent)) {
		printf("FAILED: %s\n", board->text);
		return 1;
	}
	logged = log_all(&target, program, operation);
	if (logged == NULL) {
		printf("FAILED: the operations cannot be logged\n");
		failed = 1;
	}
	for (uint32_t i = 0; logged != NULL && i < operation_count; i++)
		if (is_wanted(operation, i))
			failed += !compare_one(&target, logged, i);
	if (logged != NULL)
		logged_free(logged);
	target_remove(&target);
	return failed;
}

/* --- */

_Noreturn static void exec_comparing(const struct campaign_options *options, const char *program)
{
	char operation[NUMBER_BYTES];

	snprintf(operation, sizeof(operation), "%u", options->operation);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setenv("GLIBC_TUNABLES", tool_tunables, 1);
	execl("/proc/self/exe", program, AGREEMENT_COMPARES, operation, options->folder,
		(char *)NULL);
	_exit(STATUS_LIMIT);
}

unsigned agreement_run(const struct campaign_options *options, const char *program,
	unsigned *failed)
{
	unsigned wanted = options->operation == ALL ? operation_count : 1;
	const char *missing = tool_missing();
	unsigned bad = STATUS_LIMIT;
	int status = -1;
	pid_t child;

	if (missing != NULL) {
		printf("SKIPPED whether steps and logged stores agree: %s\n", missing);
		return 0;
	}
	printf("\n%-16s %8s %8s %8s %8s %8s %8s %8s\n", "logged", "stores", "stepped", "logged",
		"former", "latter", "left out", "noticed");
	fflush(NULL);
	child = fork();
	if (child == 0)
		exec_comparing(options, program);
	if (child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status))
		bad = (unsigned)WEXITSTATUS(status);
	bad = bad < wanted ? bad : wanted;
	*failed += bad;
	return wanted - bad;
}
