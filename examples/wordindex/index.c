/* index.c -- an index of words over spanheap: word -> count, and the lines where it stands
 * SPDX-License-Identifier: BSD-3-Clause */
#include "index.h"

#include "process.h"

#include <stdlib.h>
#include <string.h>

#define ROOT_NAME "wordindex"

void index_create(struct sh_heap *heap)
{
	struct sh_txn *txn;

	must(sh_txn_begin(heap, 0, &txn), "sh_txn_begin");
	sh_off root = must_allocate(sh_txn_alloc(txn, sizeof(struct index_root), SH_ZERO));
	must(sh_txn_root(txn, ROOT_NAME, root), "sh_txn_root");
	must(sh_txn_commit(txn), "sh_txn_commit");
}

void index_attach(struct index *index, struct sh_heap *heap)
{
	sh_off root;

	must(sh_root_get(heap, ROOT_NAME, &root), "the heap has no word index");
	*index = (struct index){ .heap = heap, .root = sh_ptr(heap, root) };
}

void index_detach(struct index *index)
{
	free(index->gathered.posting);
	free(index->merged.posting);
	*index = (struct index){ 0 };
}

/* Process memory only: postings outside the heap. */

static void postings_reserve(struct postings *postings, size_t length)
{
	if (length <= postings->capacity)
		return;
	size_t capacity = length * 2;
	postings->posting = realloc(postings->posting, capacity * sizeof(struct posting));
	if (postings->posting == NULL)
		fail("no memory for %zu postings", capacity);
	postings->capacity = capacity;
}

/* Occurrences in the same line become one posting. */
static void postings_append(struct postings *postings, struct posting posting)
{
	if (postings->length > 0) {
		struct posting *last = &postings->posting[postings->length - 1];
		if (last->place == posting.place) {
			last->times += posting.times;
			return;
		}
	}
	postings->posting[postings->length++] = posting;
}

static void gathered_start(struct index *index)
{
	index->gathered.length = 0;
}

static void gathered_add(struct index *index, const struct posting *from, size_t length)
{
	const struct postings *gathered = &index->gathered;
	struct postings *merged = &index->merged;
	size_t i = 0;
	size_t j = 0;

	merged->length = 0;
	postings_reserve(merged, gathered->length + length);
	while (i < gathered->length || j < length) {
		bool from_gathered = j == length ||
			(i < gathered->length && gathered->posting[i].place < from[j].place);
		postings_append(merged, from_gathered ? gathered->posting[i++] : from[j++]);
	}

	struct postings swapped = index->gathered;
	index->gathered = index->merged;
	index->merged = swapped;
}

/* The heap. */

/* FNV-1a of the small letters. */
static uint64_t word_hash(const struct text_word *word)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < word->length; i++)
		hash = (hash ^ (unsigned char)letter_to_lower(word->letters[i])) *
			UINT64_C(0x100000001b3);
	return hash;
}

static bool entry_is(const struct entry *entry, const struct text_word *word)
{
	if (entry->length != word->length)
		return false;
	for (size_t i = 0; i < word->length; i++)
		if (entry->letters[i] != letter_to_lower(word->letters[i]))
			return false;
	return true;
}

static struct entry *entry_find(const struct index *index, sh_off first,
	const struct text_word *word)
{
	struct entry *entry = sh_ptr(index->heap, first);

	while (entry != NULL && !entry_is(entry, word))
		entry = sh_ptr(index->heap, entry->next);
	return entry;
}

/* A new entry without occurrences, in the bucket from commit on. */
static struct entry *entry_add(const struct index *index, struct sh_txn *txn, sh_off *bucket,
	const struct text_word *word)
{
	sh_off off = must_allocate(sh_txn_alloc(txn, sizeof(struct entry) + word->length, 0));
	struct entry *entry = sh_ptr(index->heap, off);

	*entry = (struct entry){ .next = *bucket, .length = word->length };
	for (size_t i = 0; i < word->length; i++)
		entry->letters[i] = letter_to_lower(word->letters[i]);
	must(sh_txn_store(txn, bucket, off), "sh_txn_store");
	return entry;
}

/* Stores the gathered postings as a segment in front of `next`. */
static sh_off segment_add(const struct index *index, struct sh_txn *txn, sh_off next)
{
	const struct postings *gathered = &index->gathered;
	size_t posting_bytes = gathered->length * sizeof(struct posting);
	sh_off off = must_allocate(sh_txn_alloc(txn, sizeof(struct segment) + posting_bytes, 0));
	struct segment *segment = sh_ptr(index->heap, off);

	segment->next = next;
	segment->length = gathered->length;
	memcpy(segment->posting, gathered->posting, posting_bytes);
	return off;
}

/* One more occurrence: a new segment takes the place of all that are no longer than it. */
static void entry_add_posting(struct index *index, struct sh_txn *txn, struct entry *entry,
	const struct posting *posting)
{
	sh_off rest = entry->postings;

	gathered_start(index);
	gathered_add(index, posting, 1);
	while (rest != 0) {
		const struct segment *segment = sh_ptr(index->heap, rest);
		if (segment->length > index->gathered.length)
			break;
		gathered_add(index, segment->posting, segment->length);
		must(sh_txn_free(txn, rest, 0), "sh_txn_free");
		rest = segment->next;
	}
	must(sh_txn_store(txn, &entry->postings, segment_add(index, txn, rest)), "sh_txn_store");
}

/* True when the last holder died with it. Its transaction is finished or undone by now, so there
 * is nothing to mend. */
static bool lock_acquire(const struct index *index, struct sh_mutex *lock)
{
	int error = sh_mutex_lock(index->heap, lock);

	if (error != SH_EOWNERDIED)
		must(error, "sh_mutex_lock");
	return error == SH_EOWNERDIED;
}

void index_share_claim(struct index *index, unsigned worker, struct progress *progress)
{
	lock_acquire(index, &index->root->share_lock[worker]);
	*progress = index->root->progress[worker];
}

void index_share_release(struct index *index, unsigned worker)
{
	must(sh_mutex_unlock(index->heap, &index->root->share_lock[worker]), "sh_mutex_unlock");
}

void index_add(struct index *index, const struct text_word *word, unsigned worker,
	struct progress *progress)
{
	uint64_t number = word_hash(word) % BUCKET_COUNT;
	sh_off *bucket = &index->root->bucket[number];
	struct sh_mutex *lock = &index->root->lock[number % LOCK_COUNT];
	struct posting posting = { (word->text + 1) << 32 | (word->line + 1), 1 };
	struct sh_txn *txn;

	progress->locks_inherited += lock_acquire(index, lock);
	progress->steps++;
	must(sh_txn_begin(index->heap, 0, &txn), "sh_txn_begin");
	struct entry *entry = entry_find(index, *bucket, word);
	if (entry == NULL)
		entry = entry_add(index, txn, bucket, word);
	must(sh_txn_add(txn, &entry->count, sizeof(entry->count)), "sh_txn_add");
	entry->count++;
	entry_add_posting(index, txn, entry, &posting);
	must(sh_txn_write(txn, &index->root->progress[worker], progress, sizeof(*progress)),
		"sh_txn_write");
	must(sh_txn_commit(txn), "sh_txn_commit");
	must(sh_mutex_unlock(index->heap, lock), "sh_mutex_unlock");
}

void index_finish(struct index *index, uint64_t passes)
{
	struct sh_txn *txn;

	must(sh_txn_begin(index->heap, 0, &txn), "sh_txn_begin");
	must(sh_txn_store(txn, &index->root->passes, passes), "sh_txn_store");
	must(sh_txn_commit(txn), "sh_txn_commit");
}

void index_for_each(struct index *index, entry_fn *show, void *argument)
{
	for (unsigned i = 0; i < BUCKET_COUNT; i++) {
		const struct entry *entry = sh_ptr(index->heap, index->root->bucket[i]);
		for (; entry != NULL; entry = sh_ptr(index->heap, entry->next))
			show(index, entry, argument);
	}
}

uint64_t index_gather(struct index *index, const struct entry *entry)
{
	const struct segment *segment = sh_ptr(index->heap, entry->postings);
	uint64_t segments = 0;

	gathered_start(index);
	for (; segment != NULL; segment = sh_ptr(index->heap, segment->next)) {
		gathered_add(index, segment->posting, segment->length);
		segments++;
	}

	uint64_t times = 0;
	for (size_t i = 0; i < index->gathered.length; i++)
		times += index->gathered.posting[i].times;
	if (times != entry->count)
		fail("\"%.*s\" is counted %llu times, but its postings sum up to %llu",
			(int)entry->length, entry->letters, (unsigned long long)entry->count,
			(unsigned long long)times);
	return segments;
}
