/* operations.c -- what is done with a store, and in which ones
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Of a ghost kept[0] is the other's progress before, kept[1] the same after it looked; kept[2] and kept[3] are what was
 * found: of a scan, by key; of others, by request. */
#include "stress/kv_model/operations.h"

#include "heap/deferred.h"
#include "heap/object.h"
#include "heap/transaction.h"
#include "stress/model/explorer.h"

#include <string.h>

#define SMALL_BYTES 7u
#define LARGE_BYTES 40u
#define KEYS_A_WORD (64 / VALUE_BITS)

/* --- values -------------------------------------------------------------------------------- */

static unsigned number_of(unsigned process, unsigned which, enum request_kind kind)
{
	return (VALUE_INITIAL + 1 + 2 * which + process) | (kind == PUT_LARGE ? VALUE_LARGE : 0);
}

static struct kv_bytes make_value(unsigned number, char bytes[LARGE_BYTES])
{
	memset(bytes, (int)number, LARGE_BYTES);
	return (struct kv_bytes){ bytes, number & VALUE_LARGE ? LARGE_BYTES : SMALL_BYTES };
}

unsigned value_number(struct kv_bytes value)
{
	char bytes[LARGE_BYTES];
	char expected[LARGE_BYTES];
	unsigned number;

	if (value.size != SMALL_BYTES && value.size != LARGE_BYTES)
		return VALUE_BROKEN;
	memcpy(bytes, value.data, value.size);
	number = (unsigned char)bytes[0];
	if (number >= 2 * VALUE_LARGE || make_value(number, expected).size != value.size)
		return VALUE_BROKEN;
	for (size_t i = 0; i < value.size; i++)
		if (bytes[i] != expected[i])
			return VALUE_BROKEN;
	return number;
}

static struct kv_bytes key_of(const char *letter)
{
	return (struct kv_bytes){ letter, 1 };
}

/* --- scenes -------------------------------------------------------------------------------- */

const struct scene scenes[SCENES] = {
	/* A leaf with free slots, and text for three records more. */
	[ROOM] = { "room", "+b+d*h", 0, { 0 }, 1 },
	/* One whose text is full. */
	[FULL] = { "full", "+b+d+f+h+j", 2, { 2 }, 1 },
	/* One whose text is full of what does not count any more. */
	[AGED] = { "aged", "+b+d*h+d+d+d", 2, { 0 }, 1 },
	/* Two with as many entries as they must have. */
	[FEW] = { "few", "+a+b+f+h+l+d-a-l", 1, { 1 }, 2 },
	/* Two whose texts are full. */
	[WIDE] = { "wide", "+b+d+f+h+j+m+n+o+p+q", 2, { 3, 4 }, 2 },
	/* Four below an inner node that is full; the first one's text is. */
	[DEEP] = { "deep", "+b+d+f+h+j+k+l+m+n+o+p+q+r+s+t+u+v-k-l-m-q-r", 2, { 2, 3 }, 4 },
	/* Two inner nodes below the root: one with two leaves that have as many entries as they must, one with three. */
	[TALL] = { "tall", "+b+d+f+h+j+k+l+m+n+o+p+q+r+s+t+u+v-k-l-m-q-r+c-c-j", 1, { 1, 2, 4 },
		5 },
};

void scene_fill(const struct scene *scene, struct kv_table *table)
{
	char bytes[LARGE_BYTES];

	for (const char *step = scene->steps; *step != 0; step += 2) {
		unsigned number = VALUE_INITIAL | (*step == '*' ? VALUE_LARGE : 0);
		struct kv_bytes key = key_of(step + 1);

		world_must((*step == '-' ? kv_delete(table, key)
					 : kv_put(table, key, make_value(number, bytes), 0)) == 0,
			0);
	}
}

void scene_content(const struct scene *scene, struct content *content)
{
	memset(content, 0, sizeof(*content));
	for (const char *step = scene->steps; *step != 0; step += 2)
		content->numbers[step[1] - KEY_FIRST] =
			*step == '-' ? 0 : VALUE_INITIAL | (*step == '*' ? VALUE_LARGE : 0);
}

/* --- what should come of it ---------------------------------------------------------------- */

static int apply(const struct request *request, unsigned number, unsigned char *held)
{
	switch (request->kind) {
	case PUT:
	case PUT_LARGE:
		*held = (unsigned char)number;
		return 0;
	case INSERT:
		if (*held != 0)
			return KV_EEXIST;
		*held = (unsigned char)number;
		return 0;
	case DELETE:
		if (*held == 0)
			return KV_ENOTFOUND;
		*held = 0;
		return 0;
	default:
		return 0;
	}
}

static unsigned count_requests(const struct kv_operation *operation)
{
	unsigned count = 0;

	while (count < REQUESTS && operation->requests[count].kind != NOTHING)
		count++;
	return count;
}

bool operation_reads(const struct kv_operation *operation)
{
	return (operation->flags & SCANS) != 0 || operation->requests[0].kind == GET;
}

unsigned operation_steps(const struct kv_operation *operation)
{
	if (operation_reads(operation))
		return 0;
	return operation->flags & IN_BATCH ? 1 : count_requests(operation);
}

static int apply_one(const struct kv_operation *operation, unsigned process, unsigned which,
	struct content *content)
{
	const struct request *request = &operation->requests[which];

	if (request->kind == DROP) {
		memset(content, 0, sizeof(*content));
		content->dropped = 1;
		return 0;
	}
	return apply(request, number_of(process, which, request->kind),
		&content->numbers[request->key - KEY_FIRST]);
}

int operation_apply(const struct kv_operation *operation, unsigned process, unsigned step,
	struct content *content)
{
	if (content->dropped)
		return operation->requests[0].kind == DROP ? KV_ENOTFOUND : KV_EDROPPED;
	if ((operation->flags & IN_BATCH) == 0)
		return apply_one(operation, process, step, content);
	/* To remove what is not there is no error in a batch. */
	for (unsigned i = 0; i < count_requests(operation); i++)
		apply_one(operation, process, i, content);
	return 0;
}

bool operation_found(const struct kv_operation *operation, const struct ghost *ghost,
	unsigned which, unsigned key, unsigned *found)
{
	unsigned at = key;

	if ((operation->flags & SCANS) == 0) {
		const struct request *request = &operation->requests[which];

		if (request->kind != GET || request->key != (char)(KEY_FIRST + key))
			return false;
		at = which;
	} else if (which != 0) {
		return false;
	}
	*found = ghost->kept[2 + at / KEYS_A_WORD] >> at % KEYS_A_WORD * VALUE_BITS &
		((1u << VALUE_BITS) - 1);
	return true;
}

enum progress operation_before(const struct ghost *ghost)
{
	return (enum progress)ghost->kept[0];
}

enum progress operation_after(const struct ghost *ghost)
{
	return (enum progress)ghost->kept[1];
}

/* --- reading ------------------------------------------------------------------------------- */

static void note_found(uint64_t found[2], unsigned at, unsigned number)
{
	found[at / KEYS_A_WORD] |= (uint64_t)number << at % KEYS_A_WORD * VALUE_BITS;
}

static unsigned number_found(struct kv_bytes value)
{
	unsigned number = value_number(value);

	if (number == VALUE_BROKEN || number == 0)
		explorer_fail("a reader finds a value that nobody put");
	return number;
}

/* What was found in a section is not free before its end. */
static void must_be_held(const struct heap *heap, uint64_t off)
{
	struct block block;

	if (block_find(heap, off, &block) != 0 ||
		(atomic_load(block_allocated(&block)) & block.bit) == 0 ||
		(atomic_load(block_allocated(&block) + SPAN_FREED_STEP) & block.bit) != 0)
		explorer_fail("a block was freed in the section in which it was found");
}

/* The block of the value's record, whose key is a letter. */
static uint64_t block_of(const struct heap *heap, struct kv_bytes value)
{
	return (uint64_t)((const char *)value.data - heap->base) - sizeof(struct record) - 1;
}

static void look_up(const struct place *place, const struct kv_operation *operation,
	uint64_t found[2])
{
	const struct heap *heap = &place->world->image.heap;
	struct kv_bytes values[REQUESTS];
	unsigned numbers[REQUESTS];
	const struct leaf *leaf;
	unsigned count = 0;

	kv_read_begin(place->store);
	leaf = tree_leaf(place->table, key_of(&operation->requests[0].key));
	for (; count < REQUESTS && operation->requests[count].kind == GET; count++) {
		int error = kv_get(place->table, key_of(&operation->requests[count].key),
			&values[count]);

		if (error != 0 && error != KV_ENOTFOUND && error != KV_EDROPPED)
			explorer_fail("kv_get() fails");
		numbers[count] = error == 0 ? number_found(values[count]) : 0;
		note_found(found, count, numbers[count]);
	}
	for (unsigned i = 0; i < count; i++) {
		if (numbers[i] != 0 && value_number(values[i]) != numbers[i])
			explorer_fail("a value changed in the section in which it was found");
		if (numbers[i] & VALUE_LARGE)
			must_be_held(heap, block_of(heap, values[i]));
	}
	if (leaf != NULL)
		must_be_held(heap, (uint64_t)((const char *)leaf - heap->base));
}

static unsigned key_found(struct kv_bytes key)
{
	unsigned char letter;

	if (key.size != 1)
		explorer_fail("a scan shows a key that nobody put");
	memcpy(&letter, key.data, 1);
	if (letter < KEY_FIRST || letter >= KEY_FIRST + KEY_COUNT)
		explorer_fail("a scan shows a key that nobody put");
	return letter - (unsigned)KEY_FIRST;
}

typedef int move_fn(struct kv_cursor *cursor, struct kv_bytes *key, struct kv_bytes *value);

static void scan(const struct place *place, bool backwards, uint64_t found[2])
{
	move_fn *move = backwards ? kv_cursor_last : kv_cursor_first;
	struct kv_cursor *cursor;
	struct kv_bytes key;
	struct kv_bytes value;
	unsigned before = backwards ? KEY_COUNT : 0;
	int error = kv_cursor_open(place->table, &cursor);

	while (error == 0 && (error = move(cursor, &key, &value)) == 0) {
		unsigned at = key_found(key) + (backwards ? 0 : 1);

		if (backwards ? at >= before : at <= before)
			explorer_fail("a scan shows keys out of order, or one twice");
		before = at;
		note_found(found, key_found(key), number_found(value));
		move = backwards ? kv_cursor_previous : kv_cursor_next;
	}
	if (error != KV_ENOTFOUND && error != KV_EDROPPED)
		explorer_fail("a cursor fails");
	kv_cursor_close(cursor);
}

/* --- writing ------------------------------------------------------------------------------- */

static int add_to_batch(struct kv_batch *batch, struct kv_table *table,
	const struct request *request, struct kv_bytes value)
{
	if (request->kind == DELETE)
		return kv_batch_delete(batch, table, key_of(&request->key));
	return kv_batch_put(batch, table, key_of(&request->key), value);
}

static int write_batch(const struct place *place, const struct kv_operation *operation,
	unsigned process)
{
	struct kv_batch *batch;
	char bytes[LARGE_BYTES];
	int error = kv_batch_begin(place->store, &batch);

	for (unsigned i = 0; i < count_requests(operation) && error == 0; i++) {
		const struct request *request = &operation->requests[i];

		error = add_to_batch(batch, place->table, request,
			make_value(number_of(process, i, request->kind), bytes));
	}
	return error == 0 ? kv_batch_commit(batch) : error;
}

static int write_one(const struct place *place, const struct kv_operation *operation,
	unsigned process, unsigned which)
{
	const struct request *request = &operation->requests[which];
	char bytes[LARGE_BYTES];
	struct kv_bytes value = make_value(number_of(process, which, request->kind), bytes);
	struct kv_bytes key = key_of(&request->key);

	if (request->kind == DROP)
		return kv_table_drop(place->store,
			(struct kv_bytes){ TABLE_NAME, strlen(TABLE_NAME) });
	if (request->kind == DELETE)
		return kv_delete(place->table, key);
	return kv_put(place->table, key, value, request->kind == INSERT ? KV_INSERT : 0);
}

static int write_all(const struct place *place, const struct kv_operation *operation,
	unsigned process)
{
	int result = 0;

	if (operation->flags & IN_BATCH)
		return write_batch(place, operation, process);
	for (unsigned i = 0; i < count_requests(operation); i++) {
		int error = write_one(place, operation, process, i);

		result = error != 0 ? error : result;
	}
	return result;
}

/* Blocks of leaves, for a moment, the last of which was freed before: all that is in them changes. */
static void reuse(const struct place *place, unsigned process)
{
	const unsigned span_class = span_class_make(size_class_of(LEAF_BYTES), false);
	const struct cursor *cursor = &place->world->threads[process].cursors[span_class];
	struct sh_heap *heap = place->store->head.heap;
	struct sh_txn *txn;
	bool fresh;

	sh_txn_begin(heap, 0, &txn);
	do {
		fresh = cursor->free_bits != 0;
		memset(sh_ptr(heap, sh_txn_alloc(txn, LEAF_BYTES, 0)), 0x55, LEAF_BYTES);
	} while (fresh);
	sh_txn_abort(txn);
}

static int write(const struct place *place, const struct kv_operation *operation, unsigned process)
{
	struct thread *thread = &place->world->threads[process];
	int error = write_all(place, operation, process);

	/* The first drain copies, the next one frees. */
	if (operation->flags & (DRAINS | REUSES)) {
		deferred_drain(thread);
		deferred_drain(thread);
	}
	if (operation->flags & REUSES)
		reuse(place, process);
	return error;
}

/* --- both ---------------------------------------------------------------------------------- */

static void read(const struct place *place, const struct kv_operation *operation,
	struct ghost *ghost, const struct ghost *other)
{
	uint64_t found[2] = { 0, 0 };

	if (operation->flags & SCANS) {
		scan(place, (operation->flags & BACKWARDS) != 0, found);
		ghost->kept[1] = other->progress;
	} else {
		look_up(place, operation, found);
		ghost->kept[1] = other->progress;
		kv_read_end(place->store);
	}
	ghost->kept[2] = found[0];
	ghost->kept[3] = found[1];
}

void operation_run(const struct place *place, const struct kv_operation *operation,
	unsigned process)
{
	struct ghost *ghost = &place->world->ghosts[process];
	const struct ghost *other = &place->world->ghosts[1 - process];

	ghost->kept[0] = other->progress;
	ghost->progress = RUNNING;
	if (operation_reads(operation))
		read(place, operation, ghost, other);
	else
		ghost->result = (uint64_t)write(place, operation, process);
	ghost->progress = DONE;
}

const struct kv_operation kv_operations[] = {
	{ "put a new key", ROOM, 0, { { PUT, 'e' } } },
	{ "put another new key", ROOM, 0, { { PUT, 'c' } } },
	{ "put in place of another value", ROOM, 0, { { PUT, 'd' } } },
	{ "put a new block", ROOM, 0, { { PUT_LARGE, 'e' } } },
	{ "put a block in place of another", ROOM, 0, { { PUT_LARGE, 'h' } } },
	{ "put text in place of a block", ROOM, 0, { { PUT, 'h' } } },
	{ "insert a new key", ROOM, 0, { { INSERT, 'e' } } },
	{ "insert a key that is there", ROOM, 0, { { INSERT, 'd' } } },
	{ "delete", ROOM, 0, { { DELETE, 'd' } } },
	{ "delete a block", ROOM, 0, { { DELETE, 'h' } } },
	{ "delete what is not there", ROOM, 0, { { DELETE, 'e' } } },
	{ "batch", ROOM, IN_BATCH, { { PUT, 'e' }, { PUT_LARGE, 'h' }, { DELETE, 'b' } } },
	{ "delete, put behind", ROOM, 0, { { DELETE, 'd' }, { PUT, 'i' } } },
	{ "put behind, delete", ROOM, 0, { { PUT, 'i' }, { DELETE, 'd' } } },
	{ "drop the table", ROOM, 0, { { DROP, 0 } } },
	{ "put a block, drain", ROOM, DRAINS, { { PUT_LARGE, 'h' } } },
	{ "get", ROOM, 0, { { GET, 'd' }, { GET, 'd' } } },
	{ "get a block", ROOM, 0, { { GET, 'h' }, { GET, 'h' } } },
	{ "get what is not there", ROOM, 0, { { GET, 'e' }, { GET, 'e' } } },
	{ "scan", ROOM, SCANS, { { NOTHING, 0 } } },
	{ "scan backwards", ROOM, SCANS | BACKWARDS, { { NOTHING, 0 } } },

	{ "put, split", FULL, 0, { { PUT, 'e' } } },
	{ "put, split, reuse", FULL, REUSES, { { PUT, 'e' } } },
	{ "put, replace leaf", FULL, 0, { { PUT, 'd' } } },
	{ "put, replace leaf, reuse", FULL, REUSES, { { PUT, 'd' } } },
	{ "put a block into a full leaf", FULL, 0, { { PUT_LARGE, 'g' } } },
	{ "delete from a full leaf", FULL, 0, { { DELETE, 'd' } } },
	{ "batch, split", FULL, IN_BATCH, { { PUT, 'e' }, { PUT, 'g' }, { DELETE, 'b' } } },
	{ "get from a full leaf", FULL, 0, { { GET, 'd' }, { GET, 'd' } } },
	{ "scan a full leaf", FULL, SCANS, { { NOTHING, 0 } } },
	{ "scan a full leaf backwards", FULL, SCANS | BACKWARDS, { { NOTHING, 0 } } },

	{ "put, renew leaf", AGED, 0, { { PUT, 'd' } } },
	{ "put, renew leaf, reuse", AGED, REUSES, { { PUT, 'd' } } },
	{ "put a new key, renew leaf", AGED, 0, { { PUT, 'e' } } },
	{ "put text in place of a block, renew leaf", AGED, 0, { { PUT, 'h' } } },
	{ "batch, renew leaf", AGED, IN_BATCH, { { PUT, 'd' }, { PUT, 'h' }, { DELETE, 'b' } } },
	{ "delete a block from an aged leaf", AGED, 0, { { DELETE, 'h' } } },
	{ "get from an aged leaf", AGED, 0, { { GET, 'd' }, { GET, 'd' } } },
	{ "get a block from an aged leaf", AGED, 0, { { GET, 'h' }, { GET, 'h' } } },
	{ "scan an aged leaf", AGED, SCANS, { { NOTHING, 0 } } },

	{ "delete, join", FEW, 0, { { DELETE, 'b' } } },
	{ "delete, join, reuse", FEW, REUSES, { { DELETE, 'b' } } },
	{ "delete right, join", FEW, 0, { { DELETE, 'h' } } },
	{ "put left", FEW, 0, { { PUT, 'c' } } },
	{ "put right", FEW, 0, { { PUT, 'g' } } },
	{ "batch across", FEW, IN_BATCH, { { PUT, 'c' }, { PUT, 'g' } } },
	{ "batch, join", FEW, IN_BATCH, { { DELETE, 'b' }, { DELETE, 'f' } } },
	{ "get left", FEW, 0, { { GET, 'd' }, { GET, 'd' } } },
	{ "get right", FEW, 0, { { GET, 'f' }, { GET, 'f' } } },
	{ "scan both", FEW, SCANS, { { NOTHING, 0 } } },
	{ "scan both backwards", FEW, SCANS | BACKWARDS, { { NOTHING, 0 } } },

	{ "put, split left", WIDE, 0, { { PUT, 'e' } } },
	{ "put, split right", WIDE, 0, { { PUT, 'r' } } },
	{ "put, replace right", WIDE, 0, { { PUT, 'n' } } },
	{ "batch, split both", WIDE, IN_BATCH, { { PUT, 'e' }, { PUT, 'r' } } },
	{ "get far right", WIDE, 0, { { GET, 'q' }, { GET, 'q' } } },
	{ "scan left and right", WIDE, SCANS, { { NOTHING, 0 } } },
	{ "scan left and right backwards", WIDE, SCANS | BACKWARDS, { { NOTHING, 0 } } },

	{ "put, split inner node", DEEP, 0, { { PUT, 'c' } } },
	{ "put into the last leaf", DEEP, 0, { { PUT, 'w' } } },
	{ "get below", DEEP, 0, { { GET, 'd' }, { GET, 'd' } } },
	{ "scan all", DEEP, SCANS, { { NOTHING, 0 } } },

	{ "delete, join inner nodes", TALL, 0, { { DELETE, 'b' } } },
	{ "delete, join far right", TALL, 0, { { DELETE, 'u' } } },
	{ "put far right", TALL, 0, { { PUT, 'o' } } },
	{ "get in a tall tree", TALL, 0, { { GET, 'h' }, { GET, 'h' } } },
	{ "scan a tall tree", TALL, SCANS, { { NOTHING, 0 } } },
};

const unsigned kv_operation_count = sizeof(kv_operations) / sizeof(kv_operations[0]);

const struct kv_pair usual_pairs[] = {
	{ "put a new key", "put a new key", false },
	{ "put a new key", "put in place of another value", false },
	{ "put a new key", "delete", false },
	{ "put a new key", "put a block in place of another", false },
	{ "put in place of another value", "put in place of another value", false },
	{ "put a block in place of another", "put a block in place of another", false },
	{ "insert a new key", "insert a new key", false },
	{ "delete", "delete", false },
	{ "batch", "put a new key", false },
	{ "batch", "delete", false },
	{ "get", "put a new key", false },
	{ "get", "put in place of another value", false },
	{ "get", "put behind, delete", false },
	{ "get a block", "put a block in place of another", false },
	{ "get a block", "delete a block", false },
	{ "scan", "delete, put behind", false },
	{ "scan", "batch", false },
	{ "put, split", "get from a full leaf", false },
	{ "put, split", "delete from a full leaf", false },
	{ "put, replace leaf", "get from a full leaf", false },
	{ "put, renew leaf", "get from an aged leaf", false },
	{ "put, renew leaf, reuse", "get from an aged leaf", true },
	{ "put text in place of a block, renew leaf", "get a block from an aged leaf", false },
	{ "put, renew leaf", "put a new key, renew leaf", true },
	{ "put, renew leaf", "delete a block from an aged leaf", false },
	{ "batch, renew leaf", "scan an aged leaf", false },
	{ "get a block", "put a block, drain", false },
	{ "delete, join", "scan both", false },
	{ "delete, join", "put right", false },
	{ "batch across", "put left", false },
};

const unsigned usual_pair_count = sizeof(usual_pairs) / sizeof(usual_pairs[0]);
