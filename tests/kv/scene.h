/* scene.h -- a store in a new file, and what its tables must hold
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KV_TESTS_SCENE_H
#define KV_TESTS_SCENE_H

#include "examples/kv/kv.h"

#include <CUnit/CUnit.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LENGTH_OF(array) (sizeof(array) / sizeof((array)[0]))

/* A store at a path of its own, and one table. Process. */
struct scene {
	char path[256];
	struct kv *store;
	struct kv_table *table;
};

void scene_begin(struct scene *scene);

/* Closes the store and opens it again. */
void scene_reopen(struct scene *scene);

/* Checks the store, closes it and removes the files. */
void scene_end(struct scene *scene);

/* Asserts that kv_check() finds nothing, and shows what it finds. */
void scene_expect_good(struct scene *scene);

struct kv_bytes text(const char *string);

/* What must be in a table: keys in order, each with the number that its value is made of. Process. */
struct model {
	size_t count;
	size_t capacity;
	struct model_entry *entries;
};
struct model_entry {
	char *key;
	size_t key_bytes;
	uint64_t number;
};

void model_put(struct model *model, struct kv_bytes key, uint64_t number);
void model_delete(struct model *model, struct kv_bytes key);

/* Place of the first key that is not below this one. */
size_t model_seek(const struct model *model, struct kv_bytes key);
bool model_has(const struct model *model, struct kv_bytes key);
void model_free(struct model *model);

/* The value of a number: of 0 to some hundred bytes; now and then of pages. In static memory. */
struct kv_bytes model_value(uint64_t number);

/* Asserts that the table holds the model: by kv_get(), and by cursors in both directions. */
void model_expect(const struct model *model, struct kv_table *table);

/* A key, by number, of a kind: what one shares with others, and how long they are. In static memory. */
enum key_kind { KEYS_SHORT, KEYS_DECIMAL, KEYS_LONG_PREFIX, KEYS_BINARY, KEYS_NESTED, KEY_KINDS };
struct kv_bytes scene_key(enum key_kind kind, uint64_t number);

/* Numbers that a seed determines. */
uint64_t scene_random(uint64_t *state);

#endif
