/* read_file.c -- a file as a whole
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/crashlog/read_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

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

void load_file(const char *path, char *to, uint64_t limit)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t at = 0;

	if (fd < 0 || length_of_file(path) > limit)
		give_up(path);
	while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
		off_t end = lseek(fd, at, SEEK_HOLE);

		while (at < end) {
			ssize_t got = pread(fd, to + at, (size_t)(end - at), at);

			if (got <= 0)
				give_up(path);
			at += got;
		}
	}
	close(fd);
}
