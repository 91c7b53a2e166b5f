/* content.c -- files and what they show
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/kv_death/content.h"

#include "stress/common/expect.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HASH_BEGIN UINT64_C(0xcbf29ce484222325)
#define HASH_PRIME UINT64_C(0x100000001b3)

/* --- files --------------------------------------------------------------------------------- */

struct content content_read(const char *path)
{
	struct content content;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;

	EXPECT(fd >= 0 && fstat(fd, &status) == 0);
	content.size = (size_t)status.st_size;
	content.bytes = mmap(NULL, content.size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	EXPECT(content.bytes != MAP_FAILED);
	/* Holes stay holes. */
	for (off_t at = 0, end; (at = lseek(fd, at, SEEK_DATA)) >= 0; at = end) {
		end = lseek(fd, at, SEEK_HOLE);
		EXPECT(pread(fd, content.bytes + at, (size_t)(end - at), at) == end - at);
	}
	close(fd);
	return content;
}

void content_free(struct content *content)
{
	munmap(content->bytes, content->size);
}

void content_put_back(const struct content *content, const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	char *map;

	EXPECT(fd >= 0 && ftruncate(fd, (off_t)content->size) == 0);
	map = mmap(NULL, content->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	EXPECT(map != MAP_FAILED);
	for (off_t at = 0, end; (at = lseek(fd, at, SEEK_DATA)) >= 0; at = end) {
		end = lseek(fd, at, SEEK_HOLE);
		if (memcmp(map + at, content->bytes + at, (size_t)(end - at)) != 0)
			memcpy(map + at, content->bytes + at, (size_t)(end - at));
	}
	munmap(map, content->size);
	close(fd);
}

/* --- what a store shows -------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, struct kv_bytes bytes)
{
	const unsigned char *at = bytes.data;

	for (size_t i = 0; i < bytes.size; i++)
		hash = (hash ^ at[i]) * HASH_PRIME;
	return (hash ^ bytes.size) * HASH_PRIME;
}

/* Process. */
struct showing {
	struct kv *store;
	uint64_t hash;
};

static int show_table(struct kv_bytes name, void *argument)
{
	struct showing *showing = argument;
	struct kv_bytes key, value;
	struct kv_cursor *cursor;
	struct kv_table *table;

	EXPECT_EQUAL(kv_table_open(showing->store, name, 0, &table), 0);
	EXPECT_EQUAL(kv_cursor_open(table, &cursor), 0);
	showing->hash = mix(showing->hash, name);
	for (int error = kv_cursor_first(cursor, &key, &value); error == 0;
		error = kv_cursor_next(cursor, &key, &value)) {
		struct kv_bytes found;

		EXPECT_EQUAL(kv_get(table, key, &found), 0);
		EXPECT(found.data == value.data);
		showing->hash = mix(mix(showing->hash, key), value);
	}
	kv_cursor_close(cursor);
	return 0;
}

uint64_t content_shown(struct kv *store)
{
	struct showing showing = { .store = store, .hash = HASH_BEGIN };

	EXPECT_EQUAL(kv_read_begin(store), 0);
	EXPECT_EQUAL(kv_tables(store, show_table, &showing), 0);
	kv_read_end(store);
	return showing.hash;
}

static int show_problem(const char *text, void *argument)
{
	(void)argument;
	printf("    kv_check: %s\n", text);
	return 0;
}

static int show_heap_problem(const struct sh_problem *problem, void *argument)
{
	(void)argument;
	printf("    sh_check: %#llx: %s\n", (unsigned long long)problem->off, problem->text);
	return 0;
}

void content_expect_good(struct kv *store)
{
	uint64_t problems = 0;

	EXPECT_EQUAL(sh_synchronize(kv_heap(store)), 0);
	EXPECT_EQUAL(kv_check(store, show_problem, NULL, &problems), 0);
	EXPECT_EQUAL(problems, 0);
	EXPECT_EQUAL(sh_check(kv_heap(store), 0, show_heap_problem, NULL, &problems), 0);
	EXPECT_EQUAL(problems, 0);
}
