/* scan.c -- a table of keys that stay, between keys that come and go
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/kv/scan.h"

#include "stress/kv/content.h"
#include "stress/kv/tally.h"

#define NUMBERS 300u
#define STAYING 2u  /* of each number */
#define KEYS_OF 40u /* with those that come and go */
#define STRETCH 24u /* numbers, at most */
#define HOT 12u     /* numbers that many are at */
#define PAUSE_ODDS 40u
#define TURN_ODDS 200u

/* A key of the table, by its place in the order of all that can be there. */
static struct kv_bytes key_at(char *text, unsigned place)
{
	return key_text(text, "%05u/%02u", place / KEYS_OF, place % KEYS_OF);
}

static bool stays(unsigned place)
{
	return place % KEYS_OF < STAYING;
}

/* How many keys that stay come before this place. */
static unsigned staying_below(unsigned place)
{
	unsigned of_its_own = place % KEYS_OF;

	return place / KEYS_OF * STAYING + (of_its_own < STAYING ? of_its_own : STAYING);
}

/* In half of the cases one that many are at. */
static unsigned any_place(struct chance *random)
{
	unsigned hot = atomic_load(&shared->hot) % (NUMBERS - HOT) * KEYS_OF;

	if (chance_once_in(random, 2))
		return hot + (unsigned)chance_below(random, HOT * KEYS_OF);
	return (unsigned)chance_below(random, NUMBERS * KEYS_OF);
}

/* --- writing ------------------------------------------------------------------------------- */

static int put_at(struct desk *desk, unsigned place, uint64_t version)
{
	unsigned char bytes[VALUE_BYTES];
	char text[KEY_BYTES];

	return kv_put(desk->scanned, key_at(text, place), value_of(bytes, ID_SCAN + place, version),
		0);
}

void scan_prepare(struct desk *desk)
{
	for (unsigned number = 0; number < NUMBERS; number++)
		for (unsigned i = 0; i < STAYING; i++)
			expect_ok(put_at(desk, number * KEYS_OF + i, 1),
				"kv_put of one that stays");
}

static int disturb_one(struct writer *writer)
{
	struct chance *random = &writer->random;
	unsigned place = any_place(random);
	char text[KEY_BYTES];

	if (place % KEYS_OF == 0)
		place++;
	if (stays(place) || chance_once_in(random, 2))
		return put_at(&writer->desk, place, chance_between(random, 1, 9));
	return kv_delete(writer->desk.scanned, key_at(text, place));
}

static int add_stretch(struct writer *writer, struct kv_batch *batch, unsigned first, unsigned end,
	bool puts)
{
	unsigned step = chance_between(&writer->random, 1, 3);
	unsigned char bytes[VALUE_BYTES];
	char text[KEY_BYTES];
	int error = 0;

	for (unsigned place = first; place < end && error == 0; place += step) {
		if (stays(place))
			continue;
		error = puts ? kv_batch_put(batch, writer->desk.scanned, key_at(text, place),
				       value_of(bytes, ID_SCAN + place, 1))
			     : kv_batch_delete(batch, writer->desk.scanned, key_at(text, place));
	}
	return error;
}

/* Has a stretch come or go at once. */
static int disturb_stretch(struct writer *writer)
{
	struct chance *random = &writer->random;
	unsigned first = any_place(random) / KEYS_OF;
	unsigned end = first + chance_between(random, 1, STRETCH);
	struct kv_batch *batch;
	int error = kv_batch_begin(writer->desk.store, &batch);

	if (error != 0)
		return error;
	error = add_stretch(writer, batch, first * KEYS_OF,
		(end < NUMBERS ? end : NUMBERS) * KEYS_OF, chance_once_in(random, 2));
	if (error == 0)
		return kv_batch_commit(batch);
	kv_batch_abort(batch);
	return error;
}

/* A control: a key that stays is away for a moment. */
static int disturb_staying(struct writer *writer)
{
	unsigned place = (unsigned)chance_below(&writer->random, NUMBERS) * KEYS_OF;
	char text[KEY_BYTES];

	kv_delete(writer->desk.scanned, key_at(text, place));
	sleep_us(chance_below(&writer->random, 200));
	return put_at(&writer->desk, place, 1);
}

void scan_disturb(struct writer *writer)
{
	int error;

	call_begin(writer);
	if (shared->fault == FAULT_GAP && chance_once_in(&writer->random, 2))
		error = disturb_staying(writer);
	else
		error = chance_once_in(&writer->random, 8) ? disturb_stretch(writer)
							   : disturb_one(writer);
	call_end(writer);
	if (error != KV_ENOTFOUND)
		expect_ok(error, "a change of the scanned table");
}

/* --- reading ------------------------------------------------------------------------------- */

/* A scan under way. Stack. */
struct scan {
	struct kv_cursor *cursor;
	bool forward;
	bool placed;
	unsigned place; /* of the key that was shown last */
	struct kv_bytes key;
	struct kv_bytes value;
};

/* The number in so many digits; UINT32_MAX: there are others. */
static unsigned digits(const char *text, unsigned count)
{
	unsigned number = 0;

	for (unsigned i = 0; i < count; i++) {
		if (text[i] < '0' || text[i] > '9')
			return UINT32_MAX;
		number = number * 10 + (unsigned)(text[i] - '0');
	}
	return number;
}

/* The place of what was shown; NUMBERS * KEYS_OF: of none. As key_at() made it. */
static unsigned place_shown(const struct scan *scan)
{
	const char *text = scan->key.data;
	unsigned number, i, place;
	uint64_t version;

	if (scan->key.size != 8 || text[5] != '/')
		return NUMBERS * KEYS_OF;
	number = digits(text, 5);
	i = digits(text + 6, 2);
	if (number >= NUMBERS || i >= KEYS_OF)
		return NUMBERS * KEYS_OF;
	place = number * KEYS_OF + i;
	return value_read(scan->value, ID_SCAN + place, &version) ? place : NUMBERS * KEYS_OF;
}

/* What comes between two keys that were shown one after the other, upwards, does not stay there. */
static bool nothing_left_out(unsigned low, unsigned high)
{
	return low < high && staying_below(high) == staying_below(low) + stays(low);
}

static void complain(const struct scan *scan, unsigned place)
{
	char here[KEY_BYTES], there[KEY_BYTES];

	key_at(here, scan->place);
	key_at(there, place);
	fail(CHECK_SCANS, "%s scan: behind %s came %s%s", scan->forward ? "forward" : "backward",
		scan->placed ? here : "the beginning",
		place == NUMBERS * KEYS_OF ? "what is no entry, or " : "", there);
}

/* Looks at what a move showed. */
static bool take(struct scan *scan)
{
	unsigned place = place_shown(scan);
	bool right = place < NUMBERS * KEYS_OF;

	if (right && scan->placed)
		right = scan->forward ? nothing_left_out(scan->place, place)
				      : nothing_left_out(place, scan->place);
	if (!right)
		complain(scan, place);
	scan->placed = true;
	scan->place = place;
	atomic_fetch_add_explicit(&shared->counts.scanned_keys, 1, memory_order_relaxed);
	return right;
}

/* Nothing that stays is behind the last key. */
static void take_end(const struct scan *scan)
{
	unsigned all = NUMBERS * STAYING;
	unsigned below = scan->placed ? staying_below(scan->place) : 0;

	tally(CHECK_SCANS);
	if (!scan->placed)
		fail(CHECK_SCANS, "a scan shows nothing");
	else if (scan->forward ? below + stays(scan->place) != all : below != 0)
		fail(CHECK_SCANS, "%s scan: it ends at place %u, with %u of %u behind it",
			scan->forward ? "forward" : "backward", scan->place,
			scan->forward ? all - below - stays(scan->place) : below, all);
}

static int step(struct scan *scan)
{
	return scan->forward ? kv_cursor_next(scan->cursor, &scan->key, &scan->value)
			     : kv_cursor_previous(scan->cursor, &scan->key, &scan->value);
}

static int begin_at_end(struct scan *scan)
{
	int error = scan->forward ? kv_cursor_first(scan->cursor, &scan->key, &scan->value)
				  : kv_cursor_last(scan->cursor, &scan->key, &scan->value);

	if (error == 0 && take(scan) &&
		(scan->forward ? scan->place != 0
			       : staying_below(scan->place) + stays(scan->place) !=
					NUMBERS * STAYING))
		fail(CHECK_SCANS, "%s scan: it begins at place %u",
			scan->forward ? "forward" : "backward", scan->place);
	return error;
}

/* From a place on, there or not. */
static int begin_inside(struct scan *scan, struct chance *random)
{
	unsigned place = any_place(random);
	char text[KEY_BYTES];
	int error = kv_cursor_seek(scan->cursor, key_at(text, place), &scan->key, &scan->value);

	if (error != 0)
		return error;
	if (take(scan) &&
		(scan->place < place || staying_below(scan->place) != staying_below(place)))
		fail(CHECK_SCANS, "kv_cursor_seek to place %u found place %u", place, scan->place);
	return 0;
}

static int go_on(struct scan *scan, struct chance *random, bool turns, uint64_t limit)
{
	unsigned pauses = chance_once_in(random, 2) ? PAUSE_ODDS : UINT32_MAX;
	int error = 0;

	for (uint64_t i = 0; i < limit && error == 0 && !told_to_stop(); i++) {
		if (turns && chance_once_in(random, TURN_ODDS))
			scan->forward = !scan->forward;
		if (chance_once_in(random, pauses))
			expect_ok(kv_cursor_pause(scan->cursor), "kv_cursor_pause");
		error = step(scan);
		if (error == 0 && !take(scan))
			return 0;
	}
	return error;
}

static void scan_once(struct desk *desk, struct chance *random, bool whole)
{
	bool inside = !whole && !chance_once_in(random, 4);
	struct scan scan = { .forward = chance_once_in(random, 2) };
	uint64_t limit =
		whole || chance_once_in(random, 2) ? UINT64_MAX : chance_below(random, 1000);
	int error;

	if (expect_ok(kv_cursor_open(desk->scanned, &scan.cursor), "kv_cursor_open") != 0)
		return;
	error = inside ? begin_inside(&scan, random) : begin_at_end(&scan);
	if (error == 0)
		error = go_on(&scan, random, !whole && chance_once_in(random, 4), limit);
	else if (inside && error == KV_ENOTFOUND)
		error = 0;
	if (error == KV_ENOTFOUND)
		take_end(&scan);
	else if (expect_ok(error, "a move of a cursor") == 0)
		tally(CHECK_SCANS);
	kv_cursor_close(scan.cursor);
}

void scan_read(struct desk *desk, struct chance *random)
{
	scan_once(desk, random, false);
}

void scan_judge(struct desk *desk)
{
	struct chance random = chance_of(shared->seed, 1);

	for (unsigned i = 0; i < 4; i++)
		scan_once(desk, &random, true);
}
