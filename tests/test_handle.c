/* test_handle.c -- the handle that sh_open() gives: opened, found again, closed
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "heap/heap.h"
#include "tests/content.h"
#include "tests/fixture.h"
#include "tests/heap_files.h"
#include "tests/places.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

/* --- open and close ------------------------------------------------------------------------ */

static void test_create_and_reopen(void)
{
	struct sh_heap *heap = files_new();
	sh_off off = files_block(heap, 100);
	sh_off found;

	CU_ASSERT_EQUAL(sh_root_set(heap, "a", off), 0);
	files_close(heap);
	CU_ASSERT_EQUAL(files_count(), 2);
	CU_ASSERT_TRUE(files_is_clean());
	heap = files_open(0);
	CU_ASSERT_EQUAL(sh_root_get(heap, "a", &found), 0);
	CU_ASSERT_EQUAL(found, off);
	CU_ASSERT_EQUAL(*(unsigned char *)sh_ptr(heap, off), 0x5a);
	files_expect_good(heap);
	files_close(heap);
	heap = files_open(SH_CREATE);
	CU_ASSERT_EQUAL(sh_root_get(heap, "a", &found), 0);
	files_close(heap);
	CU_ASSERT_EQUAL(files_open_at(files_path, SH_CREATE | SH_EXCL, &heap), EEXIST);
	CU_ASSERT_PTR_NULL(heap);
}

static void test_clean_heap_needs_no_control_file(void)
{
	char moved[PATH_MAX];
	struct sh_heap *heap = files_new();

	CU_ASSERT_EQUAL(sh_root_set(heap, "a", files_block(heap, 10)), 0);
	files_close(heap);
	CU_ASSERT_EQUAL(unlink(files_control), 0);
	heap = files_open(0);
	files_close(heap);
	files_beside(moved, "moved");
	copy_file(files_path, moved);
	CU_ASSERT_EQUAL(files_open_at(moved, 0, &heap), 0);
	files_expect_good(heap);
	files_close(heap);
}

static void test_bad_arguments(void)
{
	struct sh_options options = files_options();
	struct sh_heap *heap;
	char name[PATH_MAX];

	files_empty(files_directory);
	CU_ASSERT_EQUAL(files_open_at(files_path, 0, &heap), ENOENT);
	CU_ASSERT_EQUAL(files_open_at("", SH_CREATE, &heap), ENOENT);
	CU_ASSERT_EQUAL(files_open_at(files_path, 0x100, &heap), EINVAL);
	CU_ASSERT_EQUAL(files_open_at(files_path, SH_RDONLY | SH_CREATE, &heap), EINVAL);
	files_beside(name, "none/heap");
	CU_ASSERT_EQUAL(files_open_at(name, SH_CREATE, &heap), ENOENT);
	files_beside(name, "nowhere");
	CU_ASSERT_EQUAL(symlink("none", name), 0);
	CU_ASSERT_EQUAL(files_open_at(name, SH_CREATE, &heap), ENOENT);
	unlink(name);
	options.max_size = 1;
	CU_ASSERT_EQUAL(sh_open(files_path, SH_CREATE, &options, &heap), EINVAL);
	options.max_size = UINT64_C(1) << 60;
	CU_ASSERT_EQUAL(sh_open(files_path, SH_CREATE, &options, &heap), EINVAL);
	options = files_options();
	options.max_threads = 1u << 20;
	CU_ASSERT_EQUAL(sh_open(files_path, SH_CREATE, &options, &heap), EINVAL);
	options = files_options();
	options.max_processes = 1u << 20;
	CU_ASSERT_EQUAL(sh_open(files_path, SH_CREATE, &options, &heap), EINVAL);
	options = files_options();
	options.mode = 010000;
	CU_ASSERT_EQUAL(sh_open(files_path, SH_CREATE, &options, &heap), EINVAL);
	options = files_options();
	options.struct_bytes = 1;
	CU_ASSERT_EQUAL(sh_open(files_path, SH_CREATE, &options, &heap), EINVAL);
	CU_ASSERT_PTR_NULL(heap);
	CU_ASSERT_EQUAL(files_count(), 0);
}

static void test_mode(void)
{
	struct sh_options options = files_options();
	struct sh_heap *heap;
	struct stat status;

	options.mode = 0640;
	heap = files_new_with(&options);
	CU_ASSERT_EQUAL(stat(files_path, &status), 0);
	CU_ASSERT_EQUAL(status.st_mode & 0777, 0640);
	CU_ASSERT_EQUAL(stat(files_control, &status), 0);
	CU_ASSERT_EQUAL(status.st_mode & 0777, 0640);
	files_close(heap);
}

static void test_one_handle(void)
{
	char other[PATH_MAX];
	struct sh_heap *heap = files_new();
	struct sh_heap *again;

	CU_ASSERT_EQUAL(files_open_at(files_path, SH_CREATE, &again), 0);
	CU_ASSERT_PTR_EQUAL(again, heap);
	files_beside(other, "hard");
	CU_ASSERT_EQUAL(link(files_path, other), 0);
	CU_ASSERT_EQUAL(files_open_at(other, 0, &again), 0);
	CU_ASSERT_PTR_EQUAL(again, heap);
	files_beside(other, "soft");
	CU_ASSERT_EQUAL(symlink(files_path, other), 0);
	CU_ASSERT_EQUAL(files_open_at(other, 0, &again), 0);
	CU_ASSERT_PTR_EQUAL(again, heap);
	for (int i = 0; i < 3; i++) {
		files_close(again);
		files_block(heap, 10);
	}
	files_close(heap);
	CU_ASSERT_TRUE(files_is_clean());
}

static void open_by_other_names(void *unused)
{
	char other[PATH_MAX];
	struct sh_heap *heap;

	(void)unused;
	files_drop_inherited();
	files_beside(other, "hard");
	REQUIRE(files_open_at(other, 0, &heap) == SH_ECONTROL);
	/* A symbolic link leads to the heap file, and so to its control file. */
	files_beside(other, "soft");
	REQUIRE(files_open_at(other, 0, &heap) == 0);
	REQUIRE(sh_alloc(heap, 10) != 0);
	REQUIRE(sh_close(heap) == 0);
}

static void test_two_paths(void)
{
	char other[PATH_MAX];
	struct sh_heap *heap = files_new();

	files_beside(other, "hard");
	CU_ASSERT_EQUAL(link(files_path, other), 0);
	files_beside(other, "soft");
	CU_ASSERT_EQUAL(symlink(files_path, other), 0);
	CU_ASSERT_EQUAL(files_run(open_by_other_names, NULL), 0);
	files_close(heap);
}

static void open_without_control(void *unused)
{
	struct sh_heap *heap;

	(void)unused;
	files_drop_inherited();
	REQUIRE(files_open_at(files_path, 0, &heap) == SH_ECONTROL);
	REQUIRE(files_open_at(files_path, SH_SALVAGE, &heap) == SH_ECONTROL);
}

static void test_control_file_removed_under_the_living(void)
{
	struct sh_heap *heap = files_new();

	unlink(files_control);
	CU_ASSERT_EQUAL(files_run(open_without_control, NULL), 0);
	files_block(heap, 100);
	files_close(heap);
	CU_ASSERT_TRUE(files_is_clean());
}

static void *open_and_close_in_thread(void *argument)
{
	for (int i = 0; i < 50; i++) {
		struct sh_heap *heap;
		sh_off off;

		CU_ASSERT_EQUAL_FATAL(files_open_at(files_path, 0, &heap), 0);
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
	struct sh_heap *heap = files_new();

	files_close(heap);
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(pthread_create(&threads[i], NULL, open_and_close_in_thread, NULL),
			0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	CU_ASSERT_TRUE(files_is_clean());
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
	struct sh_heap *heap = files_new();
	sh_off off = files_block(heap, 10);

	CU_ASSERT_PTR_EQUAL(sh_base_function(heap), sh_base(heap));
	CU_ASSERT_PTR_EQUAL(sh_ptr_function(heap, off), sh_ptr(heap, off));
	CU_ASSERT_PTR_EQUAL(sh_ptr(heap, off), sh_base(heap) + off);
	CU_ASSERT_PTR_NULL(sh_ptr_function(heap, 0));
	CU_ASSERT_EQUAL(sh_offset_function(heap, sh_ptr(heap, off)), off);
	CU_ASSERT_EQUAL(sh_offset_function(heap, NULL), 0);
	CU_ASSERT_EQUAL((uintptr_t)sh_base(heap) % (2 * MIB), 0);
	files_close(heap);
}

/* --- */

static CU_TestInfo tests[] = {
	{ "create, reopen", test_create_and_reopen },
	{ "a clean heap needs no control file", test_clean_heap_needs_no_control_file },
	{ "bad arguments", test_bad_arguments },
	{ "mode", test_mode },
	{ "one handle per process", test_one_handle },
	{ "two paths", test_two_paths },
	{ "control file removed", test_control_file_removed_under_the_living },
	{ "open in threads", test_open_in_threads },
	{ "texts", test_texts },
	{ "twins", test_twins },
	CU_TEST_INFO_NULL,
};

static CU_TestInfo overlay_tests[] = {
	{ "create, reopen", test_create_and_reopen },
	CU_TEST_INFO_NULL,
};

int test_handle_register(void)
{
	return places_register("handle", tests, overlay_tests);
}
