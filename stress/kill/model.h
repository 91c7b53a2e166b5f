/* model.h -- what a seat owns, as it recorded it: recording, applying, verifying
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KILL_MODEL_H
#define KILL_MODEL_H

#include "stress/kill/shared.h"

#define ROOT_TEXT_BYTES 24

/* --- content of blocks --------------------------------------------------------------------- */

/* What a word of a block or run holds. */
uint64_t pattern_word(uint64_t id, uint64_t word);

/* Writes the content that the block's id determines. Of a big block, a part of the words. */
void pattern_fill(struct sh_heap *heap, const struct held *block);

/* Whether the content is that still: nobody else was given a byte of it. */
bool pattern_holds(struct sh_heap *heap, const struct held *block);

/* Whether `now` begins with the content of `before`, up to the smaller of both sizes. A `before` of size 0
 * had none. */
bool pattern_kept(struct sh_heap *heap, const struct held *before, const struct held *now);

/* --- records ------------------------------------------------------------------------------- */

/* Begins the operation that record->operation and its steps describe. */
void record_begin(struct seat *seat);

/* Ends it: what came of it is stored, then the model is made to say the same. */
void record_end(struct sh_heap *heap, struct seat *seat, enum outcome outcome);

static inline uint64_t record_sequence(const struct seat *seat)
{
	return atomic_load(&seat->record.intent);
}

/* Whether the occupant is inside an operation of which it does not know the result. */
static inline bool record_in_flight(const struct seat *seat)
{
	return atomic_load(&seat->record.outcome) >> 2 != record_sequence(seat);
}

/* Whether the record says something that the model does not. */
static inline bool record_unsettled(const struct seat *seat)
{
	return atomic_load(&seat->record.applied) != record_sequence(seat);
}

/* --- what the heap must say ---------------------------------------------------------------- */

/* The block at `off` is what the resize that the seat is at was to make, before anybody wrote to it. */
void expect_resized(struct sh_heap *heap, const struct seat *seat, sh_off off, const char *call);

/* The value of a data word that step number `step` of a transaction writes. */
uint64_t data_value(uint64_t sequence, uint32_t step, uint64_t word);

/* Compares what the seat published with the model; its occupant is dead or the caller. Complains
 * under CHECK_TAKE_OVERS, or counts it. */
void seat_verify(struct sh_heap *heap, const struct seat *seat);

/* Takes the seat over from whoever left it or died in it: locks its mutex, finds out from the heap
 * what became of the operation that the dead was in, has the model say so, and verifies. May be
 * interrupted by death and repeated. */
void seat_take(struct sh_heap *heap, struct seat *seat);

/* The number of the seat. */
static inline unsigned seat_number(const struct seat *seat)
{
	return (unsigned)(seat - shared->seats);
}

static inline struct directory *seat_directory(struct sh_heap *heap, const struct seat *seat)
{
	return (void *)(sh_base(heap) + seat->directory);
}

/* Names of roots. */
const char *root_of_directory(char name[ROOT_TEXT_BYTES], unsigned seat);
const char *root_of_seat(char name[ROOT_TEXT_BYTES], unsigned seat);
const char *root_of_pair(char name[ROOT_TEXT_BYTES], unsigned pair);
const char *root_of_count(char name[ROOT_TEXT_BYTES], unsigned pair);

#endif
