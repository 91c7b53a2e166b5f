/* batch.c -- changes that are made together
 * SPDX-License-Identifier: BSD-3-Clause */
#include "list.h"
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
};

int kv_batch_begin(struct kv *store, struct kv_batch **batch)
{
	*batch = calloc(1, sizeof(**batch));
	if (*batch == NULL)
		return ENOMEM;
	(*batch)->store = store;
	return 0;
}

void kv_batch_abort(struct kv_batch *batch)
{
	if (batch == NULL)
		return;
	free(batch->requests);
	free(batch->text);
	free(batch);
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

/* --- order --------------------------------------------------------------------------------- */

/* Where a request's change will be: enough to sort by without looking further, mostly. Process. */
struct place {
	const struct request *request;
	struct kv_bytes key;
	uint64_t head;
};

static int compare(const struct place *a, const struct place *b)
{
	const struct table_block *table_a = a->request->table->block,
				 *table_b = b->request->table->block;
	int order;

	if (table_a != table_b)
		return table_a < table_b ? -1 : 1;
	if (a->head != b->head)
		return a->head < b->head ? -1 : 1;
	order = bytes_compare(a->key, b->key);
	if (order != 0)
		return order;
	return a->request < b->request ? -1 : 1;
}

static bool same_key(const struct place *a, const struct place *b)
{
	return a->request->table->block == b->request->table->block && bytes_equal(a->key, b->key);
}

/* The prefix that all keys share counts for nothing in their heads. */
static size_t shared_prefix(const struct kv_batch *batch)
{
	struct kv_bytes shared = { batch->text + batch->requests[0].text,
		batch->requests[0].key_bytes };

	for (size_t i = 1; i < batch->count && shared.size > 0; i++) {
		const struct request *request = &batch->requests[i];

		shared.size = bytes_common(shared,
			(struct kv_bytes){ batch->text + request->text, request->key_bytes });
	}
	return shared.size;
}

static bool in_order(const struct place *places, size_t count)
{
	for (size_t i = 1; i < count; i++)
		if (compare(&places[i - 1], &places[i]) > 0)
			return false;
	return true;
}

/* Merges the sorted halves of `from` into `to`. */
static void merge(const struct place *from, size_t half, size_t count, struct place *to)
{
	const struct place *left = from, *left_end = from + half;
	const struct place *right = left_end, *right_end = from + count;

	while (left < left_end && right < right_end)
		*to++ = compare(left, right) < 0 ? *left++ : *right++;
	while (left < left_end)
		*to++ = *left++;
	while (right < right_end)
		*to++ = *right++;
}

/* As qsort(3), of which most of the time would be calls. */
static void merge_sort(struct place *places, size_t count, struct place *spare)
{
	size_t half = count / 2;

	if (count < 2)
		return;
	merge_sort(places, half, spare);
	merge_sort(places + half, count - half, spare);
	if (compare(&places[half - 1], &places[half]) < 0)
		return;
	memcpy(spare, places, count * sizeof(*places));
	merge(spare, half, count, places);
}

/* Sorts the requests, and leaves out all but the last for each key; how many are left. `spare`: room for as many. */
static size_t sort(const struct kv_batch *batch, struct place *places, struct place *spare)
{
	size_t prefix = shared_prefix(batch), count = 0;

	for (size_t i = 0; i < batch->count; i++) {
		const struct request *request = &batch->requests[i];
		struct kv_bytes key = { batch->text + request->text, request->key_bytes };

		places[i] = (struct place){ request, key, bytes_head(key, prefix) };
	}
	if (!in_order(places, batch->count))
		merge_sort(places, batch->count, spare);
	for (size_t i = 0; i < batch->count; i++)
		if (i + 1 == batch->count || !same_key(&places[i], &places[i + 1]))
			places[count++] = places[i];
	return count;
}

/* --- making the changes -------------------------------------------------------------------- */

static int make_change(const struct kv_batch *batch, struct sh_txn *txn, const struct place *place,
	struct change *change)
{
	const struct request *request = place->request;
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

static int commit(struct kv_batch *batch, struct sh_txn *txn, const struct place *places,
	struct change *changes, size_t count)
{
	struct edit edit;
	int error = 0;

	for (size_t i = 0; i < count && error == 0; i++)
		error = make_change(batch, txn, &places[i], &changes[i]);
	edit_begin(&edit, batch->store->head.heap, txn);
	if (error == 0)
		error = apply(&edit, changes, count);
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

static int commit_sorted(struct kv_batch *batch, struct place *places, struct change *changes)
{
	size_t count = sort(batch, places, places + batch->count);
	struct sh_txn *txn;
	int error = kv_read_begin(batch->store);

	if (error != 0)
		return error;
	error = sh_txn_begin(batch->store->head.heap, 0, &txn);
	if (error == 0)
		error = commit(batch, txn, places, changes, count);
	if (error == 0)
		join(changes, count);
	kv_read_end(batch->store);
	return error;
}

int kv_batch_commit(struct kv_batch *batch)
{
	struct place *places;
	struct change *changes;
	int error = 0;

	if (batch->count > 0) {
		/* Twice: sorting needs as much. */
		places = malloc(2 * batch->count * sizeof(*places));
		changes = malloc(batch->count * sizeof(*changes));
		error = places == NULL || changes == NULL ? ENOMEM
							  : commit_sorted(batch, places, changes);
		free(places);
		free(changes);
	}
	kv_batch_abort(batch);
	return error;
}
