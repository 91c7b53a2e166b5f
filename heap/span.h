/* span.h -- spans: creation, ownership, retirement
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A span of objects is, by its hot word, owned by one slot, unowned, or dying. Only the owner sets
 * bits in allocated, and only it clears them, by plain stores. So
 *
 * A. a word of allocated that the owner saw 0 stays 0 while it owns the span; the span is empty when
 *    after a collect every word of allocated is 0. allocated & ~freed says nothing: a freed bit may
 *    belong to a log that would free it again.
 * B. A word of the slot's `owned` names a span before its hot word names the slot, and until after it
 *    names it no more. So a reaper finds every span of the dead.
 * C. An unowned span that is worth a visit (so many free blocks: size_class.worth) is listed with its
 *    class, or somebody is in charge of listing it: the slot whose `owned` or `touching` names it.
 *    What is listed is a hint, looked at again by whoever follows it. Whoever lists a span looks at
 *    its hot word again afterwards: it may have become another one, listed by others meanwhile.
 * D. The first act after a claim is a full collect: a dead owner may have left freed bits of free
 *    blocks.
 * E. A class-chunk bit is clear only if no listed, unowned span of that class is in the chunk, or a
 *    slot's `searching` names it. */
#ifndef SPANHEAP_SPAN_H
#define SPANHEAP_SPAN_H

#include "heap/heap.h"

/* The first page of the span or page run that covers `page`; 0 when there is none. For any number. */
uint64_t span_find(const struct heap *heap, uint64_t page);

/* The hot word of the span at `head`, laid if this is its first touch in this incarnation; owner
 * HOT_NONE when no span begins there. `head` is a data page. */
uint64_t span_hot(const struct heap *heap, uint64_t head);

/* Stack. A copy of a span's record. */
struct span_record {
	uint64_t generation;
	uint64_t bytes;
	uint32_t pages;
	uint8_t span_class;
	uint8_t purpose;
	uint16_t run_flags;
};

/* Copies the record of the span at `head`, a data page. */
struct span_record span_record_read(const struct heap *heap, uint64_t head);

/* Whether the span at `head` is still the one whose record was copied: what was read of it between
 * belongs to it. */
bool span_record_stands(const struct heap *heap, uint64_t head, const struct span_record *record);

/* Whether a record can be true of a span, or of a page run, at `head`. For any content. */
bool span_record_plausible(const struct heap *heap, uint64_t head,
	const struct span_record *record);

/* Whether it can be true of one that was made when the heap had grown behind heap->directory_is_old, which does not know
 * all of its pages: there is nothing to be looked at but the record and the head's bits. For any content. */
bool span_record_is_newer(const struct heap *heap, uint64_t head, const struct span_record *record);

/* Objects per word of bits that exist: all but the last word are full. */
static inline uint64_t span_word_mask(const struct size_class *size_class, unsigned word)
{
	unsigned rest = size_class->objects - word * 64;

	return rest >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << rest) - 1;
}

static inline const struct size_class *span_size_class(const struct heap *heap, unsigned span_class)
{
	return &heap->classes.of[span_class >> 1];
}

/* Writes the record at `head`: before its head bit is set. */
void span_write_record(const struct heap *heap, uint64_t head, const struct span_record *record);

/* Whether the span or page run at `head` goes on behind the end of its arena. */
bool span_continues(const struct heap *heap, uint64_t head);

/* Writes the spans table: `head` covers these pages, as far as they have metadata. */
void span_write_table(const struct heap *heap, uint64_t head, uint64_t first, uint64_t npages);

/* Whether the spans table says of the span's first page what its record does. */
bool span_table_agrees(const struct heap *heap, uint64_t head, const struct span_record *record);

/* Makes a span of objects that the thread owns. Returns its first page, or 0 and *error.
 * Crash: returned to the free pages, or a span whose owner is dead. */
uint64_t span_create(struct thread *thread, unsigned span_class, int *error);

/* Prepares a span for one large block, or for a log: record and hot word are written, the head bit
 * is not, intent[0] is open. The caller calls span_commit_large, after it logged the block if it
 * must. Returns the first page, or 0 and *error. */
uint64_t span_prepare_large(struct thread *thread, uint64_t bytes, enum span_purpose purpose,
	bool noscan, int *error);
/* The same, aligned to `align` bytes, a power of two up to HUGE_BYTES. */
uint64_t span_prepare_aligned(struct thread *thread, uint64_t bytes, uint64_t align,
	enum span_purpose purpose, bool noscan, int *error);
void span_commit_large(struct thread *thread, uint64_t head);

/* Frees a large span for `slot`, whose one writer the caller is, in two steps, so that a log can
 * retire its entry between them. `which` is the intent to use.
 *
 * begin: false when the block is not there to be freed (freed already): nothing was changed. Else
 * the head bit is clear and the intent open. end: the pages are in limbo, the intent closed. */
bool span_free_begin(struct thread *thread, uint32_t slot, unsigned which, uint64_t head);
void span_free_end(struct thread *thread, uint32_t slot, unsigned which);

/* Makes the large block at `head` hold `bytes` where it is: shrinks it by giving its last pages back, or
 * lets it grow into the free pages behind it. False when these are not free, or `head` is no live
 * large block: nothing was changed. The block's holder must not free it meanwhile, and no intent is
 * open.
 *
 * The block is marked as being freed by the slot while it changes, and `touching` names it from
 * before that mark until after it, so that whoever acts for the dead finds it. The one store that
 * counts is that of `bytes`: pages beyond those that it needs are the block's no more.
 * Crash: all or nothing. */
bool span_resize_large(struct thread *thread, uint64_t head, uint64_t bytes);

/* Finishes or undoes the resize that slot `dead` was in, if it was: before its log is settled, which
 * may free the block. The caller is the slot's one writer. */
void span_resume_resize(struct thread *thread, uint32_t dead);

/* Whether the pages of a run that an open RUN_FREE intent of the slot names are the slot's: it has marked them, or
 * is cutting them off a block. Otherwise the head bit has them, or another slot that came first. For any run. */
bool span_frees(const struct heap *heap, uint32_t slot, uint64_t run);

/* Pages that a large block of `bytes` needs. */
static inline uint64_t span_large_pages(uint64_t bytes)
{
	return (bytes + PAGE_BYTES - 1) >> PAGE_SHIFT;
}

/* Takes the span whose hot word was seen as `hot`, unowned. False when it is not so any more: somebody was
 * faster, or it is another span by now, perhaps of another class. The caller collects every word next
 * (rule D). */
bool span_claim(struct thread *thread, uint64_t head, uint64_t hot);

/* Lets go of an owned span and lists it if it is worth it. */
void span_give_up(struct thread *thread, uint64_t head);

/* Gives the pages of an owned, empty span (rule A) back. */
void span_retire(struct thread *thread, uint64_t head);

/* How many blocks of the span are free, or freed and not collected yet. */
unsigned span_free_count(const struct heap *heap, uint64_t head,
	const struct size_class *size_class);

/* Collects a word of a span that the thread owns: freed bits become free, but those that an open
 * log names. Returns the free bits of the word. */
uint64_t span_collect(struct thread *thread, uint64_t head, unsigned word);

/* Collects every word; *empty tells whether the span is (rule A). Returns the lowest word that has
 * free bits, or the number of words. */
unsigned span_collect_all(struct thread *thread, uint64_t head, bool *empty);

/* Whether an open log is freeing the block at `off`: `applying` of an active slot. */
bool span_is_hazard(const struct heap *heap, uint64_t off);

/* The lowest listed span of a class that the thread could claim, with a free block; 0 when none was
 * found. */
uint64_t span_claim_listed(struct thread *thread, unsigned span_class);

/* The same without a list: the lowest unowned span of the class with a free block, however few. Looks at
 * every span of the heap. */
uint64_t span_claim_any(struct thread *thread, unsigned span_class);

/* Gives the pages of an unowned span back if no block in it is live; else changes nothing. */
void span_retire_if_empty(struct thread *thread, uint64_t head);

/* Retires the empty spans that the thread keeps, and of the listed ones those that are empty: looks at up
 * to `limit`, going on where the thread's last call ended. A span whose owner died, or that was emptied
 * before a restart, is found by nobody else. No intent is open. */
void span_trim(struct thread *thread, uint64_t limit);

/* Whether whoever looks for a span of the class comes across this one. */
bool span_is_listed(const struct heap *heap, uint64_t head, unsigned span_class);

/* Whether the chunk holds spans of an earlier incarnation that nobody has looked at. */
bool span_is_unseen(const struct heap *heap, uint64_t chunk);

/* What slot_words.searching holds while the class's bit of a chunk is being cleared. */
static inline uint64_t span_searching(uint64_t chunk, unsigned span_class)
{
	return (uint64_t)(span_class + 1) << 48 | chunk;
}

/* Lists the span if it is unowned and worth it. Somebody is in charge (rule C). */
void span_list(struct heap *heap, uint64_t head);

/* What a listed row holds for a span of the class. */
static inline uint8_t span_listing(unsigned span_class)
{
	return (uint8_t)(span_class + 1);
}

/* Takes it out: by the span's owner, or when it is gone. */
void span_unlist(struct heap *heap, uint64_t head);

/* Makes an owned span of slot `dead` unowned, or lists an unowned one that is not full: what a
 * reaper does with every span that owned and touching name. */
void span_release_dead(struct thread *thread, uint32_t dead, uint64_t head);

/* Makes what owned, touching and searching of slot `dead` name good, and clears them. */
void span_release_all_dead(struct thread *thread, uint32_t dead);

#endif
