/* operations.h -- what is done with a store, and in which ones
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A scene is a store with a table of a few keys. An operation is made in one scene, by one model process. Keys are
 * letters. What a value is says one number, of which each of its bytes is made. */
#ifndef KV_MODEL_OPERATIONS_H
#define KV_MODEL_OPERATIONS_H

#include "examples/kv/store.h"
#include "stress/model/world.h"

#include <stdbool.h>
#include <stdint.h>

#define KEY_FIRST 'a'
#define KEY_COUNT 26u

/* What is under each key: 0: nothing; else a number below VALUE_LARGE, with VALUE_LARGE if the value is so long that
 * its record is a block. A process's values are its own. */
#define VALUE_INITIAL 1u
#define VALUE_LARGE 8u
#define VALUE_BITS 4u

/* Stack. */
struct content {
	unsigned char numbers[KEY_COUNT];
	unsigned char dropped; /* there is no table any more, and `numbers` are 0 */
};

enum scene_kind { ROOM, FULL, AGED, FEW, WIDE, DEEP, TALL, SCENES };

/* Process. */
struct scene {
	const char *name;
	/* Pairs: `+` puts a value, `*` a large one, `-` deletes, each a letter. */
	const char *steps;
	unsigned room; /* how many leaves each worker can make in its own span; 0: none has one */
	/* The same of inner nodes: the children of those that are made. */
	unsigned children[3];
	unsigned leaves; /* that the table has */
};

extern const struct scene scenes[SCENES];

/* DROP: the table; of no key. */
enum request_kind { NOTHING, PUT, PUT_LARGE, INSERT, DELETE, DROP, GET };

#define TABLE_NAME "t"

struct request {
	enum request_kind kind;
	char key;
};

#define REQUESTS 3u

#define IN_BATCH 1u  /* all requests are one batch */
#define SCANS 2u     /* reads everything, by a cursor */
#define BACKWARDS 4u /* and from the end */
#define DRAINS 8u    /* what was freed deferred, before it returns */
#define REUSES 16u   /* after that, gets a leaf's block that was freed, and overwrites it */

/* Process. Its requests are made one after the other, or as one batch. */
struct kv_operation {
	const char *name;
	enum scene_kind scene;
	unsigned flags;
	struct request requests[REQUESTS];
};

extern const struct kv_operation kv_operations[];
extern const unsigned kv_operation_count;

/* Pairs of them, by name, that are explored when not all are. */
struct kv_pair {
	const char *first;
	const char *second;
	bool is_long;
};
extern const struct kv_pair usual_pairs[];
extern const unsigned usual_pair_count;

/* The store that operations work on. Constant after it was made. */
struct place {
	struct world *world;
	struct kv *store;
	struct kv_table *table;
};

/* Carries it out, in a body. The ghost says what came of it (operations.c). */
void operation_run(const struct place *place, const struct kv_operation *operation,
	unsigned process);

/* Makes the steps of the scene, outside of bodies. */
void scene_fill(const struct scene *scene, struct kv_table *table);

/* What a table has then. */
void scene_content(const struct scene *scene, struct content *content);

bool operation_reads(const struct kv_operation *operation);

/* An operation has steps, each of which is done as a whole: one or several of its requests. What a step makes of a
 * table, and what its call returns. */
unsigned operation_steps(const struct kv_operation *operation);
int operation_apply(const struct kv_operation *operation, unsigned process, unsigned step,
	struct content *content);

/* Of one that reads and has ended: the number that it found under a key, at its `which`-th look; false: it did not
 * look there. */
bool operation_found(const struct kv_operation *operation, const struct ghost *ghost,
	unsigned which, unsigned key, unsigned *found);

/* The progress of the other worker before it began, and, of one that reads, when it had looked. */
enum progress operation_before(const struct ghost *ghost);
enum progress operation_after(const struct ghost *ghost);

/* The number of a value; VALUE_BROKEN: it is none. */
#define VALUE_BROKEN 255u
unsigned value_number(struct kv_bytes value);

#endif
