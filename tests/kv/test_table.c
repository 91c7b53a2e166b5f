/* test_table.c -- one table, against the model
 * SPDX-License-Identifier: BSD-3-Clause */
#include "scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED_ENVIRONMENT "SH_SEED"

static void put(struct scene *scene, struct model *model, struct kv_bytes key, uint64_t number)
{
	CU_ASSERT_EQUAL(kv_put(scene->table, key, model_value(number), 0), 0);
	model_put(model, key, number);
}

static void delete (struct scene *scene, struct model *model, struct kv_bytes key)
{
	CU_ASSERT_EQUAL(kv_delete(scene->table, key), model_has(model, key) ? 0 : KV_ENOTFOUND);
	if (model_has(model, key))
		model_delete(model, key);
}

static void test_empty(void)
{
	struct model model = { 0 };
	struct kv_bytes value;
	struct scene scene;

	scene_begin(&scene);
	model_expect(&model, scene.table);
	CU_ASSERT_EQUAL(kv_get(scene.table, text("no"), &value), KV_ENOTFOUND);
	CU_ASSERT_EQUAL(kv_delete(scene.table, text("no")), KV_ENOTFOUND);
	scene_end(&scene);
}

static void test_insert_only(void)
{
	struct kv_bytes value;
	struct scene scene;

	scene_begin(&scene);
	CU_ASSERT_EQUAL(kv_put(scene.table, text("a"), text("1"), KV_INSERT), 0);
	CU_ASSERT_EQUAL(kv_put(scene.table, text("a"), text("2"), KV_INSERT), KV_EEXIST);
	CU_ASSERT_EQUAL(kv_get(scene.table, text("a"), &value), 0);
	CU_ASSERT_EQUAL(*(const char *)value.data, '1');
	CU_ASSERT_EQUAL(kv_put(scene.table, text("a"), text("3"), 0), 0);
	CU_ASSERT_EQUAL(kv_get(scene.table, text("a"), &value), 0);
	CU_ASSERT_EQUAL(*(const char *)value.data, '3');
	scene_end(&scene);
}

/* Puts `count` keys in an order, and takes them away again in another. */
static void fill_and_empty(uint64_t count, uint64_t step, uint64_t back_step)
{
	struct model model = { 0 };
	struct scene scene;

	scene_begin(&scene);
	for (uint64_t i = 0; i < count; i++)
		put(&scene, &model, scene_key(KEYS_DECIMAL, i * step % count), i);
	model_expect(&model, scene.table);
	scene_reopen(&scene);
	model_expect(&model, scene.table);
	for (uint64_t i = 0; i < count; i++) {
		delete (&scene, &model, scene_key(KEYS_DECIMAL, i * back_step % count));
		if (i % (count / 4) == 0)
			scene_expect_good(&scene);
	}
	model_expect(&model, scene.table);
	model_free(&model);
	scene_end(&scene);
}

static void test_ascending(void)
{
	fill_and_empty(20011, 1, 1);
}

static void test_descending(void)
{
	fill_and_empty(20011, 20010, 20010);
}

static void test_scattered(void)
{
	fill_and_empty(20011, 7919, 104729);
}

static uint64_t seed(void)
{
	const char *said = getenv(SEED_ENVIRONMENT);

	return said == NULL ? 1 : strtoull(said, NULL, 0);
}

static void random_steps(struct scene *scene, struct model *model, enum key_kind kind,
	uint64_t *random, unsigned steps, unsigned deletes_of_16)
{
	for (unsigned i = 0; i < steps; i++) {
		uint64_t dice = scene_random(random);
		struct kv_bytes key = scene_key(kind, scene_random(random) % 6000);

		if ((dice & 15) < deletes_of_16)
			delete (scene, model, key);
		else
			put(scene, model, key, dice);
	}
}

static void random_keys(enum key_kind kind)
{
	uint64_t random = seed() * KEY_KINDS + kind;
	struct model model = { 0 };
	struct scene scene;

	scene_begin(&scene);
	for (unsigned phase = 0; phase < 6; phase++) {
		random_steps(&scene, &model, kind, &random, 6000, phase % 3 == 2 ? 14 : 6);
		model_expect(&model, scene.table);
		scene_expect_good(&scene);
	}
	model_free(&model);
	scene_end(&scene);
}

static void test_random_short(void)
{
	random_keys(KEYS_SHORT);
}

static void test_random_decimal(void)
{
	random_keys(KEYS_DECIMAL);
}

static void test_random_long_prefix(void)
{
	random_keys(KEYS_LONG_PREFIX);
}

static void test_random_binary(void)
{
	random_keys(KEYS_BINARY);
}

static void test_random_nested(void)
{
	random_keys(KEYS_NESTED);
}

/* Each key of the model, and one beside it. */
static void expect_seeks(const struct model *model, struct kv_cursor *cursor, enum key_kind kind)
{
	size_t wrong = 0;

	for (uint64_t number = 0; number < 3000; number++) {
		struct kv_bytes from = scene_key(kind, number * 3), key;
		size_t place = model_seek(model, from);
		int error = kv_cursor_seek(cursor, from, &key, NULL);

		if (place == model->count
				? error != KV_ENOTFOUND
				: error != 0 || key.size != model->entries[place].key_bytes)
			wrong++;
		if (error == 0 && place > 0 &&
			(kv_cursor_previous(cursor, &key, NULL) != 0 ||
				key.size != model->entries[place - 1].key_bytes))
			wrong++;
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void seeks(enum key_kind kind)
{
	uint64_t random = seed() + 77;
	struct model model = { 0 };
	struct kv_cursor *cursor;
	struct scene scene;

	scene_begin(&scene);
	random_steps(&scene, &model, kind, &random, 5000, 2);
	CU_ASSERT_EQUAL_FATAL(kv_cursor_open(scene.table, &cursor), 0);
	expect_seeks(&model, cursor, kind);
	kv_cursor_close(cursor);
	model_free(&model);
	scene_end(&scene);
}

static void test_seeks(void)
{
	for (unsigned kind = 0; kind < KEY_KINDS; kind++)
		seeks((enum key_kind)kind);
}

/* A cursor that pauses goes on behind the key where it stood, whatever became of that. */
static void test_pause(void)
{
	struct model model = { 0 };
	struct kv_cursor *cursor;
	struct kv_bytes key;
	struct scene scene;
	unsigned shown = 0;

	scene_begin(&scene);
	for (uint64_t i = 0; i < 1000; i++)
		put(&scene, &model, scene_key(KEYS_DECIMAL, i), i);
	CU_ASSERT_EQUAL_FATAL(kv_cursor_open(scene.table, &cursor), 0);
	for (int error = kv_cursor_first(cursor, &key, NULL); error == 0;
		error = kv_cursor_next(cursor, &key, NULL)) {
		CU_ASSERT_EQUAL(kv_cursor_pause(cursor), 0);
		delete (&scene, &model, scene_key(KEYS_DECIMAL, shown++));
	}
	CU_ASSERT_EQUAL(shown, 1000);
	CU_ASSERT_EQUAL(kv_cursor_next(cursor, &key, NULL), KV_ENOTFOUND);
	kv_cursor_close(cursor);
	model_expect(&model, scene.table);
	model_free(&model);
	scene_end(&scene);
}

/* A leaf that the cursor has passed is joined with the one that it comes to next: what it showed it does not show
 * again. */
static void pass_joined_leaves(bool forward)
{
	struct model model = { 0 };
	struct kv_cursor *cursor;
	struct kv_bytes key, last;
	struct scene scene;
	unsigned shown = 1;
	int error;

	scene_begin(&scene);
	for (uint64_t i = 0; i < 1000; i++)
		put(&scene, &model, scene_key(KEYS_DECIMAL, i), i);
	CU_ASSERT_EQUAL_FATAL(kv_cursor_open(scene.table, &cursor), 0);
	error = forward ? kv_cursor_first(cursor, &last, NULL)
			: kv_cursor_last(cursor, &last, NULL);
	CU_ASSERT_EQUAL_FATAL(error, 0);
	for (uint64_t i = 0; i < 1000; i++)
		if (i % 8 != 0)
			delete (&scene, &model, scene_key(KEYS_DECIMAL, i));
	while ((error = forward ? kv_cursor_next(cursor, &key, NULL)
				: kv_cursor_previous(cursor, &key, NULL)) == 0) {
		int order = memcmp(key.data, last.data, 16);

		CU_ASSERT(forward ? order > 0 : order < 0);
		shown += model_has(&model, key);
		last = key;
	}
	CU_ASSERT_EQUAL(error, KV_ENOTFOUND);
	/* Of the first leaf it also shows what has been deleted since: its last key is such a one. */
	CU_ASSERT_EQUAL(shown, forward ? 125 : 126);
	kv_cursor_close(cursor);
	model_free(&model);
	scene_end(&scene);
}

static void test_joined_leaves(void)
{
	pass_joined_leaves(true);
	pass_joined_leaves(false);
}

/* Keys and values of megabytes. */
static void test_large(void)
{
	size_t bytes = 3u << 20;
	char *large = calloc(1, bytes);
	struct kv_bytes value;
	struct scene scene;

	scene_begin(&scene);
	for (size_t i = 0; i < 200; i++) {
		large[0] = (char)i;
		CU_ASSERT_EQUAL(kv_put(scene.table, (struct kv_bytes){ large, 20000 + i },
					text("small"), 0),
			0);
	}
	CU_ASSERT_EQUAL(kv_put(scene.table, (struct kv_bytes){ large, bytes },
				(struct kv_bytes){ large, bytes }, 0),
		0);
	CU_ASSERT_EQUAL(kv_get(scene.table, (struct kv_bytes){ large, bytes }, &value), 0);
	CU_ASSERT_EQUAL(value.size, bytes);
	CU_ASSERT_EQUAL(kv_put(scene.table, (struct kv_bytes){ large, KV_KEY_BYTES_MAX + 1 },
				text(""), 0),
		KV_ETOOLONG);
	free(large);
	scene_end(&scene);
}

int test_table_register(void)
{
	static CU_TestInfo tests[] = {
		{ "an empty table", test_empty },
		{ "KV_INSERT", test_insert_only },
		{ "ascending keys", test_ascending },
		{ "descending keys", test_descending },
		{ "scattered keys", test_scattered },
		{ "random steps, keys of 0 to 3 bytes", test_random_short },
		{ "random steps, decimal keys", test_random_decimal },
		{ "random steps, keys with a long prefix", test_random_long_prefix },
		{ "random steps, binary keys", test_random_binary },
		{ "random steps, keys that begin with each other", test_random_nested },
		{ "seeks", test_seeks },
		{ "a cursor that pauses", test_pause },
		{ "a cursor that passes joined leaves", test_joined_leaves },
		{ "large keys and values", test_large },
		CU_TEST_INFO_NULL,
	};
	static CU_SuiteInfo suites[] = {
		{ "kv: a table", NULL, NULL, NULL, NULL, tests },
		CU_SUITE_INFO_NULL,
	};

	return (int)CU_register_suites(suites);
}
