/* logged.c -- the contents of the heap file that logged stores lead to
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/killk/logged.h"

#include "stress/crashlog/log.h"

#include <stdlib.h>
#include <string.h>

#define WORD_BYTES sizeof(uint64_t)

struct logged {
	struct store_log log;
	uint64_t bytes; /* of each of these: */
	char *begin;    /* the heap file where the operation begins */
	char *now;
	/* --- the operation's to the heap file */
	uint64_t *stores; /* their numbers in the log */
	uint64_t count;
};

static bool is_of_heap(const struct store *store)
{
	return store->file == FILE_HEAP && store->kind == STORE_BYTES;
}

/* So many bytes hold all that is stored to. */
static uint64_t bytes_needed(const struct store_log *log)
{
	uint64_t end = 0;

	for (uint64_t i = 0; i < log->count; i++) {
		const struct store *store = &log->stores[i];

		if (is_of_heap(store) && store->where + store->bytes > end)
			end = store->where + store->bytes;
	}
	return (end + WORD_BYTES - 1) / WORD_BYTES * WORD_BYTES;
}

struct logged *logged_read(const char *path)
{
	struct logged *logged = calloc(1, sizeof(*logged));

	if (logged == NULL)
		return NULL;
	if (!store_log_read(&logged->log, path)) {
		logged_free(logged);
		return NULL;
	}
	logged->bytes = bytes_needed(&logged->log);
	return logged;
}

void logged_free(struct logged *logged)
{
	store_log_free(&logged->log);
	free(logged->begin);
	free(logged->now);
	free(logged->stores);
	free(logged);
}

/* --- an operation -------------------------------------------------------------------------- */

static const struct logged_operation *operation_of(const struct store_log *log, uint32_t number)
{
	for (uint32_t i = 0; i < log->operation_count; i++)
		if (log->operations[i].number == number)
			return &log->operations[i];
	return NULL;
}

static bool forget_operation(struct logged *logged)
{
	free(logged->begin);
	free(logged->now);
	free(logged->stores);
	logged->begin = calloc(1, logged->bytes);
	logged->now = calloc(1, logged->bytes);
	logged->stores = calloc(logged->log.count + 1, sizeof(logged->stores[0]));
	logged->count = 0;
	return logged->begin != NULL && logged->now != NULL && logged->stores != NULL;
}

bool logged_find(struct logged *logged, uint32_t number, const char *content, uint64_t bytes)
{
	const struct logged_operation *operation = operation_of(&logged->log, number);

	if (!forget_operation(logged) || operation == NULL)
		return false;
	memcpy(logged->begin, content, bytes < logged->bytes ? bytes : logged->bytes);
	for (uint64_t i = operation->start; i < operation->end; i++) {
		const struct store *store = &logged->log.stores[i];

		if (!is_of_heap(store))
			continue;
		if (i >= operation->first)
			logged->stores[logged->count++] = i;
		else
			memcpy(logged->begin + store->where, store->content, store->bytes);
	}
	memcpy(logged->now, logged->begin, logged->bytes);
	return true;
}

uint64_t logged_stores(const struct logged *logged)
{
	return logged->count;
}

static const struct store *store_at(const struct logged *logged, uint64_t which)
{
	return &logged->log.stores[logged->stores[which]];
}

/* --- contents ------------------------------------------------------------------------------ */

/* Adds the words from `where` on that differ from the beginning, or takes them out. */
static void add_words(const struct logged *logged, struct image *image, const struct store *store,
	uint64_t sign)
{
	uint64_t end = store->where + store->bytes;

	for (uint64_t at = store->where / WORD_BYTES * WORD_BYTES; at < end; at += WORD_BYTES) {
		uint64_t word;

		memcpy(&word, logged->now + at, WORD_BYTES);
		if (memcmp(&word, logged->begin + at, WORD_BYTES) != 0)
			image_add_word(image, at, word, sign);
	}
}

static void make_store(struct logged *logged, struct image *image, const struct store *store)
{
	add_words(logged, image, store, UINT64_MAX);
	memcpy(logged->now + store->where, store->content, store->bytes);
	add_words(logged, image, store, 1);
}

static void take_back_all(struct logged *logged)
{
	for (uint64_t i = 0; i < logged->count; i++) {
		const struct store *store = store_at(logged, i);

		memcpy(logged->now + store->where, logged->begin + store->where, store->bytes);
	}
}

uint64_t logged_images(struct logged *logged, uint64_t dropped, struct image **images)
{
	struct image image = { { 0, 0 } };
	uint64_t count = 1;

	*images = calloc(logged->count + 1, sizeof(**images));
	if (*images == NULL)
		return 0;
	for (uint64_t i = 0; i < logged->count; i++)
		if (i != dropped) {
			make_store(logged, &image, store_at(logged, i));
			(*images)[count++] = image;
		}
	take_back_all(logged);
	return images_distinct(*images, count);
}

bool logged_changes_nothing(struct logged *logged, uint64_t which)
{
	const struct store *store = store_at(logged, which);
	struct image image = { { 0, 0 } };
	bool equal;

	for (uint64_t i = 0; i < which; i++)
		make_store(logged, &image, store_at(logged, i));
	equal = memcmp(logged->now + store->where, store->content, store->bytes) == 0;
	take_back_all(logged);
	return equal;
}
