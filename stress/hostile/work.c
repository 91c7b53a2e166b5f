/* work.c -- a heap whose content tells whether anything was lost
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/hostile/work.h"

#include "heap/heap_layout.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_BYTES (UINT64_C(1) << 30)
#define MIB (UINT64_C(1) << 20)
#define FILL_BYTES 100000u

const char *path_in(const char *place)
{
	static char path[700];

	snprintf(path, sizeof(path), "%s/heap", place);
	return path;
}

int try_open(const char *path, unsigned flags, struct sh_heap **heap)
{
	struct sh_options options = SH_OPTIONS_INIT;

	options.max_size = MAX_BYTES;
	return sh_open(path, flags, &options, heap);
}

struct sh_heap *open_heap(const char *path, unsigned flags)
{
	struct sh_heap *heap;
	int error = try_open(path, flags, &heap);

	if (error != 0)
		fail(__FILE__, __LINE__, "sh_open: %s", sh_strerror(error));
	return heap;
}

void close_heap(struct sh_heap *heap)
{
	EXPECT_EQUAL(sh_close(heap), 0);
}

struct sh_heap *new_heap(const char *path)
{
	struct sh_heap *heap = open_heap(path, SH_CREATE | SH_EXCL);
	sh_off bank = sh_alloc_ex(heap, sizeof(struct bank), 0, SH_ZERO);

	EXPECT(bank != 0);
	EXPECT_EQUAL(sh_root_set(heap, "bank", bank), 0);
	return heap;
}

struct bank *bank_of(struct sh_heap *heap)
{
	sh_off off;

	EXPECT_EQUAL(sh_root_get(heap, "bank", &off), 0);
	return sh_ptr(heap, off);
}

/* --- work ---------------------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 33;
}

static void lock_bank(struct sh_heap *heap, struct bank *bank)
{
	int error = sh_mutex_lock(heap, &bank->mutex);

	if (error != 0 && error != SH_EOWNERDIED)
		fail(__FILE__, __LINE__, "sh_mutex_lock: %s", sh_strerror(error));
	if (bank->left + bank->right != 0)
		fail(__FILE__, __LINE__, "the bank's sums differ by %lld",
			(long long)(bank->left + bank->right));
}

static void expect_block(sh_off block, size_t size)
{
	if (block == 0)
		fail(__FILE__, __LINE__, "no block of %zu bytes: %s", size, strerror(errno));
}

/* One transaction: moves an amount, and replaces a held block by another. */
static void transfer(struct sh_heap *heap, struct bank *bank, uint64_t *random)
{
	sh_off *word = &bank->held[next_random(random) % HELD];
	int64_t amount = (int64_t)(next_random(random) % 1000);
	size_t size = 1 + next_random(random) % 20000;
	struct sh_txn *txn;
	sh_off block;

	lock_bank(heap, bank);
	EXPECT_EQUAL(sh_txn_begin(heap, 0, &txn), 0);
	EXPECT_EQUAL(sh_txn_add(txn, &bank->left, 2 * sizeof(bank->left)), 0);
	bank->left += amount;
	bank->right -= amount;
	block = sh_txn_alloc(txn, size, 0);
	expect_block(block, size);
	if (*word != 0)
		EXPECT_EQUAL(sh_txn_free(txn, *word, 0), 0);
	EXPECT_EQUAL(sh_txn_store(txn, word, block), 0);
	EXPECT_EQUAL(sh_txn_commit(txn), 0);
	EXPECT_EQUAL(sh_mutex_unlock(heap, &bank->mutex), 0);
}

void work(struct sh_heap *heap, uint64_t seed, unsigned steps)
{
	struct bank *bank = bank_of(heap);
	uint64_t random = seed * 2 + 1;

	for (unsigned i = 0; i < steps; i++) {
		sh_off block = sh_alloc(heap, 1 + next_random(&random) % 40000);

		expect_block(block, 40000);
		transfer(heap, bank, &random);
		EXPECT_EQUAL(sh_free(heap, block), 0);
	}
}

void work_until_killed(void *path)
{
	struct sh_heap *heap = open_heap(path, 0);

	reach(0, 1);
	for (uint64_t seed = (uint64_t)getpid();; seed += 1000003)
		work(heap, seed, 100);
}

void grow(struct sh_heap *heap, unsigned mebibytes)
{
	for (uint64_t bytes = 0; bytes < mebibytes * MIB; bytes += 128 * 1024) {
		sh_off block = sh_alloc(heap, 128 * 1024);

		if (block == 0)
			fail(__FILE__, __LINE__, "no block: %s", strerror(errno));
		memset(sh_ptr(heap, block), 0x5a, 128 * 1024);
	}
}

int fill(struct sh_heap *heap, uint64_t *bytes)
{
	sh_off last = 0;
	sh_off block;
	int error;

	*bytes = 0;
	while ((block = sh_alloc(heap, FILL_BYTES)) != 0) {
		memset(sh_ptr(heap, block), 0xa5, FILL_BYTES);
		*(sh_off *)sh_ptr(heap, block) = last;
		last = block;
		*bytes += FILL_BYTES;
	}
	error = errno;
	for (uint64_t freed = 0; freed < 16 * MIB && last != 0; freed += FILL_BYTES) {
		block = last;
		last = *(sh_off *)sh_ptr(heap, block);
		EXPECT_EQUAL(sh_free(heap, block), 0);
	}
	return error;
}

/* --- looking ------------------------------------------------------------------------------- */

static int first_problem(const struct sh_problem *problem, void *unused)
{
	(void)unused;
	fail(__FILE__, __LINE__, "sh_check: at %llx: %s", (unsigned long long)problem->off,
		problem->text);
}

void check_heap_content(struct sh_heap *heap)
{
	struct bank *bank = bank_of(heap);

	lock_bank(heap, bank);
	for (unsigned i = 0; i < HELD; i++)
		EXPECT(bank->held[i] == 0 || sh_usable_size(heap, bank->held[i]) > 0);
	EXPECT_EQUAL(sh_mutex_unlock(heap, &bank->mutex), 0);
	EXPECT_EQUAL(sh_check(heap, 0, first_problem, NULL, NULL), 0);
}

bool is_clean(const char *path)
{
	struct superblock superblock;
	struct sh_heap *heap;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool marked =
		pread(fd, &superblock, sizeof(superblock), 0) == (ssize_t)sizeof(superblock) &&
		superblock.clean == 1;

	close(fd);
	return marked && try_open(path, SH_RDONLY, &heap) == 0 && sh_close(heap) == 0;
}

void check_file(const char *path)
{
	struct sh_heap *heap = open_heap(path, 0);

	check_heap_content(heap);
	close_heap(heap);
	EXPECT(is_clean(path));
}

unsigned files_beside(const char *path)
{
	char name[700];
	char *slash;
	DIR *entries;
	struct dirent *entry;
	unsigned count = 0;

	snprintf(name, sizeof(name), "%s", path);
	slash = strrchr(name, '/');
	*slash = '\0';
	entries = opendir(name);
	EXPECT(entries != NULL);
	while ((entry = readdir(entries)) != NULL)
		if (strncmp(entry->d_name, slash + 1, strlen(slash + 1)) == 0)
			count++;
	closedir(entries);
	return count;
}
