/* heap_files.c -- heaps on files, and processes that use them and die
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "tests/heap_files.h"

#include "heap/heap.h"
#include "recovery/superblock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define NOBODY 65534

char files_directory[PATH_MAX - 64];
char files_path[PATH_MAX];
char files_control[PATH_MAX];

/* The handle that a fork child inherits. */
static struct sh_heap *inherited;

/* --- files --------------------------------------------------------------------------------- */

void files_empty(const char *directory)
{
	DIR *entries = opendir(directory);
	struct dirent *entry;
	char name[PATH_MAX + 256];

	while (entries != NULL && (entry = readdir(entries)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(name, sizeof(name), "%s/%s", directory, entry->d_name);
		if (unlink(name) != 0)
			rmdir(name);
	}
	if (entries != NULL)
		closedir(entries);
}

int files_enter_below(const char *parent)
{
	snprintf(files_directory, sizeof(files_directory), "%s/spanheap-test-XXXXXX", parent);
	if (mkdtemp(files_directory) == NULL)
		return -1;
	files_beside(files_path, "heap");
	files_beside(files_control, "heap-shm");
	return 0;
}

int files_enter(void)
{
	return files_enter_below("/dev/shm");
}

const char *files_disk(void)
{
	const char *parent = getenv("TMPDIR");

	return parent != NULL && parent[0] != '\0' ? parent : "/tmp";
}

int files_enter_disk(void)
{
	return files_enter_below(files_disk());
}

int files_leave(void)
{
	files_empty(files_directory);
	return rmdir(files_directory);
}

void files_beside(char path[PATH_MAX], const char *name)
{
	snprintf(path, PATH_MAX, "%s/%s", files_directory, name);
}

unsigned files_count(void)
{
	DIR *entries = opendir(files_directory);
	unsigned count = 0;

	while (entries != NULL && readdir(entries) != NULL)
		count++;
	if (entries != NULL)
		closedir(entries);
	return count - 2;
}

/* --- heaps --------------------------------------------------------------------------------- */

struct sh_options files_options(void)
{
	struct sh_options options = SH_OPTIONS_INIT;

	options.max_size = FILES_MAX_BYTES;
	return options;
}

int files_open_at(const char *path, unsigned flags, struct sh_heap **heap)
{
	struct sh_options options = files_options();

	return sh_open(path, flags, &options, heap);
}

struct sh_heap *files_new_with(const struct sh_options *options)
{
	struct sh_heap *heap;

	files_empty(files_directory);
	CU_ASSERT_EQUAL_FATAL(sh_open(files_path, SH_CREATE | SH_EXCL, options, &heap), 0);
	inherited = heap;
	return heap;
}

struct sh_heap *files_new(void)
{
	struct sh_options options = files_options();

	return files_new_with(&options);
}

struct sh_heap *files_new_of(unsigned processes, unsigned threads)
{
	struct sh_options options = files_options();

	options.max_processes = processes;
	options.max_threads = threads;
	return files_new_with(&options);
}

struct sh_heap *files_open(unsigned flags)
{
	struct sh_heap *heap;

	CU_ASSERT_EQUAL_FATAL(files_open_at(files_path, flags, &heap), 0);
	inherited = heap;
	return heap;
}

void files_close(struct sh_heap *heap)
{
	CU_ASSERT_EQUAL(sh_close(heap), 0);
	inherited = NULL;
}

int files_show_problem(const struct sh_problem *problem, void *argument)
{
	(void)argument;
	printf("\n  %llx: %s", (unsigned long long)problem->off, problem->text);
	return 0;
}

void files_expect_good(struct sh_heap *heap)
{
	uint64_t problems = 0;

	CU_ASSERT_EQUAL(sh_check(heap, 0, files_show_problem, NULL, &problems), 0);
	CU_ASSERT_EQUAL(problems, 0);
}

bool files_is_clean(void)
{
	struct superblock superblock;
	struct sh_heap *heap;
	int fd = open(files_path, O_RDONLY | O_CLOEXEC);
	bool read = pread(fd, &superblock, sizeof(superblock), 0) == (ssize_t)sizeof(superblock);

	close(fd);
	return read && superblock.clean == 1 && files_open_at(files_path, SH_RDONLY, &heap) == 0 &&
		sh_close(heap) == 0;
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

/* --- what a heap holds --------------------------------------------------------------------- */

sh_off files_block(struct sh_heap *heap, size_t size)
{
	sh_off off = sh_alloc(heap, size);

	CU_ASSERT_FATAL(off != 0);
	memset(sh_ptr(heap, off), 0x5a, size);
	return off;
}

uint64_t *files_new_words(struct sh_heap *heap)
{
	sh_off off = sh_alloc_ex(heap, 4096, 0, SH_ZERO);

	CU_ASSERT_FATAL(off != 0);
	CU_ASSERT_EQUAL_FATAL(sh_root_set(heap, "words", off), 0);
	return sh_ptr(heap, off);
}

uint64_t *files_find_words(struct sh_heap *heap)
{
	sh_off off;

	if (sh_root_get(heap, "words", &off) != 0)
		abort();
	return sh_ptr(heap, off);
}

void files_make_closed(size_t size)
{
	struct sh_heap *heap = files_new();

	CU_ASSERT_EQUAL(sh_root_set(heap, "a", files_block(heap, size)), 0);
	files_close(heap);
}

void files_expect_opens(size_t size)
{
	struct sh_heap *heap;
	sh_off off;

	CU_ASSERT_EQUAL(files_open_at(files_path, 0, &heap), 0);
	if (heap == NULL)
		return;
	CU_ASSERT_EQUAL(sh_root_get(heap, "a", &off), 0);
	CU_ASSERT(sh_usable_size(heap, off) >= size);
	files_expect_good(heap);
	files_close(heap);
	CU_ASSERT_TRUE(files_is_clean());
}

struct sh_txn *files_begin(struct sh_heap *heap, unsigned flags)
{
	struct sh_txn *txn;

	CU_ASSERT_EQUAL_FATAL(sh_txn_begin(heap, flags, &txn), 0);
	return txn;
}

/* --- superblocks --------------------------------------------------------------------------- */

void files_rewrite_superblock(void (*change)(struct superblock *superblock))
{
	uint64_t bytes = heap_header_bytes(FILES_MAX_BYTES, DEFAULT_THREAD_SLOTS + 1);
	int fd = open(files_path, O_RDWR | O_CLOEXEC);
	char *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct superblock superblock;
	int copies;

	CU_ASSERT_FATAL(base != MAP_FAILED);
	CU_ASSERT_EQUAL_FATAL(superblock_read(base, bytes, &superblock, &copies), 0);
	change(&superblock);
	superblock_write(base, &superblock);
	munmap(base, bytes);
	close(fd);
}

uint64_t files_copy_b_offset(void)
{
	return heap_superblock_b_offset(FILES_MAX_BYTES, DEFAULT_THREAD_SLOTS + 1);
}

/* --- threads ------------------------------------------------------------------------------- */

void *files_run_thread(void *(*body)(void *argument), void *argument)
{
	pthread_t thread;
	void *result = NULL;

	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, body, argument), 0);
	pthread_join(thread, &result);
	return result;
}

/* --- children ------------------------------------------------------------------------------ */

pid_t files_start_orphan(void (*body)(void *argument), void *argument)
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

/* Process. */
struct start {
	void (*body)(void *argument);
	void *argument;
};

static void die_with_parent(void *argument)
{
	const struct start *start = argument;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	start->body(start->argument);
}

pid_t files_start(void (*body)(void *argument), void *argument)
{
	return files_start_orphan(die_with_parent, &(struct start){ body, argument });
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

void files_drop_inherited(void)
{
	if (inherited != NULL)
		REQUIRE(sh_close(inherited) == 0);
	inherited = NULL;
}

void files_become_nobody(void)
{
	files_drop_inherited();
	REQUIRE(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
}

struct sh_heap *files_child_open(unsigned flags)
{
	struct sh_heap *heap;
	int error;

	files_drop_inherited();
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

void files_die_inside(void *unused)
{
	struct sh_heap *heap = files_child_open(0);

	(void)unused;
	REQUIRE(sh_root_set(heap, "died", sh_alloc(heap, 100)) == 0);
	files_die();
}

static void free_off(void *off)
{
	struct sh_heap *heap = files_child_open(0);

	REQUIRE(sh_free(heap, *(sh_off *)off) == 0);
	REQUIRE(sh_free(heap, *(sh_off *)off) == SH_EDOUBLEFREE);
	REQUIRE(sh_close(heap) == 0);
}

void files_free_elsewhere(sh_off off)
{
	CU_ASSERT_EQUAL(files_run(free_off, &off), 0);
}

bool files_skipped(int status, const char *why)
{
	if (!WIFEXITED(status) || WEXITSTATUS(status) != FILES_SKIP)
		return false;
	printf("SKIPPED, %s: ", why);
	return true;
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

void files_reach_next(void)
{
	atomic_fetch_add(step_reached, 1);
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
