/* hot.h -- the hot word of a span: who allocates from it
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Heap file, beside the object bits, but volatile: a word of another incarnation says nothing. It is
 * laid at the first touch of an incarnation (span_lay), never eagerly at open.
 *
 * bits 0..7 span class, bits 16..31 owner, bits 32..63 incarnation (low half).
 *
 * owner:
 *	0		no span here
 *	1 .. 0x7ffb	slot + 1: that thread allocates from the span, frees with plain stores
 *	0x8000 | slot+1	being freed by that slot: no span to anybody else
 *	HOT_QUARANTINE	damaged: nothing is allocated or freed here
 *	HOT_LARGE	one large block, live
 *	HOT_UNOWNED	a span that any thread may claim */
#ifndef SPANHEAP_HOT_H
#define SPANHEAP_HOT_H

#include <stdbool.h>
#include <stdint.h>

#define HOT_NONE 0u
#define HOT_DYING 0x8000u
#define HOT_QUARANTINE 0xfffdu
#define HOT_LARGE 0xfffeu
#define HOT_UNOWNED 0xffffu

static inline uint64_t hot_make(uint64_t incarnation, uint32_t owner, uint32_t span_class)
{
	return incarnation << 32 | (uint64_t)owner << 16 | span_class;
}

static inline uint32_t hot_owner(uint64_t hot)
{
	return (uint32_t)(hot >> 16 & 0xffff);
}

static inline uint32_t hot_class(uint64_t hot)
{
	return (uint32_t)(hot & 0xff);
}

/* Whether the word was written in this incarnation. */
static inline bool hot_laid(uint64_t hot, uint64_t incarnation)
{
	return (uint32_t)(hot >> 32) == (uint32_t)incarnation;
}

/* Whether in this incarnation the span was set aside. */
static inline bool hot_set_aside(uint64_t hot, uint64_t incarnation)
{
	return hot_laid(hot, incarnation) && hot_owner(hot) == HOT_QUARANTINE;
}

static inline uint32_t hot_owned_by(uint32_t slot)
{
	return slot + 1;
}

static inline uint32_t hot_dying_by(uint32_t slot)
{
	return HOT_DYING | (slot + 1);
}

#endif
