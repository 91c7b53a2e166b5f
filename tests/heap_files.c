/* heap_files.c -- heaps on files, and processes that use them and die
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "tests/heap_files.h"

#include <CUnit/CUnit.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

char files_directory[PATH_MAX - 64];
char files_path[PATH_MAX];

/* The handle that a fork child inherits. */
static struct sh_heap *inherited;

/* --- files --------------------------------------------------------------------------------- */

static void empty_directory(void)
{
	DIR *entries = opendir(files_directory);
	struct dirent *entry;
	char name[PATH_MAX + 256];

	while (entries != NULL && (entry = readdir(entries)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(name, sizeof(name), "%s/%s", files_directory, entry->d_name);
		if (unlink(name) != 0)
			rmdir(name);
	}
	if (entries != NULL)
		closedir(entries);
}

int files_enter(void)
{
	snprintf(files_directory, sizeof(files_directory), "/dev/shm/spanheap-test-XXXXXX");
	if (mkdtemp(files_directory) == NULL)
		return -1;
	files_beside(files_path, "heap");
	return 0;
}

int files_leave(void)
{
	empty_directory();
	return rmdir(files_directory);
}

void files_beside(char path[PATH_MAX], const char *name)
{
	snprintf(path, PATH_MAX, "%s/%s", files_directory, name);
}

/* --- heaps --------------------------------------------------------------------------------- */

struct sh_options files_options(void)
{
	struct sh_options options = SH_OPTIONS_INIT;

	options.max_size = FILES_MAX_BYTES;
	return options;
}

struct sh_heap *files_new_with(const struct sh_options *options)
{
	struct sh_heap *heap;

	empty_directory();
	CU_ASSERT_EQUAL_FATAL(sh_open(files_path, SH_CREATE | SH_EXCL, options, &heap), 0);
	inherited = heap;
	return heap;
}

struct sh_heap *files_new(void)
{
	struct sh_options options = files_options();

	return files_new_with(&options);
}

struct sh_heap *files_open(unsigned flags)
{
	struct sh_options options = files_options();
	struct sh_heap *heap;

	CU_ASSERT_EQUAL_FATAL(sh_open(files_path, flags, &options, &heap), 0);
	inherited = heap;
	return heap;
}

void files_close(struct sh_heap *heap)
{
	CU_ASSERT_EQUAL(sh_close(heap), 0);
	inherited = NULL;
}

static int show_problem(const struct sh_problem *problem, void *argument)
{
	(void)argument;
	printf("\n  %llx: %s", (unsigned long long)problem->off, problem->text);
	return 0;
}

void files_expect_good(struct sh_heap *heap)
{
	uint64_t problems = 0;

	CU_ASSERT_EQUAL(sh_check(heap, 0, show_problem, NULL, &problems), 0);
	CU_ASSERT_EQUAL(problems, 0);
}

static int count_block(const struct sh_block *block, void *argument)
{
	uint64_t *count = argument;

	(void)block;
	(*count)++;
	return 0;
}

uint64_t files_live_blocks(struct sh_heap *heap)
{
	uint64_t count = 0;

	CU_ASSERT_EQUAL(sh_walk(heap, count_block, &count), 0);
	return count;
}

/* --- children ------------------------------------------------------------------------------ */

pid_t files_start(void (*body)(void *argument), void *argument)
{
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child == 0) {
		body(argument);
		_exit(0);
	}
	return child;
}

int files_finish(pid_t child)
{
	int status = -1;

	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

int files_finish_killed(pid_t child)
{
	kill(child, SIGKILL);
	return files_finish(child);
}

int files_run(void (*body)(void *argument), void *argument)
{
	return files_finish(files_start(body, argument));
}

struct sh_heap *files_child_open(unsigned flags)
{
	struct sh_heap *heap;
	int error;

	if (inherited != NULL)
		REQUIRE(sh_close(inherited) == 0);
	inherited = NULL;
	error = sh_open(files_path, flags, NULL, &heap);
	if (error != 0)
		fprintf(stderr, "\nchild: sh_open: %s\n", sh_strerror(error));
	REQUIRE(error == 0);
	return heap;
}

void files_die(void)
{
	kill(getpid(), SIGKILL);
}

static _Atomic uint32_t *step_reached;

void files_reset_steps(void)
{
	if (step_reached == NULL)
		step_reached =
			mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_FATAL(step_reached != MAP_FAILED);
	atomic_store(step_reached, 0);
}

void files_reach(uint32_t step)
{
	atomic_store(step_reached, step);
}

void files_wait_for(uint32_t step)
{
	while (atomic_load(step_reached) < step)
		usleep(200);
}

bool files_has_reached(uint32_t step)
{
	return atomic_load(step_reached) >= step;
}
