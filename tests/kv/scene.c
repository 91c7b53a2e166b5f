/* scene.c -- stores to test with, and the model
 * SPDX-License-Identifier: BSD-3-Clause */
#include "scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_BYTES (UINT64_C(1) << 32)
#define VALUE_BYTES_MAX (64u << 10)

static int show(const char *text, void *argument)
{
	(void)argument;
	printf("\n    kv_check: %s", text);
	return 0;
}

static void open_table(struct scene *scene)
{
	struct sh_options options = SH_OPTIONS_INIT;

	/* The thread sanitizer does not leave room for the usual TiB everywhere. */
	options.max_size = MAX_BYTES;
	CU_ASSERT_EQUAL_FATAL(kv_open(scene->path, KV_CREATE, &options, &scene->store), 0);
	CU_ASSERT_EQUAL_FATAL(kv_table_open(scene->store, text("table"), KV_CREATE, &scene->table),
		0);
}

void scene_begin(struct scene *scene)
{
	const char *folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	snprintf(scene->path, sizeof(scene->path), "%s/kv_tests.%d.heap", folder, (int)getpid());
	unlink(scene->path);
	open_table(scene);
}

void scene_reopen(struct scene *scene)
{
	CU_ASSERT_EQUAL_FATAL(kv_close(scene->store), 0);
	open_table(scene);
}

void scene_expect_good(struct scene *scene)
{
	uint64_t problems = 0;

	CU_ASSERT_EQUAL(sh_synchronize(kv_heap(scene->store)), 0);
	CU_ASSERT_EQUAL(kv_check(scene->store, show, NULL, &problems), 0);
	CU_ASSERT_EQUAL(problems, 0);
	CU_ASSERT_EQUAL(sh_check(kv_heap(scene->store), 0, NULL, NULL, &problems), 0);
	CU_ASSERT_EQUAL(problems, 0);
}

void scene_end(struct scene *scene)
{
	char control[300];

	scene_expect_good(scene);
	CU_ASSERT_EQUAL(kv_close(scene->store), 0);
	snprintf(control, sizeof(control), "%s-shm", scene->path);
	unlink(scene->path);
	unlink(control);
}

struct kv_bytes text(const char *string)
{
	return (struct kv_bytes){ string, strlen(string) };
}

/* --- the model ----------------------------------------------------------------------------- */

static int compare(struct kv_bytes a, struct kv_bytes b)
{
	size_t common = a.size < b.size ? a.size : b.size;
	int order = common == 0 ? 0 : memcmp(a.data, b.data, common);

	return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static struct kv_bytes key_at(const struct model *model, size_t place)
{
	return (struct kv_bytes){ model->entries[place].key, model->entries[place].key_bytes };
}

size_t model_seek(const struct model *model, struct kv_bytes key)
{
	size_t low = 0, high = model->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(key_at(model, middle), key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool model_has(const struct model *model, struct kv_bytes key)
{
	size_t place = model_seek(model, key);

	return place < model->count && compare(key_at(model, place), key) == 0;
}

void model_put(struct model *model, struct kv_bytes key, uint64_t number)
{
	size_t place = model_seek(model, key);
	struct model_entry *entry;

	if (!model_has(model, key)) {
		if (model->count == model->capacity) {
			model->capacity = model->capacity * 2 + 64;
			model->entries =
				realloc(model->entries, model->capacity * sizeof(*model->entries));
		}
		entry = &model->entries[place];
		memmove(entry + 1, entry, (model->count - place) * sizeof(*entry));
		entry->key = malloc(key.size + 1);
		if (key.size > 0)
			memcpy(entry->key, key.data, key.size);
		entry->key_bytes = key.size;
		model->count++;
	}
	model->entries[place].number = number;
}

void model_delete(struct model *model, struct kv_bytes key)
{
	size_t place = model_seek(model, key);
	struct model_entry *entry = &model->entries[place];

	free(entry->key);
	memmove(entry, entry + 1, (model->count - place - 1) * sizeof(*entry));
	model->count--;
}

void model_free(struct model *model)
{
	for (size_t i = 0; i < model->count; i++)
		free(model->entries[i].key);
	free(model->entries);
	*model = (struct model){ 0 };
}

struct kv_bytes model_value(uint64_t number)
{
	static unsigned char bytes[VALUE_BYTES_MAX];
	uint64_t random = number * UINT64_C(0x9e3779b97f4a7c15);
	size_t size = random >> 60 == 0 && (random >> 40 & 63) == 0 ? random >> 20 & 0xffff
		: random >> 61 == 1                                 ? random >> 33 & 0x3ff
								    : random >> 33 & 0x7f;

	for (size_t i = 0; i < size; i++)
		bytes[i] = (unsigned char)(number >> 8 * (i % 8));
	return (struct kv_bytes){ bytes, size };
}

static bool is_value(struct kv_bytes value, uint64_t number)
{
	return compare(value, model_value(number)) == 0;
}

static void expect_found(const struct model *model, struct kv_table *table)
{
	size_t wrong = 0;

	for (size_t i = 0; i < model->count; i++) {
		struct kv_bytes value;

		if (kv_get(table, key_at(model, i), &value) != 0 ||
			!is_value(value, model->entries[i].number))
			wrong++;
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void expect_forward(const struct model *model, struct kv_cursor *cursor)
{
	struct kv_bytes key, value;
	size_t i = 0, wrong = 0;

	for (int error = kv_cursor_first(cursor, &key, &value); error == 0;
		error = kv_cursor_next(cursor, &key, &value), i++)
		if (i >= model->count || compare(key, key_at(model, i)) != 0 ||
			!is_value(value, model->entries[i].number))
			wrong++;
	CU_ASSERT_EQUAL(i, model->count);
	CU_ASSERT_EQUAL(wrong, 0);
}

static void expect_backward(const struct model *model, struct kv_cursor *cursor)
{
	size_t i = model->count, wrong = 0;
	struct kv_bytes key;

	for (int error = kv_cursor_last(cursor, &key, NULL); error == 0;
		error = kv_cursor_previous(cursor, &key, NULL), i--)
		if (i == 0 || compare(key, key_at(model, i - 1)) != 0)
			wrong++;
	CU_ASSERT_EQUAL(i, 0);
	CU_ASSERT_EQUAL(wrong, 0);
}

void model_expect(const struct model *model, struct kv_table *table)
{
	struct kv_cursor *cursor;
	struct kv_stats stats;

	expect_found(model, table);
	CU_ASSERT_EQUAL_FATAL(kv_cursor_open(table, &cursor), 0);
	expect_forward(model, cursor);
	expect_backward(model, cursor);
	kv_cursor_close(cursor);
	CU_ASSERT_EQUAL(kv_stats(table, &stats), 0);
	CU_ASSERT_EQUAL(stats.entries, model->count);
}

/* --- keys ---------------------------------------------------------------------------------- */

struct kv_bytes scene_key(enum key_kind kind, uint64_t number)
{
	static char bytes[512];
	size_t size = 0;

	switch (kind) {
	case KEYS_SHORT:
		memcpy(bytes, &number, sizeof(number));
		size = number % 4;
		break;
	case KEYS_DECIMAL:
		size = (size_t)snprintf(bytes, sizeof(bytes), "%016llu",
			(unsigned long long)number);
		break;
	case KEYS_LONG_PREFIX:
		size = (size_t)snprintf(bytes, sizeof(bytes),
			"https://example.org/a/path/that/all/of/these/share/%llu/end-%0*llu",
			(unsigned long long)(number % 7), (int)(number % 50) + 1,
			(unsigned long long)number);
		break;
	case KEYS_BINARY:
		number *= UINT64_C(0xbf58476d1ce4e5b9);
		memcpy(bytes, &number, sizeof(number));
		bytes[number % 8] = 0;
		size = sizeof(number);
		break;
	case KEYS_NESTED:
	case KEY_KINDS:
		size = number % 300;
		memset(bytes, number % 3 == 0 ? 0 : 0xff, size);
		break;
	}
	return (struct kv_bytes){ bytes, size };
}

uint64_t scene_random(uint64_t *state)
{
	uint64_t mixed = *state += UINT64_C(0x9e3779b97f4a7c15);

	mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
	return mixed ^ mixed >> 31;
}
