/* transaction.c -- transactions: what the entries of a slot's log mean, and who carries them out
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/transaction.h"

#include "heap/object.h"
#include "heap/pages.h"
#include "heap/root.h"
#include "heap/span.h"
#include "shm/order.h"

#include <errno.h>
#include <spanheap.h>
#include <stdlib.h>

/* --- the index of a long log --------------------------------------------------------------- */

/* Shorter logs are searched. */
#define INDEX_FROM_ENTRIES 24u
#define INDEX_FIRST_CAPACITY UINT64_C(256)

/* An entry is found again by what it names: stores by word, allocations and frees by block. */
static bool entry_named(const struct log_entry *entry, enum log_kind kind, uint64_t where)
{
	return log_entry_kind(entry) == kind && entry->where == where;
}

static uint64_t hash_of(enum log_kind kind, uint64_t where)
{
	uint64_t hash = (where + (uint64_t)kind) * UINT64_C(0x9e3779b97f4a7c15);

	return hash ^ hash >> 32;
}

static void index_put(struct transaction_index *index, const struct log_entry *entry, uint64_t at)
{
	uint64_t i = hash_of(log_entry_kind(entry), entry->where);

	while (index->slots[i & (index->capacity - 1)] != 0)
		i++;
	index->slots[i & (index->capacity - 1)] = at + 1;
}

static bool kind_is_named(enum log_kind kind)
{
	return kind == LOG_ALLOC || kind == LOG_FREE || kind == LOG_STORE || kind == LOG_ROOT;
}

/* The entry after `at`, whose raw entries are passed over. */
static uint64_t next_entry(const struct log_entry *entry, uint64_t at)
{
	return at + 1 +
		(log_entry_kind(entry) == LOG_RANGE ? log_raw_entries(log_entry_bytes(entry)) : 0);
}

static int index_rebuild(struct transaction *transaction, uint64_t capacity)
{
	struct thread *thread = transaction->thread;
	struct transaction_index *index = &transaction->index;
	uint64_t count = log_read(thread->log).count;
	uint64_t *slots = calloc(capacity, sizeof(*slots));

	if (slots == NULL)
		return ENOMEM;
	free(index->slots);
	index->slots = slots;
	index->capacity = capacity;
	for (uint64_t at = 0; at < count;) {
		const struct log_entry *entry = log_entry_at(thread->heap, thread->log, at);

		if (kind_is_named(log_entry_kind(entry)))
			index_put(index, entry, at);
		at = next_entry(entry, at);
	}
	return 0;
}

static void index_drop(struct transaction_index *index)
{
	free(index->slots);
	*index = (struct transaction_index){ .slots = NULL };
}

static struct log_entry *search_entries(
	const struct transaction *transaction, enum log_kind kind, uint64_t where)
{
	const struct thread *thread = transaction->thread;
	uint64_t count = log_read(thread->log).count;

	for (uint64_t at = 0; at < count;) {
		struct log_entry *entry = log_entry_at(thread->heap, thread->log, at);

		if (entry_named(entry, kind, where))
			return entry;
		at = next_entry(entry, at);
	}
	return NULL;
}

static struct log_entry *find_entry(
	const struct transaction *transaction, enum log_kind kind, uint64_t where)
{
	const struct thread *thread = transaction->thread;
	const struct transaction_index *index = &transaction->index;

	if (index->slots == NULL)
		return search_entries(transaction, kind, where);
	for (uint64_t i = hash_of(kind, where);; i++) {
		uint64_t at = index->slots[i & (index->capacity - 1)];
		struct log_entry *entry;

		if (at == 0)
			return NULL;
		entry = log_entry_at(thread->heap, thread->log, at - 1);
		if (entry_named(entry, kind, where))
			return entry;
	}
}

/* --- recording ----------------------------------------------------------------------------- */

/* Room in the log, and in the index, for one named entry and `raw` raw ones. */
static int reserve(struct transaction *transaction, uint64_t raw)
{
	struct transaction_index *index = &transaction->index;
	int error = log_reserve(transaction->thread, 1 + raw);

	if (error != 0)
		return error;
	if (index->used < INDEX_FROM_ENTRIES || index->used * 2 < index->capacity)
		return 0;
	return index_rebuild(transaction,
		index->capacity == 0 ? INDEX_FIRST_CAPACITY : index->capacity * 2);
}

static void record(struct transaction *transaction, enum log_kind kind, uint64_t where,
	uint64_t before, uint64_t after)
{
	struct log_entry entry = {
		.kind = (uint64_t)kind,
		.where = where,
		.before = before,
		.after = after,
	};
	uint64_t at = log_read(transaction->thread->log).count;

	log_append(transaction->thread, &entry);
	transaction->index.used++;
	if (transaction->index.slots != NULL)
		index_put(&transaction->index, &entry, at);
}

void transaction_begin(struct transaction *transaction, struct thread *thread)
{
	assert(log_read(thread->log).state == LOG_EMPTY);
	transaction->thread = thread;
	transaction->index = (struct transaction_index){ .slots = NULL };
	log_write(thread->log, (struct log_word){ .state = LOG_OPEN });
}

enum log_kind transaction_names(const struct transaction *transaction, uint64_t off)
{
	if (find_entry(transaction, LOG_FREE, off) != NULL)
		return LOG_FREE;
	return find_entry(transaction, LOG_ALLOC, off) != NULL ? LOG_ALLOC : (enum log_kind)0;
}

static uint64_t allocate_small(
	struct transaction *transaction, uint64_t bytes, bool noscan, int *error)
{
	struct thread *thread = transaction->thread;
	unsigned span_class = span_class_make(size_class_of(bytes), noscan);
	uint64_t off = object_reserve(thread, span_class, error);

	if (off == 0)
		return 0;
	record(transaction, LOG_ALLOC, off, span_class, 0);
	/* Crash: named and not allocated; rollback finds the bit clear. */
	crash_order();
	object_publish(thread, span_class, off);
	return off;
}

static uint64_t allocate_large(
	struct transaction *transaction, uint64_t bytes, bool noscan, int *error)
{
	struct thread *thread = transaction->thread;
	uint64_t head = span_prepare_large(thread, bytes, SPAN_LARGE, noscan, error);

	if (head == 0)
		return 0;
	record(transaction, LOG_ALLOC, page_offset(head), SPAN_CLASS_LARGE, 0);
	/* Crash: named, without a head bit; rollback finds nothing, the intent returns the run. */
	span_commit_large(thread, head);
	return page_offset(head);
}

uint64_t transaction_allocate(
	struct transaction *transaction, uint64_t bytes, bool noscan, int *error)
{
	*error = reserve(transaction, 0);
	if (*error != 0)
		return 0;
	return size_is_small(bytes) ? allocate_small(transaction, bytes, noscan, error) :
				      allocate_large(transaction, bytes, noscan, error);
}

int transaction_free(struct transaction *transaction, uint64_t off)
{
	const struct heap *heap = transaction->thread->heap;
	struct block block;
	int error = block_find(heap, off, &block);

	if (error != 0)
		return error;
	if (!block_is_live(heap, &block) || find_entry(transaction, LOG_FREE, off) != NULL)
		return SH_EDOUBLEFREE;
	error = reserve(transaction, 0);
	if (error == 0)
		record(transaction, LOG_FREE, off, 0, 0);
	return error;
}

int transaction_add(struct transaction *transaction, uint64_t off, uint64_t bytes)
{
	struct thread *thread = transaction->thread;
	struct transaction_index *index = &transaction->index;
	uint64_t at = log_read(thread->log).count;
	struct log_entry entry = {
		.kind = bytes << 8 | LOG_RANGE,
		.where = off,
		.before = index->last_range,
	};
	int error = reserve(transaction, log_raw_entries(bytes));

	if (error != 0)
		return error;
	log_append_bytes(thread, &entry, heap_at(thread->heap, off));
	/* The caller's edits come after. */
	crash_order();
	index->last_range = at + 1;
	return 0;
}

static uint64_t word_at(const struct heap *heap, uint64_t off)
{
	return atomic_load_explicit(
		(_Atomic uint64_t *)heap_at(heap, off), memory_order_acquire);
}

int transaction_store(struct transaction *transaction, uint64_t off, uint64_t value)
{
	struct log_entry *entry = find_entry(transaction, LOG_STORE, off);
	int error;

	if (entry != NULL) {
		/* One store: the entry holds the old value or the new one. */
		entry->after = value;
		return 0;
	}
	error = reserve(transaction, 0);
	if (error == 0)
		record(transaction, LOG_STORE, off, word_at(transaction->thread->heap, off), value);
	return error;
}

int transaction_root(struct transaction *transaction, const char *name, uint64_t value)
{
	uint64_t words[ROOT_NAME_BYTES / 8];
	struct log_entry *entry;
	uint64_t index;
	int error;

	if (!root_name(name, words))
		return EINVAL;
	error = reserve(transaction, 0);
	if (error == 0)
		error = root_pin(transaction->thread, words, &index);
	if (error != 0)
		return error;
	entry = find_entry(transaction, LOG_ROOT, index);
	if (entry != NULL)
		entry->after = value;
	else
		record(transaction, LOG_ROOT, index, 0, value);
	return 0;
}

/* --- carrying out: stores and roots -------------------------------------------------------- */

static void advance(struct slot_log *log)
{
	struct log_word word = log_read(log);

	word.index++;
	log_write(log, word);
}

static void set_state(struct slot_log *log, enum log_state state, uint64_t count)
{
	/* One store; the index starts anew. */
	log_write(log, (struct log_word){ .state = state, .count = count });
}

/* The thread itself stores; who acts for it stores only what its own store would have changed. */
static void apply_store(struct thread *thread, bool own, const struct log_entry *entry)
{
	_Atomic uint64_t *word = heap_at(thread->heap, entry->where);
	uint64_t before = entry->before;

	/* release: who follows the new value sees what was written before it. */
	if (own)
		atomic_store_explicit(word, entry->after, memory_order_release);
	else
		atomic_compare_exchange_strong_explicit(word, &before, entry->after,
			memory_order_acq_rel, memory_order_relaxed);
}

static void apply_entry(struct thread *thread, uint32_t slot, struct log_entry *entry)
{
	struct slot_log *log = &thread->heap->logs[slot];

	if (log_entry_kind(entry) == LOG_ROOT) {
		root_apply(thread, entry, advance, log);
		return;
	}
	if (log_entry_kind(entry) == LOG_STORE)
		apply_store(thread, slot == thread->slot, entry);
	/* Crash: the store is in doubt; it is made again from the value that it replaced. */
	crash_order();
	advance(log);
}

/* Moves the index past `at` and what belongs to it. */
static void skip_entry(struct slot_log *log, const struct log_entry *entry)
{
	struct log_word word = log_read(log);

	word.index = next_entry(entry, word.index);
	log_write(log, word);
}

static void apply_all(struct thread *thread, uint32_t slot)
{
	struct slot_log *log = &thread->heap->logs[slot];
	struct log_word word = log_read(log);

	for (; word.index < word.count; word = log_read(log)) {
		struct log_entry *entry = log_entry_at(thread->heap, log, word.index);

		if (entry == NULL)
			break;
		if (log_entry_kind(entry) == LOG_STORE || log_entry_kind(entry) == LOG_ROOT)
			apply_entry(thread, slot, entry);
		else
			skip_entry(log, entry);
	}
	set_state(log, LOG_FREEING, word.count);
}

/* --- carrying out: ranges ------------------------------------------------------------------ */

static uint64_t last_range(const struct heap *heap, struct slot_log *log, uint64_t count)
{
	uint64_t last = 0;

	for (uint64_t at = 0; at < count;) {
		const struct log_entry *entry = log_entry_at(heap, log, at);

		if (entry == NULL)
			break;
		if (log_entry_kind(entry) == LOG_RANGE)
			last = at + 1;
		at = next_entry(entry, at);
	}
	return last;
}

/* Puts every range back, last first. Crash: all of it again; nobody else may write there before the
 * log is settled. */
static void put_back_all(struct heap *heap, struct slot_log *log)
{
	uint64_t count = log_read(log).count;
	uint64_t next = last_range(heap, log, count);

	while (next != 0 && next <= count) {
		const struct log_entry *entry = log_entry_at(heap, log, next - 1);
		uint64_t bytes = log_entry_bytes(entry);

		if (entry->where >= heap->max_bytes || bytes > heap->max_bytes - entry->where)
			break;
		log_copy_bytes(heap, log, next - 1, heap_at(heap, entry->where), bytes);
		if (entry->before >= next)
			break;
		next = entry->before;
	}
	crash_order();
	set_state(log, LOG_ROLLBACK, count);
}

/* --- carrying out: frees ------------------------------------------------------------------- */

static void set_applying(struct slot_log *log, uint64_t off)
{
	/* release: pairs with collect's acquire; the index of the entry before is out first. */
	atomic_store_explicit(&log->applying, off, memory_order_release);
	crash_order();
}

static void set_active(struct heap *heap, uint32_t slot)
{
	atomic_fetch_or_explicit(&heap->derived->active[slot / 64], UINT64_C(1) << (slot & 63),
		memory_order_release);
}

static void clear_active(struct heap *heap, uint32_t slot)
{
	atomic_fetch_and_explicit(&heap->derived->active[slot / 64], ~(UINT64_C(1) << (slot & 63)),
		memory_order_release);
}

static void free_entry_large(struct thread *thread, uint32_t slot, const struct block *block)
{
	struct slot_log *log = &thread->heap->logs[slot];
	bool begun = span_free_begin(thread, slot, 1, block->head);

	/* Crash: the head bit is clear, the entry finds nothing more to do. */
	crash_order();
	advance(log);
	/* Crash: the intent returns the pages. */
	crash_order();
	if (begun)
		span_free_end(thread, slot, 1);
}

static void free_entry_small(struct thread *thread, uint32_t slot, const struct block *block)
{
	object_free_for_log(thread, slot, block);
	/* Crash: freed and not retired: repeated; the hazard keeps the block from reuse. */
	crash_order();
	advance(&thread->heap->logs[slot]);
	object_freed_for_log(thread, slot, block);
}

/* Frees what the entry at the log's index names. False when it names no block. */
static bool free_entry(
	struct thread *thread, uint32_t slot, const struct log_entry *entry, struct block *block)
{
	struct slot_log *log = &thread->heap->logs[slot];
	uint64_t run = atomic_load_explicit(&log->intent[1], memory_order_relaxed);

	set_applying(log, entry->where);
	/* Begun by the dead one: the span is no block to anybody else any more. */
	if (run != 0 && page_offset(run_page(run)) == entry->where) {
		thread->counts.blocks_freed++;
		*block = (struct block){ .head = run_page(run) };
		free_entry_large(thread, slot, block);
		return false;
	}
	if (block_find(thread->heap, entry->where, block) != 0) {
		advance(log);
		return false;
	}
	thread->counts.blocks_freed++;
	if (block->bit == 0) {
		free_entry_large(thread, slot, block);
		return false;
	}
	free_entry_small(thread, slot, block);
	return true;
}

/* A large free for this log that a death interrupted after the head bit was cleared: its entry is
 * retired first, then its pages go to limbo; the entries after it need the intent. */
static void finish_open_free(struct thread *thread, uint32_t slot, enum log_kind kind)
{
	struct heap *heap = thread->heap;
	struct slot_log *log = &heap->logs[slot];
	struct slot_words *words = heap_slot_words(heap, slot);
	uint64_t run = atomic_load_explicit(&log->intent[1], memory_order_acquire);
	uint64_t limbo = atomic_load_explicit(&words->limbo_count, memory_order_acquire);
	struct log_word word = log_read(log);
	struct log_entry *entry;

	if (run == 0 || head_is_set(heap, run_page(run)))
		return;
	entry = word.index < word.count ? log_entry_at(heap, log, word.index) : NULL;
	if (entry != NULL && entry_named(entry, kind, page_offset(run_page(run))))
		advance(log);
	crash_order();
	if (limbo != 0 && atomic_load_explicit(&words->limbo[limbo - 1], memory_order_relaxed) ==
		run_make(RUN_PLAIN, run_page(run), run_pages(run)))
		pages_close_intent(log, 1);
	else
		span_free_end(thread, slot, 1);
}

static void free_all(struct thread *thread, uint32_t slot, enum log_kind kind)
{
	struct slot_log *log = &thread->heap->logs[slot];
	struct block last = { .bit = 0 };
	struct log_word word;

	set_active(thread->heap, slot);
	crash_order();
	finish_open_free(thread, slot, kind);
	for (word = log_read(log); word.index < word.count; word = log_read(log)) {
		struct log_entry *entry = log_entry_at(thread->heap, log, word.index);
		struct block block;

		if (entry == NULL)
			break;
		if (log_entry_kind(entry) != kind) {
			skip_entry(log, entry);
			continue;
		}
		if (!free_entry(thread, slot, entry, &block))
			continue;
		/* The hazard has moved on from the block before. */
		if (last.bit != 0 && last.head != block.head)
			span_retire_if_empty(thread, last.head);
		last = block;
	}
	/* Crash: EMPTY says that count and index mean nothing; whoever comes next clears the rest. */
	set_state(log, LOG_EMPTY, 0);
	crash_order();
	set_applying(log, 0);
	if (last.bit != 0)
		span_retire_if_empty(thread, last.head);
}

/* --- whole logs ---------------------------------------------------------------------------- */

static void close_log(struct thread *thread, uint32_t slot)
{
	struct heap *heap = thread->heap;

	set_applying(&heap->logs[slot], 0);
	clear_active(heap, slot);
	root_unpin_all(heap, slot);
	log_release_extensions(thread, slot, 1);
}

static void carry_out(struct thread *thread, uint32_t slot)
{
	struct slot_log *log = &thread->heap->logs[slot];

	if (log_read(log).state == LOG_COMMITTED)
		apply_all(thread, slot);
	if (log_read(log).state == LOG_FREEING)
		free_all(thread, slot, LOG_FREE);
	if (log_read(log).state == LOG_ABORTING)
		put_back_all(thread->heap, log);
	if (log_read(log).state == LOG_ROLLBACK)
		free_all(thread, slot, LOG_ALLOC);
	close_log(thread, slot);
}

static void end(struct transaction *transaction, enum log_state state)
{
	struct thread *thread = transaction->thread;

	/* Everything that the caller wrote comes before the commit point. */
	crash_order();
	set_state(thread->log, state, log_read(thread->log).count);
	crash_order();
	carry_out(thread, thread->slot);
	index_drop(&transaction->index);
	pages_settle_limbo(thread);
}

void transaction_commit(struct transaction *transaction)
{
	end(transaction, LOG_COMMITTED);
}

void transaction_abort(struct transaction *transaction)
{
	end(transaction, LOG_ABORTING);
}

enum settled transaction_settle(struct thread *thread, uint32_t slot)
{
	struct slot_log *log = &thread->heap->logs[slot];
	struct log_word word = log_read(log);
	enum settled settled = SETTLED_NOTHING;

	if (word.state == LOG_OPEN) {
		word.state = LOG_ABORTING;
		word.index = 0;
		log_write(log, word);
	}
	if (word.state == LOG_COMMITTED || word.state == LOG_FREEING)
		settled = SETTLED_FORWARD;
	else if (word.state != LOG_EMPTY)
		settled = SETTLED_BACK;
	if (word.state == LOG_EMPTY)
		finish_open_free(thread, slot, (enum log_kind)0);
	carry_out(thread, slot);
	return settled;
}
