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
#include "tests/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <spanheap.h>
#include <stdarg.h>
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

#define MAX_BYTES (UINT64_C(1) << 30)

static char folder[64];
static char path[96];
static char control[128];

/* --- files --------------------------------------------------------------------------------- */

static int open_at(const char *name, unsigned flags, struct sh_heap **heap)
{
	struct sh_options options = SH_OPTIONS_INIT;

	options.max_size = MAX_BYTES;
	return sh_open(name, flags, &options, heap);
}

static void expect_refused(const char *name, unsigned flags, int wanted)
{
	struct sh_heap *heap;
	int error = open_at(name, flags, &heap);

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

__attribute__((format(printf, 1, 2))) static bool run_command(const char *format, ...)
{
	char command[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	return system(command) == 0;
}

static void clear_folder(void)
{
	CU_ASSERT_TRUE(run_command("rm -rf %s/*", folder));
}

static unsigned count_files(void)
{
	char command[128];
	unsigned count = 0;
	FILE *list;

	snprintf(command, sizeof(command), "ls -A %s | wc -l", folder);
	list = popen(command, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(list);
	CU_ASSERT_EQUAL(fscanf(list, "%u", &count), 1);
	pclose(list);
	return count;
}

static uint64_t digest(const char *name)
{
	uint64_t hash = 0;
	uint64_t words[512];
	off_t at = 0;
	int fd = open(name, O_RDONLY);
	ssize_t got;

	while ((at = lseek(fd, at, SEEK_DATA)) >= 0 &&
		(got = pread(fd, words, sizeof(words), at)) > 0) {
		for (ssize_t i = 0; i < got / 8; i++)
			if (words[i] != 0)
				hash = (hash ^ words[i] ^ (uint64_t)(at / 8 + i)) *
					UINT64_C(0x9e3779b97f4a7c15);
		at += got;
	}
	close(fd);
	return hash;
}

static uint64_t length_of(const char *name)
{
	struct stat status = { .st_size = 0 };

	CU_ASSERT_EQUAL(stat(name, &status), 0);
	return (uint64_t)status.st_size;
}

static void copy(const char *from, const char *to)
{
	CU_ASSERT_TRUE(run_command("cp --sparse=always %s %s", from, to));
}

static void make_heap(void)
{
	struct sh_heap *heap;
	sh_off off;

	clear_folder();
	CU_ASSERT_EQUAL_FATAL(open_at(path, SH_CREATE | SH_EXCL, &heap), 0);
	off = sh_alloc_ex(heap, 100000, 0, SH_ZERO);
	CU_ASSERT(off != 0 && sh_root_set(heap, "a", off) == 0);
	CU_ASSERT_EQUAL(sh_close(heap), 0);
}

static void expect_good(void)
{
	struct sh_heap *heap;
	uint64_t problems = 1;
	sh_off off;

	CU_ASSERT_EQUAL(open_at(path, 0, &heap), 0);
	if (heap == NULL)
		return;
	CU_ASSERT_EQUAL(sh_root_get(heap, "a", &off), 0);
	CU_ASSERT(sh_usable_size(heap, off) >= 100000);
	CU_ASSERT_EQUAL(sh_check(heap, 0, NULL, NULL, &problems), 0);
	CU_ASSERT_EQUAL(problems, 0);
	CU_ASSERT_EQUAL(sh_close(heap), 0);
}

/* --- children ------------------------------------------------------------------------------ */

static int run(void (*body)(void))
{
	int status = -1;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child == 0) {
		body();
		_exit(0);
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* Ends a child that met what it must not meet. */
static void require(bool condition, int line)
{
	if (condition)
		return;
	fprintf(stderr, "\n%s:%d: child: not so\n", __FILE__, line);
	_exit(1);
}

static void die_with_heap_open(void)
{
	struct sh_heap *heap;

	require(open_at(path, 0, &heap) == 0, __LINE__);
	require(sh_alloc(heap, 1000) != 0, __LINE__);
	kill(getpid(), SIGKILL);
}

/* --- no heap ------------------------------------------------------------------------------- */

static void test_devices(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	clear_folder();
	expect_refused_always("/dev/null", SH_EBADHEAP);
	expect_refused_always("/dev/zero", SH_EBADHEAP);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/heap", folder);
	CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	expect_refused_always(path, SH_EBADHEAP);
	close(fd);
	CU_ASSERT_EQUAL(count_files(), 1);
}

static void test_folders(void)
{
	char name[128];

	clear_folder();
	expect_refused_always(folder, EISDIR);
	snprintf(name, sizeof(name), "%s/", folder);
	expect_refused(name, 0, EISDIR);
	snprintf(name, sizeof(name), "%s/none/", folder);
	expect_refused(name, SH_CREATE, ENOENT);
	CU_ASSERT_EQUAL(count_files(), 0);
}

/* Every length at which something begins or ends. */
static void test_lengths(void)
{
	uint64_t b = heap_superblock_b_offset(MAX_BYTES, DEFAULT_THREAD_SLOTS + 1);
	uint64_t lengths[] = { 1, 7, 199, 200, 4096, SUPERBLOCK_STRIDE - 1, SUPERBLOCK_STRIDE,
		SUPERBLOCK_STRIDE + RUNNING_BYTES, b - 1, b, b + 199, b + 200,
		b + SUPERBLOCK_STRIDE, b + SUPERBLOCK_STRIDE + 4096, 0, 0 };

	make_heap();
	lengths[14] = length_of(path) / 2;
	lengths[15] = length_of(path) - 8192;
	for (size_t i = 0; i < LENGTH_OF(lengths); i++) {
		make_heap();
		CU_ASSERT_EQUAL(truncate(path, (off_t)lengths[i]), 0);
		expect_refused(path, 0, SH_EBADHEAP);
		expect_refused(path, SH_RDONLY, SH_EBADHEAP);
		expect_refused(path, SH_CREATE, SH_EBADHEAP);
		CU_ASSERT_EQUAL(length_of(path), lengths[i]);
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

static void test_other_builds(void)
{
	static void (*const changes[])(struct superblock * superblock) = { change_format,
		change_page, change_chunk, change_arena, change_classes, change_abi, change_roots };

	for (size_t i = 0; i < LENGTH_OF(changes); i++) {
		uint64_t before;

		make_heap();
		rewrite_superblock(changes[i]);
		before = digest(path);
		expect_refused_always(path, SH_EVERSION);
		CU_ASSERT_EQUAL(digest(path), before);
	}
}

/* --- the end copy -------------------------------------------------------------------------- */

/* Copies the first `bytes` of the file `from` over the beginning of the heap. */
static void overlay(const char *from, uint64_t bytes)
{
	CU_ASSERT_TRUE(run_command("dd if=%s of=%s bs=%llu count=1 conv=notrunc status=none", from,
		path, (unsigned long long)bytes));
}

/* Copied from front to back, and opened when everything was copied that says when it was written. */
static void test_mixture_of_clean_files(void)
{
	char before[128];
	uint64_t bytes;

	make_heap();
	snprintf(before, sizeof(before), "%s/before", folder);
	copy(path, before);
	expect_good();
	bytes = heap_header_bytes(MAX_BYTES, DEFAULT_THREAD_SLOTS + 1) + ARENA_HEAD_BYTES;
	overlay(before, (bytes + 4095) / 4096 * 4096);
	unlink(control);
	expect_refused(path, 0, SH_ETORN);
	expect_refused(path, SH_RDONLY, EROFS);
	/* The whole of it is a clean file. */
	CU_ASSERT_EQUAL(rename(before, path), 0);
	expect_good();
}

static void test_end_copy_cut_off(void)
{
	make_heap();
	CU_ASSERT_EQUAL(truncate(path, (off_t)(length_of(path) - 4096)), 0);
	expect_refused(path, SH_RDONLY, EROFS);
	/* The control file proves that nothing else happened. */
	expect_good();
	CU_ASSERT_EQUAL(truncate(path, (off_t)(length_of(path) - 4096)), 0);
	unlink(control);
	expect_refused(path, 0, SH_ETORN);
}

/* While the heap is in use what is behind its last chunk reads as zeros. */
static void test_end_copy_is_wiped(void)
{
	static const char zeros[sizeof(struct superblock)];
	char found[sizeof(struct superblock)];
	struct superblock superblock;
	struct sh_heap *heap;
	int fd;

	make_heap();
	fd = open(path, O_RDONLY);
	CU_ASSERT_EQUAL(pread(fd, &superblock, sizeof(superblock), 0), (ssize_t)sizeof(superblock));
	CU_ASSERT_NOT_EQUAL_FATAL(superblock.end_copy, 0);
	CU_ASSERT_EQUAL(pread(fd, found, sizeof(found), (off_t)superblock.end_copy),
		(ssize_t)sizeof(found));
	CU_ASSERT_EQUAL(memcmp(found, &superblock, sizeof(found)), 0);
	CU_ASSERT_EQUAL_FATAL(open_at(path, 0, &heap), 0);
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

static void look_at_sync(const void *address, size_t bytes)
{
	struct superblock end;
	int fd;

	if (sync_seen.calls++ != 0)
		return;
	sync_seen.bytes = bytes;
	memcpy(&sync_seen.first, address, sizeof(sync_seen.first));
	fd = open(sync_seen.watched, O_RDONLY);
	sync_seen.end_copy_whole = pread(fd, &end, sizeof(end), (off_t)(length_of(path) - 4096)) ==
			(ssize_t)sizeof(end) &&
		end.magic == SUPERBLOCK_MAGIC && end.clean == 1;
	close(fd);
}

/* Stands before the C library's. */
__attribute__((visibility("default"))) int msync(void *address, size_t bytes, int flags)
{
	if (sync_seen.watched != NULL && (flags & MS_SYNC) != 0)
		look_at_sync(address, bytes);
	return (int)syscall(SYS_msync, address, bytes, flags);
}

/* "Not clean" is on the disk before anything else is stored, the wiping of the end copy included. */
static void test_mark_is_synced_first(void)
{
	struct sh_heap *heap;

	make_heap();
	sync_seen.watched = path;
	CU_ASSERT_EQUAL(open_at(path, 0, &heap), 0);
	sync_seen.watched = NULL;
	CU_ASSERT_EQUAL(sync_seen.calls, 1);
	CU_ASSERT(sync_seen.bytes >= sizeof(struct superblock));
	CU_ASSERT_EQUAL(sync_seen.first.magic, SUPERBLOCK_MAGIC);
	CU_ASSERT_EQUAL(sync_seen.first.clean, 0);
	CU_ASSERT_TRUE(sync_seen.end_copy_whole);
	if (heap != NULL)
		CU_ASSERT_EQUAL(sh_close(heap), 0);
}

/* --- places that do not allow it ----------------------------------------------------------- */

static bool is_root(void)
{
	if (geteuid() == 0)
		return true;
	printf("SKIPPED, not root: ");
	return false;
}

static void open_as_nobody(void)
{
	struct sh_heap *heap;

	require(setgid(65534) == 0 && setuid(65534) == 0, __LINE__);
	require(open_at(path, 0, &heap) == EACCES, __LINE__);
	require(open_at(path, SH_SALVAGE, &heap) == EACCES, __LINE__);
	require(open_at(path, SH_RDONLY, &heap) == 0 && sh_close(heap) == 0, __LINE__);
}

static void test_read_only_file(void)
{
	if (!is_root())
		return;
	make_heap();
	CU_ASSERT_EQUAL(chmod(path, 0444), 0);
	CU_ASSERT_EQUAL(run(open_as_nobody), 0);
	expect_good();
}

/* The heap file may be written, but there is no place for a control file. */
static void test_read_only_folder(void)
{
	uint64_t before;

	if (!is_root())
		return;
	make_heap();
	before = digest(path);
	CU_ASSERT_EQUAL(chmod(path, 0666), 0);
	CU_ASSERT_EQUAL(run(open_as_nobody), 0);
	CU_ASSERT_EQUAL(digest(path), before);
	CU_ASSERT_EQUAL(count_files(), 2);
	expect_good();
}

static void open_on_read_only_mount(void)
{
	struct sh_heap *heap;
	char name[128];

	snprintf(name, sizeof(name), "%s/other", folder);
	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
		mount(folder, folder, NULL, MS_BIND, NULL) != 0 ||
		mount("none", folder, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) != 0)
		_exit(77);
	require(open_at(path, 0, &heap) == EROFS, __LINE__);
	require(open_at(name, SH_CREATE, &heap) == EROFS, __LINE__);
	require(open_at(path, SH_RDONLY, &heap) == 0 && sh_close(heap) == 0, __LINE__);
}

static void test_read_only_mount(void)
{
	int status;

	make_heap();
	status = run(open_on_read_only_mount);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		printf("SKIPPED, cannot mount: ");
		return;
	}
	CU_ASSERT_EQUAL(status, 0);
	expect_good();
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
	char name[128];

	snprintf(name, sizeof(name), "%s/other", folder);
	require(open_at(name, SH_CREATE, &heap) == ENOTSUP, __LINE__);
	require(access(name, F_OK) != 0, __LINE__);
	require(open_at(path, 0, &heap) == ENOTSUP, __LINE__);
}

static void open_without_locks(void)
{
	struct sh_heap *heap;

	if (!forbid(SYS_fcntl, 1, F_OFD_GETLK, F_OFD_SETLKW, EINVAL))
		_exit(77);
	require(open_at(path, SH_RDONLY, &heap) == ENOTSUP, __LINE__);
	require(open_at(path, 0, &heap) == ENOTSUP, __LINE__);
}

static void open_without_lock_server(void)
{
	struct sh_heap *heap;

	if (!forbid(SYS_fcntl, 1, F_OFD_GETLK, F_OFD_SETLKW, ENOLCK))
		_exit(77);
	require(open_at(path, 0, &heap) == ENOTSUP, __LINE__);
}

static void open_without_fallocate(void)
{
	if (!forbid(SYS_fallocate, 1, 0, 0, EOPNOTSUPP))
		_exit(77);
	expect_not_supported();
}

static void test_lacking_file_systems(void)
{
	static void (*const lacks[])(void) = { open_without_locks, open_without_lock_server,
		open_without_fallocate };

	make_heap();
	for (size_t i = 0; i < LENGTH_OF(lacks); i++) {
		uint64_t before = digest(path);
		int status = run(lacks[i]);

		if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
			printf("SKIPPED, no seccomp filters: ");
			return;
		}
		CU_ASSERT_EQUAL(status, 0);
		CU_ASSERT_EQUAL(digest(path), before);
		CU_ASSERT_EQUAL(count_files(), 2);
	}
	expect_good();
}

/* A file system without files that have no name: the older way to make a heap. */
static void create_with_a_name(void)
{
	unsigned nameless = O_TMPFILE | O_RDWR | O_CLOEXEC;
	struct sh_heap *heap;
	char name[128];
	int fd;

	if (!forbid(SYS_openat, 2, nameless, nameless, EOPNOTSUPP))
		_exit(77);
	snprintf(name, sizeof(name), "%s.spanheap-new", path);
	/* What a creator left that was killed. */
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	require(fd >= 0 && write(fd, "half", 4) == 4 && close(fd) == 0, __LINE__);
	require(open_at(path, SH_CREATE | SH_EXCL, &heap) == 0, __LINE__);
	require(sh_close(heap) == 0, __LINE__);
	require(access(name, F_OK) != 0, __LINE__);
	require(open_at(path, SH_CREATE | SH_EXCL, &heap) == EEXIST, __LINE__);
}

static void test_create_with_a_name(void)
{
	struct sh_heap *heap;
	int status;

	clear_folder();
	status = run(create_with_a_name);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		printf("SKIPPED, no seccomp filters: ");
		return;
	}
	CU_ASSERT_EQUAL(status, 0);
	CU_ASSERT_EQUAL(count_files(), 2);
	CU_ASSERT_EQUAL(open_at(path, 0, &heap), 0);
	if (heap != NULL)
		CU_ASSERT_EQUAL(sh_close(heap), 0);
}

/* --- the control file ---------------------------------------------------------------------- */

static void test_control_file_rights(void)
{
	struct sh_heap *heap;
	struct stat status;
	mode_t mask;

	make_heap();
	CU_ASSERT_EQUAL(chmod(path, 0664), 0);
	mask = umask(0077);
	CU_ASSERT_EQUAL(open_at(path, 0, &heap), 0);
	umask(mask);
	CU_ASSERT_EQUAL(stat(control, &status), 0);
	CU_ASSERT_EQUAL(status.st_mode & 07777, 0664);
	CU_ASSERT_EQUAL(sh_close(heap), 0);
	if (!is_root())
		return;
	CU_ASSERT_EQUAL(chown(path, 65534, 65534), 0);
	expect_good();
	CU_ASSERT_EQUAL(stat(control, &status), 0);
	CU_ASSERT(status.st_uid == 65534 && status.st_gid == 65534);
}

/* Others may write it than may write the heap. */
static void test_wide_control_file(void)
{
	make_heap();
	CU_ASSERT(WIFSIGNALED(run(die_with_heap_open)));
	CU_ASSERT_EQUAL(chmod(control, 0602), 0);
	expect_refused(path, 0, SH_ECONTROL);
	CU_ASSERT_EQUAL(chmod(control, 0660), 0);
	expect_refused(path, 0, SH_ECONTROL);
	if (geteuid() == 0) {
		CU_ASSERT_EQUAL(chmod(control, 0600), 0);
		CU_ASSERT_EQUAL(chown(control, 65534, 0), 0);
		expect_refused(path, 0, SH_ECONTROL);
		CU_ASSERT_EQUAL(chown(control, 0, 0), 0);
	}
	CU_ASSERT_EQUAL(chmod(control, 0400), 0);
	expect_good();
}

/* Links, folders and leftovers where the control file should be. */
static void test_control_file_in_the_way(void)
{
	char victim[128];
	char left[160];
	uint64_t before;

	make_heap();
	snprintf(victim, sizeof(victim), "%s/victim", folder);
	snprintf(left, sizeof(left), "%s.new", control);
	copy(path, victim);
	before = digest(victim);
	unlink(control);
	CU_ASSERT_EQUAL(symlink(victim, control), 0);
	CU_ASSERT_EQUAL(symlink(victim, left), 0);
	expect_good();
	CU_ASSERT_EQUAL(digest(victim), before);
	CU_ASSERT_EQUAL(access(left, F_OK), -1);
	unlink(control);
	CU_ASSERT_EQUAL(mkdir(control, 0700), 0);
	expect_refused(path, 0, EISDIR);
	rmdir(control);
	CU_ASSERT_EQUAL(mkfifo(control, 0600), 0);
	expect_good();
}

/* Copies of both files, side by side: of a heap in use they may be torn. */
static void test_copies_of_both_files(void)
{
	char other[128];
	char other_control[160];

	make_heap();
	CU_ASSERT(WIFSIGNALED(run(die_with_heap_open)));
	snprintf(other, sizeof(other), "%s/other", folder);
	snprintf(other_control, sizeof(other_control), "%s-shm", other);
	copy(path, other);
	copy(control, other_control);
	expect_refused(other, 0, SH_ETORN);
	/* Moved, they are the same files. */
	CU_ASSERT_EQUAL(rename(path, other), 0);
	CU_ASSERT_EQUAL(rename(control, other_control), 0);
	CU_ASSERT_EQUAL(rename(other, path), 0);
	CU_ASSERT_EQUAL(rename(other_control, control), 0);
	expect_good();
}

static void allocate_in_child(struct sh_heap *heap)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0)
		_exit(sh_alloc(heap, 1000) != 0 && sh_close(heap) == 0 ? 0 : 1);
	require(waitpid(child, &status, 0) == child && status == 0, __LINE__);
}

/* By somebody who keeps no descriptions in reserve. */
static void fork_without_control_file(void)
{
	struct sh_heap *heap;

	require(geteuid() != 0 || (setgid(65534) == 0 && setuid(65534) == 0), __LINE__);
	require(open_at(path, 0, &heap) == 0, __LINE__);
	require(unlink(control) == 0, __LINE__);
	allocate_in_child(heap);
	require(sh_close(heap) == 0, __LINE__);
}

/* A child attaches by the files that its parent has open, whatever their names lead to. */
static void test_fork_without_control_file(void)
{
	make_heap();
	if (geteuid() == 0) {
		CU_ASSERT_EQUAL(chown(path, 65534, 65534), 0);
		CU_ASSERT_EQUAL(chown(folder, 65534, 65534), 0);
	}
	CU_ASSERT_EQUAL(run(fork_without_control_file), 0);
	if (geteuid() == 0)
		CU_ASSERT_EQUAL(chown(folder, 0, 0), 0);
	expect_good();
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

static void keep_through_closefrom(void)
{
	struct lock_holder holder;
	bool held;
	int fd;

	if (!has_tables_of_threads())
		_exit(77);
	fd = open(path, O_RDWR);
	require(byte_lock_set(fd, BYTE_LOCK_EXCLUSIVE, BYTE_PROBE) == 0, __LINE__);
	require(lock_holder_keep(&holder, fd, false) == 0, __LINE__);
	require(holder.keeper != NULL, __LINE__);
	require(close_range(3, ~0u, 0) == 0, __LINE__);
	fd = open(path, O_RDWR);
	require(byte_lock_test(fd, BYTE_PROBE, &held) == 0 && held, __LINE__);
	if (fork() == 0) {
		lock_holder_forget(&holder);
		_exit(0);
	}
	wait(NULL);
	require(byte_lock_test(fd, BYTE_PROBE, &held) == 0 && held, __LINE__);
	lock_holder_drop(&holder);
	require(byte_lock_test(fd, BYTE_PROBE, &held) == 0 && !held, __LINE__);
}

static void test_kept_lock(void)
{
	int status;

	make_heap();
	status = run(keep_through_closefrom);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		printf("SKIPPED, no descriptor table for a thread: ");
	else
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
	char name[128];
	sh_off off;

	make_heap();
	snprintf(name, sizeof(name), "%s/other", folder);
	CU_ASSERT_EQUAL_FATAL(open_at(path, 0, &two.heap), 0);
	CU_ASSERT_EQUAL_FATAL(open_at(name, SH_CREATE, &two.other), 0);
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
		SUPERBLOCK_STRIDE, MAX_BYTES - 16, MAX_BYTES, UINT64_MAX, UINT64_MAX - 15 };

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
	expect_good();
}

/* --- */

static int make_folder(void)
{
	const char *parent = getenv("TMPDIR");

	snprintf(folder, sizeof(folder), "%s/spanheap-open-XXXXXX",
		parent != NULL && parent[0] != '\0' ? parent : "/tmp");
	if (mkdtemp(folder) == NULL || chmod(folder, 0755) != 0)
		return -1;
	snprintf(path, sizeof(path), "%s/heap", folder);
	snprintf(control, sizeof(control), "%s-shm", path);
	return 0;
}

static int remove_folder(void)
{
	return run_command("rm -rf %s", folder) ? 0 : -1;
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
			.pInitFunc = make_folder,
			.pCleanupFunc = remove_folder,
			.pTests = tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
