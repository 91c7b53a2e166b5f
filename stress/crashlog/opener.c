/* opener.c -- opens an image by sh_open(), as files
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/crashlog/opener.h"

#include "api/thread.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_SECONDS 20u
#define BLOCK_BYTES 100u

_Noreturn static void give_up(const char *what)
{
	perror(what);
	exit(2);
}

void opener_init(struct opener *opener, struct oracle *oracle, const char *parent)
{
	struct replayed_file *heap = &opener->heap;

	*opener = (struct opener){ .oracle = oracle };
	snprintf(opener->folder, sizeof(opener->folder), "%.500s/files", parent);
	snprintf(opener->heap_path, sizeof(opener->heap_path), "%s/%s", opener->folder, HEAP_FILE);
	snprintf(opener->control_path, sizeof(opener->control_path), "%s/%s", opener->folder,
		CONTROL_FILE);
	snprintf(opener->new_control_path, sizeof(opener->new_control_path), "%s/%s",
		opener->folder, NEW_CONTROL_FILE);
	if (mkdir(opener->folder, 0700) != 0)
		give_up(opener->folder);
	heap->fd = open(opener->heap_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	heap->bytes = oracle->replay->files[FILE_HEAP].bytes;
	heap->now = mmap(NULL, heap->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
		heap->fd, 0);
	opener->said =
		mmap(NULL, WHY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (heap->fd < 0 || heap->now == MAP_FAILED || opener->said == MAP_FAILED)
		give_up(opener->heap_path);
}

void opener_free(struct opener *opener)
{
	munmap(opener->heap.now, opener->heap.bytes);
	munmap(opener->said, WHY_BYTES);
	close(opener->heap.fd);
	unlink(opener->heap_path);
	unlink(opener->control_path);
	unlink(opener->new_control_path);
	rmdir(opener->folder);
}

/* --- the files ----------------------------------------------------------------------------- */

/* Makes the page what it is in the other file, whose content `argument` is. */
static void make_equal(const struct replayed_file *file, uint64_t offset, void *argument)
{
	const char *content = argument;

	if (memcmp(file->now + offset, content + offset, 4096) != 0)
		memcpy(file->now + offset, content + offset, 4096);
}

/* Stack. */
struct pages_to {
	char *now;
	uint64_t limit; /* what is behind it is not there */
};

static void copy_to(const struct replayed_file *file, uint64_t offset, void *argument)
{
	const struct pages_to *to = argument;

	if (offset < to->limit && memcmp(to->now + offset, file->now + offset, 4096) != 0)
		memcpy(to->now + offset, file->now + offset, 4096);
}

static void write_heap(struct opener *opener)
{
	const struct replayed_file *from = &opener->oracle->replay->files[FILE_HEAP];
	struct pages_to to = { .now = opener->heap.now, .limit = from->length };

	if (ftruncate(opener->heap.fd, (off_t)from->length) != 0)
		give_up(opener->heap_path);
	replay_each_page(&opener->heap, make_equal, from->now);
	replay_each_page(from, copy_to, &to);
}

static uint64_t inode_of(int fd)
{
	struct stat status;

	if (fstat(fd, &status) != 0)
		give_up("crashlog: fstat");
	return status.st_ino;
}

static void translate(uint64_t *inode, uint64_t theirs, uint64_t ours)
{
	if (*inode == theirs)
		*inode = ours;
	else if (*inode == ours)
		*inode = 0;
}

static void write_page(const struct replayed_file *file, uint64_t offset, void *argument)
{
	const int *fd = argument;

	if (offset < file->length && pwrite(*fd, file->now + offset, 4096, (off_t)offset) != 4096)
		give_up("crashlog: pwrite");
}

/* A new one each time: an opener puts another one in its place. */
static void write_control(const struct opener *opener)
{
	const struct replay *replay = opener->oracle->replay;
	const struct replayed_file *from = &replay->files[FILE_CONTROL];
	struct control_header header;
	int fd;

	unlink(opener->control_path);
	if (from->length == 0)
		return;
	fd = open(opener->control_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)from->length) != 0)
		give_up(opener->control_path);
	replay_each_page(from, write_page, &fd);
	memcpy(&header, from->now, sizeof(header));
	translate(&header.heap_inode, replay->files[FILE_HEAP].inode, inode_of(opener->heap.fd));
	translate(&header.control_inode, from->inode, inode_of(fd));
	if (pwrite(fd, &header, sizeof(header), 0) != sizeof(header))
		give_up(opener->control_path);
	close(fd);
}

/* Whatever stands in it: nobody reads it. */
static void write_new_control(const struct opener *opener)
{
	int fd;

	unlink(opener->new_control_path);
	if (opener->oracle->replay->files[FILE_NEW_CONTROL].length == 0)
		return;
	fd = open(opener->new_control_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		give_up(opener->new_control_path);
	close(fd);
}

/* --- in the process that opens ------------------------------------------------------------- */

_Noreturn static void wrong(const struct opener *opener, const char *what, int error)
{
	if (error != 0)
		snprintf(opener->said, WHY_BYTES, "%s: %s", what, sh_strerror(error));
	else
		snprintf(opener->said, WHY_BYTES, "%s", what);
	_exit(1);
}

static struct sh_heap *open_files(const struct opener *opener, bool clean)
{
	struct sh_stats stats = SH_STATS_INIT;
	struct sh_heap *heap;
	int error = sh_open(opener->heap_path, 0, NULL, &heap);

	if (error != 0)
		wrong(opener, "sh_open", error);
	if (sh_stats(heap, &stats) != 0 || (clean && stats.recovered != 0))
		wrong(opener, "a heap that was closed is not taken for clean", 0);
	return heap;
}

static void judge(const struct opener *opener, struct sh_heap *heap,
	const struct operation *operation, unsigned flags)
{
	int error = 0;
	struct thread_state *state = thread_here(heap, &error);

	if (state == NULL)
		wrong(opener, "no thread slot", error);
	if (!oracle_judge_heap(opener->oracle, &heap->heap, &state->thread, operation, flags))
		wrong(opener, opener->oracle->why, 0);
}

_Noreturn static void open_and_judge(const struct opener *opener, const struct operation *operation,
	unsigned flags, bool clean)
{
	struct sh_heap *heap;
	sh_off off;

	alarm(PATIENCE_SECONDS);
	heap = open_files(opener, clean);
	judge(opener, heap, operation, flags);
	off = sh_alloc(heap, BLOCK_BYTES);
	if (off == 0 || sh_free(heap, off) != 0)
		wrong(opener, "no block can be allocated and freed", 0);
	if (sh_close(heap) != 0)
		wrong(opener, "it cannot be closed", 0);
	heap = open_files(opener, true);
	judge(opener, heap, operation, flags);
	_exit(0);
}

/* --- */

bool opener_judge(struct opener *opener, const struct operation *operation, unsigned flags,
	bool clean)
{
	int status = -1;
	pid_t child;

	write_heap(opener);
	write_control(opener);
	write_new_control(opener);
	snprintf(opener->said, WHY_BYTES, "sh_open: the process crashed, or came to no end");
	child = fork();
	if (child == 0)
		open_and_judge(opener, operation, flags, clean);
	if (child < 0 || waitpid(child, &status, 0) != child)
		give_up("crashlog: fork");
	if (status == 0)
		return true;
	snprintf(opener->oracle->why, WHY_BYTES, "%s", opener->said);
	return false;
}
