/* test_threads.c -- threads that read and write one table at once
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * stress/kv_storm does this with processes, and kills them. Here the thread sanitizer looks on. */
#include "scene.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define WRITERS 3u
#define READERS 2u
#define KEYS 900u
#define STEPS 6000u

/* What threads share. */
static struct scene scene;
static _Atomic unsigned writing;
static _Atomic unsigned wrong;

/* A value is its key, as often as the step says. */
static struct kv_bytes value_of(struct kv_bytes key, uint64_t step, char bytes[static 256])
{
	size_t size = 0;

	for (uint64_t i = 0; i < step % 8; i++, size += key.size)
		memcpy(bytes + size, key.data, key.size);
	return (struct kv_bytes){ bytes, size };
}

static bool fits(struct kv_bytes key, struct kv_bytes value)
{
	if (value.size % key.size != 0)
		return false;
	for (size_t at = 0; at < value.size; at += key.size)
		if (memcmp((const char *)value.data + at, key.data, key.size) != 0)
			return false;
	return true;
}

static struct kv_bytes key_of(uint64_t number, char bytes[static 16])
{
	memcpy(bytes, "shared key ....", 16);
	for (unsigned i = 0; i < 4; i++, number /= 10)
		bytes[14 - i] = (char)('0' + number % 10);
	return (struct kv_bytes){ bytes, 15 };
}

static void put_batch(uint64_t *random)
{
	uint64_t from = scene_random(random) % KEYS;
	struct kv_batch *batch;

	if (kv_batch_begin(scene.store, &batch) != 0)
		return;
	for (uint64_t i = 0; i < 20; i++) {
		char key_bytes[16], value_bytes[256];
		struct kv_bytes key = key_of((from + i * (from % 3 + 1)) % KEYS, key_bytes);

		if (scene_random(random) % 3 == 0)
			kv_batch_delete(batch, scene.table, key);
		else
			kv_batch_put(batch, scene.table, key, value_of(key, from, value_bytes));
	}
	wrong += kv_batch_commit(batch) != 0;
}

static void *write_steps(void *argument)
{
	uint64_t random = (uint64_t)(uintptr_t)argument;

	for (unsigned step = 0; step < STEPS; step++) {
		char key_bytes[16], value_bytes[256];
		struct kv_bytes key = key_of(scene_random(&random) % KEYS, key_bytes);
		uint64_t dice = scene_random(&random) % 32;
		int error = 0;

		if (dice == 0)
			put_batch(&random);
		else if (dice < 12 + step / 512 % 2 * 12)
			error = kv_delete(scene.table, key);
		else
			error = kv_put(scene.table, key, value_of(key, dice, value_bytes), 0);
		wrong += error != 0 && error != KV_ENOTFOUND;
	}
	writing--;
	return NULL;
}

static void scan(struct kv_cursor *cursor)
{
	struct kv_bytes key, value;
	char last[32] = "";

	for (int error = kv_cursor_first(cursor, &key, &value); error == 0;
		error = kv_cursor_next(cursor, &key, &value)) {
		wrong += memcmp(last, key.data, key.size) >= 0 || !fits(key, value);
		memcpy(last, key.data, key.size);
	}
}

static void look_up(uint64_t *random)
{
	char key_bytes[16];
	struct kv_bytes key = key_of(scene_random(random) % KEYS, key_bytes), value;

	wrong += kv_read_begin(scene.store) != 0;
	if (kv_get(scene.table, key, &value) == 0)
		wrong += !fits(key, value);
	kv_read_end(scene.store);
}

static void *read_steps(void *argument)
{
	uint64_t random = (uint64_t)(uintptr_t)argument;
	struct kv_cursor *cursor;

	if (kv_cursor_open(scene.table, &cursor) != 0) {
		wrong++;
		return NULL;
	}
	while (writing > 0) {
		for (unsigned i = 0; i < 500; i++)
			look_up(&random);
		scan(cursor);
		kv_cursor_pause(cursor);
	}
	kv_cursor_close(cursor);
	return NULL;
}

static void test_at_once(void)
{
	pthread_t threads[WRITERS + READERS];

	scene_begin(&scene);
	writing = WRITERS;
	wrong = 0;
	for (uintptr_t i = 0; i < WRITERS + READERS; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL,
					      i < WRITERS ? write_steps : read_steps,
					      (void *)(i + 1)),
			0);
	for (unsigned i = 0; i < WRITERS + READERS; i++)
		pthread_join(threads[i], NULL);
	CU_ASSERT_EQUAL(wrong, 0);
	scene_end(&scene);
}

int test_threads_register(void)
{
	static CU_TestInfo tests[] = {
		{ "readers and writers at once", test_at_once },
		CU_TEST_INFO_NULL,
	};
	static CU_SuiteInfo suites[] = {
		{ "kv: threads", NULL, NULL, NULL, NULL, tests },
		CU_SUITE_INFO_NULL,
	};

	return (int)CU_register_suites(suites);
}
