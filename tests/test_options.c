/* test_options.c -- options of sh_open(): where the control file is, huge pages, forks, sizes
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "heap/heap_layout.h"
#include "tests/content.h"
#include "tests/fixture.h"
#include "tests/heap_files.h"
#include "tests/tool_runner.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char one_dir[PATH_MAX]; /* two for control files */
static char other_dir[PATH_MAX];

static int enter(void)
{
	char name[] = "/dev/shm/spanheap-control-XXXXXX";

	if (files_enter() != 0 || mkdtemp(name) == NULL)
		return -1;
	snprintf(one_dir, sizeof(one_dir), "%s/one", name);
	snprintf(other_dir, sizeof(other_dir), "%s/other", name);
	return mkdir(one_dir, 0700) != 0 || mkdir(other_dir, 0700) != 0;
}

static int leave(void)
{
	files_empty(one_dir);
	files_empty(other_dir);
	rmdir(one_dir);
	rmdir(other_dir);
	*strrchr(one_dir, '/') = '\0';
	return rmdir(one_dir) != 0 || files_leave() != 0;
}

/* The number of files of a directory; `path` is the last one's. */
static unsigned files_in(const char *directory, char path[PATH_MAX])
{
	DIR *entries = opendir(directory);
	struct dirent *entry;
	unsigned count = 0;

	while (entries != NULL && (entry = readdir(entries)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, PATH_MAX, "%.1000s/%s", directory, entry->d_name);
		count++;
	}
	if (entries != NULL)
		closedir(entries);
	return count;
}

static bool is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

static struct sh_options in(const char *directory)
{
	struct sh_options options = files_options();

	options.control_dir = directory;
	return options;
}

static int open_in(const char *directory, unsigned flags, struct sh_heap **heap)
{
	struct sh_options options = in(directory);

	return sh_open(files_path, flags, &options, heap);
}

static struct sh_heap *new_in(const char *directory)
{
	struct sh_options options = in(directory);

	files_empty(one_dir);
	files_empty(other_dir);
	return files_new_with(&options);
}

/* --- control_dir --------------------------------------------------------------------------- */

static void use_and_leave(void *unused)
{
	struct sh_heap *heap = files_child_open(0);

	(void)unused;
	REQUIRE(sh_root_set(heap, "came", sh_alloc(heap, 10)) == 0);
	REQUIRE(sh_close(heap) == 0);
}

static void use_with_other_option(void *unused)
{
	struct sh_heap *heap = files_child_open(SH_RDONLY);

	(void)unused;
	REQUIRE(sh_close(heap) == 0);
	REQUIRE(open_in(other_dir, 0, &heap) == 0);
	REQUIRE(sh_root_set(heap, "other", sh_alloc(heap, 10)) == 0);
	REQUIRE(sh_close(heap) == 0);
}

/* Whoever comes while the heap is in use finds the one control file. */
static void test_found_by_all(void)
{
	struct sh_heap *heap = new_in(one_dir);
	char path[PATH_MAX];
	sh_off off;

	CU_ASSERT_FALSE(is_there(files_control));
	CU_ASSERT_EQUAL(files_in(one_dir, path), 1);
	CU_ASSERT_EQUAL(files_run(use_and_leave, NULL), 0);
	CU_ASSERT_EQUAL(sh_root_get(heap, "came", &off), 0);
	CU_ASSERT_EQUAL(files_run(use_with_other_option, NULL), 0);
	CU_ASSERT_EQUAL(sh_root_get(heap, "other", &off), 0);
	CU_ASSERT_EQUAL(files_in(other_dir, path), 0);
	CU_ASSERT_FALSE(is_there(files_control));
	/* It grows there, too. */
	CU_ASSERT_NOT_EQUAL(sh_alloc(heap, 2 * CHUNK_BYTES), 0);
	files_expect_good(heap);
	files_close(heap);
}

/* The proof that the dead were of this run is found by who does not say where. */
static void test_recovered_where_it_was(void)
{
	struct sh_heap *heap = new_in(one_dir);
	char path[PATH_MAX];
	sh_off off;

	files_close(heap);
	for (int i = 0; i < 3; i++) {
		/* Begins a run in one_dir, which files_die_inside() joins and survives. */
		CU_ASSERT_EQUAL_FATAL(open_in(one_dir, 0, &heap), 0);
		CU_ASSERT_EQUAL(files_run(files_die_inside, NULL), SIGKILL);
		files_close(heap);
	}
	CU_ASSERT_EQUAL(files_in(one_dir, path), 1);
	CU_ASSERT_EQUAL_FATAL(open_in(NULL, 0, &heap), 0);
	CU_ASSERT_EQUAL(sh_root_get(heap, "died", &off), 0);
	/* It was clean, and who begins chooses. */
	CU_ASSERT_TRUE(is_there(files_control));
	files_close(heap);
}

static void die_in_a_run_of_its_own(void *argument)
{
	struct sh_heap *heap;

	REQUIRE(open_in(argument, 0, &heap) == 0);
	REQUIRE(sh_root_set(heap, "died", sh_alloc(heap, 10)) == 0);
	files_die();
}

static void test_recovery(void)
{
	const char *later[] = { NULL, one_dir, other_dir };
	char path[PATH_MAX];

	for (size_t i = 0; i < LENGTH_OF(later); i++) {
		struct sh_heap *heap = new_in(one_dir);
		struct sh_stats stats = SH_STATS_INIT;

		files_close(heap);
		CU_ASSERT_EQUAL(files_run(die_in_a_run_of_its_own, one_dir), SIGKILL);
		EXPECT(2, "info", files_path);
		EXPECT(2, "check", files_path);
		CU_ASSERT_EQUAL_FATAL(open_in(later[i], 0, &heap), 0);
		CU_ASSERT_EQUAL(sh_stats(heap, &stats), 0);
		CU_ASSERT_EQUAL(stats.recovered, 1);
		/* The run goes on, and so does its control file. */
		CU_ASSERT_EQUAL(files_in(one_dir, path), 1);
		CU_ASSERT_EQUAL(files_in(other_dir, path), 0);
		CU_ASSERT_FALSE(is_there(files_control));
		EXPECT(0, "info", files_path);
		files_close(heap);
	}
}

static void test_recovered_by_the_tool(void)
{
	struct sh_heap *heap = new_in(one_dir);
	char path[PATH_MAX];

	files_close(heap);
	CU_ASSERT_EQUAL(files_run(die_in_a_run_of_its_own, one_dir), SIGKILL);
	EXPECT(0, "recover", files_path);
	EXPECT(0, "check", files_path);
	CU_ASSERT_EQUAL(files_in(one_dir, path), 1);
}

static void expect_no_control(void *unused)
{
	struct sh_heap *heap;

	(void)unused;
	files_drop_inherited();
	REQUIRE(open_in(NULL, SH_RDONLY, &heap) == SH_ECONTROL);
	REQUIRE(open_in(NULL, 0, &heap) == SH_ECONTROL);
	/* Whoever knows better is right. */
	REQUIRE(open_in(other_dir, 0, &heap) == 0);
	REQUIRE(sh_close(heap) == 0);
}

/* The directory has another path here. */
static void test_moved(void)
{
	struct sh_heap *heap = new_in(one_dir);
	char path[PATH_MAX];
	char moved[PATH_MAX];

	CU_ASSERT_EQUAL(files_in(one_dir, path), 1);
	snprintf(moved, sizeof(moved), "%.1000s%s", other_dir, strrchr(path, '/'));
	CU_ASSERT_EQUAL(rename(path, moved), 0);
	CU_ASSERT_EQUAL(files_run(expect_no_control, NULL), 0);
	CU_ASSERT_EQUAL(rename(moved, path), 0);
	files_close(heap);
	CU_ASSERT_EQUAL(files_run(die_in_a_run_of_its_own, one_dir), SIGKILL);
	CU_ASSERT_EQUAL(rename(path, moved), 0);
	CU_ASSERT_EQUAL(open_in(NULL, 0, &heap), SH_ETORN);
	CU_ASSERT_EQUAL(open_in(one_dir, 0, &heap), SH_ETORN);
	CU_ASSERT_EQUAL(open_in(other_dir, 0, &heap), 0);
	files_close(heap);
	/* Torn for good: SH_SALVAGE begins a run, and chooses. */
	CU_ASSERT_EQUAL(files_run(die_in_a_run_of_its_own, one_dir), SIGKILL);
	files_empty(one_dir);
	files_empty(other_dir);
	CU_ASSERT_EQUAL(open_in(other_dir, 0, &heap), SH_ETORN);
	CU_ASSERT_EQUAL(open_in(other_dir, SH_SALVAGE, &heap), 0);
	CU_ASSERT_EQUAL(files_in(other_dir, path), 1);
	files_close(heap);
}

/* Copies have the heap's id, and control files of their own. */
static void test_copies(void)
{
	struct sh_options options = in(one_dir);
	struct sh_heap *heap = new_in(one_dir);
	struct sh_heap *copy;
	char copied[PATH_MAX];
	char path[PATH_MAX];

	files_close(heap);
	files_beside(copied, "copy");
	copy_file(files_path, copied);
	CU_ASSERT_EQUAL_FATAL(open_in(one_dir, 0, &heap), 0);
	CU_ASSERT_EQUAL_FATAL(sh_open(copied, 0, &options, &copy), 0);
	CU_ASSERT_EQUAL(files_in(one_dir, path), 2);
	CU_ASSERT_NOT_EQUAL(sh_alloc(heap, 100), 0);
	CU_ASSERT_EQUAL(files_live_blocks(copy), 0);
	CU_ASSERT_EQUAL(sh_close(copy), 0);
	/* A copy of a heap in use is torn, though it says where a control file is. */
	copy_file(files_path, copied);
	CU_ASSERT_EQUAL(sh_open(copied, 0, &options, &copy), SH_ETORN);
	CU_ASSERT_EQUAL(sh_open(copied, 0, NULL, &copy), SH_ETORN);
	files_close(heap);
}

static void test_bad_directories(void)
{
	char longest[3000];
	struct sh_heap *heap;

	files_close(new_in(NULL));
	CU_ASSERT_EQUAL(open_in("/nowhere/at/all", 0, &heap), ENOENT);
	CU_ASSERT_PTR_NULL(heap);
	CU_ASSERT_EQUAL(open_in(files_path, 0, &heap), ENOTDIR);
	memset(longest, '/', sizeof(longest));
	memcpy(longest + sizeof(longest) - 4, "tmp", 4);
	/* It is short without its slashes. */
	CU_ASSERT_EQUAL(open_in(longest, 0, &heap), 0);
	files_close(heap);
	CU_ASSERT_EQUAL(open_in("", 0, &heap), 0);
	CU_ASSERT_TRUE(is_there(files_control));
	files_close(heap);
}

/* What the heap file says may be anything. */
static void test_damaged_place(void)
{
	static const char *const texts[] = { "relative", "/nowhere/at/all", "/", "/etc/passwd" };
	struct sh_heap *heap = new_in(NULL);
	char place[CONTROL_PLACE_BYTES];

	files_close(heap);
	for (size_t i = 0; i <= LENGTH_OF(texts); i++) {
		memset(place, 'x', sizeof(place));
		place[0] = '/';
		if (i < LENGTH_OF(texts))
			snprintf(place, sizeof(place), "%s", texts[i]);
		poke(files_path, CONTROL_PLACE_OFFSET, place, sizeof(place));
		EXPECT(0, "info", files_path);
		/* Clean: nobody asks what it says. */
		CU_ASSERT_EQUAL_FATAL(open_in(NULL, 0, &heap), 0);
		files_close(heap);
		CU_ASSERT_EQUAL(files_run(die_in_a_run_of_its_own, NULL), SIGKILL);
		poke(files_path, CONTROL_PLACE_OFFSET, place, sizeof(place));
		/* Where the user says is looked, too. */
		CU_ASSERT_EQUAL_FATAL(open_in(NULL, 0, &heap), 0);
		files_close(heap);
	}
}

/* --- mappings ------------------------------------------------------------------------------ */

/* Whether the mapping at `address` carries a flag of /proc/self/smaps. */
static bool mapping_has(const void *address, const char *flag)
{
	FILE *maps = fopen("/proc/self/smaps", "r");
	char line[PATH_MAX];
	bool here = false;
	bool has = false;

	while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
		uintptr_t first;
		uintptr_t end;

		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &first, &end) == 2)
			here = (uintptr_t)address >= first && (uintptr_t)address < end;
		if (here && strncmp(line, "VmFlags:", 8) == 0)
			has = strstr(line, flag) != NULL;
	}
	if (maps != NULL)
		fclose(maps);
	return has;
}

static bool kernel_has_huge_pages(void)
{
	return is_there("/sys/kernel/mm/transparent_hugepage/enabled");
}

static void test_huge_pages(void)
{
	struct sh_options options = files_options();
	struct sh_heap *heap = files_new_with(&options);

	CU_ASSERT_FALSE(mapping_has(sh_base(heap), " hg"));
	files_close(heap);
	options.huge_pages = 1;
	heap = files_new_with(&options);
	CU_ASSERT_EQUAL((uintptr_t)sh_base(heap) % (2u << 20), 0);
	if (kernel_has_huge_pages()) {
		CU_ASSERT_TRUE(mapping_has(sh_base(heap), " hg"));
	} else {
		printf(" SKIPPED: this kernel has no huge pages. ");
	}
	CU_ASSERT_NOT_EQUAL(sh_alloc(heap, 100), 0);
	files_expect_good(heap);
	files_close(heap);
	options.huge_pages = 2;
	CU_ASSERT_EQUAL(sh_open(files_path, 0, &options, &heap), EINVAL);
}

static void expect_nothing(void *argument)
{
	struct sh_heap *heap = argument;
	struct sh_heap *own;
	char *there;
	sh_off off;

	REQUIRE(sh_alloc(heap, 10) == 0 && errno == ECHILD);
	REQUIRE(sh_root_get(heap, "x", &off) == ECHILD);
	REQUIRE(sh_base(heap) == NULL);
	/* What comes to be where the heap was is not unmapped with it. */
	there = mmap(NULL, FILES_MAX_BYTES + (64u << 20), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	REQUIRE(there != MAP_FAILED);
	REQUIRE(sh_close(heap) == 0);
	there[0] = 1;
	there[FILES_MAX_BYTES] = 1;
	/* It may use the heap as any other process. */
	REQUIRE(sh_open(files_path, 0, NULL, &own) == 0);
	REQUIRE(sh_root_set(own, "child", sh_alloc(own, 10)) == 0);
	REQUIRE(sh_close(own) == 0);
}

static void fork_again(void *argument)
{
	REQUIRE(files_run(expect_nothing, argument) == 0);
	expect_nothing(argument);
}

static void test_dontfork(void)
{
	struct sh_options options = files_options();
	struct sh_stats stats = SH_STATS_INIT;
	struct sh_heap *heap;
	sh_off off;

	options.fork = SH_FORK_DONTFORK;
	heap = files_new_with(&options);
	CU_ASSERT_NOT_EQUAL(sh_alloc(heap, 10), 0);
	CU_ASSERT_EQUAL(files_run(expect_nothing, heap), 0);
	CU_ASSERT_EQUAL(files_run(fork_again, heap), 0);
	CU_ASSERT_EQUAL(sh_root_get(heap, "child", &off), 0);
	CU_ASSERT_EQUAL(sh_stats(heap, &stats), 0);
	CU_ASSERT_EQUAL(stats.processes, 1);
	files_expect_good(heap);
	files_close(heap);
	options.fork = 2;
	CU_ASSERT_EQUAL(sh_open(files_path, 0, &options, &heap), EINVAL);
	options.fork = SH_FORK_DONTFORK;
	CU_ASSERT_EQUAL_FATAL(sh_open(files_path, SH_RDONLY, &options, &heap), 0);
	CU_ASSERT_EQUAL(files_run(expect_nothing, heap), 0);
	files_close(heap);
}

/* --- the structure, sizes, handles --------------------------------------------------------- */

/* A program that was compiled before control_dir was there. */
static void test_older_program(void)
{
	struct sh_options options = in("/nowhere/at/all");
	struct sh_heap *heap;

	files_close(files_new());
	options.struct_bytes = offsetof(struct sh_options, control_dir);
	CU_ASSERT_EQUAL(sh_open(files_path, 0, &options, &heap), 0);
	files_close(heap);
	options.struct_bytes = sizeof(options) + 8;
	CU_ASSERT_EQUAL(sh_open(files_path, 0, &options, &heap), EINVAL);
}

/* An existing heap keeps its maximum, and everybody maps all of it. */
static void test_max_size(void)
{
	static const uint64_t sizes[] = { FILES_MAX_BYTES / 4, 4 * FILES_MAX_BYTES, 0 };

	files_close(files_new());
	for (size_t i = 0; i < LENGTH_OF(sizes); i++) {
		struct sh_options options = files_options();
		struct sh_stats stats = SH_STATS_INIT;
		struct sh_heap *heap;

		options.max_size = sizes[i];
		CU_ASSERT_EQUAL_FATAL(sh_open(files_path, SH_CREATE, &options, &heap), 0);
		CU_ASSERT_EQUAL(sh_stats(heap, &stats), 0);
		CU_ASSERT_EQUAL(stats.max_bytes, FILES_MAX_BYTES);
		files_close(heap);
	}
}

/* The handle is counted, whatever path and options lead to it; the first options count. */
static void test_same_heap_twice(void)
{
	struct sh_options options = in(other_dir);
	struct sh_heap *heap = new_in(one_dir);
	char link_path[PATH_MAX];
	char path[PATH_MAX];
	struct sh_heap *again;

	files_beside(link_path, "link");
	CU_ASSERT_EQUAL(symlink(files_path, link_path), 0);
	options.fork = SH_FORK_DONTFORK;
	CU_ASSERT_EQUAL(sh_open(link_path, 0, &options, &again), 0);
	CU_ASSERT_PTR_EQUAL(again, heap);
	CU_ASSERT_EQUAL(files_in(other_dir, path), 0);
	CU_ASSERT_EQUAL(sh_close(again), 0);
	CU_ASSERT_NOT_EQUAL(sh_alloc(heap, 10), 0);
	files_close(heap);
}

static CU_TestInfo tests[] = {
	{ "control file found by all", test_found_by_all },
	{ "recovered where it was", test_recovered_where_it_was },
	{ "recovery", test_recovery },
	{ "recovered by the tool", test_recovered_by_the_tool },
	{ "control file moved", test_moved },
	{ "copies", test_copies },
	{ "bad directories", test_bad_directories },
	{ "damaged place", test_damaged_place },
	{ "huge pages", test_huge_pages },
	{ "not for children", test_dontfork },
	{ "older program", test_older_program },
	{ "maximum size", test_max_size },
	{ "same heap twice", test_same_heap_twice },
	CU_TEST_INFO_NULL,
};

int test_options_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "options", .pInitFunc = enter, .pCleanupFunc = leave, .pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
