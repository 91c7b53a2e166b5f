/* mixture.c -- of which moment each page of an image is
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/torn/mixture.h"

#include "stress/torn/give_up.h"

#include <stdlib.h>
#include <string.h>

/* --- sources ------------------------------------------------------------------------------- */

static bool changes(const struct recording *recording, uint64_t page)
{
	const char *first = moment_page(recording->moment[0], page);

	for (unsigned i = 1; i < recording->count; i++)
		if (moment_page(recording->moment[i], page) != first)
			return true;
	return false;
}

void source_init(struct source *source, const struct recording *recording,
	const struct recording *other)
{
	*source = (struct source){ .recording = recording, .other = other };
	source->changing = calloc(recording->most_pages + 1, sizeof(*source->changing));
	if (source->changing == NULL)
		give_up("no memory");
	for (uint64_t i = 0; i < recording->most_pages; i++)
		if (changes(recording, i))
			source->changing[source->changing_count++] = (unsigned)i;
	image_learn_sizes(recording);
}

void source_free(struct source *source)
{
	free(source->changing);
}

static const struct moment *moment_at(const struct source *source, unsigned moment)
{
	return source->recording->moment[moment];
}

static const char *version(const struct source *source, uint64_t page, unsigned moment)
{
	return moment_page(moment_at(source, moment), page);
}

static uint64_t some_page(const struct source *source, struct chance *chance)
{
	return source->changing[chance_below(chance, source->changing_count)];
}

static unsigned some_moment(const struct source *source, struct chance *chance)
{
	return chance_between(chance, 0, source->recording->count - 1);
}

/* One at which something is there; around the opening and closing of the heap more often. */
static unsigned some_later_moment(const struct source *source, struct chance *chance)
{
	unsigned moment = chance_between(chance, 1, source->recording->count - 1);

	for (unsigned i = 0; i < 4 && chance_below(chance, 4) != 0; i++)
		if (moment_at(source, moment)->state == MOMENT_IN_USE &&
			moment_at(source, moment)->synced_end == 0)
			moment = chance_between(chance, 1, source->recording->count - 1);
	return moment;
}

static unsigned some_clean_moment(const struct source *source, struct chance *chance)
{
	unsigned moment = some_moment(source, chance);

	for (unsigned i = 0; i < source->recording->count; i++)
		if (moment_at(source, moment)->state != MOMENT_CLEAN)
			moment = (moment + 1) % source->recording->count;
	return moment;
}

static void take_moment(const struct source *source, struct image *image, unsigned moment)
{
	image_begin(image, moment_at(source, moment)->pages);
	for (uint64_t i = 0; i < image->pages; i++)
		image->page[i] = version(source, i, moment);
}

/* --- control files ------------------------------------------------------------------------- */

static void put_control(struct image *image, const struct moment *moment, bool is_its)
{
	image->control = moment->control;
	image->control_is_its = is_its;
	memcpy(image->control_page, moment->control_page, DISK_PAGE);
}

/* The one that is found after a power failure: none, of some moment up to then, or another heap's. */
static void some_control(const struct source *source, struct chance *chance, struct image *image,
	unsigned moment)
{
	const struct recording *other = source->other;

	switch (chance_below(chance, 4)) {
	case 0:
		return;
	case 1:
		put_control(image, other->moment[chance_between(chance, 0, other->count - 1)],
			true);
		return;
	case 2:
		put_control(image, moment_at(source, chance_between(chance, 0, moment)), true);
		return;
	default:
		put_control(image, moment_at(source, moment), true);
	}
}

/* --- power failures ------------------------------------------------------------------------- */

/* Which version of a page was on the disk: `floor` was synced, `last` was in memory. */
typedef unsigned choose_fn(struct chance *chance, unsigned floor, unsigned last, uint64_t page,
	uint64_t chosen);

static unsigned choose_any(struct chance *chance, unsigned floor, unsigned last, uint64_t page,
	uint64_t chosen)
{
	(void)page;
	(void)chosen;
	return chance_between(chance, floor, last);
}

static unsigned choose_mostly_old(struct chance *chance, unsigned floor, unsigned last,
	uint64_t page, uint64_t chosen)
{
	return chance_once_in(chance, 16) ? choose_any(chance, floor, last, page, chosen) : floor;
}

static unsigned choose_mostly_new(struct chance *chance, unsigned floor, unsigned last,
	uint64_t page, uint64_t chosen)
{
	return chance_once_in(chance, 16) ? choose_any(chance, floor, last, page, chosen) : last;
}

static unsigned choose_old(struct chance *chance, unsigned floor, unsigned last, uint64_t page,
	uint64_t chosen)
{
	(void)chance;
	(void)last;
	(void)page;
	(void)chosen;
	return floor;
}

static unsigned choose_new(struct chance *chance, unsigned floor, unsigned last, uint64_t page,
	uint64_t chosen)
{
	(void)chance;
	(void)floor;
	(void)page;
	(void)chosen;
	return last;
}

static unsigned choose_one_new(struct chance *chance, unsigned floor, unsigned last, uint64_t page,
	uint64_t chosen)
{
	(void)chance;
	return page == chosen ? last : floor;
}

static unsigned choose_one_old(struct chance *chance, unsigned floor, unsigned last, uint64_t page,
	uint64_t chosen)
{
	(void)chance;
	return page == chosen ? floor : last;
}

static unsigned choose_up_to(struct chance *chance, unsigned floor, unsigned last, uint64_t page,
	uint64_t chosen)
{
	(void)chance;
	return page <= chosen ? last : floor;
}

static unsigned choose_from(struct chance *chance, unsigned floor, unsigned last, uint64_t page,
	uint64_t chosen)
{
	(void)chance;
	return page >= chosen ? last : floor;
}

/* Power fails just before the sync of moment `last` is over, or before that moment if it has none. */
static void fail_power(const struct source *source, struct chance *chance, struct image *image,
	unsigned last, choose_fn *choose)
{
	const struct recording *recording = source->recording;
	unsigned short_by = recording_floor(recording, UINT64_MAX - 1, last);
	uint64_t chosen = some_page(source, chance);

	image_begin(image, moment_at(source, chance_once_in(chance, 8) ? short_by : last)->pages);
	for (uint64_t i = 0; i < image->pages; i++) {
		unsigned floor = recording_floor(recording, i, last);

		image->page[i] = version(source, i, choose(chance, floor, last, i, chosen));
	}
	some_control(source, chance, image, last);
}

static void after_power_failure(const struct source *source, struct chance *chance,
	struct image *image, choose_fn *choose)
{
	fail_power(source, chance, image, some_later_moment(source, chance), choose);
	image->other_boot = true;
}

static void make_power_any(const struct source *source, struct chance *chance, struct image *image)
{
	static choose_fn *const ways[] = { choose_any, choose_mostly_old, choose_mostly_new };

	after_power_failure(source, chance, image, ways[chance_below(chance, 3)]);
}

static void make_power_old(const struct source *source, struct chance *chance, struct image *image)
{
	after_power_failure(source, chance, image, choose_old);
}

static void make_power_new(const struct source *source, struct chance *chance, struct image *image)
{
	after_power_failure(source, chance, image, choose_new);
}

static void make_power_one_new(const struct source *source, struct chance *chance,
	struct image *image)
{
	after_power_failure(source, chance, image, choose_one_new);
}

static void make_power_one_old(const struct source *source, struct chance *chance,
	struct image *image)
{
	after_power_failure(source, chance, image, choose_one_old);
}

static void make_power_in_order(const struct source *source, struct chance *chance,
	struct image *image)
{
	after_power_failure(source, chance, image,
		chance_once_in(chance, 2) ? choose_up_to : choose_from);
}

/* Each sector of the page is of one of its versions. */
static void tear(const struct source *source, struct chance *chance, struct image *image,
	uint64_t page, unsigned last)
{
	unsigned floor = recording_floor(source->recording, page, last);
	char *torn;

	if (floor == last || page >= image->pages)
		return;
	torn = image_scratch(image, NULL);
	for (uint64_t at = 0; torn != NULL && at < DISK_PAGE; at += SECTOR) {
		const char *from = version(source, page, chance_between(chance, floor, last));

		if (from != NULL)
			memcpy(torn + at, from + at, SECTOR);
	}
	if (torn != NULL)
		image->page[page] = torn;
}

static void make_power_torn(const struct source *source, struct chance *chance, struct image *image)
{
	unsigned last = some_later_moment(source, chance);

	fail_power(source, chance, image, last, choose_any);
	for (unsigned i = 0; i < source->changing_count; i++)
		if (chance_once_in(chance, 4))
			tear(source, chance, image, source->changing[i], last);
	image->other_boot = true;
}

/* --- copies -------------------------------------------------------------------------------- */

static int compare_pages(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

#define SWITCHES_MOST 12u

/* From its start to its end, while the moments from `first` to `last` pass. */
static void copy_in_order(const struct source *source, struct chance *chance, struct image *image,
	unsigned first, unsigned last)
{
	uint64_t at[SWITCHES_MOST] = { 0 };
	unsigned count = last - first < SWITCHES_MOST ? last - first : SWITCHES_MOST;
	unsigned moment = first;
	unsigned next = 0;

	for (unsigned i = 0; i < count; i++)
		at[i] = some_page(source, chance);
	qsort(at, count, sizeof(at[0]), compare_pages);
	image_begin(image, moment_at(source, last)->pages);
	for (uint64_t i = 0; i < image->pages; i++) {
		while (next < count && at[next] <= i) {
			next++;
			moment = next == count ? last : chance_between(chance, moment, last);
		}
		image->page[i] = version(source, i, moment);
	}
}

static void some_copy(const struct source *source, struct chance *chance, struct image *image,
	unsigned *last)
{
	/* A file that is opened meanwhile is what is hard to tell. */
	unsigned first = chance_once_in(chance, 2) ? some_clean_moment(source, chance)
						   : some_moment(source, chance);

	*last = chance_between(chance, first,
		chance_once_in(chance, 2) || first + 6 >= source->recording->count
			? source->recording->count - 1
			: first + 6);
	copy_in_order(source, chance, image, first, *last);
}

static void make_copy(const struct source *source, struct chance *chance, struct image *image)
{
	unsigned last;

	some_copy(source, chance, image, &last);
	if (chance_once_in(chance, 2))
		put_control(image, moment_at(source, last), false);
}

/* --- put back in place --------------------------------------------------------------------- */

/* The copy is over the file as it was at a moment up to a page, or with nothing behind that. */
static void make_restore_cut(const struct source *source, struct chance *chance,
	struct image *image)
{
	unsigned copied;
	unsigned there;
	uint64_t cut = some_page(source, chance);
	uint64_t pages;

	some_copy(source, chance, image, &copied);
	there = chance_between(chance, copied, source->recording->count - 1);
	pages = chance_once_in(chance, 3) ? cut : moment_at(source, there)->pages;
	for (uint64_t i = cut; i < pages; i++)
		image->page[i] = version(source, i, there);
	for (uint64_t i = pages; i < image->pages; i++)
		image->page[i] = NULL;
	image->pages = pages;
	put_control(image, moment_at(source, there), true);
}

static void make_restore(const struct source *source, struct chance *chance, struct image *image)
{
	unsigned copied;

	some_copy(source, chance, image, &copied);
	put_control(image,
		moment_at(source, chance_between(chance, copied, source->recording->count - 1)),
		true);
}

/* A whole moment, and the control file of another. */
static void make_restore_whole(const struct source *source, struct chance *chance,
	struct image *image)
{
	take_moment(source, image, some_moment(source, chance));
	if (chance_once_in(chance, 8))
		put_control(image, source->other->moment[source->other->count / 2], true);
	else
		put_control(image, moment_at(source, some_moment(source, chance)), true);
}

/* --- any mixture --------------------------------------------------------------------------- */

static bool is_end_page(const struct source *source, uint64_t page)
{
	if (page == 0 || page == superblock_b_page())
		return false;
	for (unsigned i = 0; i < source->recording->count; i++) {
		const char *content = version(source, page, i);
		uint64_t magic = 0;

		if (content != NULL)
			memcpy(&magic, content, sizeof(magic));
		if (magic == SUPERBLOCK_MAGIC)
			return true;
	}
	return false;
}

/* One page from one of the two; `all` sees to it that all such pages are from the same. */
static void take_page(const struct source *source, struct chance *chance, struct image *image,
	uint64_t page, const unsigned pair[2], unsigned all)
{
	image->page[page] =
		version(source, page, all < 2 ? pair[all] : pair[chance_below(chance, 2)]);
}

/* Copy A, copy B, end copy, arena header, running words and the rest, each of one of two moments. */
static void make_parts(const struct source *source, struct chance *chance, struct image *image)
{
	unsigned pair[2] = { some_clean_moment(source, chance), some_moment(source, chance) };
	unsigned marks = chance_once_in(chance, 2) ? 0 : 2;
	unsigned end = marks < 2 ? pair[marks] : pair[chance_below(chance, 2)];

	/* Nothing but the marks and the arena's header can differ. */
	take_moment(source, image,
		pair[marks < 2 && !chance_once_in(chance, 4) ? 0 : chance_below(chance, 2)]);
	image->pages = image->capacity < source->recording->most_pages
		? image->capacity
		: source->recording->most_pages;
	take_page(source, chance, image, 0, pair, marks);
	take_page(source, chance, image, superblock_b_page(), pair, marks);
	take_page(source, chance, image, SUPERBLOCK_STRIDE / DISK_PAGE, pair, 2);
	for (unsigned i = 0; i < source->changing_count; i++)
		if (is_end_page(source, source->changing[i]))
			image->page[source->changing[i]] =
				version(source, source->changing[i], end);
	/* Where the first end copy was. */
	take_page(source, chance, image, arena_header_page(), pair, 2);
	if (chance_once_in(chance, 2))
		put_control(image, moment_at(source, pair[chance_below(chance, 2)]), true);
}

static void make_any(const struct source *source, struct chance *chance, struct image *image)
{
	unsigned first = some_moment(source, chance);
	unsigned last = chance_between(chance, first, source->recording->count - 1);
	uint64_t odds = chance_once_in(chance, 2) ? 2 : 40;

	take_moment(source, image, first);
	image->pages = moment_at(source, last)->pages;
	for (uint64_t i = 0; i < image->pages; i++)
		image->page[i] = version(source, i,
			chance_once_in(chance, odds) ? chance_between(chance, first, last) : first);
	some_control(source, chance, image, last);
}

/* --- */

const struct kind mixture_kinds[] = {
	{ "power: pages of any moment since their sync", true, make_power_any },
	{ "power: pages torn at 512 bytes", true, make_power_torn },
	{ "power: one page new", true, make_power_one_new },
	{ "power: one page old", true, make_power_one_old },
	{ "power: pages in order, from either end", true, make_power_in_order },
	{ "power: all pages as synced", true, make_power_old },
	{ "power: all pages new", true, make_power_new },
	{ "copy in order, while in use", true, make_copy },
	{ "copy put back in place", false, make_restore },
	{ "copy put back, cut off", false, make_restore_cut },
	{ "whole file put back, any control file", false, make_restore_whole },
	{ "parts of two moments", false, make_parts },
	{ "pages of any moment", false, make_any },
};

const unsigned mixture_kind_count = sizeof(mixture_kinds) / sizeof(mixture_kinds[0]);
