/* control.c -- the control file: finding it, laying it anew
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "api/control.h"

#include "recovery/place.h"
#include "recovery/recover.h"
#include "shm/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ZERO_BYTES 65536u
#define NEW_SUFFIX ".new"

/* What the heap file says comes first; but a process that sees the directory under another path, in a
 * container, is right to say so. */
void control_place(struct opening *opening, unsigned place)
{
	opening->control_directory =
		place == 0 ? opening->recorded.directory : opening->options->control_dir;
}

void control_place_new(struct opening *opening)
{
	opening->control_directory = opening->options->control_dir;
}

static char *control_path(const struct opening *opening)
{
	return place_path(opening->control_directory, opening->path, opening->superblock.heap_id,
		opening->identity.inode);
}

int control_map(struct sh_heap *heap, char *path, int fd)
{
	int error;

	heap->control_bytes = heap_control_bytes(heap->heap.max_bytes, heap->heap.process_slots,
		heap->heap.thread_slots);
	error = file_map(fd, heap->control_bytes, true, &heap->heap.control);
	if (error == 0)
		file_expect_holes(heap->heap.control, heap->control_bytes);
	if (error == 0)
		error = shared_file_init(&heap->control_file, path, O_RDWR | O_NOFOLLOW, fd);
	if (error != 0) {
		close(fd);
		free(path);
		return error;
	}
	heap_view_init(&heap->heap);
	heap->liveness = (struct liveness){
		.thread_slots = heap->heap.thread_slot,
		.words = heap->heap.control +
			control_liveness_offset(heap->heap.process_slots, heap->heap.thread_slots),
		.thread_slot_count = heap->heap.thread_slots,
		.process_slot_count = heap->heap.process_slots,
		.own_process = SLOT_NONE,
		.control = &heap->control_file,
	};
	return 0;
}

/* --- whose it may be ----------------------------------------------------------------------- */

/* Read and write permission of one of the three sets. */
static mode_t bits_of(mode_t mode, unsigned shift)
{
	return mode >> shift & 6;
}

/* What a set that has these bits of the heap file may have of the control file. Its owner may let those who
 * read the heap file write the control file, so that they can open it SH_RDONLY. */
static mode_t most_of(mode_t bits)
{
	return bits | (bits & 4) >> 1;
}

/* Whether nobody may use the control file who may not read the heap file. Who can write it can make live
 * processes look dead, and a torn heap recoverable; so it is laid with the heap file's mode. */
static bool is_narrow(const struct stat *control, const struct stat *heap)
{
	bool same_group = control->st_gid == heap->st_gid;
	mode_t others = bits_of(heap->st_mode, 0);
	mode_t group = same_group ? bits_of(heap->st_mode, 3) : others;
	/* A member of the group who lays the file cannot make it the heap owner's. */
	bool owner_may = control->st_uid == heap->st_uid || control->st_uid == 0 ||
		control->st_uid == geteuid() || ((group | others) & 2) != 0;

	return owner_may && (bits_of(control->st_mode, 3) & ~most_of(group)) == 0 &&
		(bits_of(control->st_mode, 0) & ~most_of(others)) == 0;
}

/* 0, SH_ECONTROL, or an errno. */
static int check_rights(int fd, int heap_fd)
{
	struct stat control;
	struct stat heap;

	if (fstat(fd, &control) != 0 || fstat(heap_fd, &heap) != 0)
		return file_error();
	return is_narrow(&control, &heap) ? 0 : SH_ECONTROL;
}

/* --- that of others ------------------------------------------------------------------------- */

/* Whether neither of the two files is a copy. 0 or an errno. */
static int find_original(int fd, const struct opening *opening, const struct control_header *header,
	bool *original)
{
	struct file_identity identity;
	int error = file_identify(fd, &identity, NULL);

	*original = error == 0 && header->control_inode == identity.inode &&
		header->heap_inode == opening->identity.inode;
	return error;
}

static bool control_is_theirs(const struct control_header *header,
	const struct superblock *superblock, uint64_t bytes)
{
	return header->magic == CONTROL_MAGIC &&
		memcmp(header->heap_id, superblock->heap_id, sizeof(header->heap_id)) == 0 &&
		memcmp(header->nonce, superblock->nonce, sizeof(header->nonce)) == 0 &&
		header->incarnation == superblock->incarnation &&
		header->process_slot_count == superblock->process_slot_count &&
		header->thread_slot_count == superblock->thread_slot_count - 1 &&
		header->control_bytes <= bytes;
}

static int check_theirs(int fd, const struct opening *opening)
{
	struct control_header header;
	struct file_identity identity;
	bool original = false;
	uint64_t bytes;
	int error = file_identify(fd, &identity, &bytes);

	if (error == 0)
		error = check_rights(fd, opening->fd);
	if (error == 0)
		error = file_read(fd, &header, sizeof(header), 0);
	if (error == 0)
		error = find_original(fd, opening, &header, &original);
	if (error != 0)
		return error == ENODATA ? SH_ECONTROL : error;
	if (!original || !control_is_theirs(&header, &opening->superblock, bytes))
		return SH_ECONTROL;
	return header.format == recover_control_format(&opening->superblock) ? 0 : SH_EVERSION;
}

static int open_theirs_at(const struct opening *opening, char **path, int *fd)
{
	int error;

	*path = control_path(opening);
	if (*path == NULL)
		return ENOMEM;
	error = file_open(*path, O_RDWR | O_NOFOLLOW, NULL, fd);
	if (error == 0) {
		error = check_theirs(*fd, opening);
		if (error != 0)
			close(*fd);
	} else if (error == ENOENT || error == ELOOP || error == EISDIR || error == ENOTSUP) {
		error = SH_ECONTROL;
	}
	if (error != 0)
		free(*path);
	return error;
}

int control_open_theirs(struct opening *opening, char **path, int *fd)
{
	int first = SH_ECONTROL;
	int error = SH_ECONTROL;

	for (unsigned place = 0; place < CONTROL_PLACES && error != 0; place++) {
		control_place(opening, place);
		error = open_theirs_at(opening, path, fd);
		if (place == 0)
			first = error;
	}
	/* What is wrong with the place that the heap file names is what the user wants to know. */
	return error == SH_ECONTROL ? first : error;
}

/* --- that of an earlier run ----------------------------------------------------------------- */

/* Errors that say what is at the path, not that it could not be seen. */
static bool is_of_path(int error)
{
	return error == ENOENT || error == ENOTDIR || error == ELOOP || error == EISDIR ||
		error == ENOTSUP || error == ENXIO || error == ENODATA;
}

int control_read_left(const struct opening *opening, struct control_header *header)
{
	char *path = control_path(opening);
	bool original = false;
	int fd;
	int error = path == NULL ? ENOMEM : file_open(path, O_RDONLY | O_NOFOLLOW, NULL, &fd);

	if (error == 0) {
		error = check_rights(fd, opening->fd);
		if (error == 0)
			error = file_read(fd, header, sizeof(*header), 0);
		if (error == 0)
			error = find_original(fd, opening, header, &original);
		if (error == 0 && !original)
			error = SH_ETORN;
		close(fd);
	}
	free(path);
	return error > 0 && is_of_path(error) ? SH_ETORN : error;
}

/* --- laying it anew ------------------------------------------------------------------------- */

/* The proof of P2, for whoever opens after we died. */
static int write_proof(int fd, const struct sh_heap *heap, const struct opening *opening)
{
	const struct superblock *superblock = &opening->superblock;
	struct control_header header = {
		.heap_inode = opening->identity.inode,
		.stamp = atomic_load_explicit(&heap->heap.running->stamp, memory_order_relaxed),
	};
	struct file_identity identity;
	int error = file_identify(fd, &identity, NULL);

	if (error != 0)
		return error;
	header.control_inode = identity.inode;
	memcpy(header.heap_id, superblock->heap_id, sizeof(header.heap_id));
	memcpy(header.nonce, superblock->nonce, sizeof(header.nonce));
	memcpy(header.nonce_before, opening->begins ? opening->nonce_before : superblock->nonce,
		sizeof(header.nonce_before));
	memcpy(header.boot_id, superblock->boot_id, BOOT_ID_BYTES);
	return file_write(fd, &header, sizeof(header), 0);
}

/* Whether the file is this heap's own, under one name: nobody else's is written over. */
static bool is_ours(int fd, const struct opening *opening)
{
	struct control_header header;
	struct stat status;

	return fstat(fd, &status) == 0 && status.st_nlink == 1 &&
		check_rights(fd, opening->fd) == 0 &&
		file_read(fd, &header, sizeof(header), 0) == 0 &&
		memcmp(header.heap_id, opening->superblock.heap_id, sizeof(header.heap_id)) == 0;
}

/* Permission to write that the owner gave to some who may only read the heap file: the next control file
 * gives it, too. `old` is FILE_NONE, or what was found at its path. */
static mode_t granted(int old, const struct opening *opening, const struct stat *heap)
{
	struct stat control;

	if (old == FILE_NONE || !is_ours(old, opening) || fstat(old, &control) != 0)
		return 0;
	return control.st_mode & (heap->st_mode & 0044) >> 1 &
		(control.st_gid == heap->st_gid ? 0022 : 0002);
}

/* Owner and mode like the heap file's, or narrower, but for what was granted: who may not open that may not
 * open this. */
static int adopt_mode(int fd, const struct opening *opening, int old)
{
	struct stat status;
	mode_t mode;

	if (fstat(opening->fd, &status) != 0)
		return file_error();
	mode = (status.st_mode & 0666) | granted(old, opening, &status);
	if (fchown(fd, status.st_uid, status.st_gid) != 0 &&
		fchown(fd, (uid_t)-1, status.st_gid) != 0)
		mode &= 0606;
	return fchmod(fd, mode) == 0 ? 0 : file_error();
}

static int back_descriptor(void *context, uint64_t offset, uint64_t bytes)
{
	const int *fd = context;

	return file_back(*fd, offset, bytes);
}

/* Everything that the recovery is going to fill: when the disk is full we want to know it while the
 * file of the run before is still there. */
static int back_all(int fd, const struct sh_heap *heap)
{
	struct heap view = heap->heap;
	int error = file_back(fd, 0, heap_control_fixed_bytes(&view));

	view.system.context = &fd;
	view.system.back_control = back_descriptor;
	return error != 0 ? error : heap_back_arenas(&view);
}

static int fill_control(int fd, const struct sh_heap *heap, const struct opening *opening)
{
	uint64_t bytes = heap_control_bytes(heap->heap.max_bytes, heap->heap.process_slots,
		heap->heap.thread_slots);
	int error = file_set_length(fd, bytes);

	if (error == 0)
		error = back_all(fd, heap);
	if (error == 0)
		error = adopt_mode(fd, opening, heap->old_control_fd);
	return error != 0 ? error : write_proof(fd, heap, opening);
}

/* Makes an empty file beside `path`: *name (malloc'd) and *fd. 0 or an errno. */
static int create_new(const char *path, char **name, int *fd)
{
	int error;

	if (asprintf(name, "%s" NEW_SUFFIX, path) < 0)
		return ENOMEM;
	/* We hold the opening lock: whoever began to make this one is dead. */
	unlink(*name);
	*fd = open(*name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (*fd >= 0) {
		file_write_in_place(*fd);
		return 0;
	}
	error = file_error();
	free(*name);
	return error;
}

/* Keeps the control file open that is about to lose its name: to free its pages takes longer than
 * all the rest of an open. */
static void keep_old(struct sh_heap *heap, const char *path)
{
	int fd;

	if (file_open(path, O_RDONLY | O_NOFOLLOW, NULL, &fd) != 0)
		return;
	file_identify(fd, &heap->old_control, NULL);
	heap->old_control_fd = file_raise(fd);
}

/* Puts an empty control file, but for the proof, in place of the one that an earlier run left. */
static int lay_new(struct sh_heap *heap, const struct opening *opening)
{
	char *path = control_path(opening);
	char *name;
	int fd;
	int error = path == NULL ? ENOMEM : create_new(path, &name, &fd);

	if (error != 0) {
		free(path);
		return error;
	}
	keep_old(heap, path);
	error = fill_control(fd, heap, opening);
	/* Crash before: a file that the next one removes. After: a clean heap is still clean, whatever the
	 * control file says; an unclean one finds in it the proof that the old one had. */
	if (error == 0 && rename(name, path) != 0)
		error = file_error();
	if (error != 0) {
		unlink(name);
		close(fd);
		free(path);
	} else {
		error = control_map(heap, path, fd);
	}
	free(name);
	return error;
}

/* Whether a process lives that closed the heap, but has threads with words in the file. */
static bool has_lodgers(int fd, uint32_t process_slots)
{
	bool held;

	return byte_lock_test_range(fd, BYTE_OF_PROCESS(0), process_slots, &held) != 0 || held;
}

/* Overwrites what is backed of the file with zeros, from `from` on. */
static int zero_data(int fd, off_t from)
{
	static const char zeros[ZERO_BYTES];

	while ((from = lseek(fd, from, SEEK_DATA)) >= 0) {
		off_t end = lseek(fd, from, SEEK_HOLE);

		if (end < 0)
			return file_error();
		while (from < end) {
			size_t bytes =
				end - from < (off_t)ZERO_BYTES ? (size_t)(end - from) : ZERO_BYTES;
			int error = file_write(fd, zeros, bytes, (uint64_t)from);

			if (error != 0)
				return error;
			from += (off_t)bytes;
		}
	}
	return errno == ENXIO ? 0 : file_error();
}

/* The same in the blocks of the file that is there: a full disk must not keep the heap closed.
 * Nobody is attached, so nobody but us opens it.
 * Crash: no magic, and the proof; done again. */
static int lay_in_place(struct sh_heap *heap, const struct opening *opening)
{
	char *path = control_path(opening);
	int fd = FILE_NONE;
	int error = path == NULL ? ENOMEM : file_open(path, O_RDWR | O_NOFOLLOW, NULL, &fd);

	if (error == 0 && (!is_ours(fd, opening) || has_lodgers(fd, heap->heap.process_slots)))
		error = EBUSY;
	if (error == 0)
		error = write_proof(fd, heap, opening);
	if (error == 0)
		error = zero_data(fd, CONTROL_HEADER_BYTES);
	if (error == 0)
		error = fill_control(fd, heap, opening);
	if (error == 0)
		return control_map(heap, path, fd);
	if (fd >= 0)
		close(fd);
	free(path);
	return error;
}

int control_lay(struct sh_heap *heap, const struct opening *opening)
{
	int error = lay_new(heap, opening);

	if (error != ENOSPC && error != EDQUOT)
		return error;
	return lay_in_place(heap, opening) == 0 ? 0 : error;
}
