/* test_limits.c -- a full disk, the largest file, the largest heap
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "heap/heap.h"
#include "tests/fixture.h"
#include "tests/heap_files.h"
#include "tests/places.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
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

/* --- */

static CU_TestInfo tests[] = {
	{ "full disk", test_full_disk },
	{ "file size limit", test_file_size_limit },
	{ "maximum size", test_maximum_size },
	CU_TEST_INFO_NULL,
};

int test_limits_register(void)
{
	return places_register("limits", tests, NULL);
}
