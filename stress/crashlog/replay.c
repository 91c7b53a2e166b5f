/* replay.c -- the files as they are after each store, and a private copy to recover in
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/crashlog/replay.h"

#include "recovery/superblock.h"
#include "stress/crashlog/field.h"
#include "stress/crashlog/read_file.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void *checked(void *mapping)
{
	if (mapping == MAP_FAILED) {
		perror("crashlog: mmap");
		exit(2);
	}
	return mapping;
}

static void make_file(struct replayed_file *file, const char *path, uint64_t bytes)
{
	int fd = memfd_create("crashlog", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)bytes) != 0) {
		perror("crashlog: memfd");
		exit(2);
	}
	file->bytes = bytes;
	file->now = checked(mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	file->work = checked(mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE,
		fd, 0));
	close(fd);
	load_file(path, file->now, bytes);
}

static void make_view(struct replay *replay, const struct superblock *superblock)
{
	struct heap *view = &replay->view;

	view->base = replay->files[FILE_HEAP].now;
	view->control = replay->files[FILE_CONTROL].now;
	view->max_bytes = superblock->max_bytes;
	view->incarnation = superblock->incarnation;
	view->process_slots = superblock->process_slot_count;
	view->thread_slots = superblock->thread_slot_count;
	heap_view_init(view);
}

void replay_open(struct replay *replay, const char *folder)
{
	struct superblock superblock;
	char path[PATH_MAX];
	int copies;
	uint64_t bytes;

	memset(replay, 0, sizeof(*replay));
	snprintf(path, sizeof(path), "%s/%s", folder, BASE_CONTROL_FILE);
	bytes = (length_of_file(path) + 4095) & ~UINT64_C(4095);
	make_file(&replay->files[FILE_CONTROL], path, bytes);
	replay->blank = checked(mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	snprintf(path, sizeof(path), "%s/%s", folder, BASE_FILE);
	bytes = length_of_file(path);
	make_file(&replay->files[FILE_HEAP], path, bytes > REPLAY_BYTES ? bytes : REPLAY_BYTES);
	if (superblock_read(replay->files[FILE_HEAP].now, replay->files[FILE_HEAP].bytes,
		    &superblock, &copies) != 0) {
		fprintf(stderr, "crashlog: %s is no heap of this build\n", path);
		exit(2);
	}
	make_view(replay, &superblock);
}

void replay_close(struct replay *replay)
{
	for (unsigned i = 0; i < LOGGED_FILES; i++) {
		munmap(replay->files[i].now, replay->files[i].bytes);
		munmap(replay->files[i].work, replay->files[i].bytes);
	}
	munmap(replay->blank, replay->files[FILE_CONTROL].bytes);
	free(replay->undo);
}

bool replay_equals(const struct replay *replay, const char *path)
{
	const struct replayed_file *file = &replay->files[FILE_HEAP];
	char *other = checked(mmap(NULL, file->bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	uint64_t at = 0;

	load_file(path, other, file->bytes);
	while (at < file->bytes && memcmp(file->now + at, other + at, 4096) == 0)
		at += 4096;
	if (at < file->bytes) {
		while (file->now[at] == other[at])
			at++;
		printf("a store to offset %llx (%s) is not in the log\n", (unsigned long long)at,
			field_name(field_at(&replay->view, at)));
	}
	munmap(other, file->bytes);
	return at >= file->bytes;
}

/* --- hashes -------------------------------------------------------------------------------- */

static uint64_t mixed(uint64_t word)
{
	word ^= word >> 32;
	word *= UINT64_C(0xd6e8feb86659fd93);
	word ^= word >> 32;
	word *= UINT64_C(0xd6e8feb86659fd93);
	return word ^ word >> 32;
}

static void hash_word(struct image_hash *hash, uint64_t where, uint64_t word, uint64_t sign)
{
	uint64_t mix = mixed(mixed(word + UINT64_C(0x9e3779b97f4a7c15)) ^ where);

	hash->half[0] += sign * mix;
	hash->half[1] += sign * mixed(mix + UINT64_C(0xc2b2ae3d27d4eb4f));
}

void hash_change(const struct heap *view, struct image_hash *hash, bool truth_only,
	const char *file, uint64_t where, const void *content, uint64_t bytes)
{
	uint64_t end = where + bytes;

	for (uint64_t at = where & ~UINT64_C(7); at < end; at += 8) {
		uint64_t from = at < where ? where : at;
		uint64_t to = at + 8 < end ? at + 8 : end;
		uint64_t before;
		uint64_t after;

		if (truth_only && field_is_volatile(field_at(view, at)))
			continue;
		memcpy(&before, file + at, sizeof(before));
		after = before;
		memcpy((char *)&after + (from - at), (const char *)content + (from - where),
			to - from);
		hash_word(hash, at, before, UINT64_MAX);
		hash_word(hash, at, after, 1);
	}
}

struct image_hash replay_both(const struct replay *replay)
{
	struct image_hash both;

	for (unsigned i = 0; i < 2; i++)
		both.half[i] = mixed(replay->exact.half[i]) + mixed(~replay->control.half[i]);
	return both;
}

/* --- stores -------------------------------------------------------------------------------- */

static void change(struct replay *replay, const struct store *store, const void *content)
{
	struct replayed_file *file = &replay->files[store->file];

	if (store->file == FILE_CONTROL)
		hash_change(&replay->view, &replay->control, false, file->now, store->where,
			content, store->bytes);
	if (store->file == FILE_HEAP) {
		hash_change(&replay->view, &replay->exact, false, file->now, store->where, content,
			store->bytes);
		hash_change(&replay->view, &replay->truth, true, file->now, store->where, content,
			store->bytes);
	}
	memcpy(file->now + store->where, content, store->bytes);
}

void replay_apply(struct replay *replay, const struct store *store)
{
	const struct replayed_file *file = &replay->files[store->file];

	if (store->where + store->bytes > file->bytes) {
		fprintf(stderr, "crashlog: a store outside of the file\n");
		exit(2);
	}
	if (replay->undo_bytes + store->bytes > replay->undo_limit) {
		replay->undo_limit = replay->undo_limit * 2 + 65536;
		replay->undo = realloc(replay->undo, replay->undo_limit);
		if (replay->undo == NULL)
			exit(2);
	}
	memcpy(replay->undo + replay->undo_bytes, file->now + store->where, store->bytes);
	replay->undo_bytes += store->bytes;
	change(replay, store, store->content);
}

void replay_take_back(struct replay *replay, const struct store *store)
{
	replay->undo_bytes -= store->bytes;
	change(replay, store, replay->undo + replay->undo_bytes);
}

void replay_settle(struct replay *replay)
{
	replay->undo_bytes = 0;
}

/* --- the private copy ---------------------------------------------------------------------- */

void work_reset_blank(struct replay *replay)
{
	madvise(replay->blank, replay->files[FILE_CONTROL].bytes, MADV_DONTNEED);
}

void work_reset(struct replay *replay)
{
	for (unsigned i = 0; i < LOGGED_FILES; i++)
		madvise(replay->files[i].work, replay->files[i].bytes, MADV_DONTNEED);
	work_reset_blank(replay);
}
