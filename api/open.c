/* open.c -- sh_open(): from a path to an attached heap
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "api/open.h"

#include "api/close.h"
#include "api/fork.h"
#include "api/read.h"
#include "api/table.h"
#include "api/thread.h"
#include "recovery/check.h"
#include "recovery/place.h"
#include "recovery/reap.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN_FLAGS (SH_CREATE | SH_EXCL | SH_RDONLY | SH_SALVAGE)
#define OPEN_TRIES 100
#define DEFAULT_SLOW_READER_NS UINT64_C(100000000)
#define AGAIN INT_MAX

/* --- arguments ----------------------------------------------------------------------------- */

/* Fields that the caller's version of the structure does not have keep their defaults. */
static int complete_options(const struct sh_options *given, struct sh_options *options)
{
	*options = (struct sh_options)SH_OPTIONS_INIT;
	if (given != NULL) {
		if (given->struct_bytes < sizeof(given->struct_bytes) ||
			given->struct_bytes > sizeof(*options))
			return EINVAL;
		memcpy(options, given, given->struct_bytes);
	}
	if ((options->mode & ~0777u) != 0)
		return EINVAL;
	if (options->mode == 0)
		options->mode = 0600;
	if (options->max_processes == 0)
		options->max_processes = DEFAULT_PROCESS_SLOTS;
	if (options->max_threads == 0)
		options->max_threads = DEFAULT_THREAD_SLOTS;
	if (options->slow_reader_ns == 0)
		options->slow_reader_ns = DEFAULT_SLOW_READER_NS;
	if (options->max_size == 0)
		options->max_size = DEFAULT_MAX_BYTES;
	if (options->huge_pages > 1 || options->fork > SH_FORK_DONTFORK ||
		options->barrier > SH_BARRIER_READER)
		return EINVAL;
	return 0;
}

/* The path of an existing directory without links; "" for none. */
static int resolve_directory(const char *path, char **resolved)
{
	struct stat status;

	*resolved = path == NULL || path[0] == '\0' ? strdup("") : realpath(path, NULL);
	if (*resolved == NULL)
		return path == NULL ? ENOMEM : file_error();
	if (strlen(*resolved) >= CONTROL_PLACE_BYTES)
		return ENAMETOOLONG;
	if ((*resolved)[0] != '\0' && stat(*resolved, &status) == 0 && !S_ISDIR(status.st_mode))
		return ENOTDIR;
	return 0;
}

/* The absolute path of a file that may be missing, in an existing directory. */
static int resolve_missing(const char *path, char **resolved)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash == NULL ? path : slash + 1;
	char *directory = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
	char *real;
	int length;

	if (directory == NULL)
		return ENOMEM;
	real = realpath(directory, NULL);
	free(directory);
	if (real == NULL)
		return errno;
	if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
		free(real);
		return EISDIR;
	}
	length = asprintf(resolved, "%s/%s", strcmp(real, "/") == 0 ? "" : real, name);
	free(real);
	return length < 0 ? ENOMEM : 0;
}

/* The path without links, so that the control file is beside the heap file itself, and so that it
 * means the same after chdir(2). */
static int resolve(const char *path, char **resolved)
{
	if (path == NULL || path[0] == '\0')
		return ENOENT;
	*resolved = realpath(path, NULL);
	if (*resolved != NULL)
		return 0;
	return errno == ENOENT ? resolve_missing(path, resolved) : errno;
}

/* --- the heap file ------------------------------------------------------------------------- */

static bool is_read_only(const struct opening *opening)
{
	return (opening->flags & SH_RDONLY) != 0;
}

static int open_heap_file(struct opening *opening)
{
	int error = file_open(opening->path, is_read_only(opening) ? O_RDONLY : O_RDWR, NULL,
		&opening->fd);

	if (error == 0) {
		error = file_identify(opening->fd, &opening->identity, NULL);
		if (error != 0)
			close(opening->fd);
	}
	/* ENXIO: a socket, or a device that is not there. */
	return error == ENOTSUP || error == ENXIO ? SH_EBADHEAP : error;
}

/* Takes the opening lock. AGAIN when the path leads to another file by now. */
static int lock_opening(struct opening *opening)
{
	struct file_identity identity;
	int fd;
	int error = byte_lock_wait(opening->fd,
		is_read_only(opening) ? BYTE_LOCK_SHARED : BYTE_LOCK_EXCLUSIVE, BYTE_OPENING);

	if (error != 0)
		return error;
	error = file_open(opening->path, O_RDONLY, &opening->identity, &fd);
	if (error != 0)
		return error == ESTALE || error == ENOENT ? AGAIN : error;
	close(fd);
	return file_identify(opening->fd, &identity, &opening->bytes);
}

/* Where both copies of the superblock are, in any heap file. */
#define HEADER_LIMIT_BYTES (UINT64_C(256) << 20)

static int read_superblock(struct opening *opening)
{
	uint64_t bytes = opening->bytes < HEADER_LIMIT_BYTES ? opening->bytes : HEADER_LIMIT_BYTES;
	void *start;
	int error;

	if (bytes == 0)
		return SH_EBADHEAP;
	start = mmap(NULL, bytes, PROT_READ, MAP_SHARED | MAP_NORESERVE, opening->fd, 0);
	if (start == MAP_FAILED)
		return errno;
	error = superblock_read(start, bytes, &opening->superblock, &opening->copies);
	munmap(start, bytes);
	return error;
}

/* --- attaching ----------------------------------------------------------------------------- */

static int attach_files(struct sh_heap *heap, struct opening *opening)
{
	bool attached;
	int error = byte_lock_test(opening->fd, BYTE_ATTACHED, &attached);

	if (error == 0)
		error = read_superblock(opening);
	if (error != 0)
		return error;
	if (is_read_only(opening) && !attached)
		return attach_to_nobody(heap, opening);
	error = place_read(opening->fd, &opening->recorded);
	if (error != 0)
		return error;
	error = attached ? attach_to_running(heap, opening) : attach_alone(heap, opening);
	if (error == 0)
		error = attach_register(heap);
	return error;
}

/* Hints: a kernel without them does without. */
static void advise_mapping(char *base, uint64_t bytes, const struct sh_options *options)
{
	if (options->huge_pages)
		madvise(base, bytes, MADV_HUGEPAGE);
	if (options->fork == SH_FORK_DONTFORK)
		madvise(base, bytes, MADV_DONTFORK);
}

static void advise(struct sh_heap *heap, const struct sh_options *options)
{
	heap->not_for_children = options->fork == SH_FORK_DONTFORK;
	heap->slow_reader = options->slow_reader;
	heap->slow_reader_argument = options->slow_reader_argument;
	heap->slow_reader_ns = options->slow_reader_ns;
	heap->heap.slow_reader = options->slow_reader != NULL ? read_tell_slow : NULL;
	advise_mapping(heap->heap.base, heap->heap.max_bytes, options);
	if (heap->heap.control != NULL)
		advise_mapping(heap->heap.control, heap->control_bytes, options);
}

static struct sh_heap *attach(struct opening *opening, int *error)
{
	struct sh_heap *heap = calloc(1, sizeof(*heap));

	if (heap == NULL) {
		*error = ENOMEM;
		return NULL;
	}
	heap->opening_fd = FILE_NONE;
	heap->old_control_fd = FILE_NONE;
	ticket_init_spares(heap);
	*error = attach_files(heap, opening);
	if (*error == 0) {
		advise(heap, opening->options);
		heap->heap.reap = heap->read_only ? reap_readers : reap_all;
		heap->handles = 1;
		return heap;
	}
	handle_destroy(heap);
	return NULL;
}

/* --- after the opening lock ---------------------------------------------------------------- */

static bool counts_any(const struct reap_counts *counts)
{
	static const struct reap_counts nothing;

	return memcmp(counts, &nothing, sizeof(nothing)) != 0;
}

/* Cleans up after the dead; the process must not fill the last process slot. */
static int reap_at_open(struct sh_heap *heap, const struct opening *opening)
{
	uint64_t start = system_now_ns(NULL);
	int error = 0;
	struct thread_state *state = thread_reading(heap, &error);

	if (state == NULL)
		return error;
	heap->heap.reap(&state->thread);
	if (!heap->read_only)
		handle_bump_stamp(heap, &state->thread);
	if (counts_any(&state->thread.counts) && !opening->recovers) {
		heap->counts = state->thread.counts;
		heap->recovery_ns = system_now_ns(NULL) - start;
	}
	return ticket_slots_left(heap) == 0 ? SH_ESLOTS : 0;
}

/* What salvaging left in doubt, for the user's eyes. */
static void check_salvaged(struct sh_heap *heap, const struct opening *opening)
{
	const struct sh_options *options = opening->options;
	uint64_t problems = 0;
	int error = 0;
	struct thread_state *state = thread_here(heap, &error);

	if (state == NULL || options->progress == NULL)
		return;
	check_heap(&heap->heap, &state->thread, NULL, NULL, &problems);
	options->progress("problems", problems, problems, options->progress_argument);
}

static void publish(struct sh_heap *heap)
{
	table_lock();
	table_add(heap);
	table_unlock();
}

static int enter(struct sh_heap *heap, struct opening *opening)
{
	int error;

	publish(heap);
	if (!heap->in_run)
		return 0;
	error = reap_at_open(heap, opening);
	if (error == 0 && opening->salvages)
		check_salvaged(heap, opening);
	return error;
}

/* --- sh_open() ----------------------------------------------------------------------------- */

/* The handle that this process has already. */
static struct sh_heap *share(const struct opening *opening)
{
	struct sh_heap *heap;

	table_lock();
	heap = table_find(&opening->identity, is_read_only(opening));
	if (heap != NULL)
		heap->handles++;
	table_unlock();
	return heap;
}

/* A fork child's first sh_open() may find the handle that it inherited: the dead are looked for all the
 * same. */
static void reap_at_share(struct sh_heap *heap)
{
	int error = 0;
	struct thread_state *state = heap->in_run ? thread_reading(heap, &error) : NULL;

	if (state != NULL)
		heap->heap.reap(&state->thread);
}

static int attach_locked(struct opening *opening, struct sh_heap **heap)
{
	int error = lock_opening(opening);

	if (error == 0)
		*heap = attach(opening, &error);
	return error;
}

static int open_existing(struct opening *opening, struct sh_heap **heap)
{
	int error = open_heap_file(opening);

	if (error != 0)
		return error;
	*heap = share(opening);
	if (*heap != NULL) {
		close(opening->fd);
		reap_at_share(*heap);
		return 0;
	}
	error = attach_locked(opening, heap);
	/* Lets go of the opening lock. */
	close(opening->fd);
	if (error != 0)
		return error;
	error = enter(*heap, opening);
	if (error != 0)
		close_handle(*heap);
	return error;
}

/* Opens what is there, or makes it. */
static int open_or_create(struct opening *opening, struct sh_heap **heap)
{
	bool create = (opening->flags & SH_CREATE) != 0;
	bool exclusive = create && (opening->flags & SH_EXCL) != 0;
	int error = 0;

	if (exclusive && access(opening->path, F_OK) == 0)
		return EEXIST;
	for (int i = 0; i < OPEN_TRIES; i++) {
		error = exclusive ? ENOENT : open_existing(opening, heap);
		if (error == ENOENT && create) {
			error = create_heap_file(opening->path, opening->options);
			if (exclusive && error != 0)
				return error;
			exclusive = false;
		} else if (error != AGAIN) {
			return error;
		}
		if (error != 0 && error != EEXIST && error != AGAIN)
			return error;
	}
	return error == AGAIN ? EAGAIN : ENOENT;
}

/* 0, or an errno of pthread_key_create(3) or pthread_atfork(3). */
static int module_init(void)
{
	int error = thread_module_init();

	return error != 0 ? error : fork_module_init();
}

int sh_open(const char *path, unsigned flags, const struct sh_options *options,
	struct sh_heap **heap)
{
	struct sh_options complete;
	struct opening opening = { .flags = flags, .options = &complete };
	char *resolved;
	char *control_dir = NULL;
	int error = (flags & ~OPEN_FLAGS) != 0 ? EINVAL : complete_options(options, &complete);

	*heap = NULL;
	if ((flags & SH_RDONLY) && (flags & (SH_CREATE | SH_SALVAGE)))
		error = EINVAL;
	if (error == 0)
		error = resolve_directory(complete.control_dir, &control_dir);
	if (error == 0)
		error = resolve(path, &resolved);
	if (error != 0) {
		free(control_dir);
		return error;
	}
	complete.control_dir = control_dir;
	opening.path = resolved;
	table_lock_open();
	error = module_init();
	if (error == 0)
		error = open_or_create(&opening, heap);
	table_unlock_open();
	free(resolved);
	free(control_dir);
	if (error != 0)
		*heap = NULL;
	return error;
}
