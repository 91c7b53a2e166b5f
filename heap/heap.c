/* heap.c -- where everything stands: layout sizes, and the view of one process
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/heap.h"

#include "heap/page_bits.h"
#include "heap/parked.h"

#define DIRECTORY_OFFSET (SUPERBLOCK_STRIDE + RUNNING_BYTES)

static uint64_t round_up(uint64_t value, uint64_t unit)
{
	return (value + unit - 1) / unit * unit;
}

static uint64_t arenas_of(uint64_t max_bytes)
{
	return round_up(max_bytes, ARENA_BYTES) >> ARENA_BYTES_SHIFT;
}

static uint64_t roots_offset(uint64_t max_bytes)
{
	return DIRECTORY_OFFSET + round_up(arenas_of(max_bytes) * sizeof(struct arena_entry), 4096);
}

static uint64_t logs_offset(uint64_t max_bytes)
{
	return roots_offset(max_bytes) + ROOT_COUNT * sizeof(struct root);
}

uint64_t heap_superblock_b_offset(uint64_t max_bytes, uint32_t thread_slots)
{
	return round_up(logs_offset(max_bytes) + thread_slots * LOG_BYTES, 4096);
}

uint64_t heap_header_bytes(uint64_t max_bytes, uint32_t thread_slots)
{
	return heap_superblock_b_offset(max_bytes, thread_slots) + SUPERBLOCK_STRIDE;
}

/* Offsets of the regions of the derived state, from the start of the control file. Stack. */
struct derived_offsets {
	uint64_t header;
	uint64_t slot_words;
	uint64_t published;
	uint64_t page_index;
	uint64_t listed;
	uint64_t class_chunks;
	uint64_t parked;
	uint64_t noted;
	uint64_t batch;
	uint64_t owned;
	uint64_t end;
	struct page_index_layout pages;
};

#define CLASS_CHUNK_BYTES_PER_ARENA (CLASS_CHUNK_ROWS * CLASS_CHUNK_WORDS * sizeof(uint64_t))

static struct derived_offsets derived_offsets(uint64_t max_arenas, uint32_t process_slots,
	uint32_t thread_slots)
{
	struct derived_offsets at;

	page_index_layout(max_arenas * ARENA_CHUNKS, &at.pages);
	at.header = control_derived_offset(process_slots, thread_slots);
	at.slot_words = at.header + round_up(sizeof(struct derived_header), 4096);
	at.published = at.slot_words + round_up(thread_slots * SLOT_WORDS_STRIDE, 4096);
	at.page_index = round_up(at.published + max_arenas * sizeof(uint64_t), 4096);
	at.listed = round_up(at.page_index + at.pages.total_bytes, 4096);
	at.class_chunks = round_up(at.listed + max_arenas * ARENA_PAGES, 4096);
	at.parked = round_up(at.class_chunks + max_arenas * CLASS_CHUNK_BYTES_PER_ARENA, 4096);
	at.noted = round_up(at.parked + max_arenas * parked_arena_bytes(), 4096);
	at.batch = round_up(at.noted + max_arenas * ARENA_PAGES / 8, 4096);
	at.owned = round_up(at.batch + DEFERRED_BATCH * sizeof(struct deferred_entry), 4096);
	at.end = control_align(at.owned + thread_slots * OWNED_STRIDE);
	return at;
}

uint64_t heap_control_bytes(uint64_t max_bytes, uint32_t process_slots, uint32_t thread_slots)
{
	return derived_offsets(arenas_of(max_bytes), process_slots, thread_slots).end;
}

static void view_heap_file(struct heap *heap)
{
	uint64_t header_bytes = heap_header_bytes(heap->max_bytes, heap->thread_slots);
	uint64_t zone = round_up(header_bytes, 4096) + ZONE_BYTES;

	heap->zone_offset[0] = round_up(header_bytes, 4096);
	heap->zone_offset[1] = 0;
	heap->zone_chunks[0] = round_up(zone, CHUNK_BYTES) / CHUNK_BYTES;
	heap->zone_chunks[1] = ZONE_CHUNKS;
	heap->running = (struct running *)(void *)(heap->base + SUPERBLOCK_STRIDE);
	heap->directory = (struct arena_entry *)(void *)(heap->base + DIRECTORY_OFFSET);
	heap->roots = (struct root *)(void *)(heap->base + roots_offset(heap->max_bytes));
	heap->logs = (struct slot_log *)(void *)(heap->base + logs_offset(heap->max_bytes));
	heap->log_entries = (struct log_entry *)(void *)(heap->logs + heap->thread_slots);
}

static void view_control_file(struct heap *heap)
{
	struct derived_offsets at =
		derived_offsets(heap->max_arenas, heap->process_slots, heap->thread_slots);
	char *control = heap->control;

	heap->header = (struct control_header *)(void *)control;
	heap->process_slot =
		(struct process_slot *)(void *)(control + control_process_slots_offset());
	heap->thread_slot = (struct thread_slot *)(void *)(control +
		control_thread_slots_offset(heap->process_slots));
	rcu_view_init(&heap->rcu, control, heap->process_slots);
	heap->derived = (struct derived_header *)(void *)(control + at.header);
	heap->slot_words = control + at.slot_words;
	heap->published = (_Atomic uint64_t *)(void *)(control + at.published);
	page_index_attach(&heap->pages, control + at.page_index, heap->max_arenas * ARENA_CHUNKS);
	heap->listed = (_Atomic uint8_t *)(void *)(control + at.listed);
	heap->parked = (uint64_t *)(void *)(control + at.parked);
	heap->noted = (_Atomic uint64_t *)(void *)(control + at.noted);
	heap->batch = (struct deferred_entry *)(void *)(control + at.batch);
	heap->owned = control + at.owned;
	heap->class_chunks = (_Atomic uint64_t *)(void *)(control + at.class_chunks);
}

void heap_view_init(struct heap *heap)
{
	heap->max_arenas = arenas_of(heap->max_bytes);
	size_class_table_init(&heap->classes);
	view_heap_file(heap);
	if (heap->control != NULL)
		view_control_file(heap);
}

uint64_t heap_control_fixed_bytes(const struct heap *heap)
{
	struct derived_offsets at =
		derived_offsets(heap->max_arenas, heap->process_slots, heap->thread_slots);

	return at.page_index + at.pages.base.offset_bytes + at.pages.base.length_bytes;
}

int heap_back_control(const struct heap *heap, uint64_t arena)
{
	const struct system *system = &heap->system;
	struct derived_offsets at =
		derived_offsets(heap->max_arenas, heap->process_slots, heap->thread_slots);
	struct page_index_slice slices[PAGE_INDEX_ARENA_SLICES];
	int error = 0;

	page_index_arena_slices(&at.pages, arena, slices);
	for (unsigned i = 0; i < PAGE_INDEX_ARENA_SLICES && error == 0; i++)
		error = system->back_control(system->context,
			at.page_index + slices[i].offset_bytes, slices[i].length_bytes);
	if (error == 0)
		error = system->back_control(system->context, at.listed + arena * ARENA_PAGES,
			ARENA_PAGES);
	if (error == 0)
		error = system->back_control(system->context,
			at.class_chunks + arena * CLASS_CHUNK_BYTES_PER_ARENA,
			CLASS_CHUNK_BYTES_PER_ARENA);
	if (error == 0)
		error = system->back_control(system->context,
			at.parked + arena * parked_arena_bytes(), parked_arena_bytes());
	if (error == 0)
		error = system->back_control(system->context, at.noted + arena * ARENA_PAGES / 8,
			ARENA_PAGES / 8);
	if (error == 0 && arena == 0)
		error = system->back_control(system->context, at.batch,
			DEFERRED_BATCH_LEAST * sizeof(struct deferred_entry));
	return error;
}

int heap_back_batch(const struct heap *heap)
{
	const struct system *system = &heap->system;
	struct derived_offsets at =
		derived_offsets(heap->max_arenas, heap->process_slots, heap->thread_slots);

	return system->back_control(system->context, at.batch,
		DEFERRED_BATCH * sizeof(struct deferred_entry));
}

int heap_back_arenas(const struct heap *heap)
{
	int error = 0;

	for (uint64_t arena = 0; arena < heap_arena_count(heap) && error == 0; arena++)
		error = heap_back_control(heap, arena);
	return error;
}

int heap_back_owned(const struct heap *heap, uint32_t slot, unsigned place, uint16_t *backed)
{
	const struct system *system = &heap->system;
	struct derived_offsets at =
		derived_offsets(heap->max_arenas, heap->process_slots, heap->thread_slots);
	uint64_t bytes = round_up(place * sizeof(uint64_t), 4096);
	int error = system->back_control(system->context, at.owned + slot * OWNED_STRIDE, bytes);

	if (error == 0)
		*backed = (uint16_t)(bytes / sizeof(uint64_t));
	return error;
}

uint64_t heap_next_head(const struct heap *heap, uint64_t page, uint64_t end)
{
	while (page < end) {
		uint64_t bits = heads_of_word(heap, page) >> (page & 63);

		if (bits != 0) {
			page += page_bits_lowest(bits);
			return page < end ? page : end;
		}
		page = (page | 63) + 1;
	}
	return end;
}

char *chunk_meta_look(const struct heap *heap, uint64_t page)
{
	uint64_t chunk = page >> CHUNK_PAGES_SHIFT;
	char *meta;

	if (!page_is_data(heap, page))
		return NULL;
	meta = heap->base + chunk_meta_offset(heap, chunk);
	if (chunk < heap->chunk_limit)
		atomic_store_explicit(&heap->chunk_meta[chunk], meta, memory_order_relaxed);
	return meta;
}

static void classes_init(struct thread *thread)
{
	for (unsigned units = 1; units <= UNIT_LIMIT_BYTES / UNIT_BYTES; units++)
		thread->class_of_units[units] =
			(uint8_t)span_class_make(size_class_of(units * UNIT_BYTES), false);
}

/* The header's functions are built on the compiler's atomics: C++ has no others in common with C. */
struct sh_section heap_section(const struct heap *heap, uint32_t slot)
{
	const struct rcu *rcu = &heap->rcu;

	return (struct sh_section){
		.word = (uint64_t *)(void *)&rcu->slots[slot].section,
		.epoch = (const uint64_t *)(const void *)&rcu->words->fenced,
		.waiting = (uint32_t *)(void *)&rcu->words->waiting,
		.fences = rcu->words->fences,
	};
}

void thread_init(struct thread *thread, struct heap *heap, uint32_t slot, uint64_t tag)
{
	memset(thread, 0, sizeof(*thread));
	thread->heap = heap;
	thread->slot = slot;
	thread->tag = tag;
	thread->log = &heap->logs[slot];
	thread->log_entries = log_entries(heap, thread->log);
	thread->log_room = LOG_INLINE_ENTRIES;
	thread->words = heap_slot_words(heap, slot);
	thread->mine = heap_hot(heap, hot_owned_by(slot), 0);
	thread->section = heap_section(heap, slot);
	classes_init(thread);
}
