/* log.c -- the log of a slot: one word of state, and entries
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/log.h"

#include "heap/pages.h"
#include "heap/span.h"
#include "shm/order.h"

#include <errno.h>

#define EXTENSION_FIRST_PAGES UINT64_C(8)
#define EXTENSION_FIRST_ENTRIES (EXTENSION_FIRST_PAGES * PAGE_BYTES / LOG_ENTRY_BYTES)

/* Extension and place in it of the entry that is number `index` behind those in the slot. */
static unsigned extension_of(uint64_t index, uint64_t *within)
{
	unsigned k = 63u - (unsigned)__builtin_clzll(index / EXTENSION_FIRST_ENTRIES + 1);

	*within = index - EXTENSION_FIRST_ENTRIES * ((UINT64_C(1) << k) - 1);
	return k;
}

static uint64_t extension_pages(unsigned k)
{
	return EXTENSION_FIRST_PAGES << k;
}

/* Whether the word names a run that is this log's: what a damaged file holds may be anything. */
static bool extension_there(const struct heap *heap, uint64_t off, unsigned k)
{
	uint64_t head = off >> PAGE_SHIFT;
	struct span_record record;

	if (off == 0 || off != page_offset(head) || span_find(heap, head) != head)
		return false;
	record = span_record_read(heap, head);
	return span_record_plausible(heap, head, &record) && record.purpose == SPAN_LOG &&
		record.pages == extension_pages(k);
}

struct log_entry *log_entry_at(const struct heap *heap, struct slot_log *log, uint64_t index)
{
	uint64_t within;
	uint64_t off;
	unsigned k;

	if (index < LOG_INLINE_ENTRIES)
		return &log_entries(heap, log)[index];
	k = extension_of(index - LOG_INLINE_ENTRIES, &within);
	if (k >= LOG_EXTENSIONS)
		return NULL;
	off = atomic_load_explicit(&log->extension[k], memory_order_relaxed);
	if (!extension_there(heap, off, k))
		return NULL;
	return (struct log_entry *)heap_at(heap, off) + within;
}

struct log_entry *log_entry_behind(const struct heap *heap, struct slot_log *log, uint64_t index)
{
	uint64_t within;
	unsigned k = extension_of(index - LOG_INLINE_ENTRIES, &within);
	uint64_t off = atomic_load_explicit(&log->extension[k], memory_order_relaxed);

	return (struct log_entry *)heap_at(heap, off) + within;
}

static int extend(struct thread *thread, unsigned k)
{
	uint64_t bytes = extension_pages(k) * PAGE_BYTES;
	int error;
	uint64_t head = span_prepare_large(thread, bytes, SPAN_LOG, true, &error);

	if (head == 0)
		return error;
	atomic_store_explicit(&thread->log->extension[k], page_offset(head), memory_order_release);
	/* Crash: names a run without a head bit: no extension. */
	span_commit_large(thread, head);
	return 0;
}

int log_reserve_behind(struct thread *thread, uint64_t more)
{
	struct slot_log *log = thread->log;
	uint64_t last = log_read(log).count + more - 1;
	uint64_t within;

	if (more > LOG_COUNT_LIMIT || last >= LOG_COUNT_LIMIT)
		return ENOMEM;
	if (last < LOG_INLINE_ENTRIES)
		return 0;
	for (unsigned k = 0; k <= extension_of(last - LOG_INLINE_ENTRIES, &within); k++) {
		int error = k < LOG_EXTENSIONS ? 0 : ENOMEM;

		if (error == 0 &&
			!extension_there(thread->heap,
				atomic_load_explicit(&log->extension[k], memory_order_relaxed), k))
			error = extend(thread, k);
		if (error != 0)
			return error;
		thread->log_room =
			LOG_INLINE_ENTRIES + EXTENSION_FIRST_ENTRIES * ((UINT64_C(2) << k) - 1);
	}
	return 0;
}

void log_append_bytes(struct thread *thread, const struct log_entry *entry, const void *content)
{
	struct slot_log *log = thread->log;
	struct log_word word = log_read(log);
	uint64_t at = word.count;
	uint64_t bytes = log_entry_bytes(entry);
	const char *from = content;

	*log_entry_reserved(thread, at++) = *entry;
	for (uint64_t done = 0; done < bytes; done += LOG_ENTRY_BYTES, at++)
		memcpy(log_entry_reserved(thread, at), from + done,
			bytes - done < LOG_ENTRY_BYTES ? bytes - done : LOG_ENTRY_BYTES);
	word.count = at;
	/* Crash before: not recorded. */
	crash_order();
	log_write(log, word);
}

bool log_copy_bytes(const struct heap *heap, struct slot_log *log, uint64_t index, void *to,
	uint64_t bytes)
{
	char *target = to;

	for (uint64_t done = 0; done < bytes; done += LOG_ENTRY_BYTES) {
		const struct log_entry *raw = log_entry_at(heap, log, ++index);

		if (raw == NULL)
			return false;
		memcpy(target + done, raw,
			bytes - done < LOG_ENTRY_BYTES ? bytes - done : LOG_ENTRY_BYTES);
	}
	return true;
}

void log_release_extensions(struct thread *thread, uint32_t slot, unsigned which)
{
	struct heap *heap = thread->heap;
	struct slot_log *log = &heap->logs[slot];

	if (slot == thread->slot)
		thread->log_room = LOG_INLINE_ENTRIES;
	for (unsigned k = LOG_EXTENSIONS; k-- > 0;) {
		uint64_t off = atomic_load_explicit(&log->extension[k], memory_order_relaxed);
		bool begun;

		if (off == 0)
			continue;
		begun = extension_there(heap, off, k) &&
			span_free_begin(thread, slot, which, off >> PAGE_SHIFT);
		/* Crash before: named, without a head bit: no extension; the intent returns it. */
		atomic_store_explicit(&log->extension[k], 0, memory_order_release);
		if (begun)
			span_free_end(thread, slot, which);
	}
}
