/* test_store.c -- batches, several tables, opening
 * SPDX-License-Identifier: BSD-3-Clause */
#include "scene.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void batch_put(struct kv_batch *batch, struct kv_table *table, struct model *model,
	struct kv_bytes key, uint64_t number)
{
	CU_ASSERT_EQUAL(kv_batch_put(batch, table, key, model_value(number)), 0);
	model_put(model, key, number);
}

static void batch_delete(struct kv_batch *batch, struct kv_table *table, struct model *model,
	struct kv_bytes key)
{
	CU_ASSERT_EQUAL(kv_batch_delete(batch, table, key), 0);
	if (model_has(model, key))
		model_delete(model, key);
}

/* Batches of all sizes, of keys all over the table or side by side, to one table or to two. */
static void random_batches(enum key_kind kind)
{
	struct model models[2] = { { 0 }, { 0 } };
	uint64_t random = 5 + kind;
	struct kv_table *tables[2];
	struct scene scene;

	scene_begin(&scene);
	tables[0] = scene.table;
	CU_ASSERT_EQUAL_FATAL(kv_table_open(scene.store, text("other"), KV_CREATE, &tables[1]), 0);
	for (unsigned i = 0; i < 60; i++) {
		uint64_t size = scene_random(&random) % (i % 4 == 0 ? 1500 : 40);
		uint64_t from = scene_random(&random) % 6000;
		uint64_t spread = i % 3 == 0 ? 6000 : size + 1;
		uint64_t deletes = i % 5 == 4 ? 14 : 3;
		struct kv_batch *batch;

		CU_ASSERT_EQUAL_FATAL(kv_batch_begin(scene.store, &batch), 0);
		for (uint64_t k = 0; k < size; k++) {
			uint64_t dice = scene_random(&random);
			unsigned table = (i % 8 < 4 ? dice >> 8 : i >> 3) & 1;
			struct kv_bytes key =
				scene_key(kind, from + scene_random(&random) % spread);

			if (dice % 16 < deletes)
				batch_delete(batch, tables[table], &models[table], key);
			else
				batch_put(batch, tables[table], &models[table], key, dice);
		}
		CU_ASSERT_EQUAL(kv_batch_commit(batch), 0);
		if (i % 8 == 7)
			scene_expect_good(&scene);
	}
	for (unsigned i = 0; i < 2; i++) {
		model_expect(&models[i], tables[i]);
		model_free(&models[i]);
	}
	scene_end(&scene);
}

static void test_batches(void)
{
	for (unsigned kind = 0; kind < KEY_KINDS; kind++)
		random_batches((enum key_kind)kind);
}

static void test_batch_in_order(void)
{
	struct model model = { 0 };
	struct kv_stats stats;
	struct scene scene;

	scene_begin(&scene);
	for (uint64_t i = 0; i < 30; i++) {
		struct kv_batch *batch;

		CU_ASSERT_EQUAL_FATAL(kv_batch_begin(scene.store, &batch), 0);
		for (uint64_t k = 0; k < 1000; k++)
			batch_put(batch, scene.table, &model, scene_key(KEYS_DECIMAL, i * 1000 + k),
				k);
		CU_ASSERT_EQUAL(kv_batch_commit(batch), 0);
	}
	model_expect(&model, scene.table);
	CU_ASSERT_EQUAL(kv_stats(scene.table, &stats), 0);
	/* Leaves that are appended to are full. */
	CU_ASSERT(stats.leaf_bytes <
		(stats.key_bytes + stats.value_bytes + 32 * stats.entries) / 8 * 9);
	model_free(&model);
	scene_end(&scene);
}

static void test_batch_abort(void)
{
	struct model model = { 0 };
	struct kv_batch *batch;
	struct scene scene;

	scene_begin(&scene);
	CU_ASSERT_EQUAL_FATAL(kv_batch_begin(scene.store, &batch), 0);
	CU_ASSERT_EQUAL(kv_batch_put(batch, scene.table, text("a"), text("b")), 0);
	kv_batch_abort(batch);
	CU_ASSERT_EQUAL_FATAL(kv_batch_begin(scene.store, &batch), 0);
	CU_ASSERT_EQUAL(kv_batch_commit(batch), 0);
	model_expect(&model, scene.table);
	scene_end(&scene);
}

#define LEAF 56u /* keys of a full leaf */

/* The key of a number with some room in front of the next one's. */
static struct kv_bytes spaced_key(uint64_t number, uint64_t between)
{
	return scene_key(KEYS_DECIMAL, number * 100 + between);
}

static void put_spaced(struct scene *scene, struct model *model, uint64_t number, uint64_t between)
{
	CU_ASSERT_EQUAL(kv_put(scene->table, spaced_key(number, between), model_value(number), 0),
		0);
	model_put(model, spaced_key(number, between), number);
}

/* Deletes all but one key of each of these leaves. From the end: each is joined with its right neighbour, if with
 * any. */
static void thin_out(struct scene *scene, struct model *model, uint64_t from_leaf,
	uint64_t end_leaf)
{
	for (uint64_t number = end_leaf * LEAF - 1; number >= from_leaf * LEAF; number--) {
		if (number % LEAF == 0)
			continue;
		CU_ASSERT_EQUAL(kv_delete(scene->table, spaced_key(number, 0)), 0);
		model_delete(model, spaced_key(number, 0));
	}
}

/* Two nodes above the leaves: the first of 64 leaves and then more, the second of some that are then few. They are
 * not joined while both are large, and could be afterwards. */
static void make_two_nodes(struct scene *scene, struct model *model)
{
	for (uint64_t number = 0; number < 140 * LEAF; number++)
		put_spaced(scene, model, number, 0);
	for (uint64_t leaf = 10; leaf < 50; leaf++)
		put_spaced(scene, model, leaf * LEAF + 3, 1);
	thin_out(scene, model, 80, 140);
	thin_out(scene, model, 10, 30);
}

/* A batch replaces a leaf under the first node, one for one, and one by two under the second, which then looks for a
 * neighbour to be joined with. */
static void test_batch_of_neighbours(void)
{
	struct model model = { 0 };
	struct kv_batch *batch;
	struct scene scene;

	scene_begin(&scene);
	make_two_nodes(&scene, &model);
	CU_ASSERT_EQUAL_FATAL(kv_batch_begin(scene.store, &batch), 0);
	for (uint64_t i = 0; i < 20; i++)
		batch_delete(batch, scene.table, &model, spaced_key(2 * LEAF + i, 0));
	for (uint64_t i = 0; i < 10; i++)
		batch_put(batch, scene.table, &model, spaced_key(2 * LEAF + 20, i + 1), i);
	batch_put(batch, scene.table, &model, spaced_key(70 * LEAF + 20, 1), 1);
	CU_ASSERT_EQUAL_FATAL(kv_batch_commit(batch), 0);
	model_expect(&model, scene.table);
	model_free(&model);
	scene_end(&scene);
}

/* --- tables -------------------------------------------------------------------------------- */

static int count_name(struct kv_bytes name, void *argument)
{
	unsigned *count = argument;

	(void)name;
	(*count)++;
	return 0;
}

static void test_tables(void)
{
	struct kv_table *table, *again;
	struct kv_bytes value;
	struct scene scene;
	unsigned count = 0;
	char name[32];

	scene_begin(&scene);
	CU_ASSERT_EQUAL(kv_table_open(scene.store, text("x"), 0, &table), KV_ENOTFOUND);
	for (unsigned i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "table %u", i);
		CU_ASSERT_EQUAL_FATAL(kv_table_open(scene.store, text(name), KV_CREATE, &table), 0);
		CU_ASSERT_EQUAL(kv_put(table, text("key"), text(name), 0), 0);
	}
	scene_reopen(&scene);
	CU_ASSERT_EQUAL(kv_tables(scene.store, count_name, &count), 0);
	CU_ASSERT_EQUAL(count, 301);
	CU_ASSERT_EQUAL_FATAL(kv_table_open(scene.store, text("table 17"), 0, &table), 0);
	CU_ASSERT_EQUAL_FATAL(kv_table_open(scene.store, text("table 17"), 0, &again), 0);
	CU_ASSERT_PTR_EQUAL(table, again);
	CU_ASSERT_EQUAL_FATAL(kv_get(table, text("key"), &value), 0);
	CU_ASSERT(value.size == 8 && memcmp(value.data, "table 17", 8) == 0);
	scene_end(&scene);
}

static void test_drop(void)
{
	struct model model = { 0 };
	struct kv_table *other;
	struct kv_bytes value;
	struct scene scene;

	scene_begin(&scene);
	for (uint64_t i = 0; i < 60000; i++)
		CU_ASSERT_EQUAL(kv_put(scene.table, scene_key(KEYS_BINARY, i), text("value"), 0),
			0);
	CU_ASSERT_EQUAL(kv_table_drop(scene.store, text("nobody")), KV_ENOTFOUND);
	CU_ASSERT_EQUAL(kv_table_drop(scene.store, text("table")), 0);
	CU_ASSERT_EQUAL(kv_get(scene.table, text("x"), &value), KV_EDROPPED);
	CU_ASSERT_EQUAL(kv_put(scene.table, text("x"), text("y"), 0), KV_EDROPPED);
	CU_ASSERT_EQUAL(kv_delete(scene.table, text("x")), KV_EDROPPED);
	scene_expect_good(&scene);
	/* Its block is another table's now. */
	CU_ASSERT_EQUAL_FATAL(kv_table_open(scene.store, text("new"), KV_CREATE, &other), 0);
	CU_ASSERT_EQUAL(kv_put(other, text("x"), text("y"), 0), 0);
	CU_ASSERT_EQUAL(kv_get(scene.table, text("x"), &value), KV_EDROPPED);
	CU_ASSERT_EQUAL_FATAL(kv_table_open(scene.store, text("table"), KV_CREATE, &scene.table),
		0);
	model_expect(&model, scene.table);
	scene_end(&scene);
}

#define LATE_KEYS 4000u

/* A batch that has locked the one leaf of a table, and works on another for a while. Thread. */
struct late {
	struct scene *scene;
	struct kv_table *table;
	pthread_barrier_t begun;
};

static void *put_late(void *argument)
{
	struct late *late = argument;
	struct kv_batch *batch;
	int error;

	CU_ASSERT_EQUAL_FATAL(kv_batch_begin(late->scene->store, &batch), 0);
	CU_ASSERT_EQUAL(kv_batch_put(batch, late->table, text("late"), text("")), 0);
	for (uint64_t i = 0; i < LATE_KEYS; i++)
		CU_ASSERT_EQUAL(kv_batch_put(batch, late->scene->table, scene_key(KEYS_DECIMAL, i),
					text("")),
			0);
	pthread_barrier_wait(&late->begun);
	error = kv_batch_commit(batch);
	CU_ASSERT(error == 0 || error == KV_EDROPPED);
	return NULL;
}

/* Drops a table somewhen in the batch. */
static void drop_under(struct late *late, unsigned delay_us)
{
	const struct timespec delay = { 0, (long)delay_us * 1000 };
	pthread_t thread;

	CU_ASSERT_EQUAL_FATAL(kv_table_open(late->scene->store, text("dropped"), KV_CREATE,
				      &late->table),
		0);
	CU_ASSERT_EQUAL_FATAL(pthread_barrier_init(&late->begun, NULL, 2), 0);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, put_late, late), 0);
	pthread_barrier_wait(&late->begun);
	nanosleep(&delay, NULL);
	CU_ASSERT_EQUAL(kv_table_drop(late->scene->store, text("dropped")), 0);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&late->begun);
}

/* Who is late puts into a tree that nothing leads to any more: that is given back, too. The batch goes first to the
 * table that was made first. */
static void test_drop_late(void)
{
	struct scene scene;
	struct late late = { .scene = &scene };

	scene_begin(&scene);
	CU_ASSERT_EQUAL_FATAL(kv_table_open(scene.store, text("dropped"), KV_CREATE, &late.table),
		0);
	CU_ASSERT_EQUAL_FATAL(kv_table_open(scene.store, text("other"), KV_CREATE, &scene.table),
		0);
	for (unsigned i = 0; i < 60; i++)
		drop_under(&late, i * 50);
	scene_end(&scene);
}

/* A batch that takes most of the first leaf's keys, and then works on another table for a while. Afterwards the leaf is
 * joined with the second. Thread. */
static void *thin_late(void *argument)
{
	struct late *late = argument;
	struct kv_batch *batch;

	CU_ASSERT_EQUAL_FATAL(kv_batch_begin(late->scene->store, &batch), 0);
	for (uint64_t i = 1; i < LEAF - 5; i++)
		CU_ASSERT_EQUAL(kv_batch_delete(batch, late->scene->table, spaced_key(i, 0)), 0);
	for (uint64_t i = 0; i < LATE_KEYS; i++)
		CU_ASSERT_EQUAL(kv_batch_put(batch, late->table, scene_key(KEYS_DECIMAL, i),
					text("")),
			0);
	pthread_barrier_wait(&late->begun);
	CU_ASSERT_EQUAL(kv_batch_commit(batch), 0);
	return NULL;
}

/* Two leaves, the first one full, the second with few keys. */
static void make_two_leaves(struct scene *scene)
{
	struct kv_batch *batch;

	CU_ASSERT_EQUAL_FATAL(kv_batch_begin(scene->store, &batch), 0);
	for (uint64_t i = 0; i < 2 * LEAF; i++)
		CU_ASSERT_EQUAL(kv_batch_delete(batch, scene->table, spaced_key(i, 0)), 0);
	CU_ASSERT_EQUAL(kv_batch_commit(batch), 0);
	for (uint64_t i = 0; i < LEAF + 10; i++)
		CU_ASSERT_EQUAL(kv_put(scene->table, spaced_key(i, 0), text(""), 0), 0);
}

/* Puts into both while the first is locked. */
static void put_under(struct late *late, unsigned delay_us)
{
	const struct timespec delay = { 0, (long)delay_us * 1000 };
	struct kv_batch *batch;
	pthread_t thread;

	make_two_leaves(late->scene);
	CU_ASSERT_EQUAL_FATAL(pthread_barrier_init(&late->begun, NULL, 2), 0);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, thin_late, late), 0);
	CU_ASSERT_EQUAL_FATAL(kv_batch_begin(late->scene->store, &batch), 0);
	CU_ASSERT_EQUAL(kv_batch_put(batch, late->scene->table, spaced_key(0, 0), text("a")), 0);
	CU_ASSERT_EQUAL(kv_batch_put(batch, late->scene->table, spaced_key(LEAF + 2, 0), text("b")),
		0);
	pthread_barrier_wait(&late->begun);
	nanosleep(&delay, NULL);
	CU_ASSERT_EQUAL(kv_batch_commit(batch), 0);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&late->begun);
}

/* Two leaves that a batch was about to lock are one when it has waited for the first. */
static void test_batch_of_joined(void)
{
	struct scene scene;
	struct late late = { .scene = &scene };

	scene_begin(&scene);
	CU_ASSERT_EQUAL_FATAL(kv_table_open(scene.store, text("other"), KV_CREATE, &late.table), 0);
	for (unsigned i = 0; i < 60; i++)
		put_under(&late, i * 50);
	scene_end(&scene);
}

/* Handles of a dropped table and of the one that has its block now do not go together. */
static void test_batch_of_dropped(void)
{
	struct kv_table *old, *new;
	struct kv_batch *batch;
	struct kv_bytes value;
	struct scene scene;

	scene_begin(&scene);
	CU_ASSERT_EQUAL_FATAL(kv_table_open(scene.store, text("x"), KV_CREATE, &old), 0);
	CU_ASSERT_EQUAL(kv_table_drop(scene.store, text("x")), 0);
	CU_ASSERT_EQUAL_FATAL(kv_table_open(scene.store, text("y"), KV_CREATE, &new), 0);
	for (unsigned i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL_FATAL(kv_batch_begin(scene.store, &batch), 0);
		CU_ASSERT_EQUAL(kv_batch_put(batch, i == 0 ? old : new, text("b"), text("")), 0);
		CU_ASSERT_EQUAL(kv_batch_put(batch, i == 0 ? new : old, text("a"), text("")), 0);
		CU_ASSERT_EQUAL(kv_batch_commit(batch), KV_EDROPPED);
	}
	CU_ASSERT_EQUAL(kv_get(new, text("a"), &value), KV_ENOTFOUND);
	CU_ASSERT_EQUAL(kv_get(new, text("b"), &value), KV_ENOTFOUND);
	scene_end(&scene);
}

/* --- opening ------------------------------------------------------------------------------- */

static void test_open(void)
{
	struct sh_heap *heap;
	struct scene scene;
	struct kv *store;

	CU_ASSERT_EQUAL(kv_open("/nonexistent/store", 0, NULL, &store), ENOENT);
	CU_ASSERT_PTR_NULL(store);
	scene_begin(&scene);
	CU_ASSERT_EQUAL(kv_open(scene.path, 0x80, NULL, &store), EINVAL);
	CU_ASSERT_EQUAL(kv_close(scene.store), 0);
	CU_ASSERT_EQUAL_FATAL(sh_open(scene.path, 0, NULL, &heap), 0);
	CU_ASSERT_EQUAL(sh_root_set(heap, "kv", 0), 0);
	CU_ASSERT_EQUAL(kv_open(scene.path, 0, NULL, &store), KV_EBADSTORE);
	CU_ASSERT_EQUAL(sh_close(heap), 0);
	remove(scene.path);
	scene_begin(&scene);
	scene_end(&scene);
}

static void test_read_only(void)
{
	struct model model = { 0 };
	struct kv_table *table;
	struct scene scene;
	struct kv *store;

	scene_begin(&scene);
	for (uint64_t i = 0; i < 3000; i++) {
		struct kv_bytes key = scene_key(KEYS_BINARY, i);

		CU_ASSERT_EQUAL(kv_put(scene.table, key, model_value(i), 0), 0);
		model_put(&model, key, i);
	}
	CU_ASSERT_EQUAL(kv_close(scene.store), 0);
	CU_ASSERT_EQUAL_FATAL(kv_open(scene.path, KV_RDONLY, NULL, &store), 0);
	CU_ASSERT_EQUAL_FATAL(kv_table_open(store, text("table"), 0, &table), 0);
	model_expect(&model, table);
	CU_ASSERT_EQUAL(kv_put(table, text("a"), text("b"), 0), EROFS);
	CU_ASSERT_EQUAL(kv_delete(table, text("a")), EROFS);
	CU_ASSERT_EQUAL(kv_table_open(store, text("new"), KV_CREATE, &table), EROFS);
	CU_ASSERT_EQUAL(kv_close(store), 0);
	model_free(&model);
	scene_begin(&scene);
	scene_end(&scene);
}

int test_store_register(void)
{
	static CU_TestInfo tests[] = {
		{ "batches", test_batches },
		{ "batches in order", test_batch_in_order },
		{ "a batch that is given up", test_batch_abort },
		{ "a batch that changes neighbours", test_batch_of_neighbours },
		{ "many tables", test_tables },
		{ "dropping tables", test_drop },
		{ "dropping a table that is filled late", test_drop_late },
		{ "a batch whose leaves are joined meanwhile", test_batch_of_joined },
		{ "a batch with handles of a dropped table", test_batch_of_dropped },
		{ "opening", test_open },
		{ "reading only", test_read_only },
		CU_TEST_INFO_NULL,
	};
	static CU_SuiteInfo suites[] = {
		{ "kv: a store", NULL, NULL, NULL, NULL, tests },
		CU_SUITE_INFO_NULL,
	};

	return (int)CU_register_suites(suites);
}
