/* batch.c -- changes that are made together
 * SPDX-License-Identifier: BSD-3-Clause */
#include "list.h"
#include "place.h"
#include "store.h"

/* A change as it was asked for. Its key and value lie one after the other in the batch's text. */
struct request {
	struct kv_table *table;
	size_t text; /* where */
	size_t key_bytes;
	size_t value_bytes;
	bool removes;
};

/* Process. */
struct kv_batch {
	struct kv *store;
	struct request *requests;
	size_t count;
	size_t capacity;
	char *text;
	size_t text_bytes;
	size_t text_capacity;
	struct place *places; /* to sort, as the changes of the commit */
	size_t place_capacity;
	struct change *changes;
	size_t change_capacity;
};

static struct kv_batch *exchange_idle(struct kv *store, struct kv_batch *batch)
{
	return __atomic_exchange_n(&store->idle_batch, batch, __ATOMIC_ACQ_REL);
}

static struct kv_batch *take_idle(struct kv *store)
{
	return __atomic_load_n(&store->idle_batch, __ATOMIC_RELAXED) == NULL
		? NULL
		: exchange_idle(store, NULL);
}

int kv_batch_begin(struct kv *store, struct kv_batch **batch)
{
	*batch = take_idle(store);
	if (*batch == NULL)
		*batch = calloc(1, sizeof(**batch));
	if (*batch == NULL)
		return ENOMEM;
	(*batch)->store = store;
	return 0;
}

static void destroy(struct kv_batch *batch)
{
	if (batch == NULL)
		return;
	free(batch->requests);
	free(batch->text);
	free(batch->places);
	free(batch->changes);
	free(batch);
}

void batch_drop_idle(struct kv *store)
{
	destroy(take_idle(store));
}

static size_t bytes_of(const struct kv_batch *batch)
{
	return batch->text_capacity + batch->capacity * sizeof(*batch->requests) +
		batch->place_capacity * sizeof(*batch->places) +
		batch->change_capacity * sizeof(*batch->changes);
}

void kv_batch_abort(struct kv_batch *batch)
{
	if (batch == NULL)
		return;
	batch->count = batch->text_bytes = 0;
	if (bytes_of(batch) < BATCH_KEPT_BYTES)
		batch = exchange_idle(batch->store, batch);
	destroy(batch);
}

/* --- gathering ----------------------------------------------------------------------------- */

static int reserve(struct kv_batch *batch, size_t text_bytes)
{
	struct request *requests = list_with_room(batch->requests, batch->count, 1,
		&batch->capacity, sizeof(*requests));
	char *text;

	if (requests == NULL)
		return ENOMEM;
	batch->requests = requests;
	/* One more: of changes without any text, too. */
	text = list_with_room(batch->text, batch->text_bytes, text_bytes + 1, &batch->text_capacity,
		1);
	if (text == NULL)
		return ENOMEM;
	batch->text = text;
	return 0;
}

static void append_text(struct kv_batch *batch, struct kv_bytes bytes)
{
	if (bytes.size > 0)
		memcpy(batch->text + batch->text_bytes, bytes.data, bytes.size);
	batch->text_bytes += bytes.size;
}

static int add(struct kv_batch *batch, struct kv_table *table, struct kv_bytes key,
	struct kv_bytes value, bool removes)
{
	int error;

	if (key.size > KV_KEY_BYTES_MAX || value.size > KV_VALUE_BYTES_MAX)
		return KV_ETOOLONG;
	error = reserve(batch, key.size + value.size);
	if (error != 0)
		return error;
	batch->requests[batch->count++] =
		(struct request){ table, batch->text_bytes, key.size, value.size, removes };
	append_text(batch, key);
	append_text(batch, value);
	return 0;
}

int kv_batch_put(struct kv_batch *batch, struct kv_table *table, struct kv_bytes key,
	struct kv_bytes value)
{
	return add(batch, table, key, value, false);
}

int kv_batch_delete(struct kv_batch *batch, struct kv_table *table, struct kv_bytes key)
{
	return add(batch, table, key, (struct kv_bytes){ NULL, 0 }, true);
}

/* --- making the changes -------------------------------------------------------------------- */

static int make_change(const struct kv_batch *batch, struct sh_txn *txn, const struct place *place,
	struct change *change)
{
	const struct request *request = &batch->requests[place->number];
	struct kv_bytes value = { batch->text + request->text + request->key_bytes,
		request->value_bytes };

	*change = (struct change){
		.table = request->table,
		.key = place->key,
		.value = value,
		.removes = request->removes,
	};
	return edit_make_record(txn, change);
}

static int apply(struct edit *edit, struct change *changes, size_t count)
{
	size_t done;

	for (; count > 0; changes += done, count -= done) {
		done = 1;
		for (; done < count && changes[done].table->block == changes->table->block; done++)
			/* One of them is a handle of a table that had the block before. */
			if (changes[done].table->generation != changes->table->generation)
				return KV_EDROPPED;
		int error = edit_apply(edit, changes->table, changes, done);

		if (error != 0)
			return error;
	}
	return 0;
}

static int commit(struct kv_batch *batch, struct sh_txn *txn, size_t count)
{
	struct edit edit;
	int error = 0;

	for (size_t i = 0; i < count && error == 0; i++)
		error = make_change(batch, txn, &batch->places[i], &batch->changes[i]);
	edit_begin(&edit, batch->store->head.heap, txn);
	if (error == 0)
		error = apply(&edit, batch->changes, count);
	return edit_end(&edit, error);
}

/* Joins leaves that have lost much. */
static void join(const struct change *changes, size_t count)
{
	const struct leaf *last = NULL;

	for (size_t i = 0; i < count; i++) {
		const struct leaf *leaf;

		if (!changes[i].removes)
			continue;
		leaf = tree_leaf(changes[i].table, changes[i].key);
		if (leaf != NULL && leaf != last && leaf_is_few(leaf, leaf_count(leaf_load(leaf))))
			write_join(changes[i].table, changes[i].key);
		last = leaf;
	}
}

/* Sorts the requests, and leaves out all but the last for each key; how many are left. */
static size_t sort(struct kv_batch *batch)
{
	struct place *places = batch->places;

	for (size_t i = 0; i < batch->count; i++) {
		const struct request *request = &batch->requests[i];

		places[i] = (struct place){
			.table = request->table->block,
			.key = { batch->text + request->text, request->key_bytes },
			.number = i,
		};
	}
	return places_sort(places, batch->count, places + batch->count);
}

static int commit_sorted(struct kv_batch *batch)
{
	size_t count = sort(batch);
	struct sh_txn *txn;
	int error = kv_read_begin(batch->store);

	if (error != 0)
		return error;
	error = sh_txn_begin(batch->store->head.heap, 0, &txn);
	if (error == 0)
		error = commit(batch, txn, count);
	if (error == 0)
		join(batch->changes, count);
	kv_read_end(batch->store);
	return error;
}

/* Room for places, twice: sorting needs as much; and for changes. */
static int make_room(struct kv_batch *batch)
{
	struct place *places = list_with_room(batch->places, 0, 2 * batch->count,
		&batch->place_capacity, sizeof(*places));
	struct change *changes;

	if (places == NULL)
		return ENOMEM;
	batch->places = places;
	changes = list_with_room(batch->changes, 0, batch->count, &batch->change_capacity,
		sizeof(*changes));
	if (changes == NULL)
		return ENOMEM;
	batch->changes = changes;
	return 0;
}

int kv_batch_commit(struct kv_batch *batch)
{
	int error = 0;

	if (batch->count > 0)
		error = make_room(batch);
	if (batch->count > 0 && error == 0)
		error = commit_sorted(batch);
	kv_batch_abort(batch);
	return error;
}
