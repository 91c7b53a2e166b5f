/* test_damage.c -- files that are no heaps, damaged ones, torn ones, and who may not use them
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "heap/heap.h"
#include "recovery/proof.h"
#include "recovery/superblock.h"
#include "tests/content.h"
#include "tests/fixture.h"
#include "tests/heap_files.h"
#include "tests/places.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- files that are no heaps, or damaged --------------------------------------------------- */

static void test_not_a_heap(void)
{
	static char garbage[100000];
	struct sh_heap *heap;

	files_empty(files_directory);
	write_file(files_path, "", 0);
	CU_ASSERT_EQUAL(files_open_at(files_path, 0, &heap), SH_EBADHEAP);
	CU_ASSERT_EQUAL(files_open_at(files_path, SH_CREATE, &heap), SH_EBADHEAP);
	for (size_t i = 0; i < sizeof(garbage); i++)
		garbage[i] = (char)(i * 31 + i / 7);
	write_file(files_path, garbage, sizeof(garbage));
	CU_ASSERT_EQUAL(files_open_at(files_path, 0, &heap), SH_EBADHEAP);
	CU_ASSERT_EQUAL(files_open_at(files_path, SH_RDONLY, &heap), SH_EBADHEAP);
	CU_ASSERT_EQUAL(files_open_at(files_directory, 0, &heap), EISDIR);
	CU_ASSERT_EQUAL(files_open_at(files_directory, SH_RDONLY, &heap), EISDIR);
	unlink(files_path);
	CU_ASSERT_EQUAL(mkfifo(files_path, 0600), 0);
	CU_ASSERT_EQUAL(files_open_at(files_path, 0, &heap), SH_EBADHEAP);
	CU_ASSERT_EQUAL(files_open_at(files_path, SH_RDONLY, &heap), SH_EBADHEAP);
	CU_ASSERT_EQUAL(files_count(), 1);
}

static void test_damaged_superblock(void)
{
	static const char zeros[64];
	struct sh_heap *heap;

	files_make_closed(FILES_BLOCK_BYTES);
	poke(files_path, 16, zeros, sizeof(zeros));
	files_expect_opens(FILES_BLOCK_BYTES);
	poke(files_path, files_copy_b_offset() + 16, zeros, sizeof(zeros));
	files_expect_opens(FILES_BLOCK_BYTES);
	poke(files_path, 16, zeros, sizeof(zeros));
	poke(files_path, files_copy_b_offset() + 16, zeros, sizeof(zeros));
	CU_ASSERT_EQUAL(files_open_at(files_path, 0, &heap), SH_EBADHEAP);
	CU_ASSERT_EQUAL(files_open_at(files_path, SH_SALVAGE, &heap), SH_EBADHEAP);
}

static void test_truncated(void)
{
	struct stat status;
	struct sh_heap *heap;

	files_make_closed(FILES_BLOCK_BYTES);
	CU_ASSERT_EQUAL(stat(files_path, &status), 0);
	/* The end copy of the superblock, and a page that the heap holds. */
	CU_ASSERT_EQUAL(truncate(files_path, status.st_size - 2 * 4096), 0);
	CU_ASSERT_EQUAL(files_open_at(files_path, 0, &heap), SH_EBADHEAP);
	CU_ASSERT_EQUAL(files_open_at(files_path, SH_RDONLY, &heap), SH_EBADHEAP);
	CU_ASSERT_EQUAL(files_open_at(files_path, SH_SALVAGE, &heap), 0);
	if (heap != NULL)
		files_close(heap);
	files_expect_opens(FILES_BLOCK_BYTES);
	CU_ASSERT_EQUAL(truncate(files_path, 3000), 0);
	CU_ASSERT_EQUAL(files_open_at(files_path, 0, &heap), SH_EBADHEAP);
	CU_ASSERT_EQUAL(files_open_at(files_path, SH_SALVAGE, &heap), SH_EBADHEAP);
	CU_ASSERT_EQUAL(truncate(files_path, 10), 0);
	CU_ASSERT_EQUAL(files_open_at(files_path, 0, &heap), SH_EBADHEAP);
}

static void other_abi(struct superblock *superblock)
{
	superblock->abi++;
}

static void other_format(struct superblock *superblock)
{
	superblock->format_version++;
}

static void test_other_version(void)
{
	struct sh_heap *heap;

	files_make_closed(FILES_BLOCK_BYTES);
	files_rewrite_superblock(other_abi);
	CU_ASSERT_EQUAL(files_open_at(files_path, 0, &heap), SH_EVERSION);
	files_make_closed(FILES_BLOCK_BYTES);
	files_rewrite_superblock(other_format);
	CU_ASSERT_EQUAL(files_open_at(files_path, SH_SALVAGE, &heap), SH_EVERSION);
}

/* --- rights -------------------------------------------------------------------------------- */

static void as_nobody(void *unused)
{
	char name[PATH_MAX];
	struct sh_heap *heap;

	(void)unused;
	REQUIRE(setgid(65534) == 0 && setuid(65534) == 0);
	files_beside(name, "other");
	REQUIRE(files_open_at(files_path, 0, &heap) == EACCES);
	REQUIRE(files_open_at(name, SH_CREATE, &heap) == EACCES);
	files_beside(name, "readable");
	REQUIRE(files_open_at(name, 0, &heap) == EACCES);
	REQUIRE(files_open_at(name, SH_RDONLY, &heap) == 0);
	REQUIRE(sh_close(heap) == 0);
}

static void test_permissions(void)
{
	char name[PATH_MAX];

	if (geteuid() != 0) {
		printf("SKIPPED, not root: ");
		return;
	}
	files_make_closed(FILES_BLOCK_BYTES);
	files_beside(name, "readable");
	copy_file(files_path, name);
	CU_ASSERT_EQUAL(chmod(name, 0444), 0);
	CU_ASSERT_EQUAL(chmod(files_directory, 0755), 0);
	CU_ASSERT_EQUAL(files_run(as_nobody, NULL), 0);
}

static void drop_rights(void *unused)
{
	struct sh_heap *heap = files_child_open(0);

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
	files_make_closed(FILES_BLOCK_BYTES);
	CU_ASSERT_EQUAL(files_run(drop_rights, NULL), 0);
	CU_ASSERT_TRUE(files_is_clean());
	files_expect_opens(FILES_BLOCK_BYTES);
}

/* --- torn ---------------------------------------------------------------------------------- */

/* The root "a" names a block of that size. */
static void expect_torn_then_salvage(size_t size)
{
	struct sh_heap *heap;

	CU_ASSERT_EQUAL(files_open_at(files_path, 0, &heap), SH_ETORN);
	CU_ASSERT_EQUAL(files_open_at(files_path, SH_RDONLY, &heap), EROFS);
	CU_ASSERT_EQUAL(files_open_at(files_path, 0, &heap), SH_ETORN);
	heap = files_open(SH_SALVAGE);
	files_expect_good(heap);
	files_block(heap, 1000);
	files_close(heap);
	files_expect_opens(size);
}

static void other_boot(struct superblock *superblock)
{
	superblock->boot_id[0] ^= 1;
}

static void test_control_file_missing(void)
{
	files_make_closed(FILES_BLOCK_BYTES);
	CU_ASSERT_EQUAL(files_run(files_die_inside, NULL), SIGKILL);
	unlink(files_control);
	expect_torn_then_salvage(FILES_BLOCK_BYTES);
}

static void test_other_boot(void)
{
	files_make_closed(FILES_BLOCK_BYTES);
	CU_ASSERT_EQUAL(files_run(files_die_inside, NULL), SIGKILL);
	files_rewrite_superblock(other_boot);
	expect_torn_then_salvage(FILES_BLOCK_BYTES);
}

/* Where nothing tells which boot it is, it may be another one. */
static void test_unknown_boot(void)
{
	static const char unknown[BOOT_ID_BYTES];
	static const char known[BOOT_ID_BYTES] = "a boot";
	static struct superblock superblock;
	static struct control_header header;

	CU_ASSERT_PTR_NOT_NULL(proof_gap(&superblock, 2, 1, &header, unknown));
	memcpy(superblock.boot_id, known, sizeof(known));
	memcpy(header.boot_id, known, sizeof(known));
	CU_ASSERT_PTR_NOT_NULL(proof_gap(&superblock, 2, 1, &header, unknown));
	CU_ASSERT_PTR_NULL(proof_gap(&superblock, 2, 1, &header, known));
}

static void test_copied_while_in_use(void)
{
	struct sh_heap *heap = files_new();
	char copy[PATH_MAX];

	CU_ASSERT_EQUAL(sh_root_set(heap, "a", files_block(heap, 10)), 0);
	files_beside(copy, "copy");
	copy_file(files_path, copy);
	files_block(heap, 100);
	files_close(heap);
	CU_ASSERT_EQUAL(files_open_at(copy, 0, &heap), SH_ETORN);
	/* Put back in place, over the same inode, after other processes came and died. */
	CU_ASSERT_EQUAL(files_run(files_die_inside, NULL), SIGKILL);
	copy_file(copy, files_path);
	expect_torn_then_salvage(10);
}

/* The superblock of a clean file and the content of a later time: cp of a file that is opened
 * meanwhile. */
static void test_mixture(void)
{
	static char head[SUPERBLOCK_STRIDE];
	static char tail[SUPERBLOCK_STRIDE];
	int fd;

	files_make_closed(FILES_BLOCK_BYTES);
	fd = open(files_path, O_RDWR);
	CU_ASSERT_EQUAL(pread(fd, head, sizeof(head), 0), (ssize_t)sizeof(head));
	CU_ASSERT_EQUAL(pread(fd, tail, sizeof(tail), (off_t)files_copy_b_offset()),
		(ssize_t)sizeof(tail));
	CU_ASSERT_EQUAL(files_run(files_die_inside, NULL), SIGKILL);
	CU_ASSERT_EQUAL(pwrite(fd, head, sizeof(head), 0), (ssize_t)sizeof(head));
	CU_ASSERT_EQUAL(pwrite(fd, tail, sizeof(tail), (off_t)files_copy_b_offset()),
		(ssize_t)sizeof(tail));
	close(fd);
	expect_torn_then_salvage(FILES_BLOCK_BYTES);
}

/* Makes the file longer by so many bytes that are not zero. */
static void lengthen(uint64_t bytes)
{
	char waste[4096];
	struct stat status;

	CU_ASSERT_EQUAL(stat(files_path, &status), 0);
	memset(waste, 0xff, sizeof(waste));
	for (uint64_t at = 0; at < bytes; at += sizeof(waste))
		poke(files_path, (uint64_t)status.st_size + at, waste,
			bytes - at < sizeof(waste) ? bytes - at : sizeof(waste));
}

static void expect_grows_into_zeros(void)
{
	struct sh_heap *heap = files_open(0);
	sh_off block = sh_alloc_ex(heap, 3 * CHUNK_BYTES / 2, 0, SH_ZERO);
	const char *bytes = sh_ptr(heap, block);

	CU_ASSERT_NOT_EQUAL_FATAL(block, 0);
	for (uint64_t i = 0; i < 3 * CHUNK_BYTES / 2; i++)
		if (bytes[i] != 0) {
			CU_FAIL("a block that should hold zeros does not");
			break;
		}
	files_expect_good(heap);
	files_close(heap);
	CU_ASSERT_TRUE(files_is_clean());
}

/* A clean file, and behind its end what the heap held when it was opened and had grown: a copy that came to the
 * end at that moment. */
static void test_copied_beyond_the_end(void)
{
	files_close(files_new());
	lengthen(ARENA_HEAD_BYTES + 2 * META_STRIDE);
	expect_grows_into_zeros();
	files_make_closed(FILES_BLOCK_BYTES);
	lengthen(CHUNK_BYTES);
	expect_grows_into_zeros();
	files_expect_opens(FILES_BLOCK_BYTES);
}

static void one_earlier(struct superblock *superblock)
{
	superblock->clean = 0;
	superblock->incarnation--;
}

/* The superblock and the arena's header are of a time before the spans: what says who owned these must not
 * count in the run that salvages. */
static void test_older_names(void)
{
	static const uint64_t nobody;
	uint64_t arena = (files_copy_b_offset() + SUPERBLOCK_STRIDE + 4095) & ~UINT64_C(4095);
	struct sh_heap *heap;

	files_make_closed(FILES_BLOCK_BYTES);
	CU_ASSERT_EQUAL(files_run(files_die_inside, NULL), SIGKILL);
	files_rewrite_superblock(one_earlier);
	poke(files_path, arena + offsetof(struct arena_header, incarnation), &nobody,
		sizeof(nobody));
	unlink(files_control);
	CU_ASSERT_EQUAL(files_open_at(files_path, 0, &heap), SH_ETORN);
	heap = files_open(SH_SALVAGE);
	files_expect_good(heap);
	files_close(heap);
	files_expect_opens(FILES_BLOCK_BYTES);
}

/* --- */

static CU_TestInfo tests[] = {
	{ "not a heap", test_not_a_heap },
	{ "damaged superblock", test_damaged_superblock },
	{ "truncated", test_truncated },
	{ "other version", test_other_version },
	{ "permissions", test_permissions },
	{ "rights dropped", test_rights_dropped },
	{ "torn: control file missing", test_control_file_missing },
	{ "torn: other boot", test_other_boot },
	{ "torn: unknown boot", test_unknown_boot },
	{ "torn: copied while in use", test_copied_while_in_use },
	{ "torn: mixture", test_mixture },
	{ "torn: copied beyond the end", test_copied_beyond_the_end },
	{ "torn: names of a later time", test_older_names },
	CU_TEST_INFO_NULL,
};

int test_damage_register(void)
{
	return places_register("damage", tests, NULL);
}
