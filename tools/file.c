/* file.c -- a heap file, opened so that it cannot be changed
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "tools/file.h"

#include "recovery/place.h"
#include "shm/byte_lock.h"
#include "shm/file.h"
#include "tools/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of a file in more parts the rest is mapped as a whole: a process has a limit of mappings. */
#define PARTS_LIMIT 1000u

/* --- pages that are gone ------------------------------------------------------------------- */

static void on_bus_error(int signal_number)
{
	static const char text[] =
		"spanheap: the file cannot be read to its end: it was truncated meanwhile, or its "
		"disk failed\n";
	ssize_t written = write(STDERR_FILENO, text, sizeof(text) - 1);

	(void)written;
	(void)signal_number;
	_exit(STATUS_ERROR);
}

static void catch_bus_errors(void)
{
	struct sigaction action = { .sa_handler = on_bus_error };

	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, NULL);
}

/* --- opening ------------------------------------------------------------------------------- */

/* Memory that reads as zeros, like the holes of a file. */
static int map_zeros(struct input *input)
{
	void *base = mmap(NULL, input->bytes, PROT_READ,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		return errno;
	input->base = base;
	return 0;
}

/* Maps a part of the file over the zeros. */
static int map_part(struct input *input, uint64_t from, uint64_t end)
{
	from -= from % (uint64_t)sysconf(_SC_PAGESIZE);
	if (mmap(input->base + from, end - from, PROT_READ, MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED,
		    input->fd, (off_t)from) == MAP_FAILED)
		return errno;
	return 0;
}

/* The next part of the file from *end on that holds data. False: there is none. */
static bool next_part(const struct input *input, uint64_t *from, uint64_t *end)
{
	off_t data = lseek(input->fd, (off_t)*end, SEEK_DATA);
	off_t hole = data < 0 ? -1 : lseek(input->fd, data, SEEK_HOLE);

	if (data < 0 && errno == ENXIO)
		return false;
	/* A file system that does not tell where its holes are. */
	*from = data < 0 ? *end : (uint64_t)data;
	*end = hole < 0 || (uint64_t)hole > input->bytes ? input->bytes : (uint64_t)hole;
	return *from < *end;
}

/* On tmpfs a look into a hole through a mapping fills it with a page of the machine's memory. So
 * the holes of a file that nobody is filling right now are left out. */
static int map(struct input *input)
{
	bool in_use = input_in_use(input);
	uint64_t from = 0;
	uint64_t end = 0;
	int error;

	input->base = NULL;
	if (input->bytes == 0)
		return 0;
	error = map_zeros(input);
	for (unsigned parts = 0; error == 0 && next_part(input, &from, &end); parts++) {
		if (in_use || parts == PARTS_LIMIT)
			end = input->bytes;
		error = map_part(input, in_use ? 0 : from, end);
	}
	if (error != 0 && input->base != NULL)
		munmap(input->base, input->bytes);
	return error;
}

int input_open(struct input *input, const char *path)
{
	struct stat status;
	int error = file_open(path, O_RDONLY, NULL, &input->fd);

	if (error != 0)
		return error;
	catch_bus_errors();
	input->path = path;
	if (fstat(input->fd, &status) == 0) {
		input->bytes = (uint64_t)status.st_size;
		input->disk_bytes = (uint64_t)status.st_blocks * 512;
		error = map(input);
	} else {
		error = errno;
	}
	if (error != 0)
		close(input->fd);
	return error;
}

void input_close(struct input *input)
{
	if (input->base != NULL)
		munmap(input->base, input->bytes);
	close(input->fd);
}

int input_allow_stores(const struct input *input, uint64_t bytes)
{
	return mprotect(input->base, bytes, PROT_READ | PROT_WRITE) == 0 ? 0 : errno;
}

/* Where the file system has no such locks, nobody can have opened the heap. */
static bool is_locked(const struct input *input, uint64_t byte)
{
	bool locked = false;

	return byte_lock_test(input->fd, byte, &locked) == 0 && locked;
}

bool input_in_use(const struct input *input)
{
	return is_locked(input, BYTE_ATTACHED) || is_locked(input, BYTE_OPENING);
}

bool input_is_being_opened(const struct input *input)
{
	return is_locked(input, BYTE_OPENING);
}

/* --- reading ------------------------------------------------------------------------------- */

bool input_reaches(const struct input *input, uint64_t bytes)
{
	struct stat status;

	return fstat(input->fd, &status) == 0 && (uint64_t)status.st_size >= bytes;
}

bool input_read(const struct input *input, uint64_t offset, void *to, uint64_t bytes)
{
	return file_read(input->fd, to, bytes, offset) == 0;
}

/* Where the heap file says; beside it means the heap file itself, not a link to it. */
static char *control_path_of(const struct input *input, const uint64_t heap_id[2])
{
	char *real = realpath(input->path, NULL);
	char *control = NULL;
	struct file_identity identity;
	struct control_place place;

	if (real != NULL && place_read(input->fd, &place) == 0 &&
		file_identify(input->fd, &identity, NULL) == 0)
		control = place_path(place.directory, real, heap_id, identity.inode);
	free(real);
	return control;
}

/* Whether neither of the two files is a copy. */
static bool is_original(int heap_fd, int control_fd, const struct control_header *header)
{
	struct file_identity heap;
	struct file_identity control;

	return file_identify(heap_fd, &heap, NULL) == 0 &&
		file_identify(control_fd, &control, NULL) == 0 &&
		header->heap_inode == heap.inode && header->control_inode == control.inode;
}

int input_open_control(const struct input *input, const uint64_t heap_id[2],
	struct control_header *header, char **path, int *fd)
{
	int error;

	*path = control_path_of(input, heap_id);
	error = *path == NULL ? ENOENT : file_open(*path, O_RDONLY | O_NOFOLLOW, NULL, fd);
	if (error == 0) {
		error = file_read(*fd, header, sizeof(*header), 0);
		if (error == 0 && !is_original(input->fd, *fd, header))
			error = ESTALE;
		if (error != 0)
			close(*fd);
	}
	if (error != 0)
		free(*path);
	return error;
}

int input_control_header(const struct input *input, const uint64_t heap_id[2],
	struct control_header *header)
{
	char *path;
	int fd;
	int error = input_open_control(input, heap_id, header, &path, &fd);

	if (error == 0) {
		close(fd);
		free(path);
	}
	return error;
}
