/* file.h -- a heap file, opened so that it cannot be changed
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The file is opened for reading only and mapped privately. Where stores are allowed they stay in
 * this process: recovery can be tried on the mapping, and what the file holds can be pinned down by
 * storing it. Pages that nobody stored to show the file as it is.
 *
 * Exactly the file's bytes are mapped, holes as memory of zeros. When the file is truncated
 * afterwards, or its disk fails, the process ends with a message and STATUS_ERROR instead of dying
 * of SIGBUS. */
#ifndef SPANHEAP_TOOL_FILE_H
#define SPANHEAP_TOOL_FILE_H

#include "shm/control_layout.h"

#include <stdbool.h>
#include <stdint.h>

/* Process. An open file; nothing in it changes. */
struct input {
	const char *path;
	int fd;
	char *base; /* NULL: the file is empty */
	uint64_t bytes;
	uint64_t disk_bytes; /* that the file takes on its disk */
};

/* Opens and maps. 0, or an errno: EISDIR, ENOTSUP (no regular file), others of open(2), mmap(2). */
int input_open(struct input *input, const char *path);
void input_close(struct input *input);

/* Allows stores to the first `bytes` of the mapping. 0 or an errno (memory). */
int input_allow_stores(const struct input *input, uint64_t bytes);

/* Whether a process is attached to the heap, or opens or closes it right then. Takes no lock. */
bool input_in_use(const struct input *input);

/* Whether somebody opens or closes it, which takes a moment unless he is stopped. */
bool input_is_being_opened(const struct input *input);

/* Whether the file is so long by now: it may have grown since it was opened. */
bool input_reaches(const struct input *input, uint64_t bytes);

/* Reads from the file itself, whatever was stored to the mapping. False: not that long. */
bool input_read(const struct input *input, uint64_t offset, void *to, uint64_t bytes);

/* Reads the header of the control file, which lies where the heap file says. 0 or an errno; ENODATA
 * when it is too short. */
int input_control_header(const struct input *input, const uint64_t heap_id[2],
	struct control_header *header);

/* The same, and leaves it open for reading: *path (malloc'd) and *fd. */
int input_open_control(const struct input *input, const uint64_t heap_id[2],
	struct control_header *header, char **path, int *fd);

#endif
