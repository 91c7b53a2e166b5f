/* read_file.c -- a file as a whole
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/crashlog/read_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES 4096u

static void give_up(const char *path)
{
	fprintf(stderr, "crashlog: ");
	perror(path);
	exit(2);
}

uint64_t length_of_file(const char *path)
{
	struct stat status;

	if (stat(path, &status) != 0)
		give_up(path);
	return (uint64_t)status.st_size;
}

void *read_file(const char *path, uint64_t *bytes)
{
	FILE *file = fopen(path, "re");
	char *content = NULL;

	if (file != NULL) {
		*bytes = length_of_file(path);
		content = malloc(*bytes + 1);
		if (content != NULL && fread(content, 1, *bytes, file) != *bytes) {
			free(content);
			content = NULL;
		}
		fclose(file);
	}
	if (content == NULL)
		perror(path);
	return content;
}

/* Leaves holes where there are zeros: what was backed, and never written, may count as data. */
static off_t load_piece(int fd, const char *path, char *to, off_t at)
{
	static const char zeros[PIECE_BYTES];
	static char piece[PIECE_BYTES];
	ssize_t got = pread(fd, piece, sizeof(piece), at);

	if (got <= 0)
		give_up(path);
	if (memcmp(piece, zeros, (size_t)got) != 0)
		memcpy(to + at, piece, (size_t)got);
	return got;
}

void load_file(const char *path, char *to, uint64_t limit)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t at = 0;

	if (fd < 0 || length_of_file(path) > limit)
		give_up(path);
	while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
		off_t end = lseek(fd, at, SEEK_HOLE);

		while (at < end)
			at += load_piece(fd, path, to, at);
	}
	close(fd);
}
