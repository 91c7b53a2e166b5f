/* replay.c -- the files as they are after each store, and a private copy to recover in
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/crashlog/replay.h"

#include "recovery/superblock.h"
#include "stress/crashlog/field.h"
#include "stress/crashlog/read_file.h"

#include <fcntl.h>
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

static void make_file(struct replayed_file *file, uint64_t bytes)
{
	file->fd = memfd_create("crashlog", MFD_CLOEXEC);
	if (file->fd < 0 || ftruncate(file->fd, (off_t)bytes) != 0) {
		perror("crashlog: memfd");
		exit(2);
	}
	file->bytes = bytes;
	file->now = checked(mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
		file->fd, 0));
	file->work = checked(mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE,
		file->fd, 0));
}

/* Of at least so many bytes, with the content of the file at `path`. */
static void make_file_of(struct replayed_file *file, const char *path, uint64_t least)
{
	uint64_t bytes;

	file->length = length_of_file(path);
	bytes = (file->length + 4095) & ~UINT64_C(4095);
	make_file(file, bytes > least ? bytes : least);
	load_file(path, file->now, file->bytes);
}

/* A clean or an unclean one of this build. */
static struct superblock superblock_of(const char *path)
{
	uint64_t bytes = length_of_file(path);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *file = checked(mmap(NULL, bytes, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0));
	struct superblock superblock;
	int copies;

	close(fd);
	if (superblock_read(file, bytes, &superblock, &copies) != 0) {
		fprintf(stderr, "crashlog: %s is no heap of this build\n", path);
		exit(2);
	}
	munmap(file, bytes);
	return superblock;
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
	struct replayed_file *heap = &replay->files[FILE_HEAP];
	struct replayed_file *control = &replay->files[FILE_CONTROL];
	struct superblock superblock;
	char path[PATH_MAX];

	memset(replay, 0, sizeof(*replay));
	snprintf(path, sizeof(path), "%s/%s", folder, BASE_CONTROL_FILE);
	make_file_of(control, path, 0);
	make_file(&replay->files[FILE_NEW_CONTROL], control->bytes);
	replay->blank = checked(mmap(NULL, control->bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	snprintf(path, sizeof(path), "%s/%s", folder, BASE_FILE);
	superblock = superblock_of(path);
	make_file_of(heap, path, superblock.max_bytes);
	make_view(replay, &superblock);
}

uint64_t replay_incarnation(const struct replay *replay)
{
	const struct replayed_file *heap = &replay->files[FILE_HEAP];
	struct superblock superblock;
	int copies;

	return superblock_read(heap->now, heap->bytes, &superblock, &copies) == 0
		? superblock.incarnation
		: replay->view.incarnation;
}

void replay_close(struct replay *replay)
{
	for (unsigned i = 0; i < LOGGED_FILES; i++) {
		munmap(replay->files[i].now, replay->files[i].bytes);
		munmap(replay->files[i].work, replay->files[i].bytes);
		close(replay->files[i].fd);
	}
	munmap(replay->blank, replay->files[FILE_CONTROL].bytes);
	free(replay->undo);
}

void replay_each_page_of(const struct replayed_file *file, uint64_t from, uint64_t to,
	void (*page)(const struct replayed_file *file, uint64_t offset, void *argument),
	void *argument)
{
	off_t end = (off_t)from;
	off_t begin;

	while ((begin = lseek(file->fd, end, SEEK_DATA)) >= 0 && (uint64_t)begin < to) {
		end = lseek(file->fd, begin, SEEK_HOLE);
		for (uint64_t at = (uint64_t)begin & ~UINT64_C(4095); at < (uint64_t)end && at < to;
			at += 4096)
			page(file, at, argument);
	}
}

void replay_each_page(const struct replayed_file *file,
	void (*page)(const struct replayed_file *file, uint64_t offset, void *argument),
	void *argument)
{
	replay_each_page_of(file, 0, UINT64_MAX, page, argument);
}

/* Stack. */
struct comparing {
	char *other;
	uint64_t differs_at;
};

static void compare_page(const struct replayed_file *file, uint64_t offset, void *argument)
{
	struct comparing *comparing = argument;

	if (comparing->differs_at != UINT64_MAX ||
		memcmp(file->now + offset, comparing->other + offset, 4096) == 0)
		return;
	while (file->now[offset] == comparing->other[offset])
		offset++;
	comparing->differs_at = offset;
}

bool replay_equals(const struct replay *replay, const char *path)
{
	const struct replayed_file *file = &replay->files[FILE_HEAP];
	struct replayed_file other = { .length = length_of_file(path) };
	struct comparing there = { .differs_at = UINT64_MAX };
	struct comparing here = { .differs_at = UINT64_MAX };
	uint64_t at;

	make_file(&other, file->bytes);
	load_file(path, other.now, file->bytes);
	there.other = other.now;
	here.other = file->now;
	replay_each_page(file, compare_page, &there);
	replay_each_page(&other, compare_page, &here);
	at = there.differs_at < here.differs_at ? there.differs_at : here.differs_at;
	if (at != UINT64_MAX)
		printf("a store to offset %llx (%s) is not in the log\n", (unsigned long long)at,
			field_name(field_at(&replay->view, at)));
	if (file->length != other.length)
		printf("the file is %llu bytes long, by the log %llu\n",
			(unsigned long long)other.length, (unsigned long long)file->length);
	munmap(other.now, other.bytes);
	munmap(other.work, other.bytes);
	close(other.fd);
	return at == UINT64_MAX && file->length == other.length;
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

struct image_hash replay_for_opener(const struct replay *replay)
{
	struct image_hash all;

	for (unsigned i = 0; i < 2; i++)
		all.half[i] = mixed(replay->exact.half[i]) + mixed(~replay->header.half[i]) +
			mixed(replay->files[FILE_HEAP].length + i) +
			mixed(~replay->files[FILE_CONTROL].inode);
	return all;
}

/* --- stores -------------------------------------------------------------------------------- */

static void change(struct replay *replay, enum logged_file which, uint64_t where,
	const void *content, uint64_t bytes)
{
	struct replayed_file *file = &replay->files[which];
	const struct heap *view = &replay->view;

	if (which == FILE_CONTROL)
		hash_change(view, &replay->control, false, file->now, where, content, bytes);
	if (which == FILE_CONTROL && where < CONTROL_HEADER_BYTES)
		hash_change(view, &replay->header, false, file->now, where, content, bytes);
	if (which == FILE_HEAP) {
		hash_change(view, &replay->exact, false, file->now, where, content, bytes);
		hash_change(view, &replay->truth, true, file->now, where, content, bytes);
	}
	memcpy(file->now + where, content, bytes);
}

static void clear_page(const struct replayed_file *file, uint64_t offset, void *argument)
{
	static const char zeros[4096];
	struct replay *replay = argument;

	change(replay, (enum logged_file)(file - replay->files), offset, zeros, sizeof(zeros));
}

/* What was behind the new end reads as zeros when the file grows again. */
static void clear_behind_end(const struct replayed_file *file, uint64_t offset, void *argument)
{
	if (offset >= file->length)
		clear_page(file, offset, argument);
}

static void set_length(struct replay *replay, const struct store *store)
{
	struct replayed_file *file = &replay->files[store->file];
	bool shrinks = store->where < file->length;

	file->length = store->where;
	file->inode = store->code;
	if (shrinks)
		replay_each_page(file, clear_behind_end, replay);
}

static void copy_page(const struct replayed_file *file, uint64_t offset, void *argument)
{
	struct replay *replay = argument;

	change(replay, FILE_CONTROL, offset, file->now + offset, 4096);
}

static void take_place(struct replay *replay, const struct store *store)
{
	struct replayed_file *from = &replay->files[FILE_NEW_CONTROL];
	struct replayed_file *to = &replay->files[FILE_CONTROL];

	if (store->file != FILE_NEW_CONTROL || store->where != FILE_CONTROL) {
		fprintf(stderr, "crashlog: another file than the control file was renamed\n");
		exit(2);
	}
	replay_each_page(to, clear_page, replay);
	replay_each_page(from, copy_page, replay);
	replay_each_page(from, clear_page, replay);
	to->length = from->length;
	to->inode = store->code;
	from->length = 0;
}

static void keep_for_undo(struct replay *replay, const void *content, uint64_t bytes)
{
	if (replay->undo_bytes + bytes > replay->undo_limit) {
		replay->undo_limit = replay->undo_limit * 2 + 65536;
		replay->undo = realloc(replay->undo, replay->undo_limit);
		if (replay->undo == NULL)
			exit(2);
	}
	memcpy(replay->undo + replay->undo_bytes, content, bytes);
	replay->undo_bytes += bytes;
}

void replay_apply(struct replay *replay, const struct store *store)
{
	const struct replayed_file *file = &replay->files[store->file];

	if (store->where + store->bytes > file->bytes) {
		fprintf(stderr, "crashlog: a store outside of the file\n");
		exit(2);
	}
	switch ((enum store_kind)store->kind) {
	case STORE_BYTES:
		keep_for_undo(replay, file->now + store->where, store->bytes);
		change(replay, store->file, store->where, store->content, store->bytes);
		break;
	case STORE_LENGTH:
		keep_for_undo(replay, &file->length, sizeof(file->length));
		set_length(replay, store);
		break;
	case STORE_RENAMED:
		take_place(replay, store);
		break;
	}
}

void replay_take_back(struct replay *replay, const struct store *store)
{
	uint64_t length = 0;

	if (store->kind == STORE_BYTES) {
		replay->undo_bytes -= store->bytes;
		change(replay, store->file, store->where, replay->undo + replay->undo_bytes,
			store->bytes);
		return;
	}
	if (store->kind == STORE_LENGTH) {
		replay->undo_bytes -= sizeof(length);
		memcpy(&length, replay->undo + replay->undo_bytes, sizeof(length));
	}
	if (store->kind != STORE_LENGTH || length > store->where) {
		fprintf(stderr, "crashlog: a renaming or a cut cannot be taken back\n");
		exit(2);
	}
	replay->files[store->file].length = length;
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
