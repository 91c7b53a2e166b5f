/* look.c -- a span or page run as it was at one moment
 * SPDX-License-Identifier: BSD-3-Clause */
#include "tools/look.h"

#include "heap/page_bits.h"

static void look_at_objects(const struct heap *heap, struct span_look *look)
{
	look->size_class = span_size_class(heap, look->record.span_class);
	for (unsigned word = 0; word < look->size_class->words; word++) {
		look->live[word] =
			span_live(heap, look->head, word) & span_word_mask(look->size_class, word);
		look->used += page_bits_count(look->live[word]);
	}
}

static struct span_look look_once(const struct heap *heap, uint64_t head)
{
	struct span_look look = {
		.head = head,
		.hot = atomic_load_explicit(&span_of_head(heap, head)->hot, memory_order_acquire),
		.record = span_record_read(heap, head),
	};

	look.plausible = span_record_plausible(heap, head, &look.record) ||
		span_record_is_newer(heap, head, &look.record);
	if (!look.plausible)
		return look;
	if (look.record.purpose == SPAN_OBJECTS)
		look_at_objects(heap, &look);
	else if (look.record.purpose == SPAN_LARGE)
		look.used = span_large_is_live(heap, head);
	else
		look.used = 1;
	return look;
}

/* How often a span is looked at that becomes another one meanwhile: in a section, one of the same class. */
#define LOOKS 10

static bool look_until_it_stands(const struct heap *heap, uint64_t head, struct span_look *look)
{
	if (!page_is_head(heap, head))
		return false;
	*look = look_once(heap, head);
	for (int i = 1; i < LOOKS && !span_record_stands(heap, head, &look->record); i++)
		*look = look_once(heap, head);
	return true;
}

bool look_at_span(const struct heap *heap, struct thread *reader, uint64_t head,
	struct span_look *look)
{
	bool found;

	if (reader == NULL)
		return look_until_it_stands(heap, head, look);
	thread_begin_reading(reader);
	found = look_until_it_stands(heap, head, look);
	thread_end_reading(reader);
	return found;
}

/* The lowest bit of a span class; large spans have it, too. */
bool look_is_noscan(const struct span_look *look)
{
	return (look->record.span_class & 1u) != 0;
}

bool look_is_set_aside(const struct span_look *look, const struct heap *heap, bool in_use)
{
	return in_use && hot_laid(look->hot, heap->incarnation) &&
		hot_owner(look->hot) == HOT_QUARANTINE;
}
