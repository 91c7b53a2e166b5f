/* test_api.c -- every public function, on files, with processes that die
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The tests run in a directory of their own, once below TMPDIR (or /tmp), once below /dev/shm, and
 * a part of them on overlayfs, where pinned locks do not hold. What wants root says so when it is
 * skipped. Random tests print their seed; SH_SEED in the environment sets it. */
#define _GNU_SOURCE
#include "heap/heap.h"
#include "recovery/superblock.h"
#include "tests/fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spanheap.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_BYTES (UINT64_C(1) << 30)
#define MIB (UINT64_C(1) << 20)

static char directory[PATH_MAX - 64];
static char path[PATH_MAX];
static char shm_path[PATH_MAX];

/* --- in children, where CUnit's assertions do not reach ------------------------------------ */

#define REQUIRE(condition)                                                                       \
	do {                                                                                     \
		if (!(condition)) {                                                              \
			fprintf(stderr, "\n%s:%d: child: %s\n", __FILE__, __LINE__, #condition); \
			_exit(1);                                                                \
		}                                                                                \
	} while (0)

#define EXITED_WELL 0
#define KILLED SIGKILL

static pid_t start(void (*body)(void *argument), void *argument)
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

static int finish(pid_t child)
{
	int status = -1;

	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

static int run(void (*body)(void *argument), void *argument)
{
	return finish(start(body, argument));
}

static int finish_killed(pid_t child)
{
	kill(child, SIGKILL);
	return finish(child);
}

static void die(void)
{
	kill(getpid(), SIGKILL);
}

/* A word in memory that parent and children share, to wait for. */
struct signpost {
	_Atomic uint32_t reached;
	_Atomic uint64_t value;
};

static struct signpost *signpost;

static void reach(uint32_t step)
{
	atomic_store(&signpost->reached, step);
}

static void wait_for(uint32_t step)
{
	while (atomic_load(&signpost->reached) < step)
		usleep(200);
}

static void new_signpost(void)
{
	if (signpost == NULL)
		signpost =
			mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	atomic_store(&signpost->reached, 0);
	atomic_store(&signpost->value, 0);
}

/* --- files --------------------------------------------------------------------------------- */

static void remove_all(const char *where)
{
	DIR *entries = opendir(where);
	struct dirent *entry;
	char name[PATH_MAX + 256];

	while (entries != NULL && (entry = readdir(entries)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(name, sizeof(name), "%s/%s", where, entry->d_name);
		if (unlink(name) != 0)
			rmdir(name);
	}
	if (entries != NULL)
		closedir(entries);
}

static unsigned count_files(void)
{
	DIR *entries = opendir(directory);
	unsigned count = 0;

	while (entries != NULL && readdir(entries) != NULL)
		count++;
	if (entries != NULL)
		closedir(entries);
	return count - 2;
}

static void copy_file(const char *from, const char *to)
{
	int in = open(from, O_RDONLY);
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	struct stat status = { .st_size = 0 };
	off_t data = 0;
	char buffer[65536];

	CU_ASSERT_FATAL(in >= 0 && out >= 0 && fstat(in, &status) == 0);
	CU_ASSERT_FATAL(ftruncate(out, status.st_size) == 0);
	while ((data = lseek(in, data, SEEK_DATA)) >= 0) {
		ssize_t got = pread(in, buffer, sizeof(buffer), data);

		CU_ASSERT_FATAL(got > 0 && pwrite(out, buffer, (size_t)got, data) == got);
		data += got;
	}
	close(in);
	close(out);
}

static void write_file(const char *name, const void *content, size_t bytes)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	CU_ASSERT_FATAL(fd >= 0 && write(fd, content, bytes) == (ssize_t)bytes);
	close(fd);
}

static void overwrite(const char *name, uint64_t offset, const void *content, size_t bytes)
{
	int fd = open(name, O_WRONLY);

	CU_ASSERT_FATAL(fd >= 0 && pwrite(fd, content, bytes, (off_t)offset) == (ssize_t)bytes);
	close(fd);
}

static void beside(char name[PATH_MAX], const char *file)
{
	snprintf(name, PATH_MAX, "%s/%s", directory, file);
}

/* What is mounted from here on is seen by this process and its children only, and is gone with
 * them. */
static bool own_mounts(void)
{
	return geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* --- heaps --------------------------------------------------------------------------------- */

static struct sh_options small_options(void)
{
	struct sh_options options = SH_OPTIONS_INIT;

	options.max_size = MAX_BYTES;
	return options;
}

static int open_at(const char *name, unsigned flags, struct sh_heap **heap)
{
	struct sh_options options = small_options();

	return sh_open(name, flags, &options, heap);
}

/* The handle that a fork child inherits. */
static struct sh_heap *inherited;

static struct sh_heap *open_heap(unsigned flags)
{
	struct sh_heap *heap;

	CU_ASSERT_EQUAL_FATAL(open_at(path, flags, &heap), 0);
	inherited = heap;
	return heap;
}

/* In a child: to be a process that never had to do with the parent's handle. */
static void drop_inherited(void)
{
	if (inherited != NULL)
		REQUIRE(sh_close(inherited) == 0);
	inherited = NULL;
}

static struct sh_heap *child_open(unsigned flags)
{
	struct sh_heap *heap;
	int error;

	drop_inherited();
	error = open_at(path, flags, &heap);

	if (error != 0)
		fprintf(stderr, "\nchild: sh_open: %s\n", sh_strerror(error));
	REQUIRE(error == 0);
	return heap;
}

static struct sh_heap *new_heap_with(const struct sh_options *options)
{
	struct sh_heap *heap;

	remove_all(directory);
	CU_ASSERT_EQUAL_FATAL(sh_open(path, SH_CREATE | SH_EXCL, options, &heap), 0);
	inherited = heap;
	return heap;
}

static struct sh_heap *new_heap(void)
{
	struct sh_options options = small_options();

	return new_heap_with(&options);
}

static void close_heap(struct sh_heap *heap)
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

static void expect_good(struct sh_heap *heap)
{
	uint64_t problems = 0;

	CU_ASSERT_EQUAL(sh_check(heap, 0, show_problem, NULL, &problems), 0);
	CU_ASSERT_EQUAL(problems, 0);
}

/* Whether the heap file says that it is clean, and may be opened without writing. */
static bool is_clean(void)
{
	struct superblock superblock;
	struct sh_heap *heap;
	int fd = open(path, O_RDONLY);
	bool read = pread(fd, &superblock, sizeof(superblock), 0) == (ssize_t)sizeof(superblock);

	close(fd);
	return read && superblock.clean == 1 && open_at(path, SH_RDONLY, &heap) == 0 &&
		sh_close(heap) == 0;
}

static sh_off block(struct sh_heap *heap, size_t size)
{
	sh_off off = sh_alloc(heap, size);

	CU_ASSERT_FATAL(off != 0);
	memset(sh_ptr(heap, off), 0x5a, size);
	return off;
}

/* A block of zeros, named by the root "words". */
static uint64_t *words(struct sh_heap *heap)
{
	sh_off off = sh_alloc_ex(heap, 4096, 0, SH_ZERO);

	CU_ASSERT_FATAL(off != 0);
	CU_ASSERT_EQUAL(sh_root_set(heap, "words", off), 0);
	return sh_ptr(heap, off);
}

static uint64_t *find_words(struct sh_heap *heap)
{
	sh_off off;

	if (sh_root_get(heap, "words", &off) != 0)
		abort();
	return sh_ptr(heap, off);
}

static int count_block(const struct sh_block *found, void *argument)
{
	uint64_t *count = argument;

	(void)found;
	(*count)++;
	return 0;
}

static uint64_t live_blocks(struct sh_heap *heap)
{
	uint64_t count = 0;

	CU_ASSERT_EQUAL(sh_walk(heap, count_block, &count), 0);
	return count;
}

static void die_with_heap_open(void *unused)
{
	struct sh_heap *heap = child_open(0);

	(void)unused;
	REQUIRE(sh_root_set(heap, "died", sh_alloc(heap, 100)) == 0);
	die();
}

/* --- open and close ------------------------------------------------------------------------ */

static void test_create_and_reopen(void)
{
	struct sh_heap *heap = new_heap();
	sh_off off = block(heap, 100);
	sh_off found;

	CU_ASSERT_EQUAL(sh_root_set(heap, "a", off), 0);
	close_heap(heap);
	CU_ASSERT_EQUAL(count_files(), 2);
	CU_ASSERT_TRUE(is_clean());
	heap = open_heap(0);
	CU_ASSERT_EQUAL(sh_root_get(heap, "a", &found), 0);
	CU_ASSERT_EQUAL(found, off);
	CU_ASSERT_EQUAL(*(unsigned char *)sh_ptr(heap, off), 0x5a);
	expect_good(heap);
	close_heap(heap);
	heap = open_heap(SH_CREATE);
	CU_ASSERT_EQUAL(sh_root_get(heap, "a", &found), 0);
	close_heap(heap);
	CU_ASSERT_EQUAL(open_at(path, SH_CREATE | SH_EXCL, &heap), EEXIST);
	CU_ASSERT_PTR_NULL(heap);
}

static void test_clean_heap_needs_no_control_file(void)
{
	char moved[PATH_MAX];
	struct sh_heap *heap = new_heap();

	CU_ASSERT_EQUAL(sh_root_set(heap, "a", block(heap, 10)), 0);
	close_heap(heap);
	CU_ASSERT_EQUAL(unlink(shm_path), 0);
	heap = open_heap(0);
	close_heap(heap);
	beside(moved, "moved");
	copy_file(path, moved);
	CU_ASSERT_EQUAL(open_at(moved, 0, &heap), 0);
	expect_good(heap);
	close_heap(heap);
}

static void test_bad_arguments(void)
{
	struct sh_options options = small_options();
	struct sh_heap *heap;
	char name[PATH_MAX];

	remove_all(directory);
	CU_ASSERT_EQUAL(open_at(path, 0, &heap), ENOENT);
	CU_ASSERT_EQUAL(open_at("", SH_CREATE, &heap), ENOENT);
	CU_ASSERT_EQUAL(open_at(path, 0x100, &heap), EINVAL);
	CU_ASSERT_EQUAL(open_at(path, SH_RDONLY | SH_CREATE, &heap), EINVAL);
	beside(name, "none/heap");
	CU_ASSERT_EQUAL(open_at(name, SH_CREATE, &heap), ENOENT);
	beside(name, "nowhere");
	CU_ASSERT_EQUAL(symlink("none", name), 0);
	CU_ASSERT_EQUAL(open_at(name, SH_CREATE, &heap), ENOENT);
	unlink(name);
	options.max_size = 1;
	CU_ASSERT_EQUAL(sh_open(path, SH_CREATE, &options, &heap), EINVAL);
	options.max_size = UINT64_C(1) << 60;
	CU_ASSERT_EQUAL(sh_open(path, SH_CREATE, &options, &heap), EINVAL);
	options = small_options();
	options.max_threads = 1u << 20;
	CU_ASSERT_EQUAL(sh_open(path, SH_CREATE, &options, &heap), EINVAL);
	options = small_options();
	options.max_processes = 1u << 20;
	CU_ASSERT_EQUAL(sh_open(path, SH_CREATE, &options, &heap), EINVAL);
	options = small_options();
	options.mode = 010000;
	CU_ASSERT_EQUAL(sh_open(path, SH_CREATE, &options, &heap), EINVAL);
	options = small_options();
	options.struct_bytes = 1;
	CU_ASSERT_EQUAL(sh_open(path, SH_CREATE, &options, &heap), EINVAL);
	CU_ASSERT_PTR_NULL(heap);
	CU_ASSERT_EQUAL(count_files(), 0);
}

static void test_mode(void)
{
	struct sh_options options = small_options();
	struct sh_heap *heap;
	struct stat status;

	options.mode = 0640;
	heap = new_heap_with(&options);
	CU_ASSERT_EQUAL(stat(path, &status), 0);
	CU_ASSERT_EQUAL(status.st_mode & 0777, 0640);
	CU_ASSERT_EQUAL(stat(shm_path, &status), 0);
	CU_ASSERT_EQUAL(status.st_mode & 0777, 0640);
	close_heap(heap);
}

static void test_one_handle(void)
{
	char other[PATH_MAX];
	struct sh_heap *heap = new_heap();
	struct sh_heap *again;

	CU_ASSERT_EQUAL(open_at(path, SH_CREATE, &again), 0);
	CU_ASSERT_PTR_EQUAL(again, heap);
	beside(other, "hard");
	CU_ASSERT_EQUAL(link(path, other), 0);
	CU_ASSERT_EQUAL(open_at(other, 0, &again), 0);
	CU_ASSERT_PTR_EQUAL(again, heap);
	beside(other, "soft");
	CU_ASSERT_EQUAL(symlink(path, other), 0);
	CU_ASSERT_EQUAL(open_at(other, 0, &again), 0);
	CU_ASSERT_PTR_EQUAL(again, heap);
	for (int i = 0; i < 3; i++) {
		close_heap(again);
		block(heap, 10);
	}
	close_heap(heap);
	CU_ASSERT_TRUE(is_clean());
}

static void open_by_other_names(void *unused)
{
	char other[PATH_MAX];
	struct sh_heap *heap;

	(void)unused;
	drop_inherited();
	beside(other, "hard");
	REQUIRE(open_at(other, 0, &heap) == SH_ECONTROL);
	/* A symbolic link leads to the heap file, and so to its control file. */
	beside(other, "soft");
	REQUIRE(open_at(other, 0, &heap) == 0);
	REQUIRE(sh_alloc(heap, 10) != 0);
	REQUIRE(sh_close(heap) == 0);
}

static void test_two_paths(void)
{
	char other[PATH_MAX];
	struct sh_heap *heap = new_heap();

	beside(other, "hard");
	CU_ASSERT_EQUAL(link(path, other), 0);
	beside(other, "soft");
	CU_ASSERT_EQUAL(symlink(path, other), 0);
	CU_ASSERT_EQUAL(run(open_by_other_names, NULL), EXITED_WELL);
	close_heap(heap);
}

static void open_without_control(void *unused)
{
	struct sh_heap *heap;

	(void)unused;
	drop_inherited();
	REQUIRE(open_at(path, 0, &heap) == SH_ECONTROL);
	REQUIRE(open_at(path, SH_SALVAGE, &heap) == SH_ECONTROL);
}

static void test_control_file_removed_under_the_living(void)
{
	struct sh_heap *heap = new_heap();

	unlink(shm_path);
	CU_ASSERT_EQUAL(run(open_without_control, NULL), EXITED_WELL);
	block(heap, 100);
	close_heap(heap);
	CU_ASSERT_TRUE(is_clean());
}

/* --- files that are no heaps, or damaged --------------------------------------------------- */

static void test_not_a_heap(void)
{
	static char garbage[100000];
	struct sh_heap *heap;

	remove_all(directory);
	write_file(path, "", 0);
	CU_ASSERT_EQUAL(open_at(path, 0, &heap), SH_EBADHEAP);
	CU_ASSERT_EQUAL(open_at(path, SH_CREATE, &heap), SH_EBADHEAP);
	for (size_t i = 0; i < sizeof(garbage); i++)
		garbage[i] = (char)(i * 31 + i / 7);
	write_file(path, garbage, sizeof(garbage));
	CU_ASSERT_EQUAL(open_at(path, 0, &heap), SH_EBADHEAP);
	CU_ASSERT_EQUAL(open_at(path, SH_RDONLY, &heap), SH_EBADHEAP);
	CU_ASSERT_EQUAL(open_at(directory, 0, &heap), EISDIR);
	CU_ASSERT_EQUAL(open_at(directory, SH_RDONLY, &heap), EISDIR);
	unlink(path);
	CU_ASSERT_EQUAL(mkfifo(path, 0600), 0);
	CU_ASSERT_EQUAL(open_at(path, 0, &heap), SH_EBADHEAP);
	CU_ASSERT_EQUAL(open_at(path, SH_RDONLY, &heap), SH_EBADHEAP);
	CU_ASSERT_EQUAL(count_files(), 1);
}

static void make_closed_heap(void)
{
	struct sh_heap *heap = new_heap();

	CU_ASSERT_EQUAL(sh_root_set(heap, "a", block(heap, 3 * PAGE_BYTES)), 0);
	close_heap(heap);
}

static uint64_t copy_b_offset(void)
{
	return heap_superblock_b_offset(MAX_BYTES, DEFAULT_THREAD_SLOTS + 1);
}

static void expect_opens(void)
{
	struct sh_heap *heap;
	sh_off off;

	CU_ASSERT_EQUAL(open_at(path, 0, &heap), 0);
	if (heap == NULL)
		return;
	CU_ASSERT_EQUAL(sh_root_get(heap, "a", &off), 0);
	expect_good(heap);
	close_heap(heap);
	CU_ASSERT_TRUE(is_clean());
}

static void test_damaged_superblock(void)
{
	static const char zeros[64];
	struct sh_heap *heap;

	make_closed_heap();
	overwrite(path, 16, zeros, sizeof(zeros));
	expect_opens();
	overwrite(path, copy_b_offset() + 16, zeros, sizeof(zeros));
	expect_opens();
	overwrite(path, 16, zeros, sizeof(zeros));
	overwrite(path, copy_b_offset() + 16, zeros, sizeof(zeros));
	CU_ASSERT_EQUAL(open_at(path, 0, &heap), SH_EBADHEAP);
	CU_ASSERT_EQUAL(open_at(path, SH_SALVAGE, &heap), SH_EBADHEAP);
}

static void test_truncated(void)
{
	struct stat status;
	struct sh_heap *heap;

	make_closed_heap();
	CU_ASSERT_EQUAL(stat(path, &status), 0);
	/* The end copy of the superblock, and a page that the heap holds. */
	CU_ASSERT_EQUAL(truncate(path, status.st_size - 2 * 4096), 0);
	CU_ASSERT_EQUAL(open_at(path, 0, &heap), SH_EBADHEAP);
	CU_ASSERT_EQUAL(open_at(path, SH_RDONLY, &heap), SH_EBADHEAP);
	CU_ASSERT_EQUAL(open_at(path, SH_SALVAGE, &heap), 0);
	if (heap != NULL)
		close_heap(heap);
	expect_opens();
	CU_ASSERT_EQUAL(truncate(path, 3000), 0);
	CU_ASSERT_EQUAL(open_at(path, 0, &heap), SH_EBADHEAP);
	CU_ASSERT_EQUAL(open_at(path, SH_SALVAGE, &heap), SH_EBADHEAP);
	CU_ASSERT_EQUAL(truncate(path, 10), 0);
	CU_ASSERT_EQUAL(open_at(path, 0, &heap), SH_EBADHEAP);
}

/* Changes the superblock as a sound one, with its checksum. */
static void rewrite_superblock(void (*change)(struct superblock *superblock))
{
	uint64_t bytes = heap_header_bytes(MAX_BYTES, DEFAULT_THREAD_SLOTS + 1);
	int fd = open(path, O_RDWR);
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

static void other_abi(struct superblock *superblock)
{
	superblock->abi++;
}

static void other_format(struct superblock *superblock)
{
	superblock->format_version++;
}

static void other_boot(struct superblock *superblock)
{
	superblock->boot_id[0] ^= 1;
}

static void test_other_version(void)
{
	struct sh_heap *heap;

	make_closed_heap();
	rewrite_superblock(other_abi);
	CU_ASSERT_EQUAL(open_at(path, 0, &heap), SH_EVERSION);
	make_closed_heap();
	rewrite_superblock(other_format);
	CU_ASSERT_EQUAL(open_at(path, SH_SALVAGE, &heap), SH_EVERSION);
}

static void as_nobody(void *unused)
{
	char name[PATH_MAX];
	struct sh_heap *heap;

	(void)unused;
	REQUIRE(setgid(65534) == 0 && setuid(65534) == 0);
	beside(name, "other");
	REQUIRE(open_at(path, 0, &heap) == EACCES);
	REQUIRE(open_at(name, SH_CREATE, &heap) == EACCES);
	beside(name, "readable");
	REQUIRE(open_at(name, 0, &heap) == EACCES);
	REQUIRE(open_at(name, SH_RDONLY, &heap) == 0);
	REQUIRE(sh_close(heap) == 0);
}

static void drop_rights(void *unused)
{
	struct sh_heap *heap = child_open(0);

	(void)unused;
	REQUIRE(setgid(65534) == 0 && setuid(65534) == 0);
	for (uint64_t bytes = 0; bytes < 2 * CHUNK_BYTES; bytes += 1000)
		REQUIRE(sh_alloc(heap, 1000) != 0);
	REQUIRE(sh_close(heap) == 0);
}

/* A server that opens the heap as root and goes on as somebody else. */
static void test_rights_dropped(void)
{
	if (geteuid() != 0) {
		printf("SKIPPED, not root: ");
		return;
	}
	make_closed_heap();
	CU_ASSERT_EQUAL(run(drop_rights, NULL), EXITED_WELL);
	CU_ASSERT_TRUE(is_clean());
	expect_opens();
}

static void test_permissions(void)
{
	char name[PATH_MAX];

	if (geteuid() != 0) {
		printf("SKIPPED, not root: ");
		return;
	}
	make_closed_heap();
	beside(name, "readable");
	copy_file(path, name);
	CU_ASSERT_EQUAL(chmod(name, 0444), 0);
	CU_ASSERT_EQUAL(chmod(directory, 0755), 0);
	CU_ASSERT_EQUAL(run(as_nobody, NULL), EXITED_WELL);
}

/* --- all die (P2), and what is not P2 ------------------------------------------------------ */

static void die_in_transaction(void *unused)
{
	struct sh_heap *heap = child_open(0);
	struct sh_txn *txn;
	uint64_t *word = find_words(heap);

	(void)unused;
	REQUIRE(sh_txn_begin(heap, 0, &txn) == 0);
	REQUIRE(sh_txn_store(txn, &word[0], sh_txn_alloc(txn, 100, 0)) == 0);
	REQUIRE(sh_txn_commit(txn) == 0);
	REQUIRE(sh_txn_begin(heap, 0, &txn) == 0);
	REQUIRE(sh_txn_alloc(txn, 5 * PAGE_BYTES, 0) != 0);
	REQUIRE(sh_txn_alloc(txn, 200, 0) != 0);
	REQUIRE(sh_txn_add(txn, &word[1], 16) == 0);
	word[1] = 77;
	word[2] = 78;
	die();
}

static void test_all_die(void)
{
	struct sh_heap *heap = new_heap();
	struct sh_reap_report report;
	uint64_t ns;
	uint64_t *word = words(heap);

	word[1] = 5;
	word[2] = 6;
	CU_ASSERT_EQUAL(sh_recovery_report(heap, &report, &ns), 0);
	CU_ASSERT_EQUAL(report.rolled_back, 0);
	CU_ASSERT_EQUAL(ns, 0);
	close_heap(heap);
	CU_ASSERT_EQUAL(run(die_in_transaction, NULL), KILLED);
	CU_ASSERT_EQUAL(open_at(path, SH_RDONLY, &heap), EROFS);
	heap = open_heap(0);
	CU_ASSERT_EQUAL(sh_recovery_report(heap, &report, &ns), 0);
	CU_ASSERT_EQUAL(report.rolled_back, 1);
	CU_ASSERT_EQUAL(report.blocks_freed, 2);
	CU_ASSERT(ns > 0);
	word = find_words(heap);
	CU_ASSERT(sh_usable_size(heap, word[0]) >= 100);
	CU_ASSERT_EQUAL(word[1], 5);
	CU_ASSERT_EQUAL(word[2], 6);
	CU_ASSERT_EQUAL(live_blocks(heap), 2);
	expect_good(heap);
	close_heap(heap);
	CU_ASSERT_TRUE(is_clean());
}

static void expect_torn_then_salvage(void)
{
	struct sh_heap *heap;

	CU_ASSERT_EQUAL(open_at(path, 0, &heap), SH_ETORN);
	CU_ASSERT_EQUAL(open_at(path, SH_RDONLY, &heap), EROFS);
	CU_ASSERT_EQUAL(open_at(path, 0, &heap), SH_ETORN);
	heap = open_heap(SH_SALVAGE);
	expect_good(heap);
	block(heap, 1000);
	close_heap(heap);
	expect_opens();
}

static void test_control_file_missing(void)
{
	make_closed_heap();
	CU_ASSERT_EQUAL(run(die_with_heap_open, NULL), KILLED);
	unlink(shm_path);
	expect_torn_then_salvage();
}

static void test_other_boot(void)
{
	make_closed_heap();
	CU_ASSERT_EQUAL(run(die_with_heap_open, NULL), KILLED);
	rewrite_superblock(other_boot);
	expect_torn_then_salvage();
}

static void test_copied_while_in_use(void)
{
	struct sh_heap *heap = new_heap();
	char copy[PATH_MAX];

	CU_ASSERT_EQUAL(sh_root_set(heap, "a", block(heap, 10)), 0);
	beside(copy, "copy");
	copy_file(path, copy);
	block(heap, 100);
	close_heap(heap);
	CU_ASSERT_EQUAL(open_at(copy, 0, &heap), SH_ETORN);
	/* Put back in place, over the same inode, after other processes came and died. */
	CU_ASSERT_EQUAL(run(die_with_heap_open, NULL), KILLED);
	copy_file(copy, path);
	expect_torn_then_salvage();
}

/* The superblock of a clean file and the content of a later time: cp of a file that is opened
 * meanwhile. */
static void test_mixture(void)
{
	static char head[SUPERBLOCK_STRIDE];
	static char tail[SUPERBLOCK_STRIDE];
	int fd;

	make_closed_heap();
	fd = open(path, O_RDWR);
	CU_ASSERT_EQUAL(pread(fd, head, sizeof(head), 0), (ssize_t)sizeof(head));
	CU_ASSERT_EQUAL(pread(fd, tail, sizeof(tail), (off_t)copy_b_offset()),
		(ssize_t)sizeof(tail));
	CU_ASSERT_EQUAL(run(die_with_heap_open, NULL), KILLED);
	CU_ASSERT_EQUAL(pwrite(fd, head, sizeof(head), 0), (ssize_t)sizeof(head));
	CU_ASSERT_EQUAL(pwrite(fd, tail, sizeof(tail), (off_t)copy_b_offset()),
		(ssize_t)sizeof(tail));
	close(fd);
	expect_torn_then_salvage();
}

/* --- some die (P1) ------------------------------------------------------------------------- */

static void live_until_told(void *unused)
{
	struct sh_heap *heap = child_open(0);
	sh_off off = sh_alloc(heap, 64);

	(void)unused;
	REQUIRE(off != 0);
	reach(1);
	wait_for(2);
	REQUIRE(sh_free(heap, off) == 0);
	REQUIRE(sh_close(heap) == 0);
}

static void test_dead_and_living_peers(void)
{
	struct sh_heap *heap = new_heap();
	struct sh_reap_report report;
	uint64_t *word = words(heap);
	pid_t living;

	new_signpost();
	living = start(live_until_told, NULL);
	wait_for(1);
	CU_ASSERT_EQUAL(run(die_in_transaction, NULL), KILLED);
	CU_ASSERT_EQUAL(sh_reap(heap, &report), 0);
	CU_ASSERT_EQUAL(report.processes, 1);
	CU_ASSERT_EQUAL(report.threads, 1);
	CU_ASSERT_EQUAL(report.rolled_back, 1);
	CU_ASSERT_EQUAL(report.blocks_freed, 2);
	CU_ASSERT_EQUAL(word[1], 0);
	CU_ASSERT_EQUAL(sh_reap(heap, &report), 0);
	CU_ASSERT_EQUAL(report.processes + report.threads, 0);
	/* A stopped process is alive. */
	kill(living, SIGSTOP);
	CU_ASSERT_EQUAL(sh_reap(heap, &report), 0);
	CU_ASSERT_EQUAL(report.processes + report.threads, 0);
	kill(living, SIGCONT);
	expect_good(heap);
	reach(2);
	CU_ASSERT_EQUAL(finish(living), EXITED_WELL);
	CU_ASSERT_EQUAL(live_blocks(heap), 2);
	close_heap(heap);
	CU_ASSERT_TRUE(is_clean());
}

static void report_of_open(void *unused)
{
	struct sh_heap *heap;
	struct sh_reap_report report;
	uint64_t ns;

	(void)unused;
	heap = child_open(0);
	REQUIRE(sh_recovery_report(heap, &report, &ns) == 0);
	REQUIRE(report.processes == 1 && report.threads == 1 && report.rolled_back == 1 && ns > 0);
	REQUIRE(sh_close(heap) == 0);
}

static void test_open_reaps(void)
{
	struct sh_heap *heap = new_heap();

	words(heap);
	CU_ASSERT_EQUAL(run(die_in_transaction, NULL), KILLED);
	CU_ASSERT_EQUAL(run(report_of_open, NULL), EXITED_WELL);
	close_heap(heap);
}

/* The last one out finishes what the dead left, also when nobody met them. */
static void test_close_reaps(void)
{
	struct sh_heap *heap = new_heap();
	struct sh_reap_report report;
	uint64_t *word = words(heap);

	CU_ASSERT_EQUAL(run(die_in_transaction, NULL), KILLED);
	CU_ASSERT_EQUAL(word[1], 77);
	close_heap(heap);
	CU_ASSERT_EQUAL_FATAL(open_at(path, SH_RDONLY, &heap), 0);
	CU_ASSERT_EQUAL(find_words(heap)[1], 0);
	close_heap(heap);
	heap = open_heap(0);
	CU_ASSERT_EQUAL(sh_recovery_report(heap, &report, NULL), 0);
	CU_ASSERT_EQUAL(report.rolled_back, 0);
	close_heap(heap);
}

static void wait_for_the_end(void *unused)
{
	struct sh_heap *heap = child_open(0);

	(void)unused;
	REQUIRE(sh_alloc(heap, 10) != 0);
	atomic_fetch_add(&signpost->reached, 1);
	for (;;)
		pause();
}

static void expect_no_process_slot(void *unused)
{
	struct sh_heap *heap;

	(void)unused;
	wait_for(2);
	REQUIRE(open_at(path, 0, &heap) == SH_ESLOTS);
}

/* As many processes as the heap has slots for, killed together, again and again. */
static void test_process_slots(void)
{
	struct sh_options options = small_options();
	struct sh_heap *heap;

	options.max_processes = 2;
	options.max_threads = 3;
	heap = new_heap_with(&options);
	close_heap(heap);
	for (int round = 0; round < 5; round++) {
		pid_t children[2];
		pid_t late;

		new_signpost();
		late = start(expect_no_process_slot, NULL);
		for (int i = 0; i < 2; i++)
			children[i] = start(wait_for_the_end, NULL);
		CU_ASSERT_EQUAL(finish(late), EXITED_WELL);
		kill(children[0], SIGSTOP);
		CU_ASSERT_EQUAL(finish_killed(children[0]), KILLED);
		if (round % 2 == 0) {
			/* One survives, and its place with the dead one's is not enough for two. */
			atomic_store(&signpost->reached, 1);
			children[0] = start(wait_for_the_end, NULL);
			wait_for(2);
			CU_ASSERT_EQUAL(finish_killed(children[0]), KILLED);
		}
		CU_ASSERT_EQUAL(finish_killed(children[1]), KILLED);
	}
	heap = open_heap(0);
	expect_good(heap);
	close_heap(heap);
}

/* --- random deaths ------------------------------------------------------------------------- */

#define KEPT 64u

/* A mutex and two numbers that are equal outside of it: what transactions under it change. */
struct account {
	struct sh_mutex mutex;
	uint64_t left;
	uint64_t right;
};

static void lock_account(struct sh_heap *heap, struct account *account)
{
	int error = sh_mutex_lock(heap, &account->mutex);

	REQUIRE(error == 0 || error == SH_EOWNERDIED);
	REQUIRE(account->left == account->right);
}

static void change_account(struct sh_heap *heap, struct random *random)
{
	struct account *account = (struct account *)(void *)find_words(heap);
	struct sh_txn *txn;

	lock_account(heap, account);
	REQUIRE(sh_txn_begin(heap, 0, &txn) == 0);
	REQUIRE(sh_txn_add(txn, &account->left, 16) == 0);
	account->left++;
	account->right++;
	if (random_below(random, 3) == 0)
		sh_txn_abort(txn);
	else
		REQUIRE(sh_txn_commit(txn) == 0);
	REQUIRE(sh_mutex_unlock(heap, &account->mutex) == 0);
}

static void change_root(struct sh_heap *heap, struct random *random)
{
	struct account *account = (struct account *)(void *)find_words(heap);
	char name[8];
	struct sh_txn *txn;
	sh_off before;
	sh_off off;

	snprintf(name, sizeof(name), "r%u", (unsigned)random_below(random, 4));
	lock_account(heap, account);
	sh_root_get(heap, name, &before);
	REQUIRE(sh_txn_begin(heap, 0, &txn) == 0);
	off = sh_txn_alloc(txn, 1 + random_below(random, 3 * SMALL_MAX_BYTES), 0);
	REQUIRE(off != 0 && sh_txn_root(txn, name, off) == 0);
	REQUIRE(sh_txn_free(txn, before, 0) == 0);
	REQUIRE(sh_txn_commit(txn) == 0);
	REQUIRE(sh_mutex_unlock(heap, &account->mutex) == 0);
}

static void work(struct sh_heap *heap, struct random *random, uint64_t steps)
{
	sh_off kept[KEPT] = { 0 };

	for (uint64_t step = 0; step < steps; step++) {
		uint64_t i = random_below(random, KEPT);
		size_t size =
			1 + random_below(random, random_below(random, 50) == 0 ? 100000 : 2000);

		REQUIRE(sh_free(heap, kept[i]) == 0);
		kept[i] = sh_alloc(heap, size);
		REQUIRE(kept[i] != 0);
		memset(sh_ptr(heap, kept[i]), 1, size);
		if (random_below(random, 10) == 0)
			change_account(heap, random);
		if (random_below(random, 10) == 0)
			change_root(heap, random);
	}
	for (unsigned i = 0; i < KEPT; i++)
		REQUIRE(sh_free(heap, kept[i]) == 0);
}

static void *work_in_thread(void *argument)
{
	struct random random = { .state = (uint64_t)(uintptr_t)argument };

	work(inherited, &random, UINT64_MAX);
	return NULL;
}

/* Opens, works in two threads for a while, closes, again and again, until it is killed. */
static void work_until_killed(void *argument)
{
	struct random random = { .state = *(uint64_t *)argument };
	pthread_t thread;

	for (;;) {
		struct sh_heap *heap = child_open(0);

		work(heap, &random, random_below(&random, 100));
		if (random_below(&random, 2) == 0) {
			inherited = heap;
			pthread_create(&thread, NULL, work_in_thread,
				(void *)(uintptr_t)random_next(&random));
			work(heap, &random, UINT64_MAX);
		}
		REQUIRE(sh_close(heap) == 0);
	}
}

static pid_t start_worker(struct random *random)
{
	uint64_t seed = random_next(random);

	return start(work_until_killed, &seed);
}

static void sleep_below(struct random *random, uint64_t limit_us)
{
	struct timespec time = { .tv_nsec = (long)(random_below(random, limit_us) * 1000) };

	nanosleep(&time, NULL);
}

static void kill_round(struct random *random, unsigned deaths)
{
	pid_t workers[2] = { start_worker(random), start_worker(random) };

	for (unsigned i = 0; i < deaths; i++) {
		unsigned which = (unsigned)random_below(random, 2);

		sleep_below(random, 6000);
		CU_ASSERT_EQUAL(finish_killed(workers[which]), KILLED);
		workers[which] = start_worker(random);
	}
	sleep_below(random, 6000);
	CU_ASSERT_EQUAL(finish_killed(workers[0]), KILLED);
	CU_ASSERT_EQUAL(finish_killed(workers[1]), KILLED);
}

/* What a transaction published is there. */
static void expect_roots_live(struct sh_heap *heap)
{
	static const char *const names[] = { "words", "r0", "r1", "r2", "r3" };
	sh_off off;

	for (size_t i = 0; i < LENGTH_OF(names); i++)
		if (sh_root_get(heap, names[i], &off) == 0)
			CU_ASSERT_NOT_EQUAL(sh_usable_size(heap, off), 0);
}

static void test_random_deaths(void)
{
	struct random random = random_seeded("random deaths");
	struct sh_heap *heap = new_heap();

	words(heap);
	close_heap(heap);
	for (int round = 0; round < 12; round++) {
		struct account *account;

		kill_round(&random, 4);
		heap = open_heap(0);
		account = (struct account *)(void *)find_words(heap);
		CU_ASSERT_EQUAL(account->left, account->right);
		expect_good(heap);
		expect_roots_live(heap);
		close_heap(heap);
	}
	CU_ASSERT_TRUE(is_clean());
}

static void open_and_close(void *unused)
{
	(void)unused;
	for (;;)
		REQUIRE(sh_close(child_open(0)) == 0);
}

static void create_over_and_over(void *unused)
{
	char name[PATH_MAX];
	struct sh_heap *heap;

	(void)unused;
	for (unsigned i = 0;; i++) {
		beside(name, i % 2 == 0 ? "made0" : "made1");
		unlink(name);
		REQUIRE(open_at(name, SH_CREATE, &heap) == 0);
		REQUIRE(sh_close(heap) == 0);
	}
}

/* Deaths inside sh_open(), recovery and sh_close(). */
static void test_deaths_in_open(void)
{
	struct random random = random_seeded("deaths in open");

	make_closed_heap();
	for (int i = 0; i < 60; i++) {
		pid_t one = start(open_and_close, NULL);
		pid_t other = start(open_and_close, NULL);

		sleep_below(&random, 4000);
		CU_ASSERT_EQUAL(finish_killed(one), KILLED);
		sleep_below(&random, 1000);
		CU_ASSERT_EQUAL(finish_killed(other), KILLED);
		if (i % 4 == 0)
			expect_opens();
	}
	expect_opens();
}

static void test_deaths_in_create(void)
{
	struct random random = random_seeded("deaths in create");
	char name[PATH_MAX];

	make_closed_heap();
	for (int i = 0; i < 30; i++) {
		pid_t one = start(create_over_and_over, NULL);

		sleep_below(&random, 4000);
		CU_ASSERT_EQUAL(finish_killed(one), KILLED);
		for (int k = 0; k < 2; k++) {
			struct sh_heap *heap;
			int error;

			beside(name, k == 0 ? "made0" : "made1");
			error = open_at(name, 0, &heap);
			CU_ASSERT(error == 0 || error == ENOENT);
			if (error == 0)
				close_heap(heap);
		}
	}
}

/* --- fork and exec ------------------------------------------------------------------------- */

static void use_after_fork(void *argument)
{
	struct sh_heap *heap = argument;
	uint64_t *word = find_words(heap);
	sh_off off = sh_alloc(heap, 100);

	REQUIRE(off != 0);
	REQUIRE(word[0] == 11);
	word[1] = off;
	REQUIRE(sh_close(heap) == 0);
}

static void test_fork_child_uses_the_heap(void)
{
	struct sh_heap *heap = new_heap();
	uint64_t *word = words(heap);

	word[0] = 11;
	block(heap, 100);
	CU_ASSERT_EQUAL(run(use_after_fork, heap), EXITED_WELL);
	CU_ASSERT(sh_usable_size(heap, word[1]) >= 100);
	CU_ASSERT_EQUAL(sh_free(heap, word[1]), 0);
	block(heap, 100);
	expect_good(heap);
	close_heap(heap);
	CU_ASSERT_TRUE(is_clean());
}

static void outlive_parent(void *argument)
{
	struct sh_heap *heap = argument;

	/* The parent is gone, as it is when a daemon starts. */
	reach(1);
	wait_for(2);
	find_words(heap)[0] = sh_alloc(heap, 50);
	REQUIRE(find_words(heap)[0] != 0);
	REQUIRE(sh_close(heap) == 0);
	reach(3);
}

static void become_daemon(void *unused)
{
	struct sh_heap *heap = child_open(0);

	(void)unused;
	start(outlive_parent, heap);
}

static void test_daemon(void)
{
	struct sh_heap *heap = new_heap();

	words(heap);
	close_heap(heap);
	new_signpost();
	CU_ASSERT_EQUAL(run(become_daemon, NULL), EXITED_WELL);
	wait_for(1);
	CU_ASSERT_FALSE(is_clean());
	reach(2);
	wait_for(3);
	CU_ASSERT_TRUE(is_clean());
}

/* Nobody but the child is attached as soon as fork() has returned. */
static void test_parent_closes_after_fork(void)
{
	struct sh_heap *heap = new_heap();
	pid_t child;

	new_signpost();
	words(heap);
	child = start(outlive_parent, heap);
	close_heap(heap);
	wait_for(1);
	CU_ASSERT_FALSE(is_clean());
	reach(2);
	CU_ASSERT_EQUAL(finish(child), EXITED_WELL);
	CU_ASSERT_TRUE(is_clean());
}

static void child_without_a_slot(void *argument)
{
	struct sh_heap *heap = argument;
	struct rlimit no_core = { 0, 0 };
	uint64_t *word;
	sh_off off;

	errno = 0;
	REQUIRE(sh_alloc(heap, 10) == 0 && errno == ECHILD);
	REQUIRE(sh_free(heap, 16) == ECHILD);
	REQUIRE(sh_root_get(heap, "words", &off) == ECHILD);
	REQUIRE(sh_usable_size(heap, 4096) == 0);
	REQUIRE(sh_check(heap, 0, NULL, NULL, NULL) == ECHILD);
	word = sh_ptr(heap, 64);
	setrlimit(RLIMIT_CORE, &no_core);
	signal(SIGSEGV, SIG_DFL);
	*(volatile uint64_t *)word;
}

static void child_without_a_slot_closes(void *argument)
{
	REQUIRE(sh_close(argument) == 0);
}

static void test_fork_without_a_slot(void)
{
	struct sh_options options = small_options();
	struct sh_heap *heap;

	options.max_processes = 1;
	heap = new_heap_with(&options);
	words(heap);
	CU_ASSERT(WIFSIGNALED(run(child_without_a_slot, heap)));
	CU_ASSERT_EQUAL(run(child_without_a_slot_closes, heap), EXITED_WELL);
	block(heap, 100);
	expect_good(heap);
	close_heap(heap);
}

static void open_transaction_in_parent(void *argument)
{
	struct sh_heap *heap = argument;
	struct sh_txn *txn;

	/* The parent's transaction is not the child's. */
	REQUIRE(sh_txn_begin(heap, 0, &txn) == 0);
	REQUIRE(sh_txn_alloc(txn, 100, 0) != 0);
	REQUIRE(sh_txn_commit(txn) == 0);
	die();
}

static void test_fork_in_a_transaction(void)
{
	struct sh_heap *heap = new_heap();
	struct sh_reap_report report;
	struct sh_txn *txn;
	uint64_t *word = words(heap);
	sh_off off;

	CU_ASSERT_EQUAL(sh_txn_begin(heap, 0, &txn), 0);
	off = sh_txn_alloc(txn, 100, 0);
	CU_ASSERT_EQUAL(run(open_transaction_in_parent, heap), KILLED);
	CU_ASSERT_EQUAL(sh_reap(heap, &report), 0);
	CU_ASSERT_EQUAL(report.processes, 1);
	CU_ASSERT_EQUAL(report.rolled_back, 0);
	CU_ASSERT_EQUAL(sh_txn_store(txn, word, off), 0);
	CU_ASSERT_EQUAL(sh_txn_commit(txn), 0);
	CU_ASSERT(sh_usable_size(heap, *word) >= 100);
	close_heap(heap);
}

static void exec_other_program(void *unused)
{
	struct sh_heap *heap = child_open(0);

	(void)unused;
	REQUIRE(sh_alloc(heap, 10) != 0);
	execl("/bin/sh", "sh", "-c",
		"for f in /proc/self/fd/*; do case $(readlink $f) in \"$0\"*) exit 9;; esac; done",
		path, (char *)NULL);
}

static void test_exec(void)
{
	make_closed_heap();
	CU_ASSERT_EQUAL(run(exec_other_program, NULL), EXITED_WELL);
	expect_opens();
}

static void stay_alive_through_exec(void *unused)
{
	child_open(0);
	(void)unused;
	reach(1);
	execl("/bin/sleep", "sleep", "1000", (char *)NULL);
}

/* The new program is not attached. */
static void test_exec_detaches(void)
{
	struct sh_heap *heap = new_heap();
	struct sh_reap_report report = { .processes = 0 };
	pid_t child;

	new_signpost();
	child = start(stay_alive_through_exec, NULL);
	wait_for(1);
	for (int i = 0; i < 2000 && report.processes == 0; i++) {
		CU_ASSERT_EQUAL(sh_reap(heap, &report), 0);
		usleep(1000);
	}
	CU_ASSERT_EQUAL(report.processes, 1);
	CU_ASSERT_EQUAL(finish_killed(child), KILLED);
	close_heap(heap);
}

/* Takes all the numbers that the library's descriptors had. */
static void close_all_and_reuse(int log)
{
	int moved = fcntl(log, F_DUPFD, 2000);

	REQUIRE(moved >= 2000);
	REQUIRE(close_range(3, 1999, 0) == 0);
	for (int fd = 3; fd < 40; fd++)
		REQUIRE(dup2(moved, fd) == fd);
	for (int fd = 512; fd < 600; fd++)
		REQUIRE(dup2(moved, fd) == fd);
}

static void grow_after_closefrom(void *unused)
{
	struct sh_heap *heap = child_open(0);
	struct stat status;
	char name[PATH_MAX];
	int log;

	(void)unused;
	beside(name, "log");
	log = open(name, O_RDWR | O_CREAT, 0600);
	REQUIRE(log >= 0);
	close_all_and_reuse(log);
	for (uint64_t bytes = 0; bytes < 4 * CHUNK_BYTES; bytes += 1000)
		REQUIRE(sh_alloc(heap, 1000) != 0);
	REQUIRE(run(use_after_fork, heap) == EXITED_WELL);
	REQUIRE(sh_close(heap) == 0);
	REQUIRE(fstat(log, &status) == 0 && status.st_size == 0);
	for (int fd = 512; fd < 600; fd++)
		REQUIRE(fcntl(fd, F_GETFD) >= 0);
}

static void test_closefrom(void)
{
	struct sh_heap *heap = new_heap();

	words(heap)[0] = 11;
	close_heap(heap);
	CU_ASSERT_EQUAL(run(grow_after_closefrom, NULL), EXITED_WELL);
	heap = open_heap(0);
	expect_good(heap);
	close_heap(heap);
}

/* --- threads ------------------------------------------------------------------------------- */

static void *allocate_once(void *argument)
{
	struct sh_heap *heap = argument;
	sh_off off = sh_alloc(heap, 100);

	return off != 0 && sh_free(heap, off) == 0 ? argument : NULL;
}

static void *run_thread(void *(*body)(void *), void *argument)
{
	pthread_t thread;
	void *result = NULL;

	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, body, argument), 0);
	pthread_join(thread, &result);
	return result;
}

static void test_thread_exit_gives_the_slot_back(void)
{
	struct sh_options options = small_options();
	struct sh_heap *heap;
	struct sh_reap_report report;

	options.max_threads = 2;
	heap = new_heap_with(&options);
	for (int i = 0; i < 3000; i++)
		CU_ASSERT_PTR_NOT_NULL(run_thread(allocate_once, heap));
	CU_ASSERT_EQUAL(sh_reap(heap, &report), 0);
	CU_ASSERT_EQUAL(report.threads, 0);
	CU_ASSERT_EQUAL(live_blocks(heap), 0);
	expect_good(heap);
	close_heap(heap);
}

static void *leave_transaction_open(void *argument)
{
	struct sh_heap *heap = argument;
	struct sh_txn *txn;

	CU_ASSERT_EQUAL(sh_txn_begin(heap, 0, &txn), 0);
	CU_ASSERT_NOT_EQUAL(sh_txn_alloc(txn, 100, 0), 0);
	find_words(heap)[0] = 5;
	CU_ASSERT_EQUAL(sh_txn_write(txn, &find_words(heap)[0], &(uint64_t){ 6 }, 8), 0);
	return argument;
}

static void test_thread_exit_aborts(void)
{
	struct sh_heap *heap = new_heap();
	uint64_t *word = words(heap);

	run_thread(leave_transaction_open, heap);
	CU_ASSERT_EQUAL(word[0], 5);
	CU_ASSERT_EQUAL(live_blocks(heap), 1);
	close_heap(heap);
}

static pthread_barrier_t barrier;

static void *hold_a_slot(void *argument)
{
	void *result = allocate_once(argument);

	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return result;
}

static void test_thread_slots(void)
{
	struct sh_options options = small_options();
	struct sh_txn *txn;
	struct sh_heap *heap;
	pthread_t threads[2];

	options.max_threads = 3;
	heap = new_heap_with(&options);
	pthread_barrier_init(&barrier, NULL, 3);
	for (int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(pthread_create(&threads[i], NULL, hold_a_slot, heap), 0);
	pthread_barrier_wait(&barrier);
	/* The opener has the third one. */
	errno = 0;
	CU_ASSERT_PTR_NULL(run_thread(allocate_once, heap));
	CU_ASSERT_EQUAL(sh_txn_begin(heap, 0, &txn), 0);
	sh_txn_abort(txn);
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	CU_ASSERT_PTR_NOT_NULL(run_thread(allocate_once, heap));
	pthread_barrier_destroy(&barrier);
	close_heap(heap);
}

static void *refused_a_slot(void *argument)
{
	struct sh_heap *heap = argument;
	struct sh_txn *txn;

	errno = 0;
	return sh_txn_begin(heap, 0, &txn) == SH_ESLOTS && txn == NULL && sh_alloc(heap, 1) == 0 &&
			errno == EAGAIN && sh_reap(heap, NULL) == SH_ESLOTS
		? argument
		: NULL;
}

static void take_slots_and_wait(void *argument)
{
	struct sh_heap *heap = argument;

	REQUIRE(sh_alloc(heap, 10) != 0);
	reach(1);
	for (;;)
		pause();
}

/* All slots in use by the living: refused. By the dead: taken back by whoever wants one. */
static void test_thread_slots_of_the_dead(void)
{
	struct sh_options options = small_options();
	struct sh_heap *heap;
	pid_t child;

	options.max_threads = 2;
	heap = new_heap_with(&options);
	new_signpost();
	child = start(take_slots_and_wait, heap);
	wait_for(1);
	CU_ASSERT_PTR_NOT_NULL(run_thread(refused_a_slot, heap));
	CU_ASSERT_EQUAL(finish_killed(child), KILLED);
	CU_ASSERT_PTR_NOT_NULL(run_thread(allocate_once, heap));
	expect_good(heap);
	close_heap(heap);
}

/* A thread that has a robust mutex of its own on both sides of the library's word. */
struct bystander {
	struct sh_heap *heap;
	pthread_mutex_t before;
	pthread_mutex_t after;
};

static void *hold_robust_mutexes(void *argument)
{
	struct bystander *bystander = argument;

	pthread_mutex_lock(&bystander->before);
	CU_ASSERT_NOT_EQUAL(sh_alloc(bystander->heap, 100), 0);
	pthread_barrier_wait(&barrier);
	/* The heap is closed by another thread. */
	pthread_barrier_wait(&barrier);
	pthread_mutex_lock(&bystander->after);
	if (bystander->heap != NULL)
		CU_ASSERT_NOT_EQUAL(sh_alloc(bystander->heap, 100), 0);
	return NULL;
}

static void robust_init(pthread_mutex_t *mutex)
{
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(mutex, &attributes);
	pthread_mutexattr_destroy(&attributes);
}

static void expect_owner_died(pthread_mutex_t *mutex)
{
	CU_ASSERT_EQUAL(pthread_mutex_trylock(mutex), EOWNERDEAD);
	pthread_mutex_consistent(mutex);
	pthread_mutex_unlock(mutex);
	pthread_mutex_destroy(mutex);
}

static void close_beside_idle_threads(bool reopen)
{
	struct bystander bystander = { .heap = new_heap() };
	struct sh_heap *heap = bystander.heap;
	pthread_t thread;

	robust_init(&bystander.before);
	robust_init(&bystander.after);
	pthread_barrier_init(&barrier, NULL, 2);
	CU_ASSERT_EQUAL(pthread_create(&thread, NULL, hold_robust_mutexes, &bystander), 0);
	pthread_barrier_wait(&barrier);
	close_heap(heap);
	CU_ASSERT_TRUE(is_clean());
	bystander.heap = reopen ? open_heap(0) : NULL;
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&barrier);
	expect_owner_died(&bystander.before);
	expect_owner_died(&bystander.after);
	if (!reopen)
		bystander.heap = open_heap(0);
	CU_ASSERT_EQUAL(live_blocks(bystander.heap), reopen ? 2 : 1);
	expect_good(bystander.heap);
	close_heap(bystander.heap);
}

static void test_close_beside_idle_threads(void)
{
	close_beside_idle_threads(false);
	close_beside_idle_threads(true);
}

static void close_in_child_then_wait(void *argument)
{
	struct sh_heap *heap = argument;
	pthread_t thread;

	pthread_barrier_init(&barrier, NULL, 2);
	pthread_create(&thread, NULL, hold_a_slot, heap);
	pthread_barrier_wait(&barrier);
	REQUIRE(sh_close(heap) == 0);
	reach(1);
	wait_for(2);
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	reach(3);
	wait_for(4);
}

/* The slot of a thread that still runs stays its own after the close, in a heap that others use. */
static void test_parked_slot(void)
{
	struct sh_options options = small_options();
	struct sh_heap *heap;
	struct sh_reap_report report;
	pid_t child;

	options.max_threads = 2;
	heap = new_heap_with(&options);
	new_signpost();
	child = start(close_in_child_then_wait, heap);
	wait_for(1);
	CU_ASSERT_EQUAL(sh_reap(heap, &report), 0);
	CU_ASSERT_EQUAL(report.threads + report.processes, 0);
	CU_ASSERT_PTR_NOT_NULL(run_thread(refused_a_slot, heap));
	reach(2);
	wait_for(3);
	CU_ASSERT_PTR_NOT_NULL(run_thread(allocate_once, heap));
	reach(4);
	CU_ASSERT_EQUAL(finish(child), EXITED_WELL);
	close_heap(heap);
	CU_ASSERT_TRUE(is_clean());
}

static void *open_and_close_in_thread(void *argument)
{
	for (int i = 0; i < 50; i++) {
		struct sh_heap *heap;
		sh_off off;

		CU_ASSERT_EQUAL_FATAL(open_at(path, 0, &heap), 0);
		off = sh_alloc(heap, 100);
		CU_ASSERT_NOT_EQUAL(off, 0);
		CU_ASSERT_EQUAL(sh_free(heap, off), 0);
		CU_ASSERT_EQUAL(sh_close(heap), 0);
	}
	return argument;
}

static void test_open_in_threads(void)
{
	pthread_t threads[3];
	struct sh_heap *heap = new_heap();

	close_heap(heap);
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(pthread_create(&threads[i], NULL, open_and_close_in_thread, NULL),
			0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	CU_ASSERT_TRUE(is_clean());
}

/* --- blocks -------------------------------------------------------------------------------- */

static void test_allocate(void)
{
	struct sh_heap *heap = new_heap();

	for (size_t size = 1; size < 4 * SMALL_MAX_BYTES; size += 1 + size / 3) {
		sh_off off = sh_alloc(heap, size);

		CU_ASSERT_FATAL(off != 0);
		CU_ASSERT_EQUAL(off % 16, 0);
		CU_ASSERT(sh_usable_size(heap, off) >= size);
		CU_ASSERT_EQUAL(sh_usable_size(heap, off + 16), 0);
		memset(sh_ptr(heap, off), 0xff, sh_usable_size(heap, off));
		CU_ASSERT_EQUAL(sh_free(heap, off), 0);
		CU_ASSERT_EQUAL(sh_usable_size(heap, off), 0);
		off = sh_alloc_ex(heap, size, 0, SH_ZERO);
		for (size_t i = 0; i < size; i++)
			if (((char *)sh_ptr(heap, off))[i] != 0)
				CU_FAIL_FATAL("SH_ZERO: not zero");
		CU_ASSERT_EQUAL(sh_free(heap, off), 0);
	}
	CU_ASSERT_EQUAL(live_blocks(heap), 0);
	CU_ASSERT_EQUAL(sh_free(heap, 0), 0);
	expect_good(heap);
	close_heap(heap);
}

static void test_alignment(void)
{
	struct sh_heap *heap = new_heap();

	for (size_t align = 1; align <= PAGE_BYTES; align *= 2)
		for (size_t size = 1; size < 2 * SMALL_MAX_BYTES; size = size * 2 + 1) {
			sh_off off = sh_alloc_ex(heap, size, align, 0);

			CU_ASSERT_FATAL(off != 0);
			CU_ASSERT_EQUAL(off % align, 0);
			CU_ASSERT(sh_usable_size(heap, off) >= size);
		}
	errno = 0;
	CU_ASSERT_EQUAL(sh_alloc_ex(heap, 10, 2 * PAGE_BYTES, 0), 0);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(sh_alloc_ex(heap, 10, 48, 0), 0);
	CU_ASSERT_EQUAL(sh_alloc_ex(heap, 10, 0, 0x80), 0);
	CU_ASSERT_EQUAL(errno, EINVAL);
	close_heap(heap);
}

static void test_sizes_that_do_not_fit(void)
{
	static const size_t too_large[] = { MAX_BYTES, MAX_BYTES + 1, SIZE_MAX / 2, SIZE_MAX - 8,
		SIZE_MAX };
	struct sh_heap *heap = new_heap();
	struct sh_txn *txn;

	errno = 0;
	CU_ASSERT_EQUAL(sh_alloc(heap, 0), 0);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(sh_txn_begin(heap, 0, &txn), 0);
	for (size_t i = 0; i < LENGTH_OF(too_large); i++) {
		errno = 0;
		CU_ASSERT_EQUAL(sh_alloc(heap, too_large[i]), 0);
		CU_ASSERT_EQUAL(errno, ENOMEM);
		errno = 0;
		CU_ASSERT_EQUAL(sh_txn_alloc(txn, too_large[i], 0), 0);
		CU_ASSERT_EQUAL(errno, ENOMEM);
	}
	errno = 0;
	CU_ASSERT_EQUAL(sh_txn_alloc(txn, 0, 0), 0);
	CU_ASSERT_EQUAL(errno, EINVAL);
	sh_txn_abort(txn);
	expect_good(heap);
	close_heap(heap);
}

static void test_bad_frees(void)
{
	struct sh_heap *heap = new_heap();
	sh_off small = block(heap, 100);
	sh_off large = block(heap, 10 * SMALL_MAX_BYTES);
	const sh_off bad[] = { 1, 8, 16, 8192, small + 1, small + 16, large + 16,
		large + PAGE_BYTES, MAX_BYTES - 16, MAX_BYTES, UINT64_MAX, UINT64_MAX - 15,
		UINT64_C(1) << 63 };

	for (size_t i = 0; i < LENGTH_OF(bad); i++) {
		CU_ASSERT_EQUAL(sh_free(heap, bad[i]), SH_EBADPTR);
		CU_ASSERT_EQUAL(sh_usable_size(heap, bad[i]), 0);
	}
	CU_ASSERT_EQUAL(live_blocks(heap), 2);
	CU_ASSERT_EQUAL(sh_free(heap, small), 0);
	CU_ASSERT_EQUAL(sh_free(heap, small), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(sh_free(heap, large), 0);
	CU_ASSERT_EQUAL(sh_free(heap, large), SH_EDOUBLEFREE);
	expect_good(heap);
	close_heap(heap);
}

static void free_it(void *argument)
{
	struct sh_heap *heap = child_open(0);
	sh_off *off = argument;

	REQUIRE(sh_free(heap, *off) == 0);
	REQUIRE(sh_free(heap, *off) == SH_EDOUBLEFREE);
	REQUIRE(sh_close(heap) == 0);
}

static void test_free_in_another_process(void)
{
	struct sh_heap *heap = new_heap();
	sh_off off = block(heap, 100);

	CU_ASSERT_EQUAL(run(free_it, &off), EXITED_WELL);
	CU_ASSERT_EQUAL(sh_free(heap, off), SH_EDOUBLEFREE);
	off = block(heap, 10 * SMALL_MAX_BYTES);
	CU_ASSERT_EQUAL(run(free_it, &off), EXITED_WELL);
	CU_ASSERT_EQUAL(live_blocks(heap), 0);
	expect_good(heap);
	close_heap(heap);
}

/* --- transactions -------------------------------------------------------------------------- */

static struct sh_txn *begin(struct sh_heap *heap)
{
	struct sh_txn *txn;

	CU_ASSERT_EQUAL_FATAL(sh_txn_begin(heap, 0, &txn), 0);
	return txn;
}

static void test_commit(void)
{
	struct sh_heap *heap = new_heap();
	uint64_t *word = words(heap);
	sh_off old = block(heap, 100);
	struct sh_txn *txn = begin(heap);
	sh_off off = sh_txn_alloc(txn, 100, SH_ZERO | SH_NOSCAN);
	sh_off large = sh_txn_alloc(txn, 3 * SMALL_MAX_BYTES, 0);
	sh_off found;

	CU_ASSERT(off != 0 && large != 0);
	CU_ASSERT_EQUAL(sh_txn_store(txn, &word[0], 1), 0);
	CU_ASSERT_EQUAL(sh_txn_store(txn, &word[0], off), 0);
	CU_ASSERT_EQUAL(sh_txn_root(txn, "a", large), 0);
	CU_ASSERT_EQUAL(sh_txn_free(txn, old, 0), 0);
	CU_ASSERT_EQUAL(sh_txn_write(txn, &word[1], "12345678", 8), 0);
	CU_ASSERT_EQUAL(word[0], 0);
	CU_ASSERT_EQUAL(memcmp(&word[1], "12345678", 8), 0);
	CU_ASSERT_EQUAL(sh_root_get(heap, "a", &found), SH_ENOTFOUND);
	CU_ASSERT(sh_usable_size(heap, old) >= 100);
	CU_ASSERT_EQUAL(sh_txn_commit(txn), 0);
	CU_ASSERT_EQUAL(word[0], off);
	CU_ASSERT_EQUAL(memcmp(&word[1], "12345678", 8), 0);
	CU_ASSERT_EQUAL(sh_root_get(heap, "a", &found), 0);
	CU_ASSERT_EQUAL(found, large);
	CU_ASSERT_EQUAL(sh_free(heap, old), SH_EDOUBLEFREE);
	expect_good(heap);
	close_heap(heap);
}

static void test_abort(void)
{
	struct sh_heap *heap = new_heap();
	uint64_t *word = words(heap);
	sh_off old = block(heap, 100);
	struct sh_txn *txn = begin(heap);
	sh_off off = sh_txn_alloc(txn, 100, 0);
	sh_off found;

	word[1] = 5;
	CU_ASSERT_EQUAL(sh_txn_store(txn, &word[0], off), 0);
	CU_ASSERT_EQUAL(sh_txn_root(txn, "a", off), 0);
	CU_ASSERT_EQUAL(sh_txn_free(txn, old, 0), 0);
	CU_ASSERT_EQUAL(sh_txn_add(txn, &word[1], 8), 0);
	word[1] = 6;
	CU_ASSERT_EQUAL(sh_txn_write(txn, &word[1], &(uint64_t){ 7 }, 8), 0);
	sh_txn_abort(txn);
	CU_ASSERT_EQUAL(word[0], 0);
	CU_ASSERT_EQUAL(word[1], 5);
	CU_ASSERT_EQUAL(sh_root_get(heap, "a", &found), SH_ENOTFOUND);
	CU_ASSERT_EQUAL(sh_usable_size(heap, off), 0);
	CU_ASSERT_EQUAL(sh_free(heap, old), 0);
	expect_good(heap);
	close_heap(heap);
}

static void test_transaction_errors(void)
{
	struct sh_heap *heap = new_heap();
	uint64_t *word = words(heap);
	sh_off old = block(heap, 100);
	struct sh_txn *other;
	struct sh_txn *txn;
	sh_off off;

	CU_ASSERT_EQUAL(sh_txn_begin(heap, 0x100, &txn), EINVAL);
	CU_ASSERT_PTR_NULL(txn);
	txn = begin(heap);
	CU_ASSERT_EQUAL(sh_txn_begin(heap, 0, &other), EBUSY);
	CU_ASSERT_EQUAL(sh_close(heap), EBUSY);
	errno = 0;
	CU_ASSERT_EQUAL(sh_alloc_to(heap, &word[0], 10, 0), 0);
	CU_ASSERT_EQUAL(errno, EBUSY);
	CU_ASSERT_EQUAL(sh_free_from(heap, &word[0]), EBUSY);
	CU_ASSERT_EQUAL(sh_txn_free(txn, old, 1), EINVAL);
	CU_ASSERT_EQUAL(sh_txn_free(txn, 0, 0), 0);
	CU_ASSERT_EQUAL(sh_txn_free(txn, old + 1, 0), SH_EBADPTR);
	CU_ASSERT_EQUAL(sh_txn_free(txn, old, 0), 0);
	CU_ASSERT_EQUAL(sh_txn_free(txn, old, 0), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(sh_free(heap, old), SH_EDOUBLEFREE);
	off = sh_txn_alloc(txn, 10, 0);
	CU_ASSERT_EQUAL(sh_free(heap, off), EBUSY);
	CU_ASSERT_EQUAL(sh_txn_alloc(txn, 10, 0x80), 0);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(sh_txn_store(txn, (uint64_t *)(void *)((char *)word + 4), 1), EINVAL);
	CU_ASSERT_EQUAL(sh_txn_store(txn, (uint64_t *)(void *)sh_base(heap), 1), EINVAL);
	CU_ASSERT_EQUAL(sh_txn_store(txn, &(uint64_t){ 0 }, 1), EINVAL);
	CU_ASSERT_EQUAL(sh_txn_add(txn, &(uint64_t){ 0 }, 8), EINVAL);
	CU_ASSERT_EQUAL(sh_txn_add(txn, sh_base(heap), 8), EINVAL);
	CU_ASSERT_EQUAL(sh_txn_add(txn, word, SIZE_MAX), EINVAL);
	CU_ASSERT_EQUAL(sh_txn_add(txn, word, MAX_BYTES), EINVAL);
	CU_ASSERT_EQUAL(sh_txn_add(txn, word, 0), 0);
	CU_ASSERT_EQUAL(sh_txn_root(txn, "", 16), EINVAL);
	CU_ASSERT_EQUAL(sh_txn_root(txn, NULL, 16), EINVAL);
	CU_ASSERT_EQUAL(sh_txn_commit(txn), 0);
	/* The handle is used up. */
	CU_ASSERT_EQUAL(sh_txn_commit(txn), EINVAL);
	CU_ASSERT_EQUAL(sh_txn_store(txn, word, 1), EINVAL);
	CU_ASSERT_EQUAL(sh_txn_alloc(txn, 10, 0), 0);
	sh_txn_abort(txn);
	expect_good(heap);
	close_heap(heap);
}

static void test_long_transaction(void)
{
	struct sh_heap *heap = new_heap();
	uint64_t before = live_blocks(heap);
	struct sh_txn *txn = begin(heap);
	char *bytes = sh_ptr(heap, block(heap, 100000));
	unsigned count = 20000;

	for (unsigned i = 0; i < count; i++)
		if (sh_txn_alloc(txn, 16, 0) == 0)
			CU_FAIL_FATAL("sh_txn_alloc");
	CU_ASSERT_EQUAL(sh_txn_add(txn, bytes, 100000), 0);
	memset(bytes, 1, 100000);
	sh_txn_abort(txn);
	CU_ASSERT_EQUAL(bytes[0], 0x5a);
	CU_ASSERT_EQUAL(bytes[99999], 0x5a);
	CU_ASSERT_EQUAL(live_blocks(heap), before + 1);
	txn = begin(heap);
	for (unsigned i = 0; i < count; i++)
		if (sh_txn_alloc(txn, 16, 0) == 0)
			CU_FAIL_FATAL("sh_txn_alloc");
	CU_ASSERT_EQUAL(sh_txn_commit(txn), 0);
	CU_ASSERT_EQUAL(live_blocks(heap), before + 1 + count);
	expect_good(heap);
	close_heap(heap);
}

static void test_alloc_to_and_free_from(void)
{
	struct sh_heap *heap = new_heap();
	uint64_t *word = words(heap);
	sh_off off = sh_alloc_to(heap, &word[0], 100, SH_ZERO);
	sh_off outside = 0;

	CU_ASSERT_NOT_EQUAL(off, 0);
	CU_ASSERT_EQUAL(word[0], off);
	CU_ASSERT_EQUAL(*(char *)sh_ptr(heap, off), 0);
	CU_ASSERT_NOT_EQUAL(sh_alloc_to(heap, &word[1], 10 * SMALL_MAX_BYTES, 0), 0);
	CU_ASSERT_EQUAL(sh_free_from(heap, &word[0]), 0);
	CU_ASSERT_EQUAL(word[0], 0);
	CU_ASSERT_EQUAL(sh_free(heap, off), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(sh_free_from(heap, &word[0]), 0);
	CU_ASSERT_EQUAL(sh_free_from(heap, &word[1]), 0);
	CU_ASSERT_EQUAL(word[1], 0);
	word[2] = off;
	CU_ASSERT_EQUAL(sh_free_from(heap, &word[2]), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(word[2], off);
	word[2] = 24;
	CU_ASSERT_EQUAL(sh_free_from(heap, &word[2]), SH_EBADPTR);
	CU_ASSERT_EQUAL(sh_free_from(heap, &outside), EINVAL);
	errno = 0;
	CU_ASSERT_EQUAL(sh_alloc_to(heap, &outside, 100, 0), 0);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(sh_alloc_to(heap, &word[0], 0, 0), 0);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(sh_alloc_to(heap, &word[0], 10, 0x80), 0);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(sh_alloc_to(heap, &word[0], SIZE_MAX, 0), 0);
	CU_ASSERT_EQUAL(errno, ENOMEM);
	CU_ASSERT_EQUAL(live_blocks(heap), 1);
	close_heap(heap);
}

static void alloc_to_until_killed(void *unused)
{
	struct sh_heap *heap = child_open(0);
	uint64_t *word = find_words(heap);

	(void)unused;
	for (;;) {
		REQUIRE(sh_free_from(heap, &word[0]) == 0);
		REQUIRE(sh_alloc_to(heap, &word[0], 64, 0) != 0);
		REQUIRE(sh_free_from(heap, &word[1]) == 0);
		REQUIRE(sh_alloc_to(heap, &word[1], 3 * SMALL_MAX_BYTES, 0) != 0);
	}
}

static void test_alloc_to_loses_nothing(void)
{
	struct random random = random_seeded("alloc_to");
	struct sh_heap *heap = new_heap();

	words(heap);
	close_heap(heap);
	for (int i = 0; i < 40; i++) {
		pid_t child = start(alloc_to_until_killed, NULL);
		uint64_t *word;

		sleep_below(&random, 5000);
		CU_ASSERT_EQUAL(finish_killed(child), KILLED);
		heap = open_heap(0);
		word = find_words(heap);
		CU_ASSERT_EQUAL(live_blocks(heap), 1u + (word[0] != 0) + (word[1] != 0));
		CU_ASSERT(word[0] == 0 || sh_usable_size(heap, word[0]) != 0);
		CU_ASSERT(word[1] == 0 || sh_usable_size(heap, word[1]) != 0);
		close_heap(heap);
	}
}

/* --- roots --------------------------------------------------------------------------------- */

static void test_roots(void)
{
	char name[80];
	struct sh_heap *heap = new_heap();
	struct sh_txn *txn;
	sh_off off = 1;

	CU_ASSERT_EQUAL(sh_root_get(heap, "none", &off), SH_ENOTFOUND);
	CU_ASSERT_EQUAL(off, 0);
	CU_ASSERT_EQUAL(sh_root_set(heap, "none", 0), 0);
	memset(name, 'x', sizeof(name));
	name[64] = '\0';
	CU_ASSERT_EQUAL(sh_root_set(heap, name, 16), EINVAL);
	CU_ASSERT_EQUAL(sh_root_get(heap, name, &off), SH_ENOTFOUND);
	CU_ASSERT_EQUAL(sh_root_set(heap, "", 16), EINVAL);
	name[63] = '\0';
	CU_ASSERT_EQUAL(sh_root_set(heap, name, 16), 0);
	CU_ASSERT_EQUAL(sh_root_set(heap, name, 32), 0);
	CU_ASSERT_EQUAL(sh_root_get(heap, name, &off), 0);
	CU_ASSERT_EQUAL(off, 32);
	CU_ASSERT_EQUAL(sh_root_set(heap, name, 0), 0);
	CU_ASSERT_EQUAL(sh_root_get(heap, name, &off), SH_ENOTFOUND);
	for (unsigned i = 0; i < ROOT_COUNT; i++) {
		snprintf(name, sizeof(name), "root %u", i);
		CU_ASSERT_EQUAL(sh_root_set(heap, name, 16 + i), 0);
	}
	CU_ASSERT_EQUAL(sh_root_set(heap, "one more", 16), SH_EFULL);
	txn = begin(heap);
	CU_ASSERT_EQUAL(sh_txn_root(txn, "one more", 16), SH_EFULL);
	sh_txn_abort(txn);
	CU_ASSERT_EQUAL(sh_root_set(heap, "root 7", 0), 0);
	CU_ASSERT_EQUAL(sh_root_set(heap, "one more", 16), 0);
	CU_ASSERT_EQUAL(sh_root_get(heap, "root 8", &off), 0);
	CU_ASSERT_EQUAL(off, 24);
	expect_good(heap);
	close_heap(heap);
}

/* --- mutexes ------------------------------------------------------------------------------- */

static void *trylock_busy(void *argument)
{
	struct sh_heap *heap = argument;
	struct sh_mutex *mutex = (struct sh_mutex *)(void *)find_words(heap);

	return sh_mutex_trylock(heap, mutex) == EBUSY && sh_mutex_unlock(heap, mutex) == EPERM
		? argument
		: NULL;
}

static void test_mutex(void)
{
	struct sh_heap *heap = new_heap();
	struct sh_mutex *mutex = (struct sh_mutex *)(void *)words(heap);
	struct sh_mutex outside = { 0, 0 };

	CU_ASSERT_EQUAL(sh_mutex_unlock(heap, mutex), EPERM);
	CU_ASSERT_EQUAL(sh_mutex_lock(heap, mutex), 0);
	CU_ASSERT_EQUAL(sh_mutex_lock(heap, mutex), EDEADLK);
	CU_ASSERT_EQUAL(sh_mutex_trylock(heap, mutex), EDEADLK);
	CU_ASSERT_PTR_NOT_NULL(run_thread(trylock_busy, heap));
	CU_ASSERT_EQUAL(sh_mutex_unlock(heap, mutex), 0);
	CU_ASSERT_EQUAL(sh_mutex_trylock(heap, mutex), 0);
	CU_ASSERT_EQUAL(sh_mutex_unlock(heap, mutex), 0);
	CU_ASSERT_EQUAL(sh_mutex_lock(heap, &outside), EINVAL);
	CU_ASSERT_EQUAL(sh_mutex_trylock(heap, &outside), EINVAL);
	CU_ASSERT_EQUAL(sh_mutex_unlock(heap, &outside), EINVAL);
	CU_ASSERT_EQUAL(sh_mutex_lock(heap, (struct sh_mutex *)(void *)((char *)mutex + 4)),
		EINVAL);
	memset(mutex, 0xff, sizeof(*mutex));
	sh_mutex_init(mutex);
	CU_ASSERT_EQUAL(sh_mutex_lock(heap, mutex), 0);
	close_heap(heap);
	/* The holder closed the heap, and a tag never comes again. */
	heap = open_heap(0);
	mutex = (struct sh_mutex *)(void *)find_words(heap);
	CU_ASSERT_EQUAL(sh_mutex_lock(heap, mutex), SH_EOWNERDIED);
	CU_ASSERT_EQUAL(sh_mutex_unlock(heap, mutex), 0);
	CU_ASSERT_EQUAL(sh_mutex_lock(heap, mutex), 0);
	CU_ASSERT_EQUAL(sh_mutex_unlock(heap, mutex), 0);
	close_heap(heap);
}

static void die_with_the_mutex(void *unused)
{
	struct sh_heap *heap = child_open(0);
	struct account *account = (struct account *)(void *)find_words(heap);
	struct sh_txn *txn;

	(void)unused;
	REQUIRE(sh_mutex_lock(heap, &account->mutex) == 0);
	REQUIRE(sh_txn_begin(heap, 0, &txn) == 0);
	REQUIRE(sh_txn_add(txn, &account->left, 16) == 0);
	account->left = 100;
	reach(1);
	wait_for(2);
	die();
}

static void *lock_of_the_dead(void *argument)
{
	struct sh_heap *heap = argument;
	struct account *account = (struct account *)(void *)find_words(heap);
	int error = sh_mutex_lock(heap, &account->mutex);

	/* The transaction of the dead is undone before the lock passes on. */
	return error == SH_EOWNERDIED && account->left == 0 &&
			sh_mutex_unlock(heap, &account->mutex) == 0
		? argument
		: NULL;
}

static void mutex_of_the_dead(bool try)
{
	struct sh_heap *heap = new_heap();
	struct account *account = (struct account *)(void *)words(heap);
	void *result = NULL;
	pthread_t waiter;
	pid_t child;

	new_signpost();
	child = start(die_with_the_mutex, NULL);
	wait_for(1);
	CU_ASSERT_EQUAL(sh_mutex_trylock(heap, &account->mutex), EBUSY);
	if (!try)
		pthread_create(&waiter, NULL, lock_of_the_dead, heap);
	reach(2);
	CU_ASSERT_EQUAL(finish(child), KILLED);
	if (try) {
		CU_ASSERT_EQUAL(sh_mutex_trylock(heap, &account->mutex), SH_EOWNERDIED);
		CU_ASSERT_EQUAL(account->left, 0);
		CU_ASSERT_EQUAL(sh_mutex_unlock(heap, &account->mutex), 0);
	} else {
		pthread_join(waiter, &result);
		CU_ASSERT_PTR_NOT_NULL(result);
	}
	expect_good(heap);
	close_heap(heap);
}

static void test_mutex_of_the_dead(void)
{
	mutex_of_the_dead(false);
	mutex_of_the_dead(true);
}

static void count_under_the_mutex(void *unused)
{
	struct sh_heap *heap = child_open(0);
	struct account *account = (struct account *)(void *)find_words(heap);

	(void)unused;
	for (int i = 0; i < 20000; i++) {
		REQUIRE(sh_mutex_lock(heap, &account->mutex) == 0);
		account->left++;
		REQUIRE(sh_mutex_unlock(heap, &account->mutex) == 0);
	}
	REQUIRE(sh_close(heap) == 0);
}

static void test_mutex_excludes(void)
{
	struct sh_heap *heap = new_heap();
	struct account *account = (struct account *)(void *)words(heap);
	pid_t one = start(count_under_the_mutex, NULL);
	pid_t other = start(count_under_the_mutex, NULL);

	CU_ASSERT_EQUAL(finish(one), EXITED_WELL);
	CU_ASSERT_EQUAL(finish(other), EXITED_WELL);
	CU_ASSERT_EQUAL(account->left, 40000);
	close_heap(heap);
}

/* --- read-only ----------------------------------------------------------------------------- */

static void expect_refusals(struct sh_heap *heap)
{
	uint64_t word = 0;
	struct sh_mutex *mutex = (struct sh_mutex *)(void *)find_words(heap);
	struct sh_txn *txn;

	errno = 0;
	CU_ASSERT_EQUAL(sh_alloc(heap, 10), 0);
	CU_ASSERT_EQUAL(errno, EROFS);
	CU_ASSERT_EQUAL(sh_alloc_to(heap, &word, 10, 0), 0);
	CU_ASSERT_EQUAL(errno, EROFS);
	CU_ASSERT_EQUAL(sh_free(heap, 16), EROFS);
	CU_ASSERT_EQUAL(sh_free_from(heap, &word), EROFS);
	CU_ASSERT_EQUAL(sh_root_set(heap, "x", 16), EROFS);
	CU_ASSERT_EQUAL(sh_txn_begin(heap, 0, &txn), EROFS);
	CU_ASSERT_EQUAL(sh_mutex_lock(heap, mutex), EROFS);
	CU_ASSERT_EQUAL(sh_mutex_trylock(heap, mutex), EROFS);
	CU_ASSERT_EQUAL(sh_mutex_unlock(heap, mutex), EROFS);
	CU_ASSERT_EQUAL(sh_reap(heap, NULL), EROFS);
}

static void read_beside_the_writer(void *unused)
{
	struct sh_heap *heap = child_open(SH_RDONLY);
	sh_off off;

	(void)unused;
	REQUIRE(sh_root_get(heap, "large", &off) == 0);
	REQUIRE(sh_usable_size(heap, off) >= 100000);
	REQUIRE(*(unsigned char *)sh_ptr(heap, off) == 0x5a);
	REQUIRE(sh_check(heap, 0, NULL, NULL, NULL) == 0);
	REQUIRE(sh_close(heap) == 0);
}

static void test_read_only(void)
{
	struct sh_heap *heap = new_heap();
	sh_off freed = block(heap, 100);
	sh_off off;

	words(heap);
	CU_ASSERT_EQUAL(sh_root_set(heap, "large", block(heap, 100000)), 0);
	CU_ASSERT_EQUAL(sh_free(heap, freed), 0);
	CU_ASSERT_EQUAL(run(read_beside_the_writer, NULL), EXITED_WELL);
	close_heap(heap);
	heap = open_heap(SH_RDONLY);
	CU_ASSERT_EQUAL(sh_root_get(heap, "words", &off), 0);
	CU_ASSERT(sh_usable_size(heap, off) >= 4096);
	CU_ASSERT_EQUAL(sh_usable_size(heap, off + 16), 0);
	CU_ASSERT_EQUAL(sh_usable_size(heap, freed), 0);
	CU_ASSERT_EQUAL(sh_usable_size(heap, UINT64_MAX), 0);
	CU_ASSERT_EQUAL(live_blocks(heap), 2);
	expect_good(heap);
	expect_refusals(heap);
	CU_ASSERT_EQUAL(run(free_it, &off), EXITED_WELL);
	CU_ASSERT_EQUAL(sh_usable_size(heap, off), 0);
	close_heap(heap);
	CU_ASSERT_TRUE(is_clean());
}

/* --- check and walk ------------------------------------------------------------------------ */

static int stop_at_once(const struct sh_block *found, void *argument)
{
	(void)found;
	(void)argument;
	return 1;
}

static int sum_block(const struct sh_block *found, void *argument)
{
	uint64_t *sum = argument;

	sum[0] += found->off;
	sum[1] += found->size;
	sum[2] += found->kind == SH_NOSCAN;
	return 0;
}

static void test_walk(void)
{
	struct sh_heap *heap = new_heap();
	uint64_t sum[3] = { 0, 0, 0 };
	uint64_t offs = 0;
	uint64_t sizes = 0;

	CU_ASSERT_EQUAL(sh_walk(heap, stop_at_once, NULL), 0);
	for (size_t size = 10; size < 3 * SMALL_MAX_BYTES; size *= 2) {
		sh_off off = sh_alloc_ex(heap, size, 0, SH_NOSCAN);

		offs += off;
		sizes += sh_usable_size(heap, off);
		sum[2]--;
	}
	offs += block(heap, 10);
	sizes += 16;
	CU_ASSERT_EQUAL(sh_walk(heap, sum_block, sum), 0);
	CU_ASSERT_EQUAL(sum[0], offs);
	CU_ASSERT_EQUAL(sum[1], sizes);
	CU_ASSERT_EQUAL(sum[2], 0);
	CU_ASSERT_EQUAL(sh_walk(heap, stop_at_once, NULL), SH_ESTOPPED);
	close_heap(heap);
}

static int stop_check(const struct sh_problem *problem, void *argument)
{
	(void)argument;
	CU_ASSERT_PTR_NOT_NULL(problem->text);
	return 1;
}

static void test_check(void)
{
	struct sh_heap *heap = new_heap();
	uint64_t problems = 0;
	sh_off off = block(heap, 100000);

	CU_ASSERT_EQUAL(sh_check(heap, 1, NULL, NULL, &problems), EINVAL);
	expect_good(heap);
	close_heap(heap);
	/* A head bit without a record. */
	heap = open_heap(0);
	head_set(&((struct { struct heap heap; } *)(void *)heap)->heap, (off >> PAGE_SHIFT) + 2);
	CU_ASSERT_EQUAL(sh_check(heap, 0, NULL, NULL, &problems), 0);
	CU_ASSERT(problems > 0);
	CU_ASSERT_EQUAL(sh_check(heap, 0, stop_check, NULL, &problems), SH_ESTOPPED);
	head_clear(&((struct { struct heap heap; } *)(void *)heap)->heap, (off >> PAGE_SHIFT) + 2);
	expect_good(heap);
	close_heap(heap);
}

static void test_check_beside_work(void)
{
	struct random random = random_seeded("check beside work");
	struct sh_heap *heap = new_heap();
	pid_t worker;

	words(heap);
	worker = start_worker(&random);
	for (int i = 0; i < 100; i++)
		expect_good(heap);
	CU_ASSERT_EQUAL(finish_killed(worker), KILLED);
	expect_good(heap);
	close_heap(heap);
}

/* --- limits of the system ------------------------------------------------------------------ */

static void fill_disk(struct sh_heap *heap)
{
	sh_off last = 0;
	sh_off off;
	int failed;

	errno = 0;
	while ((off = sh_alloc(heap, 16 * PAGE_BYTES)) != 0) {
		*(sh_off *)sh_ptr(heap, off) = last;
		last = off;
	}
	failed = errno;
	CU_ASSERT_EQUAL(failed, ENOSPC);
	CU_ASSERT_NOT_EQUAL(last, 0);
	expect_good(heap);
	CU_ASSERT_EQUAL(sh_free(heap, last), 0);
	CU_ASSERT_NOT_EQUAL(sh_alloc(heap, 16 * PAGE_BYTES), 0);
}

/* Takes what is left of the disk. */
static void fill_rest(const char *name)
{
	static const char page[4096];
	int fd = open(name, O_WRONLY | O_CREAT, 0600);

	while (write(fd, page, sizeof(page)) > 0)
		;
	CU_ASSERT_EQUAL(errno, ENOSPC);
	close(fd);
}

static void die_on_full_disk(void *name)
{
	struct sh_heap *heap;

	REQUIRE(open_at(name, 0, &heap) == 0);
	REQUIRE(sh_root_set(heap, "died", 16) == 0);
	die();
}

static void test_full_disk(void)
{
	char mounted[PATH_MAX];
	char name[PATH_MAX + 8];
	char rest[PATH_MAX + 8];
	struct sh_options options = small_options();
	struct sh_heap *heap;
	sh_off off;

	remove_all(directory);
	beside(mounted, "small");
	if (!own_mounts() || mkdir(mounted, 0700) != 0 ||
		mount("none", mounted, "tmpfs", 0, "size=24m") != 0) {
		printf("SKIPPED, cannot mount: ");
		rmdir(mounted);
		return;
	}
	snprintf(name, sizeof(name), "%s/heap", mounted);
	CU_ASSERT_EQUAL_FATAL(sh_open(name, SH_CREATE, &options, &heap), 0);
	fill_disk(heap);
	snprintf(rest, sizeof(rest), "%s/rest", mounted);
	fill_rest(rest);
	close_heap(heap);
	CU_ASSERT_EQUAL(run(die_on_full_disk, name), KILLED);
	CU_ASSERT_EQUAL_FATAL(sh_open(name, 0, &options, &heap), 0);
	CU_ASSERT_EQUAL(sh_root_get(heap, "died", &off), 0);
	expect_good(heap);
	close_heap(heap);
	snprintf(name, sizeof(name), "%s/more", mounted);
	CU_ASSERT_EQUAL(truncate(name, 0), -1);
	options.max_threads = 32000;
	CU_ASSERT_EQUAL(sh_open(name, SH_CREATE, &options, &heap), ENOSPC);
	CU_ASSERT_EQUAL(access(name, F_OK), -1);
	CU_ASSERT_EQUAL(umount(mounted), 0);
	rmdir(mounted);
}

static void meet_file_size_limit(void *unused)
{
	struct sh_heap *heap = child_open(0);
	char name[PATH_MAX];
	struct rlimit limit;
	struct stat status;

	(void)unused;
	REQUIRE(stat(path, &status) == 0);
	limit.rlim_cur = limit.rlim_max = (rlim_t)status.st_size;
	REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	errno = 0;
	for (unsigned i = 0; errno == 0; i++)
		if (sh_alloc(heap, 4 * PAGE_BYTES) == 0)
			break;
	REQUIRE(errno == EFBIG);
	REQUIRE(sh_check(heap, 0, show_problem, NULL, NULL) == 0);
	REQUIRE(sh_close(heap) == 0);
	beside(name, "other");
	limit.rlim_cur = limit.rlim_max = 4096;
	REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	REQUIRE(open_at(name, SH_CREATE, &heap) == EFBIG);
	REQUIRE(open_at(path, 0, &heap) == EFBIG);
}

static void test_file_size_limit(void)
{
	make_closed_heap();
	CU_ASSERT_EQUAL(run(meet_file_size_limit, NULL), EXITED_WELL);
	CU_ASSERT_EQUAL(count_files(), 2);
	expect_opens();
}

static void test_maximum_size(void)
{
	struct sh_options options = small_options();
	struct sh_heap *heap;

	options.max_size = 64 * MIB;
	heap = new_heap_with(&options);
	errno = 0;
	while (sh_alloc(heap, 16 * PAGE_BYTES) != 0)
		;
	CU_ASSERT_EQUAL(errno, ENOMEM);
	expect_good(heap);
	close_heap(heap);
	/* The option does not change what the heap was created with. */
	options.max_size = 10 * MAX_BYTES;
	CU_ASSERT_EQUAL(sh_open(path, 0, &options, &heap), 0);
	CU_ASSERT_EQUAL(sh_alloc(heap, 16 * PAGE_BYTES), 0);
	close_heap(heap);
}

/* --- texts and twins ----------------------------------------------------------------------- */

static void test_texts(void)
{
	static const struct {
		int error;
		const char *name;
	} names[] = {
		{ SH_EBADHEAP, "SH_EBADHEAP:" },
		{ SH_EVERSION, "SH_EVERSION:" },
		{ SH_ETORN, "SH_ETORN:" },
		{ SH_ECONTROL, "SH_ECONTROL:" },
		{ SH_EBADPTR, "SH_EBADPTR:" },
		{ SH_EDOUBLEFREE, "SH_EDOUBLEFREE:" },
		{ SH_ENOTFOUND, "SH_ENOTFOUND:" },
		{ SH_EOWNERDIED, "SH_EOWNERDIED:" },
		{ SH_ESLOTS, "SH_ESLOTS:" },
		{ SH_EFULL, "SH_EFULL:" },
		{ SH_ESTOPPED, "SH_ESTOPPED:" },
	};

	for (size_t i = 0; i < LENGTH_OF(names); i++) {
		const char *text = sh_strerror(names[i].error);

		CU_ASSERT_EQUAL(strncmp(text, names[i].name, strlen(names[i].name)), 0);
		CU_ASSERT(strlen(text) > 40);
	}
	CU_ASSERT_STRING_EQUAL(sh_strerror(ENOENT), strerror(ENOENT));
	CU_ASSERT_PTR_NOT_NULL(sh_strerror(0));
	CU_ASSERT_PTR_NOT_NULL(sh_strerror(INT_MIN));
	CU_ASSERT_PTR_NOT_NULL(sh_strerror(INT_MAX));
	CU_ASSERT_STRING_EQUAL(sh_version(), "0.1.0");
}

static void test_twins(void)
{
	struct sh_heap *heap = new_heap();
	sh_off off = block(heap, 10);

	CU_ASSERT_PTR_EQUAL(sh_base_function(heap), sh_base(heap));
	CU_ASSERT_PTR_EQUAL(sh_ptr_function(heap, off), sh_ptr(heap, off));
	CU_ASSERT_PTR_EQUAL(sh_ptr(heap, off), sh_base(heap) + off);
	CU_ASSERT_PTR_NULL(sh_ptr_function(heap, 0));
	CU_ASSERT_EQUAL(sh_offset_function(heap, sh_ptr(heap, off)), off);
	CU_ASSERT_EQUAL(sh_offset_function(heap, NULL), 0);
	CU_ASSERT_EQUAL((uintptr_t)sh_base(heap) % (2 * MIB), 0);
	close_heap(heap);
}

/* --- */

static CU_TestInfo all_tests[] = {
	{ "create, reopen", test_create_and_reopen },
	{ "a clean heap needs no control file", test_clean_heap_needs_no_control_file },
	{ "bad arguments", test_bad_arguments },
	{ "mode", test_mode },
	{ "one handle per process", test_one_handle },
	{ "two paths", test_two_paths },
	{ "control file removed", test_control_file_removed_under_the_living },
	{ "not a heap", test_not_a_heap },
	{ "damaged superblock", test_damaged_superblock },
	{ "truncated", test_truncated },
	{ "other version", test_other_version },
	{ "permissions", test_permissions },
	{ "rights dropped", test_rights_dropped },
	{ "all die", test_all_die },
	{ "torn: control file missing", test_control_file_missing },
	{ "torn: other boot", test_other_boot },
	{ "torn: copied while in use", test_copied_while_in_use },
	{ "torn: mixture", test_mixture },
	{ "dead and living peers", test_dead_and_living_peers },
	{ "open reaps", test_open_reaps },
	{ "close reaps", test_close_reaps },
	{ "process slots", test_process_slots },
	{ "random deaths", test_random_deaths },
	{ "deaths in open", test_deaths_in_open },
	{ "deaths in create", test_deaths_in_create },
	{ "fork", test_fork_child_uses_the_heap },
	{ "daemon", test_daemon },
	{ "parent closes after fork", test_parent_closes_after_fork },
	{ "fork without a slot", test_fork_without_a_slot },
	{ "fork in a transaction", test_fork_in_a_transaction },
	{ "exec", test_exec },
	{ "exec detaches", test_exec_detaches },
	{ "closefrom", test_closefrom },
	{ "thread exit gives the slot back", test_thread_exit_gives_the_slot_back },
	{ "thread exit aborts", test_thread_exit_aborts },
	{ "thread slots", test_thread_slots },
	{ "thread slots of the dead", test_thread_slots_of_the_dead },
	{ "close beside idle threads", test_close_beside_idle_threads },
	{ "parked slot", test_parked_slot },
	{ "open in threads", test_open_in_threads },
	{ "allocate", test_allocate },
	{ "alignment", test_alignment },
	{ "sizes that do not fit", test_sizes_that_do_not_fit },
	{ "bad frees", test_bad_frees },
	{ "free in another process", test_free_in_another_process },
	{ "commit", test_commit },
	{ "abort", test_abort },
	{ "transaction errors", test_transaction_errors },
	{ "long transaction", test_long_transaction },
	{ "alloc_to, free_from", test_alloc_to_and_free_from },
	{ "alloc_to loses nothing", test_alloc_to_loses_nothing },
	{ "roots", test_roots },
	{ "mutex", test_mutex },
	{ "mutex of the dead", test_mutex_of_the_dead },
	{ "mutex excludes", test_mutex_excludes },
	{ "read-only", test_read_only },
	{ "walk", test_walk },
	{ "check", test_check },
	{ "check beside work", test_check_beside_work },
	{ "full disk", test_full_disk },
	{ "file size limit", test_file_size_limit },
	{ "maximum size", test_maximum_size },
	{ "texts", test_texts },
	{ "twins", test_twins },
	CU_TEST_INFO_NULL,
};

static CU_TestInfo overlay_tests[] = {
	{ "create, reopen", test_create_and_reopen },
	{ "dead and living peers", test_dead_and_living_peers },
	{ "process slots", test_process_slots },
	{ "random deaths", test_random_deaths },
	{ "fork", test_fork_child_uses_the_heap },
	{ "daemon", test_daemon },
	{ "parent closes after fork", test_parent_closes_after_fork },
	{ "exec detaches", test_exec_detaches },
	{ "parked slot", test_parked_slot },
	CU_TEST_INFO_NULL,
};

static int use_directory(const char *parent)
{
	snprintf(directory, sizeof(directory), "%s/spanheap-test-XXXXXX", parent);
	if (mkdtemp(directory) == NULL)
		return -1;
	beside(path, "heap");
	beside(shm_path, "heap-shm");
	return 0;
}

static int use_disk(void)
{
	const char *parent = getenv("TMPDIR");

	return use_directory(parent != NULL && parent[0] != '\0' ? parent : "/tmp");
}

static int use_memory(void)
{
	return use_directory("/dev/shm");
}

static int leave_directory(void)
{
	remove_all(directory);
	return rmdir(directory);
}

static char overlay[PATH_MAX - 64];

static const char *const overlay_parts[] = { "lower", "upper", "work", "merged" };

static void overlay_part(char name[PATH_MAX], unsigned part)
{
	snprintf(name, PATH_MAX, "%s/%s", overlay, overlay_parts[part]);
}

static int leave_overlay(void)
{
	char name[PATH_MAX];

	overlay_part(name, 3);
	umount(name);
	for (unsigned i = 0; i < LENGTH_OF(overlay_parts); i++) {
		overlay_part(name, i);
		remove_all(name);
		rmdir(name);
	}
	return rmdir(overlay);
}

static bool mount_overlay(void)
{
	char options[4 * PATH_MAX];
	char name[PATH_MAX];

	for (unsigned i = 0; i < LENGTH_OF(overlay_parts); i++) {
		overlay_part(name, i);
		if (mkdir(name, 0700) != 0)
			return false;
	}
	snprintf(options, sizeof(options), "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work",
		overlay, overlay, overlay);
	return mount("overlay", name, "overlay", 0, options) == 0;
}

static bool make_overlay(void)
{
	const char *parent = getenv("TMPDIR");

	snprintf(overlay, sizeof(overlay), "%s/spanheap-overlay-XXXXXX",
		parent != NULL && parent[0] != '\0' ? parent : "/tmp");
	if (!own_mounts() || mkdtemp(overlay) == NULL)
		return false;
	if (mount_overlay())
		return true;
	leave_overlay();
	return false;
}

/* Whether the machine lets us mount one. */
static bool have_overlay(void)
{
	return make_overlay() && leave_overlay() == 0;
}

static int use_overlay(void)
{
	char name[PATH_MAX];

	if (!make_overlay())
		return -1;
	overlay_part(name, 3);
	return use_directory(name);
}

static int end_overlay(void)
{
	int error = leave_directory();

	return leave_overlay() != 0 ? -1 : error;
}

int test_api_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "api, on disk",
			.pInitFunc = use_disk,
			.pCleanupFunc = leave_directory,
			.pTests = all_tests },
		{ .pName = "api, in memory",
			.pInitFunc = use_memory,
			.pCleanupFunc = leave_directory,
			.pTests = all_tests },
		CU_SUITE_INFO_NULL,
		CU_SUITE_INFO_NULL,
	};

	if (have_overlay())
		suites[2] = (CU_SuiteInfo){ .pName = "api, on overlayfs",
			.pInitFunc = use_overlay,
			.pCleanupFunc = end_overlay,
			.pTests = overlay_tests };
	else
		printf("SKIPPED: the tests on overlayfs want root, and a file system it can stand "
		       "on.\n");
	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
