/* test_open.c -- what sh_open() is given that it must refuse, and frees that must be refused
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Files that are no heaps, other builds' heaps, places that do not allow it, file systems that lack
 * what it takes (played by a filter of system calls), control files that lead elsewhere; and every
 * wrong free of every kind of block. Nothing that is refused may change the file. */
#define _GNU_SOURCE
#include "heap/heap.h"
#include "recovery/superblock.h"
#include "shm/byte_lock.h"
#include "tests/content.h"
#include "tests/fixture.h"
#include "tests/heap_files.h"
#include "tests/places.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <spanheap.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of the block in the heaps that files_make_closed() makes. */
#define BLOCK_BYTES 100000u

/* --- files --------------------------------------------------------------------------------- */

static void expect_refused(const char *name, unsigned flags, int wanted)
{
	struct sh_heap *heap;
	int error = files_open_at(name, flags, &heap);

	CU_ASSERT_EQUAL(error, wanted);
	if (error != wanted)
		printf("\n  %s, flags %x: %s", name, flags, sh_strerror(error));
	if (error == 0)
		sh_close(heap);
	else
		CU_ASSERT_PTR_NULL(heap);
}

/* With every combination of flags that does not ask for more. */
static void expect_refused_always(const char *name, int wanted)
{
	expect_refused(name, 0, wanted);
	expect_refused(name, SH_CREATE, wanted);
	expect_refused(name, SH_RDONLY, wanted);
	expect_refused(name, SH_SALVAGE, wanted);
}

/* --- no heap ------------------------------------------------------------------------------- */

static void test_devices(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	files_empty(files_directory);
	expect_refused_always("/dev/null", SH_EBADHEAP);
	expect_refused_always("/dev/zero", SH_EBADHEAP);
	snprintf(address.sun_path, sizeof(address.sun_path), "%.90s/heap", files_directory);
	CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	expect_refused_always(files_path, SH_EBADHEAP);
	close(fd);
	CU_ASSERT_EQUAL(files_count(), 1);
}

static void test_folders(void)
{
	char name[PATH_MAX];

	files_empty(files_directory);
	expect_refused_always(files_directory, EISDIR);
	files_beside(name, "");
	expect_refused(name, 0, EISDIR);
	files_beside(name, "none/");
	expect_refused(name, SH_CREATE, ENOENT);
	CU_ASSERT_EQUAL(files_count(), 0);
}

/* Every length at which something begins or ends. */
static void test_lengths(void)
{
	uint64_t b = files_copy_b_offset();
	uint64_t lengths[] = { 1, 7, 199, 200, 4096, SUPERBLOCK_STRIDE - 1, SUPERBLOCK_STRIDE,
		SUPERBLOCK_STRIDE + RUNNING_BYTES, b - 1, b, b + 199, b + 200,
		b + SUPERBLOCK_STRIDE, b + SUPERBLOCK_STRIDE + 4096, 0, 0 };

	files_make_closed(BLOCK_BYTES);
	lengths[14] = length_of(files_path) / 2;
	lengths[15] = length_of(files_path) - 8192;
	for (size_t i = 0; i < LENGTH_OF(lengths); i++) {
		files_make_closed(BLOCK_BYTES);
		CU_ASSERT_EQUAL(truncate(files_path, (off_t)lengths[i]), 0);
		expect_refused(files_path, 0, SH_EBADHEAP);
		expect_refused(files_path, SH_RDONLY, SH_EBADHEAP);
		expect_refused(files_path, SH_CREATE, SH_EBADHEAP);
		CU_ASSERT_EQUAL(length_of(files_path), lengths[i]);
	}
}

/* --- another build's ----------------------------------------------------------------------- */

static void change_format(struct superblock *superblock)
{
	superblock->format_version++;
}

static void change_page(struct superblock *superblock)
{
	superblock->page_shift++;
}

static void change_chunk(struct superblock *superblock)
{
	superblock->chunk_pages_shift--;
}

static void change_arena(struct superblock *superblock)
{
	superblock->arena_chunks_shift++;
}

static void change_classes(struct superblock *superblock)
{
	superblock->class_hash ^= 1;
}

static void change_abi(struct superblock *superblock)
{
	superblock->abi ^= 1;
}

static void change_roots(struct superblock *superblock)
{
	superblock->root_count *= 2;
}

static void test_other_builds(void)
{
	static void (*const changes[])(struct superblock * superblock) = { change_format,
		change_page, change_chunk, change_arena, change_classes, change_abi, change_roots };

	for (size_t i = 0; i < LENGTH_OF(changes); i++) {
		uint64_t before;

		files_make_closed(BLOCK_BYTES);
		files_rewrite_superblock(changes[i]);
		before = digest_of(files_path);
		expect_refused_always(files_path, SH_EVERSION);
		CU_ASSERT_EQUAL(digest_of(files_path), before);
	}
}

/* --- the end copy -------------------------------------------------------------------------- */

/* Copies the first `bytes` of the file `from` over the beginning of the heap. */
static void overlay(const char *from, uint64_t bytes)
{
	int fd = open(from, O_RDONLY);
	char *head = malloc(bytes);

	CU_ASSERT_FATAL(head != NULL && pread(fd, head, bytes, 0) == (ssize_t)bytes);
	poke(files_path, 0, head, bytes);
	free(head);
	close(fd);
}

/* Copied from front to back, and opened when everything was copied that says when it was written. */
static void test_mixture_of_clean_files(void)
{
	char before[PATH_MAX];
	uint64_t bytes;

	files_make_closed(BLOCK_BYTES);
	files_beside(before, "before");
	copy_file(files_path, before);
	files_expect_opens(BLOCK_BYTES);
	bytes = heap_header_bytes(FILES_MAX_BYTES, DEFAULT_THREAD_SLOTS + 1) + ARENA_HEAD_BYTES;
	overlay(before, (bytes + 4095) / 4096 * 4096);
	unlink(files_control);
	expect_refused(files_path, 0, SH_ETORN);
	expect_refused(files_path, SH_RDONLY, EROFS);
	/* The whole of it is a clean file. */
	CU_ASSERT_EQUAL(rename(before, files_path), 0);
	files_expect_opens(BLOCK_BYTES);
}

static void test_end_copy_cut_off(void)
{
	files_make_closed(BLOCK_BYTES);
	CU_ASSERT_EQUAL(truncate(files_path, (off_t)(length_of(files_path) - 4096)), 0);
	expect_refused(files_path, SH_RDONLY, EROFS);
	/* The control file proves that nothing else happened. */
	files_expect_opens(BLOCK_BYTES);
	CU_ASSERT_EQUAL(truncate(files_path, (off_t)(length_of(files_path) - 4096)), 0);
	unlink(files_control);
	expect_refused(files_path, 0, SH_ETORN);
}

/* While the heap is in use what is behind its last chunk reads as zeros. */
static void test_end_copy_is_wiped(void)
{
	static const char zeros[sizeof(struct superblock)];
	char found[sizeof(struct superblock)];
	struct superblock superblock;
	struct sh_heap *heap;
	int fd;

	files_make_closed(BLOCK_BYTES);
	fd = open(files_path, O_RDONLY);
	CU_ASSERT_EQUAL(pread(fd, &superblock, sizeof(superblock), 0), (ssize_t)sizeof(superblock));
	CU_ASSERT_NOT_EQUAL_FATAL(superblock.end_copy, 0);
	CU_ASSERT_EQUAL(pread(fd, found, sizeof(found), (off_t)superblock.end_copy),
		(ssize_t)sizeof(found));
	CU_ASSERT_EQUAL(memcmp(found, &superblock, sizeof(found)), 0);
	CU_ASSERT_EQUAL_FATAL(files_open_at(files_path, 0, &heap), 0);
	CU_ASSERT_EQUAL(pread(fd, found, sizeof(found), (off_t)superblock.end_copy),
		(ssize_t)sizeof(found));
	CU_ASSERT_EQUAL(memcmp(found, zeros, sizeof(found)), 0);
	CU_ASSERT_EQUAL(sh_close(heap), 0);
	close(fd);
}

/* --- the mark on the disk ------------------------------------------------------------------ */

/* What was seen at the first msync(2) since `watched` was set. */
static struct {
	const char *watched; /* the heap file; NULL: nobody looks */
	unsigned calls;
	uint64_t bytes;
	struct superblock first;
	bool end_copy_whole;
} sync_seen;

/* Whether the process dies at the first one, as by a kill. */
static bool dies_at_sync;

static void look_at_sync(const void *address, size_t bytes)
{
	struct superblock end;
	int fd;

	if (sync_seen.calls++ != 0)
		return;
	sync_seen.bytes = bytes;
	memcpy(&sync_seen.first, address, sizeof(sync_seen.first));
	fd = open(sync_seen.watched, O_RDONLY);
	sync_seen.end_copy_whole =
		pread(fd, &end, sizeof(end), (off_t)(length_of(files_path) - 4096)) ==
			(ssize_t)sizeof(end) &&
		end.magic == SUPERBLOCK_MAGIC && end.clean == 1;
	close(fd);
}

/* Stands before the C library's. */
__attribute__((visibility("default"))) int msync(void *address, size_t bytes, int flags)
{
	if (dies_at_sync)
		files_die();
	if (sync_seen.watched != NULL && (flags & MS_SYNC) != 0)
		look_at_sync(address, bytes);
	return (int)syscall(SYS_msync, address, bytes, flags);
}

/* "Not clean" is on the disk before anything else is stored, the wiping of the end copy included. */
static void test_mark_is_synced_first(void)
{
	struct sh_heap *heap;

	files_make_closed(BLOCK_BYTES);
	sync_seen.watched = files_path;
	CU_ASSERT_EQUAL(files_open_at(files_path, 0, &heap), 0);
	sync_seen.watched = NULL;
	CU_ASSERT_EQUAL(sync_seen.calls, 1);
	CU_ASSERT(sync_seen.bytes >= sizeof(struct superblock));
	CU_ASSERT_EQUAL(sync_seen.first.magic, SUPERBLOCK_MAGIC);
	CU_ASSERT_EQUAL(sync_seen.first.clean, 0);
	CU_ASSERT_TRUE(sync_seen.end_copy_whole);
	if (heap != NULL)
		CU_ASSERT_EQUAL(sh_close(heap), 0);
}

/* --- a death while the mark is taken away -------------------------------------------------- */

static void die_at_sync(void *unused)
{
	struct sh_heap *heap;

	(void)unused;
	dies_at_sync = true;
	REQUIRE(files_open_at(files_path, 0, &heap) != 0);
}

static void write_at(const char *path, const void *from, size_t bytes, uint64_t offset)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	CU_ASSERT_EQUAL(pwrite(fd, from, bytes, (off_t)offset), (ssize_t)bytes);
	close(fd);
}

static const char other_boot[BOOT_ID_BYTES] = "another boot";

/* A closed heap, by the name of another boot, whose opener died when it had written half of the first copy
 * without the mark. */
static void make_half_open(void)
{
	struct superblock closed;
	int fd;

	files_make_closed(BLOCK_BYTES);
	fd = open(files_path, O_RDONLY | O_CLOEXEC);
	CU_ASSERT_EQUAL(pread(fd, &closed, sizeof(closed), 0), (ssize_t)sizeof(closed));
	close(fd);
	memcpy(closed.boot_id, other_boot, sizeof(other_boot));
	closed.sequence--;
	superblock_seal(&closed);
	CU_ASSERT_EQUAL(files_run(die_at_sync, NULL), SIGKILL);
	write_at(files_path, &closed, sizeof(closed), 0);
	write_at(files_path, &closed, offsetof(struct superblock, clean), files_copy_b_offset());
}

static void test_death_while_mark_goes(void)
{
	make_half_open();
	files_expect_opens(BLOCK_BYTES);
	make_half_open();
	write_at(files_control, other_boot, sizeof(other_boot),
		offsetof(struct control_header, boot_id));
	expect_refused(files_path, 0, SH_ETORN);
	make_half_open();
	unlink(files_control);
	expect_refused(files_path, 0, SH_ETORN);
}

/* --- places that do not allow it ----------------------------------------------------------- */

static bool is_root(void)
{
	if (geteuid() == 0)
		return true;
	printf("SKIPPED, not root: ");
	return false;
}

static void open_as_nobody(void *unused)
{
	struct sh_heap *heap;

	(void)unused;
	REQUIRE(setgid(65534) == 0 && setuid(65534) == 0);
	REQUIRE(files_open_at(files_path, 0, &heap) == EACCES);
	REQUIRE(files_open_at(files_path, SH_SALVAGE, &heap) == EACCES);
	REQUIRE(files_open_at(files_path, SH_RDONLY, &heap) == 0 && sh_close(heap) == 0);
}

static void test_read_only_file(void)
{
	if (!is_root())
		return;
	files_make_closed(BLOCK_BYTES);
	CU_ASSERT_EQUAL(chmod(files_path, 0444), 0);
	CU_ASSERT_EQUAL(files_run(open_as_nobody, NULL), 0);
	files_expect_opens(BLOCK_BYTES);
}

/* The heap file may be written, but there is no place for a control file. */
static void test_read_only_folder(void)
{
	uint64_t before;

	if (!is_root())
		return;
	files_make_closed(BLOCK_BYTES);
	before = digest_of(files_path);
	CU_ASSERT_EQUAL(chmod(files_path, 0666), 0);
	CU_ASSERT_EQUAL(files_run(open_as_nobody, NULL), 0);
	CU_ASSERT_EQUAL(digest_of(files_path), before);
	CU_ASSERT_EQUAL(files_count(), 2);
	files_expect_opens(BLOCK_BYTES);
}

static void open_on_read_only_mount(void *unused)
{
	struct sh_heap *heap;
	char name[PATH_MAX];

	(void)unused;
	files_beside(name, "other");
	if (!mounts_own() || mount(files_directory, files_directory, NULL, MS_BIND, NULL) != 0 ||
		mount("none", files_directory, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) != 0)
		_exit(FILES_SKIP);
	REQUIRE(files_open_at(files_path, 0, &heap) == EROFS);
	REQUIRE(files_open_at(name, SH_CREATE, &heap) == EROFS);
	REQUIRE(files_open_at(files_path, SH_RDONLY, &heap) == 0 && sh_close(heap) == 0);
}

static void test_read_only_mount(void)
{
	int status;

	files_make_closed(BLOCK_BYTES);
	status = files_run(open_on_read_only_mount, NULL);
	if (files_skipped(status, "cannot mount"))
		return;
	CU_ASSERT_EQUAL(status, 0);
	files_expect_opens(BLOCK_BYTES);
}

/* --- file systems that lack something ------------------------------------------------------ */

/* From here on the process finds that system call `number` fails with `error`, when the argument of
 * that index is between the two values. */
static bool forbid(unsigned number, unsigned argument, unsigned low, unsigned high, unsigned error)
{
	unsigned offset = (unsigned)offsetof(struct seccomp_data, args) + 8 * argument;
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, low, 0, 2),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, high, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { LENGTH_OF(filter), filter };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void expect_not_supported(void)
{
	struct sh_heap *heap;
	char name[PATH_MAX];

	files_beside(name, "other");
	REQUIRE(files_open_at(name, SH_CREATE, &heap) == ENOTSUP);
	REQUIRE(access(name, F_OK) != 0);
	REQUIRE(files_open_at(files_path, 0, &heap) == ENOTSUP);
}

static void open_without_locks(void *unused)
{
	struct sh_heap *heap;

	(void)unused;
	if (!forbid(SYS_fcntl, 1, F_OFD_GETLK, F_OFD_SETLKW, EINVAL))
		_exit(FILES_SKIP);
	REQUIRE(files_open_at(files_path, SH_RDONLY, &heap) == ENOTSUP);
	REQUIRE(files_open_at(files_path, 0, &heap) == ENOTSUP);
}

static void open_without_lock_server(void *unused)
{
	struct sh_heap *heap;

	(void)unused;
	if (!forbid(SYS_fcntl, 1, F_OFD_GETLK, F_OFD_SETLKW, ENOLCK))
		_exit(FILES_SKIP);
	REQUIRE(files_open_at(files_path, 0, &heap) == ENOTSUP);
}

static void open_without_fallocate(void *unused)
{
	(void)unused;
	if (!forbid(SYS_fallocate, 1, 0, 0, EOPNOTSUPP))
		_exit(FILES_SKIP);
	expect_not_supported();
}

static void test_lacking_file_systems(void)
{
	static void (*const lacks[])(void *unused) = { open_without_locks, open_without_lock_server,
		open_without_fallocate };

	files_make_closed(BLOCK_BYTES);
	for (size_t i = 0; i < LENGTH_OF(lacks); i++) {
		uint64_t before = digest_of(files_path);
		int status = files_run(lacks[i], NULL);

		if (files_skipped(status, "no seccomp filters"))
			return;
		CU_ASSERT_EQUAL(status, 0);
		CU_ASSERT_EQUAL(digest_of(files_path), before);
		CU_ASSERT_EQUAL(files_count(), 2);
	}
	files_expect_opens(BLOCK_BYTES);
}

/* A file system without files that have no name: the older way to make a heap. */
static void create_with_a_name(void *unused)
{
	unsigned nameless = O_TMPFILE | O_RDWR | O_CLOEXEC;
	struct sh_heap *heap;
	char name[PATH_MAX];
	int fd;

	(void)unused;
	if (!forbid(SYS_openat, 2, nameless, nameless, EOPNOTSUPP))
		_exit(FILES_SKIP);
	files_beside(name, "heap.spanheap-new");
	/* What a creator left that was killed. */
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	REQUIRE(fd >= 0 && write(fd, "half", 4) == 4 && close(fd) == 0);
	REQUIRE(files_open_at(files_path, SH_CREATE | SH_EXCL, &heap) == 0);
	REQUIRE(sh_close(heap) == 0);
	REQUIRE(access(name, F_OK) != 0);
	REQUIRE(files_open_at(files_path, SH_CREATE | SH_EXCL, &heap) == EEXIST);
}

static void test_create_with_a_name(void)
{
	struct sh_heap *heap;
	int status;

	files_empty(files_directory);
	status = files_run(create_with_a_name, NULL);
	if (files_skipped(status, "no seccomp filters"))
		return;
	CU_ASSERT_EQUAL(status, 0);
	CU_ASSERT_EQUAL(files_count(), 2);
	CU_ASSERT_EQUAL(files_open_at(files_path, 0, &heap), 0);
	if (heap != NULL)
		CU_ASSERT_EQUAL(sh_close(heap), 0);
}

/* --- the control file ---------------------------------------------------------------------- */

static void test_control_file_rights(void)
{
	struct sh_heap *heap;
	struct stat status;
	mode_t mask;

	files_make_closed(BLOCK_BYTES);
	CU_ASSERT_EQUAL(chmod(files_path, 0664), 0);
	mask = umask(0077);
	CU_ASSERT_EQUAL(files_open_at(files_path, 0, &heap), 0);
	umask(mask);
	CU_ASSERT_EQUAL(stat(files_control, &status), 0);
	CU_ASSERT_EQUAL(status.st_mode & 07777, 0664);
	CU_ASSERT_EQUAL(sh_close(heap), 0);
	if (!is_root())
		return;
	CU_ASSERT_EQUAL(chown(files_path, 65534, 65534), 0);
	files_expect_opens(BLOCK_BYTES);
	CU_ASSERT_EQUAL(stat(files_control, &status), 0);
	CU_ASSERT(status.st_uid == 65534 && status.st_gid == 65534);
}

/* Others may write it than may write the heap. */
static void test_wide_control_file(void)
{
	files_make_closed(BLOCK_BYTES);
	CU_ASSERT(WIFSIGNALED(files_run(files_die_inside, NULL)));
	CU_ASSERT_EQUAL(chmod(files_control, 0602), 0);
	expect_refused(files_path, 0, SH_ECONTROL);
	CU_ASSERT_EQUAL(chmod(files_control, 0660), 0);
	expect_refused(files_path, 0, SH_ECONTROL);
	if (geteuid() == 0) {
		CU_ASSERT_EQUAL(chmod(files_control, 0600), 0);
		CU_ASSERT_EQUAL(chown(files_control, 65534, 0), 0);
		expect_refused(files_path, 0, SH_ECONTROL);
		CU_ASSERT_EQUAL(chown(files_control, 0, 0), 0);
	}
	CU_ASSERT_EQUAL(chmod(files_control, 0400), 0);
	files_expect_opens(BLOCK_BYTES);
}

/* Links, folders and leftovers where the control file should be. */
static void test_control_file_in_the_way(void)
{
	char victim[PATH_MAX];
	char left[PATH_MAX + 8];
	uint64_t before;

	files_make_closed(BLOCK_BYTES);
	files_beside(victim, "victim");
	files_beside(left, "heap-shm.new");
	copy_file(files_path, victim);
	before = digest_of(victim);
	unlink(files_control);
	CU_ASSERT_EQUAL(symlink(victim, files_control), 0);
	CU_ASSERT_EQUAL(symlink(victim, left), 0);
	files_expect_opens(BLOCK_BYTES);
	CU_ASSERT_EQUAL(digest_of(victim), before);
	CU_ASSERT_EQUAL(access(left, F_OK), -1);
	unlink(files_control);
	CU_ASSERT_EQUAL(mkdir(files_control, 0700), 0);
	expect_refused(files_path, 0, EISDIR);
	rmdir(files_control);
	CU_ASSERT_EQUAL(mkfifo(files_control, 0600), 0);
	files_expect_opens(BLOCK_BYTES);
}

/* Copies of both files, side by side: of a heap in use they may be torn. */
static void test_copies_of_both_files(void)
{
	char other[PATH_MAX];
	char other_control[PATH_MAX + 8];

	files_make_closed(BLOCK_BYTES);
	CU_ASSERT(WIFSIGNALED(files_run(files_die_inside, NULL)));
	files_beside(other, "other");
	files_beside(other_control, "other-shm");
	copy_file(files_path, other);
	copy_file(files_control, other_control);
	expect_refused(other, 0, SH_ETORN);
	/* Moved, they are the same files. */
	CU_ASSERT_EQUAL(rename(files_path, other), 0);
	CU_ASSERT_EQUAL(rename(files_control, other_control), 0);
	CU_ASSERT_EQUAL(rename(other, files_path), 0);
	CU_ASSERT_EQUAL(rename(other_control, files_control), 0);
	files_expect_opens(BLOCK_BYTES);
}

static void allocate(void *heap)
{
	REQUIRE(sh_alloc(heap, 1000) != 0);
	REQUIRE(sh_close(heap) == 0);
}

/* By somebody who keeps no descriptions in reserve. */
static void fork_without_control_file(void *unused)
{
	struct sh_heap *heap;

	(void)unused;
	REQUIRE(geteuid() != 0 || (setgid(65534) == 0 && setuid(65534) == 0));
	REQUIRE(files_open_at(files_path, 0, &heap) == 0);
	REQUIRE(unlink(files_control) == 0);
	REQUIRE(files_run(allocate, heap) == 0);
	REQUIRE(sh_close(heap) == 0);
}

/* A child attaches by the files that its parent has open, whatever their names lead to. */
static void test_fork_without_control_file(void)
{
	files_make_closed(BLOCK_BYTES);
	if (geteuid() == 0) {
		CU_ASSERT_EQUAL(chown(files_path, 65534, 65534), 0);
		CU_ASSERT_EQUAL(chown(files_directory, 65534, 65534), 0);
	}
	CU_ASSERT_EQUAL(files_run(fork_without_control_file, NULL), 0);
	if (geteuid() == 0)
		CU_ASSERT_EQUAL(chown(files_directory, 0, 0), 0);
	files_expect_opens(BLOCK_BYTES);
}

/* --- a lock that is kept ------------------------------------------------------------------- */

static bool has_tables_of_threads(void)
{
#ifdef SYS_close_range
	return syscall(SYS_close_range, ~0u, ~0u, 2u) == 0;
#else
	return false;
#endif
}

static void keep_through_closefrom(void *unused)
{
	struct lock_holder holder;
	bool held;
	int fd;

	(void)unused;
	if (!has_tables_of_threads())
		_exit(FILES_SKIP);
	fd = open(files_path, O_RDWR);
	REQUIRE(byte_lock_set(fd, BYTE_LOCK_EXCLUSIVE, BYTE_PROBE) == 0);
	REQUIRE(lock_holder_keep(&holder, fd, false) == 0);
	REQUIRE(holder.keeper != NULL);
	REQUIRE(close_range(3, ~0u, 0) == 0);
	fd = open(files_path, O_RDWR);
	REQUIRE(byte_lock_test(fd, BYTE_PROBE, &held) == 0 && held);
	if (fork() == 0) {
		lock_holder_forget(&holder);
		_exit(0);
	}
	wait(NULL);
	REQUIRE(byte_lock_test(fd, BYTE_PROBE, &held) == 0 && held);
	lock_holder_drop(&holder);
	REQUIRE(byte_lock_test(fd, BYTE_PROBE, &held) == 0 && !held);
}

static void test_kept_lock(void)
{
	int status;

	files_make_closed(BLOCK_BYTES);
	status = files_run(keep_through_closefrom, NULL);
	if (!files_skipped(status, "no descriptor table for a thread"))
		CU_ASSERT_EQUAL(status, 0);
}

/* --- frees --------------------------------------------------------------------------------- */

static const size_t sizes[] = { 1, 16, 24, 100, 1000, 4096, PAGE_BYTES, 20000, SMALL_MAX_BYTES,
	SMALL_MAX_BYTES + 1, 10 * PAGE_BYTES, CHUNK_BYTES + 1 };

/* A heap, and a block of another one. */
struct two_heaps {
	struct sh_heap *heap;
	struct sh_heap *other;
	sh_off foreign;
	sh_off *word;
};

static struct two_heaps open_two(void)
{
	struct two_heaps two = { .heap = NULL };
	char name[PATH_MAX];
	sh_off off;

	files_make_closed(BLOCK_BYTES);
	files_beside(name, "other");
	CU_ASSERT_EQUAL_FATAL(files_open_at(files_path, 0, &two.heap), 0);
	CU_ASSERT_EQUAL_FATAL(files_open_at(name, SH_CREATE, &two.other), 0);
	for (unsigned i = 0; i < 300; i++)
		two.foreign = sh_alloc(two.other, 30 * PAGE_BYTES);
	CU_ASSERT_NOT_EQUAL(two.foreign, 0);
	off = sh_alloc_ex(two.heap, 64, 0, SH_ZERO);
	two.word = sh_ptr(two.heap, off);
	return two;
}

static void expect_all_refuse(const struct two_heaps *two, struct sh_txn *txn, sh_off off,
	int wanted)
{
	int error = txn == NULL ? sh_free(two->heap, off) : sh_txn_free(txn, off, 0);

	CU_ASSERT_EQUAL(error, wanted);
	if (error != wanted)
		printf("\n  %llx: %s", (unsigned long long)off, sh_strerror(error));
	if (txn != NULL)
		return;
	*two->word = off;
	CU_ASSERT_EQUAL(sh_free_from(two->heap, two->word), wanted);
	CU_ASSERT_EQUAL(*two->word, off);
	*two->word = 0;
}

static void expect_wrong_ones_refused(const struct two_heaps *two, struct sh_txn *txn, sh_off off,
	size_t size)
{
	const sh_off wrong[] = { off + 1, off + 8, off - 8, off + size / 2 + 1, two->foreign, 8,
		SUPERBLOCK_STRIDE, FILES_MAX_BYTES - 16, FILES_MAX_BYTES, UINT64_MAX,
		UINT64_MAX - 15 };

	for (size_t i = 0; i < LENGTH_OF(wrong); i++)
		expect_all_refuse(two, txn, wrong[i], SH_EBADPTR);
}

static void free_wrongly(const struct two_heaps *two, size_t size, unsigned flags)
{
	sh_off off = sh_alloc_ex(two->heap, size, 0, flags);
	/* Keeps the span, so that the second free meets the block and not a free page. */
	sh_off neighbour = sh_alloc_ex(two->heap, size, 0, flags);

	CU_ASSERT_FATAL(off != 0 && neighbour != 0);
	expect_wrong_ones_refused(two, NULL, off, size);
	CU_ASSERT(sh_usable_size(two->heap, off) >= size);
	CU_ASSERT_EQUAL(sh_free(two->heap, off), 0);
	expect_all_refuse(two, NULL, off, SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(sh_free(two->heap, neighbour), 0);
}

static void free_wrongly_in_transaction(const struct two_heaps *two, size_t size, unsigned flags)
{
	sh_off off = sh_alloc_ex(two->heap, size, 0, flags);
	struct sh_txn *txn;
	sh_off mine;

	CU_ASSERT_EQUAL_FATAL(sh_txn_begin(two->heap, 0, &txn), 0);
	mine = sh_txn_alloc(txn, size, flags);
	CU_ASSERT_FATAL(off != 0 && mine != 0);
	expect_wrong_ones_refused(two, txn, off, size);
	expect_wrong_ones_refused(two, txn, mine, size);
	CU_ASSERT_EQUAL(sh_txn_free(txn, off, 0), 0);
	expect_all_refuse(two, txn, off, SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(sh_free(two->heap, off), SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(sh_txn_free(txn, mine, 0), 0);
	expect_all_refuse(two, txn, mine, SH_EDOUBLEFREE);
	CU_ASSERT_EQUAL(sh_txn_commit(txn), 0);
	CU_ASSERT_EQUAL(sh_usable_size(two->heap, off), 0);
	CU_ASSERT_EQUAL(sh_usable_size(two->heap, mine), 0);
	/* An aborted one frees nothing. */
	off = sh_alloc_ex(two->heap, size, 0, flags);
	CU_ASSERT_EQUAL_FATAL(sh_txn_begin(two->heap, 0, &txn), 0);
	CU_ASSERT_EQUAL(sh_txn_free(txn, off, 0), 0);
	sh_txn_abort(txn);
	CU_ASSERT(sh_usable_size(two->heap, off) >= size);
	CU_ASSERT_EQUAL(sh_free(two->heap, off), 0);
}

static void test_wrong_frees(void)
{
	struct two_heaps two = open_two();

	for (size_t i = 0; i < LENGTH_OF(sizes); i++) {
		free_wrongly(&two, sizes[i], 0);
		free_wrongly(&two, sizes[i], SH_NOSCAN);
		free_wrongly_in_transaction(&two, sizes[i], 0);
		free_wrongly_in_transaction(&two, sizes[i], SH_NOSCAN);
	}
	CU_ASSERT_EQUAL(sh_close(two.other), 0);
	CU_ASSERT_EQUAL(sh_close(two.heap), 0);
	files_expect_opens(BLOCK_BYTES);
}

/* --- */

/* Others may look for files there. */
static int enter(void)
{
	return files_enter_disk() != 0 || chmod(files_directory, 0755) != 0 ? -1 : 0;
}

static CU_TestInfo tests[] = {
	{ "devices and sockets", test_devices },
	{ "folders", test_folders },
	{ "lengths", test_lengths },
	{ "other builds", test_other_builds },
	{ "a mixture of clean files", test_mixture_of_clean_files },
	{ "end copy cut off", test_end_copy_cut_off },
	{ "end copy is wiped", test_end_copy_is_wiped },
	{ "the mark is synced first", test_mark_is_synced_first },
	{ "a death while the mark goes", test_death_while_mark_goes },
	{ "read-only file", test_read_only_file },
	{ "read-only folder", test_read_only_folder },
	{ "read-only mount", test_read_only_mount },
	{ "file systems that lack something", test_lacking_file_systems },
	{ "create with a name", test_create_with_a_name },
	{ "rights of the control file", test_control_file_rights },
	{ "wide control file", test_wide_control_file },
	{ "control file in the way", test_control_file_in_the_way },
	{ "copies of both files", test_copies_of_both_files },
	{ "fork without a control file", test_fork_without_control_file },
	{ "kept lock", test_kept_lock },
	{ "wrong frees", test_wrong_frees },
	CU_TEST_INFO_NULL,
};

int test_open_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "open",
			.pInitFunc = enter,
			.pCleanupFunc = files_leave,
			.pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
