/* content.c -- what stands in a file, whatever the file is
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "tests/content.h"

#include <CUnit/CUnit.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void write_file(const char *path, const void *bytes, uint64_t count)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CU_ASSERT_FATAL(fd >= 0 && write(fd, bytes, count) == (ssize_t)count);
	close(fd);
}

void copy_file(const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct stat status = { .st_size = 0 };
	off_t data = 0;
	char buffer[65536];

	CU_ASSERT_FATAL(in >= 0 && out >= 0 && fstat(in, &status) == 0);
	CU_ASSERT_FATAL(ftruncate(out, status.st_size) == 0);
	while ((data = lseek(in, data, SEEK_DATA)) >= 0) {
		ssize_t got = pread(in, buffer, sizeof(buffer), data);

		CU_ASSERT_FATAL(got > 0 && pwrite(out, buffer, (size_t)got, data) == got);
		data += got;
	}
	close(in);
	close(out);
}

void poke(const char *path, uint64_t offset, const void *bytes, uint64_t count)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || pwrite(fd, bytes, count, (off_t)offset) != (ssize_t)count)
		abort();
	close(fd);
}

uint64_t digest_of(const char *path)
{
	uint64_t digest = UINT64_C(0xcbf29ce484222325);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t words[512];
	ssize_t got;

	if (fd < 0)
		return 0;
	while ((got = read(fd, words, sizeof(words))) > 0) {
		memset((char *)words + got, 0, sizeof(words) - (size_t)got);
		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			digest = (digest ^ words[i]) * UINT64_C(0x100000001b3);
		digest ^= (uint64_t)got;
	}
	close(fd);
	return digest;
}

uint64_t length_of(const char *path)
{
	struct stat status = { .st_size = 0 };

	CU_ASSERT_EQUAL(stat(path, &status), 0);
	return (uint64_t)status.st_size;
}
