/* reader.c -- a process that reads until it is killed, or told to stop
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/kv/reader.h"

#include "stress/kv/content.h"
#include "stress/kv/scan.h"
#include "stress/kv/tally.h"

#include <stdio.h>
#include <string.h>

#define GETS 500u
#define HOT_KEYS (32u * WRITERS)
#define STRETCH 160u /* keys that a cursor passes, if all are there */
#define HELD 4u      /* values that a section holds */

/* --- lookups ------------------------------------------------------------------------------- */

static uint32_t any_place(struct chance *random)
{
	return (uint32_t)(chance_below(random, 2) * BOTH_KEYS +
		chance_below(random, chance_once_in(random, 2) ? HOT_KEYS : BOTH_KEYS));
}

static void get_one(struct desk *desk, struct chance *random)
{
	uint32_t place = any_place(random);
	uint64_t acknowledged = atomic_load(&shared->standing[place].acknowledged);
	struct finding finding = look_up(desk, place);

	finding_judge(&finding, place, acknowledged, CHECK_READERS);
	atomic_fetch_add_explicit(&shared->counts.gets, 1, memory_order_relaxed);
}

/* What a section has found stays as it is until it ends. */
static void hold_some(struct desk *desk, struct chance *random)
{
	struct kv_bytes values[HELD];
	char text[KEY_BYTES];
	unsigned held = 0;
	uint64_t id, version;

	if (expect_ok(kv_read_begin(desk->store), "kv_read_begin") != 0)
		return;
	for (unsigned i = 0; i < HELD * 4 && held < HELD; i++) {
		/* Such as are replaced soon. */
		uint32_t place = (uint32_t)chance_below(random, HOT_KEYS) +
			(chance_once_in(random, 2) ? BOTH_KEYS : 0);

		if (kv_get(desk->tables[table_of_place(place)], key_of_place(text, place),
			    &values[held]) == 0 &&
			values[held].size > 0)
			held++;
	}
	sleep_us(chance_below(random, 300));
	for (unsigned i = 0; i < held; i++) {
		tally(CHECK_READERS);
		if (!value_holds(values[i], &id, &version))
			fail(CHECK_READERS, "a value changed in the section that had found it");
	}
	kv_read_end(desk->store);
}

/* --- stretches of what is in order ---------------------------------------------------------- */

/* The keys of a stretch: what was begun and acknowledged before, and what the cursor showed. Stack. */
struct stretch {
	uint32_t first;
	uint32_t count;
	uint64_t before[STRETCH]; /* UINT64_MAX: something was under way */
	struct finding shown[STRETCH];
};

static void stretch_begin(struct stretch *stretch, struct chance *random)
{
	stretch->first = (uint32_t)chance_below(random, BOTH_KEYS - STRETCH);
	stretch->count = chance_between(random, 1, STRETCH);
	for (uint32_t i = 0; i < stretch->count; i++) {
		struct standing *standing = &shared->standing[stretch->first + i];
		uint64_t acknowledged = atomic_load(&standing->acknowledged);

		stretch->before[i] =
			atomic_load(&standing->begun) == acknowledged ? acknowledged : UINT64_MAX;
		stretch->shown[i] = (struct finding){ false, true, 0 };
	}
}

/* Which of the stretch's keys that is; its count: none. */
static uint32_t stretch_find(const struct stretch *stretch, struct kv_bytes key)
{
	char text[KEY_BYTES] = { 0 }, own[KEY_BYTES];
	unsigned place;

	if (key.size >= sizeof(text))
		return stretch->count;
	memcpy(text, key.data, key.size);
	if (sscanf(text, "key %u", &place) != 1 || place - stretch->first >= stretch->count ||
		key_of_place(own, place).size != key.size || strcmp(own, text) != 0)
		return stretch->count;
	return place - stretch->first;
}

/* Notes what was shown; false: it is behind the stretch. */
static bool stretch_take(struct stretch *stretch, struct kv_bytes key, struct kv_bytes value)
{
	uint32_t i = stretch_find(stretch, key);

	if (i == stretch->count)
		return false;
	if (stretch->shown[i].there)
		fail(CHECK_READERS, "a cursor shows place %u twice", stretch->first + i);
	stretch->shown[i].there = true;
	stretch->shown[i].whole = value_read(value, stretch->first + i, &stretch->shown[i].version);
	return true;
}

/* What nobody touched meanwhile was shown as it is. */
static void stretch_judge(const struct stretch *stretch)
{
	for (uint32_t i = 0; i < stretch->count; i++) {
		uint32_t place = stretch->first + i;
		uint64_t begun = atomic_load(&shared->standing[place].begun);

		if (stretch->before[i] != begun)
			continue;
		tally(CHECK_READERS);
		if (!finding_is(&stretch->shown[i], place, begun))
			fail(CHECK_READERS,
				"a cursor shows %s for place %u, which was version %#llx all along",
				stretch->shown[i].there ? "another value" : "nothing", place,
				(unsigned long long)begun);
	}
}

/* Of the group there are some keys in between. */
static bool is_of_group(struct kv_bytes key)
{
	static const char end[] = "of the group";

	return key.size > sizeof(end) &&
		memcmp((const char *)key.data + key.size - (sizeof(end) - 1), end,
			sizeof(end) - 1) == 0;
}

static void read_stretch(struct desk *desk, struct chance *random)
{
	struct kv_bytes key, value;
	struct kv_cursor *cursor;
	struct stretch stretch;
	char text[KEY_BYTES];
	int error;

	if (expect_ok(kv_cursor_open(desk->tables[0], &cursor), "kv_cursor_open") != 0)
		return;
	stretch_begin(&stretch, random);
	for (error = kv_cursor_seek(cursor, key_of_place(text, stretch.first), &key, &value);
		error == 0 && (stretch_take(&stretch, key, value) || is_of_group(key));
		error = kv_cursor_next(cursor, &key, &value))
		if (chance_once_in(random, 100))
			expect_ok(kv_cursor_pause(cursor), "kv_cursor_pause");
	stretch_judge(&stretch);
	kv_cursor_close(cursor);
}

/* --- the process --------------------------------------------------------------------------- */

static void act(struct desk *desk, struct chance *random)
{
	switch (chance_below(random, 8)) {
	case 0:
	case 1:
		hold_some(desk, random);
		break;
	case 2:
		read_stretch(desk, random);
		break;
	case 3:
	case 4:
		scan_read(desk, random);
		break;
	default:
		for (unsigned i = 0; i < GETS; i++)
			get_one(desk, random);
		break;
	}
}

void reader_run(struct kv *store, unsigned number, uint64_t seed)
{
	struct chance random = chance_of(seed, number);
	struct seat *seat = &shared->seats[number];
	struct desk desk;

	if (desk_open(&desk, store, WRITERS) != 0)
		return;
	atomic_store(&seat->ready, 1);
	while (!told_to_stop()) {
		atomic_store(&seat->call_ns, now_ns());
		act(&desk, &random);
		atomic_store(&seat->call_ns, 0);
		atomic_fetch_add_explicit(&seat->done, 1, memory_order_relaxed);
	}
	expect_ok(kv_close(store), "kv_close");
}
