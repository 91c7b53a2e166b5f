/* transaction.c -- transactions: what the entries of a slot's log mean, and who carries them out
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/transaction.h"

#include "heap/deferred.h"
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

static bool kind_frees(enum log_kind kind)
{
	return kind == LOG_FREE || kind == LOG_FREE_DEFERRED;
}

static bool kind_is_named(enum log_kind kind)
{
	return kind == LOG_ALLOC || kind_frees(kind) || kind == LOG_STORE || kind == LOG_ROOT;
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
		const struct log_entry *entry = log_entry_reserved(thread, at);

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

static struct log_entry *search_entries(const struct transaction *transaction, enum log_kind kind,
	uint64_t where)
{
	const struct thread *thread = transaction->thread;
	uint64_t count = log_read(thread->log).count;

	for (uint64_t at = 0; at < count;) {
		struct log_entry *entry = log_entry_reserved(thread, at);

		if (entry_named(entry, kind, where))
			return entry;
		at = next_entry(entry, at);
	}
	return NULL;
}

static struct log_entry *find_entry(const struct transaction *transaction, enum log_kind kind,
	uint64_t where)
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
		entry = log_entry_reserved(thread, at - 1);
		if (entry_named(entry, kind, where))
			return entry;
	}
}

/* --- recording ----------------------------------------------------------------------------- */

static int reserve_index(struct transaction *transaction)
{
	struct transaction_index *index = &transaction->index;

	if (index->used * 2 < index->capacity)
		return 0;
	return index_rebuild(transaction,
		index->capacity == 0 ? INDEX_FIRST_CAPACITY : index->capacity * 2);
}

/* Room in the log, and in the index, for one named entry and `raw` raw ones. */
static inline int reserve(struct transaction *transaction, uint64_t raw)
{
	int error = log_reserve(transaction->thread, 1 + raw);

	return error != 0 || transaction->index.used < INDEX_FROM_ENTRIES
		? error
		: reserve_index(transaction);
}

static inline void record(struct transaction *transaction, enum log_kind kind, uint64_t where,
	uint64_t before, uint64_t after)
{
	struct log_entry entry = {
		.kind = (uint64_t)kind,
		.where = where,
		.before = before,
		.after = after,
	};
	uint64_t at = log_append(transaction->thread, entry);

	transaction->index.used++;
	if (transaction->index.slots != NULL)
		index_put(&transaction->index, &entry, at);
}

void transaction_begin(struct transaction *transaction, struct thread *thread)
{
	assert(log_read(thread->log).state == LOG_EMPTY);
	*transaction = (struct transaction){ .thread = thread };
	log_write(thread->log, (struct log_word){ .state = LOG_OPEN });
}

static bool is_freed(const struct transaction *transaction, uint64_t off)
{
	return transaction->frees &&
		(find_entry(transaction, LOG_FREE, off) != NULL ||
			find_entry(transaction, LOG_FREE_DEFERRED, off) != NULL);
}

enum log_kind transaction_names(const struct transaction *transaction, uint64_t off)
{
	if (is_freed(transaction, off))
		return LOG_FREE;
	return find_entry(transaction, LOG_ALLOC, off) != NULL ? LOG_ALLOC : (enum log_kind)0;
}

static uint64_t allocate_small(struct transaction *transaction, uint64_t bytes, bool noscan,
	int *error)
{
	struct thread *thread = transaction->thread;
	unsigned span_class = span_class_make(size_class_of(bytes), noscan);
	uint64_t off;

	/* Most often once. A block that cannot be given out stays named: it is freed already. */
	do {
		*error = reserve(transaction, 0);
		off = *error == 0 ? object_reserve(thread, span_class, error) : 0;
		if (off == 0)
			return 0;
		record(transaction, LOG_ALLOC, off, span_class, 0);
		/* Crash: named and not allocated; rollback finds the bit clear. */
		crash_order();
	} while (!object_publish(thread, span_class, off));
	return off;
}

static uint64_t allocate_large(struct transaction *transaction, uint64_t bytes, bool noscan,
	int *error)
{
	struct thread *thread = transaction->thread;
	uint64_t head;

	*error = reserve(transaction, 0);
	head = *error == 0 ? span_prepare_large(thread, bytes, SPAN_LARGE, noscan, error) : 0;
	if (head == 0)
		return 0;
	record(transaction, LOG_ALLOC, page_offset(head), SPAN_CLASS_LARGE, 0);
	/* Crash: named, without a head bit; rollback finds nothing, the intent returns the run. */
	span_commit_large(thread, head);
	return page_offset(head);
}

uint64_t transaction_allocate(struct transaction *transaction, uint64_t bytes, bool noscan,
	int *error)
{
	return size_is_small(bytes) ? allocate_small(transaction, bytes, noscan, error)
				    : allocate_large(transaction, bytes, noscan, error);
}

static int record_free(struct transaction *transaction, enum log_kind kind, uint64_t off)
{
	const struct heap *heap = transaction->thread->heap;
	struct block block;
	int error = block_find(heap, off, &block);

	if (error != 0)
		return error;
	if (!block_is_live(&block) || is_freed(transaction, off))
		return SH_EDOUBLEFREE;
	error = reserve(transaction, 0);
	if (error != 0)
		return error;
	record(transaction, kind, off, 0, 0);
	transaction->frees = true;
	return 0;
}

int transaction_free(struct transaction *transaction, uint64_t off)
{
	return record_free(transaction, LOG_FREE, off);
}

int transaction_free_deferred(struct transaction *transaction, uint64_t off)
{
	return record_free(transaction, LOG_FREE_DEFERRED, off);
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
	int error = bytes == 0 ? 0 : reserve(transaction, log_raw_entries(bytes));

	if (error != 0 || bytes == 0)
		return error;
	log_append_bytes(thread, &entry, heap_at(thread->heap, off));
	/* The caller's edits come after. */
	crash_order();
	index->last_range = at + 1;
	return 0;
}

static uint64_t word_at(const struct heap *heap, uint64_t off)
{
	return atomic_load_explicit((_Atomic uint64_t *)heap_at(heap, off), memory_order_acquire);
}

int transaction_store(struct transaction *transaction, uint64_t off, uint64_t value)
{
	struct log_entry *entry =
		transaction->stores ? find_entry(transaction, LOG_STORE, off) : NULL;
	int error;

	if (entry != NULL) {
		/* One store: the entry holds the old value or the new one. */
		entry->after = value;
		return 0;
	}
	error = reserve(transaction, 0);
	if (error != 0)
		return error;
	record(transaction, LOG_STORE, off, word_at(transaction->thread->heap, off), value);
	transaction->stores = true;
	return 0;
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
	if (error == 0) {
		transaction->pins = true;
		error = root_pin(transaction->thread, words, &index);
	}
	if (error != 0)
		return error;
	entry = find_entry(transaction, LOG_ROOT, index);
	if (entry != NULL)
		entry->after = value;
	else
		record(transaction, LOG_ROOT, index, 0, value);
	return 0;
}

/* --- carrying out -------------------------------------------------------------------------- */

/* Stack. A log that is being carried out by its one writer: the slot's thread, or who acts for it.
 * word is what log->word holds. */
struct replay {
	struct thread *thread;
	struct heap *heap;
	uint32_t slot;
	struct slot_log *log;
	struct log_word word;
	bool recorded;           /* by this thread, just now: the entries are there */
	bool active;             /* the slot's bit in the active mask is known to be set */
	bool frees;              /* entries may free blocks */
	bool pins;               /* roots may be pinned */
	uint64_t deferred_bytes; /* that the slot's own thread put into limbo */
};

static struct replay replay_of(struct thread *thread, uint32_t slot)
{
	struct slot_log *log = &thread->heap->logs[slot];

	return (struct replay){
		.thread = thread,
		.heap = thread->heap,
		.slot = slot,
		.log = log,
		.word = log_read(log),
		.frees = true,
		.pins = true,
	};
}

static bool replay_own(const struct replay *replay)
{
	return replay->slot == replay->thread->slot;
}

/* The entry at the index; NULL at the end, or where a damaged log has none. */
static struct log_entry *replay_entry(const struct replay *replay)
{
	if (replay->word.index >= replay->word.count)
		return NULL;
	return replay->recorded ? log_entry_reserved(replay->thread, replay->word.index)
				: log_entry_at(replay->heap, replay->log, replay->word.index);
}

static void replay_set_index(struct replay *replay, uint64_t index)
{
	replay->word.index = index;
	log_write(replay->log, replay->word);
}

static void replay_advance(void *argument)
{
	struct replay *replay = argument;

	replay_set_index(replay, replay->word.index + 1);
}

/* One store; the index starts anew. */
static void replay_set_state(struct replay *replay, enum log_state state)
{
	replay->word.state = state;
	replay->word.index = 0;
	if (state == LOG_EMPTY)
		replay->word.count = 0;
	log_write(replay->log, replay->word);
}

/* --- stores and roots ---------------------------------------------------------------------- */

/* The thread itself stores; who acts for it stores only what its own store would have changed. */
static void apply_store(const struct replay *replay, const struct log_entry *entry)
{
	uint64_t before = entry->before;
	_Atomic uint64_t *word;

	if (entry->where % sizeof(*word) != 0 ||
		!bytes_are_data(replay->heap, entry->where, sizeof(*word)))
		return;
	word = heap_at(replay->heap, entry->where);
	/* release: who follows the new value sees what was written before it. */
	if (replay_own(replay))
		atomic_store_explicit(word, entry->after, memory_order_release);
	else
		atomic_compare_exchange_strong_explicit(word, &before, entry->after,
			memory_order_acq_rel, memory_order_relaxed);
}

static void apply_entry(struct replay *replay, struct log_entry *entry)
{
	switch (log_entry_kind(entry)) {
	case LOG_ROOT:
		root_apply(replay->thread, entry, replay_advance, replay);
		break;
	case LOG_STORE:
		apply_store(replay, entry);
		/* Crash: in doubt; it is made again from the value that it replaced. */
		crash_order();
		replay_advance(replay);
		break;
	default:
		replay_set_index(replay, next_entry(entry, replay->word.index));
		break;
	}
}

static void apply_all(struct replay *replay)
{
	struct log_entry *entry;

	while ((entry = replay_entry(replay)) != NULL)
		apply_entry(replay, entry);
	replay_set_state(replay, replay->frees ? LOG_FREEING : LOG_EMPTY);
}

/* --- ranges -------------------------------------------------------------------------------- */

static uint64_t last_range(const struct replay *replay)
{
	uint64_t last = 0;

	for (uint64_t at = 0; at < replay->word.count;) {
		const struct log_entry *entry = log_entry_at(replay->heap, replay->log, at);

		if (entry == NULL)
			break;
		if (log_entry_kind(entry) == LOG_RANGE)
			last = at + 1;
		at = next_entry(entry, at);
	}
	return last;
}

/* Whether blocks can be where the entry's range is: a damaged log may say anything. */
static bool range_plausible(const struct heap *heap, const struct log_entry *entry)
{
	return bytes_are_data(heap, entry->where, log_entry_bytes(entry));
}

/* Puts every range back, last first. Crash: all of it again; nobody else may write there before the
 * log is settled. */
static void put_back_all(struct replay *replay)
{
	struct heap *heap = replay->heap;
	uint64_t next = last_range(replay);

	while (next != 0) {
		const struct log_entry *entry = log_entry_at(heap, replay->log, next - 1);

		if (entry == NULL || log_entry_kind(entry) != LOG_RANGE)
			break;
		if (range_plausible(heap, entry))
			log_copy_bytes(heap, replay->log, next - 1, heap_at(heap, entry->where),
				log_entry_bytes(entry));
		next = entry->before < next ? entry->before : 0;
	}
	crash_order();
	replay_set_state(replay, LOG_ROLLBACK);
}

/* --- frees --------------------------------------------------------------------------------- */

static void set_applying(const struct replay *replay, uint64_t off)
{
	/* release: pairs with collect's acquire; the index of the entry before is out first. */
	atomic_store_explicit(&replay->log->applying, off, memory_order_release);
	crash_order();
}

static _Atomic uint64_t *active_word(const struct replay *replay)
{
	return &replay->heap->derived->active[replay->slot / 64];
}

/* Before the first hazard: who collects looks at `applying` of active slots only. */
static void set_active(struct replay *replay)
{
	if (!replay->active)
		atomic_fetch_or_explicit(active_word(replay), UINT64_C(1) << (replay->slot & 63),
			memory_order_release);
	replay->active = true;
}

static void clear_active(const struct replay *replay)
{
	uint64_t bit = UINT64_C(1) << (replay->slot & 63);

	if (atomic_load_explicit(active_word(replay), memory_order_relaxed) & bit)
		atomic_fetch_and_explicit(active_word(replay), ~bit, memory_order_release);
}

static void free_entry_large(struct replay *replay, const struct block *block)
{
	bool begun = span_free_begin(replay->thread, replay->slot, 1, block->head);

	/* Crash: the head bit is clear, the entry finds nothing more to do. */
	crash_order();
	replay_advance(replay);
	/* Crash: the intent returns the pages. */
	crash_order();
	if (begun)
		span_free_end(replay->thread, replay->slot, 1);
}

static void free_entry_small(struct replay *replay, const struct block *block)
{
	object_free_for_log(replay->thread, replay->slot, block);
	/* Crash: freed and not retired: repeated; the hazard keeps the block from reuse. */
	crash_order();
	replay_advance(replay);
	object_freed_for_log(replay->thread, replay->slot, block);
}

/* Whatever kind of block it is. */
static void defer_entry(struct replay *replay, const struct block *block)
{
	deferred_set(replay->thread, replay->slot, block);
	/* Crash: in limbo and not retired: repeated; until then the hazard, then limbo keep the block from
	 * reuse. */
	crash_order();
	replay_advance(replay);
	if (replay_own(replay))
		replay->deferred_bytes += block->bytes;
}

/* Finds the block that an entry frees. A large one whose free the dead one began is no block to
 * anybody else any more: the intent names it. */
static bool entry_block(const struct replay *replay, const struct log_entry *entry,
	struct block *block)
{
	uint64_t run = atomic_load_explicit(&replay->log->intent[1], memory_order_relaxed);

	if (!run_is_data(replay->heap, run) || page_offset(run_page(run)) != entry->where)
		return block_find(replay->heap, entry->where, block) == 0;
	*block = (struct block){ .off = entry->where, .head = run_page(run) };
	return true;
}

/* Frees what the entry at the index names. `last` is the block freed before, or has no bit. */
static void free_entry(struct replay *replay, const struct log_entry *entry, struct block *last)
{
	struct block block;

	set_active(replay);
	set_applying(replay, entry->where);
	if (!entry_block(replay, entry, &block)) {
		replay_advance(replay);
		return;
	}
	replay->thread->counts.blocks_freed++;
	if (log_entry_kind(entry) == LOG_FREE_DEFERRED) {
		defer_entry(replay, &block);
		return;
	}
	if (block.bit == 0) {
		free_entry_large(replay, &block);
		return;
	}
	free_entry_small(replay, &block);
	/* The hazard has moved on from the block before. */
	if (last->bit != 0 && last->head != block.head)
		span_retire_if_empty(replay->thread, last->head);
	*last = block;
}

/* Whether the span is gone by another free than this log's, of two that raced. After a restart the
 * word says nothing, and nobody else was there. */
static bool somebody_else_freed(const struct replay *replay, uint64_t head)
{
	uint64_t hot =
		atomic_load_explicit(&span_of_head(replay->heap, head)->hot, memory_order_acquire);

	return hot_laid(hot, replay->heap->incarnation) &&
		hot_owner(hot) != hot_dying_by(replay->slot);
}

/* A large free for this log that a death interrupted after the head bit was cleared: its entry is
 * retired first, then its pages go to limbo; the entries after it need the intent. */
static void finish_open_free(struct replay *replay)
{
	struct heap *heap = replay->heap;
	struct slot_words *words = heap_slot_words(heap, replay->slot);
	uint64_t run = atomic_load_explicit(&replay->log->intent[1], memory_order_acquire);
	uint64_t limbo = atomic_load_explicit(&words->limbo_count, memory_order_acquire);
	const struct log_entry *entry = replay_entry(replay);

	if (!run_is_data(heap, run) || head_is_set(heap, run_page(run)))
		return;
	if (somebody_else_freed(replay, run_page(run))) {
		pages_close_intent(replay->log, 1);
		return;
	}
	if (entry != NULL && kind_is_named(log_entry_kind(entry)) &&
		entry->where == page_offset(run_page(run)))
		replay_advance(replay);
	crash_order();
	if (limbo != 0 &&
		atomic_load_explicit(&words->limbo[limbo - 1], memory_order_relaxed) ==
			run_clip(run))
		pages_close_intent(replay->log, 1);
	else
		span_free_end(replay->thread, replay->slot, 1);
}

/* Whether the entry is one that the log's state carries out. */
static bool is_due(const struct replay *replay, const struct log_entry *entry)
{
	return replay->word.state == LOG_FREEING ? kind_frees(log_entry_kind(entry))
						 : log_entry_kind(entry) == LOG_ALLOC;
}

static void free_all(struct replay *replay)
{
	struct block last = { .bit = 0 };
	struct log_entry *entry;

	while ((entry = replay_entry(replay)) != NULL) {
		if (is_due(replay, entry))
			free_entry(replay, entry, &last);
		else
			replay_set_index(replay, next_entry(entry, replay->word.index));
	}
	/* Crash: EMPTY says that count and index mean nothing; whoever comes next clears the rest. */
	replay_set_state(replay, LOG_EMPTY);
	crash_order();
	set_applying(replay, 0);
	if (last.bit != 0)
		span_retire_if_empty(replay->thread, last.head);
}

/* --- whole logs ---------------------------------------------------------------------------- */

static void carry_out(struct replay *replay)
{
	if (replay->word.state == LOG_COMMITTED)
		apply_all(replay);
	else if (replay->word.state == LOG_ABORTING)
		put_back_all(replay);
	if (replay->word.state == LOG_FREEING || replay->word.state == LOG_ROLLBACK)
		free_all(replay);
	else if (replay->frees)
		set_applying(replay, 0);
	/* Damaged. */
	if (replay->word.state != LOG_EMPTY)
		replay_set_state(replay, LOG_EMPTY);
	clear_active(replay);
	if (replay->pins)
		root_unpin_all(replay->heap, replay->slot);
	if (replay_own(replay) &&
		atomic_load_explicit(&replay->log->extension[0], memory_order_relaxed) == 0)
		return;
	log_release_extensions(replay->thread, replay->slot, 1);
}

static void end(struct transaction *transaction, enum log_state state)
{
	struct thread *thread = transaction->thread;
	struct replay replay = replay_of(thread, thread->slot);

	replay.recorded = true;
	replay.frees = transaction->frees;
	replay.pins = transaction->pins;
	/* Everything that the caller wrote comes before the commit point. */
	crash_order();
	replay_set_state(&replay, state);
	crash_order();
	carry_out(&replay);
	index_drop(&transaction->index);
	pages_settle_limbo(thread);
	if (replay.deferred_bytes != 0)
		deferred_settle(thread, replay.deferred_bytes);
}

/* A log of a few entries that allocate, store and edit: what commit does for any, less what there is not
 * to do. */
static void commit_short(struct transaction *transaction, struct log_word word)
{
	struct slot_log *log = transaction->thread->log;
	const struct heap *heap = transaction->thread->heap;
	uint64_t stored = 0;

	crash_order();
	word.state = LOG_COMMITTED;
	log_write(log, word);
	crash_order();
	for (uint64_t at = 0; at < word.count;) {
		const struct log_entry *entry = &transaction->thread->log_entries[at];

		if (log_entry_kind(entry) == LOG_STORE) {
			/* One store at most is in doubt: the index passes it before the next is made. */
			if (stored++ != 0) {
				word.index = at;
				log_write(log, word);
				crash_order();
			}
			atomic_store_explicit((_Atomic uint64_t *)heap_at(heap, entry->where),
				entry->after, memory_order_release);
			/* Crash: in doubt; it is made again from the value that it replaced. */
			crash_order();
		}
		at = next_entry(entry, at);
	}
	log_write(log, (struct log_word){ .state = LOG_EMPTY });
}

/* Whether the log has nothing but allocations, stores and ranges, and only in its slot. */
static bool is_short(const struct transaction *transaction, const struct log_word *word)
{
	return !transaction->frees && !transaction->pins && word->count <= LOG_INLINE_ENTRIES &&
		transaction->index.slots == NULL &&
		atomic_load_explicit(&transaction->thread->log->extension[0],
			memory_order_relaxed) == 0;
}

void transaction_commit(struct transaction *transaction)
{
	struct log_word word = log_read(transaction->thread->log);

	if (is_short(transaction, &word))
		commit_short(transaction, word);
	else
		end(transaction, LOG_COMMITTED);
}

void transaction_abort(struct transaction *transaction)
{
	end(transaction, LOG_ABORTING);
}

void transaction_settle(struct thread *thread, uint32_t slot)
{
	struct replay replay = replay_of(thread, slot);
	enum log_state found = replay.word.state;

	if (found == LOG_OPEN)
		replay_set_state(&replay, LOG_ABORTING);
	finish_open_free(&replay);
	carry_out(&replay);
	if (found == LOG_COMMITTED || found == LOG_FREEING)
		thread->counts.rolled_forward++;
	else if (found != LOG_EMPTY)
		thread->counts.rolled_back++;
}
