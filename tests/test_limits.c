/* test_limits.c -- a full disk, the largest file and heap, few descriptors, an unreadable boot id
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "heap/heap.h"
#include "tests/fixture.h"
#include "tests/heap_files.h"
#include "tests/places.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

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
	files_expect_good(heap);
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

	REQUIRE(files_open_at(name, 0, &heap) == 0);
	REQUIRE(sh_root_set(heap, "died", 16) == 0);
	files_die();
}

static void test_full_disk(void)
{
	char mounted[PATH_MAX];
	char name[PATH_MAX + 8];
	char rest[PATH_MAX + 8];
	struct sh_options options = files_options();
	struct sh_heap *heap;
	sh_off off;

	files_empty(files_directory);
	files_beside(mounted, "small");
	if (!mounts_own() || mkdir(mounted, 0700) != 0 ||
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
	files_close(heap);
	CU_ASSERT_EQUAL(files_run(die_on_full_disk, name), SIGKILL);
	CU_ASSERT_EQUAL_FATAL(sh_open(name, 0, &options, &heap), 0);
	CU_ASSERT_EQUAL(sh_root_get(heap, "died", &off), 0);
	files_expect_good(heap);
	files_close(heap);
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
	struct sh_heap *heap = files_child_open(0);
	char name[PATH_MAX];
	struct rlimit limit;
	struct stat status;

	(void)unused;
	REQUIRE(stat(files_path, &status) == 0);
	limit.rlim_cur = limit.rlim_max = (rlim_t)status.st_size;
	REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	errno = 0;
	for (unsigned i = 0; errno == 0; i++)
		if (sh_alloc(heap, 4 * PAGE_BYTES) == 0)
			break;
	REQUIRE(errno == EFBIG);
	REQUIRE(sh_check(heap, 0, files_show_problem, NULL, NULL) == 0);
	REQUIRE(sh_close(heap) == 0);
	files_beside(name, "other");
	limit.rlim_cur = limit.rlim_max = 4096;
	REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	REQUIRE(files_open_at(name, SH_CREATE, &heap) == EFBIG);
	REQUIRE(files_open_at(files_path, 0, &heap) == EFBIG);
}

static void test_file_size_limit(void)
{
	files_make_closed(FILES_BLOCK_BYTES);
	CU_ASSERT_EQUAL(files_run(meet_file_size_limit, NULL), 0);
	CU_ASSERT_EQUAL(files_count(), 2);
	files_expect_opens(FILES_BLOCK_BYTES);
}

static void test_maximum_size(void)
{
	struct sh_options options = files_options();
	struct sh_heap *heap;

	options.max_size = 64 * MIB;
	heap = files_new_with(&options);
	errno = 0;
	while (sh_alloc(heap, 16 * PAGE_BYTES) != 0)
		;
	CU_ASSERT_EQUAL(errno, ENOMEM);
	files_expect_good(heap);
	files_close(heap);
	/* The option does not change what the heap was created with. */
	options.max_size = 10 * FILES_MAX_BYTES;
	CU_ASSERT_EQUAL(sh_open(files_path, 0, &options, &heap), 0);
	CU_ASSERT_EQUAL(sh_alloc(heap, 16 * PAGE_BYTES), 0);
	files_close(heap);
}

/* --- what cannot be read now ------------------------------------------------------------------ */

static unsigned salvaged;

static void note_salvage(const char *phase, uint64_t done, uint64_t total, void *unused)
{
	(void)done;
	(void)total;
	(void)unused;
	if (strcmp(phase, "problems") == 0)
		salvaged++;
}

/* With so few descriptors, and one more each time, the heap is opened at last; and until then it is what it
 * was. */
static void open_with_few_descriptors(void *flags)
{
	struct sh_options options = files_options();
	struct rlimit limit = { 0, 4096 };
	struct sh_heap *heap;
	int next = dup(STDIN_FILENO);
	int error = EMFILE;

	close(next);
	options.progress = note_salvage;
	for (unsigned more = 0; error != 0; more++) {
		limit.rlim_cur = (rlim_t)next + more;
		REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
		error = sh_open(files_path, *(unsigned *)flags, &options, &heap);
		REQUIRE(error == 0 || error == EMFILE);
	}
	REQUIRE(salvaged == 0);
	REQUIRE(sh_close(heap) == 0);
}

static void test_few_descriptors(void)
{
	unsigned flags[] = { 0, SH_SALVAGE };

	for (unsigned i = 0; i < LENGTH_OF(flags); i++) {
		files_make_closed(FILES_BLOCK_BYTES);
		CU_ASSERT_EQUAL(files_run(files_die_inside, NULL), SIGKILL);
		CU_ASSERT_EQUAL(files_run(open_with_few_descriptors, &flags[i]), 0);
		files_expect_opens(FILES_BLOCK_BYTES);
	}
}

#define BOOT_ID "/proc/sys/kernel/random/boot_id"

/* The first page of a process's memory gives EIO. */
static void open_without_boot_id(void *unused)
{
	struct sh_heap *heap;

	(void)unused;
	if (!mounts_own() || mount("/proc/self/mem", BOOT_ID, NULL, MS_BIND, NULL) != 0)
		_exit(FILES_SKIP);
	REQUIRE(files_open_at(files_path, 0, &heap) == EIO);
	REQUIRE(umount(BOOT_ID) == 0);
}

/* A run that does not know its boot could not be recovered; and one of another boot must not be. */
static void test_unreadable_boot_id(void)
{
	files_make_closed(FILES_BLOCK_BYTES);
	if (files_skipped(files_run(open_without_boot_id, NULL), "cannot mount"))
		return;
	files_expect_opens(FILES_BLOCK_BYTES);
	CU_ASSERT_EQUAL(files_run(files_die_inside, NULL), SIGKILL);
	CU_ASSERT_EQUAL(files_run(open_without_boot_id, NULL), 0);
	files_expect_opens(FILES_BLOCK_BYTES);
}

/* --- */

static CU_TestInfo tests[] = {
	{ "full disk", test_full_disk },
	{ "file size limit", test_file_size_limit },
	{ "maximum size", test_maximum_size },
	{ "few descriptors", test_few_descriptors },
	{ "boot id cannot be read", test_unreadable_boot_id },
	CU_TEST_INFO_NULL,
};

int test_limits_register(void)
{
	return places_register("limits", tests, NULL);
}
