/* test_page_index.c -- page bits and the page index, against scenarios and a naive model
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Every change is made to the index and to an array of one bool per page, after which both must
 * agree and the index must be valid. Scenarios A1 to A11 and F1 to F6 speak of chunks, so that the
 * small geometry runs them too. Random tests print their seed, which SH_SEED in the environment
 * sets. */
#define _DEFAULT_SOURCE 1

#include <CUnit/CUnit.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "heap/page_bits.h"
#include "heap/page_index.h"

#define C CHUNK_PAGES

/* Scenarios begin here: their next chunks lie under another entry of the level above. */
#define BASE_CHUNK UINT64_C(6)

/* Patterns of bits are tested on areas of this many pages, which entries of a level cover. */
#define AREA_PAGES UINT64_C(512)
#define AREA_WORDS (AREA_PAGES / WORD_PAGES)
#define AREA_LEVEL ((9 - CHUNK_PAGES_SHIFT) / PAGE_INDEX_FANOUT_SHIFT)
_Static_assert(C << PAGE_INDEX_FANOUT_SHIFT * AREA_LEVEL == AREA_PAGES, "an entry covers an area");

#define NONE UINT64_C(0)
#define LENGTH_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Process. An index in memory of its own and what it must say. */
struct fixture {
	struct page_index index;
	struct page_index_layout layout;
	void *memory;
	bool *is_free;
	uint64_t pages;
};

/* Bits or pages [first, first + count). */
struct range {
	uint64_t first;
	uint64_t count;
};

static uint64_t random_state;

static void seed_random(const char *test)
{
	const char *text = getenv("SH_SEED");
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	random_state = (uint64_t)now.tv_sec * UINT64_C(1000000007) ^ (uint64_t)now.tv_nsec;
	if (text != NULL)
		random_state = strtoull(text, NULL, 0);
	printf(" %s: SH_SEED=0x%" PRIx64 " ", test, random_state);
	fflush(stdout);
}

/* random_u64 -- splitmix64 */
static uint64_t random_u64(void)
{
	uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint64_t random_below(uint64_t limit)
{
	return random_u64() % limit;
}

/* random_sparse -- a word in which one in 2^0 to 2^3 bits is set, or is not */
static uint64_t random_sparse(void)
{
	uint64_t word = random_u64();

	for (uint64_t i = random_below(4); i > 0; i--)
		word &= random_u64();
	return random_below(2) == 0 ? word : ~word;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t ceil_div(uint64_t value, uint64_t divisor)
{
	return (value + divisor - 1) / divisor;
}

/* map_memory -- zeroed, and only what is touched takes memory */
static void *map_memory(uint64_t bytes, int protection)
{
	void *memory =
		mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CU_ASSERT_NOT_EQUAL_FATAL(memory, MAP_FAILED);
	return memory;
}

static void open_fixture(struct fixture *f, uint64_t chunks)
{
	page_index_layout(chunks, &f->layout);
	f->memory = map_memory(f->layout.total_bytes, PROT_READ | PROT_WRITE);
	page_index_attach(&f->index, f->memory, chunks);
	f->pages = chunks * C;
	f->is_free = calloc(f->pages, sizeof(bool));
	CU_ASSERT_PTR_NOT_NULL_FATAL(f->is_free);
}

static void close_fixture(struct fixture *f)
{
	munmap(f->memory, f->layout.total_bytes);
	free(f->is_free);
}

/* at -- a page of a scenario's chunk */
static uint64_t at(uint64_t chunk, uint64_t page)
{
	return (BASE_CHUNK + chunk) * C + page;
}

/* model_word -- the free bits that the model has for 64 pages */
static uint64_t model_word(const struct fixture *f, uint64_t first_page)
{
	uint64_t word = 0;

	for (uint64_t i = 0; i < WORD_PAGES; i++)
		word |= (uint64_t)f->is_free[first_page + i] << i;
	return word;
}

/* model_find -- first fit, page by page */
static uint64_t model_find(const struct fixture *f, uint64_t npages)
{
	uint64_t run = 0;

	for (uint64_t page = 0; page < f->pages; page++) {
		run = f->is_free[page] ? run + 1 : 0;
		if (run == npages)
			return page + 1 - npages;
	}
	return NONE;
}

static uint64_t model_count(const struct fixture *f, uint64_t page, uint64_t npages)
{
	uint64_t count = 0;

	for (uint64_t i = page; i < page + npages; i++)
		count += f->is_free[i];
	return count;
}

static void model_set(struct fixture *f, uint64_t page, uint64_t npages, bool is_free)
{
	memset(&f->is_free[page], is_free, npages);
}

static void model_set_mask(struct fixture *f, uint64_t first_page, uint64_t mask, bool is_free)
{
	for (uint64_t i = 0; i < WORD_PAGES; i++) {
		if (mask >> i & 1)
			f->is_free[first_page + i] = is_free;
	}
}

static void check(const struct fixture *f)
{
	bool same = true;

	for (uint64_t page = 0; page < f->pages; page += WORD_PAGES)
		same &= f->index.free_words[page / WORD_PAGES] == model_word(f, page);
	CU_ASSERT_TRUE(same);
	CU_ASSERT_TRUE(page_index_valid(&f->index));
}

static void give(struct fixture *f, uint64_t page, uint64_t npages)
{
	model_set(f, page, npages, true);
	page_index_give(&f->index, page, npages);
	check(f);
}

static void take(struct fixture *f, uint64_t page, uint64_t npages)
{
	model_set(f, page, npages, false);
	page_index_take(&f->index, page, npages);
	check(f);
}

static void take_mask(struct fixture *f, uint64_t first_page, uint64_t mask)
{
	model_set_mask(f, first_page, mask, false);
	page_index_take_mask(&f->index, first_page, mask);
	check(f);
}

static void give_mask(struct fixture *f, uint64_t first_page, uint64_t mask)
{
	model_set_mask(f, first_page, mask, true);
	page_index_give_mask(&f->index, first_page, mask);
	check(f);
}

/* expect -- a search for `npages` finds `page`, or NONE; what is found is taken */
static void expect(struct fixture *f, uint64_t npages, uint64_t page)
{
	uint64_t found = page_index_find(&f->index, npages);

	CU_ASSERT_EQUAL(found, page);
	CU_ASSERT_EQUAL(found, model_find(f, npages));
	if (found != NONE)
		take(f, found, npages);
}

/* expect_word -- the lowest word with free pages begins at `first_page`; they are taken */
static void expect_word(struct fixture *f, uint64_t first_page, uint64_t mask)
{
	uint64_t found_mask = 1;
	uint64_t found = page_index_find_word(&f->index, &found_mask);

	CU_ASSERT_EQUAL(found, first_page);
	CU_ASSERT_EQUAL(found_mask, mask);
	if (found_mask != 0)
		take_mask(f, found, found_mask);
}

/* expect_free -- so many pages are free, counted in one and in two parts */
static void expect_free(const struct fixture *f, uint64_t npages)
{
	uint64_t half = f->pages / 2 + 1;

	CU_ASSERT_EQUAL(page_index_count(&f->index, 0, f->pages), npages);
	CU_ASSERT_EQUAL(page_index_count(&f->index, 0, half) +
			page_index_count(&f->index, half, f->pages - half),
		npages);
}

/* ---- page bits ---- */

static bool bit_of(const uint64_t *words, uint64_t bit)
{
	return words[bit / WORD_PAGES] >> bit % WORD_PAGES & 1;
}

/* range_count -- how many of a case's ranges there are before the first empty one */
static size_t range_count(const struct range ranges[4])
{
	size_t count = 0;

	while (count < 4 && ranges[count].count > 0)
		count++;
	return count;
}

/* fill -- an area in which exactly the bits of the ranges are set */
static void fill(uint64_t words[AREA_WORDS], const struct range *ranges, size_t count)
{
	memset(words, 0, AREA_WORDS * sizeof(uint64_t));
	for (size_t i = 0; i < count; i++)
		page_bits_set_range(words, ranges[i].first, ranges[i].count);
}

static const struct range bit_ranges[] = { { 0, 1 }, { 511, 1 }, { 100, 1 }, { 61, 5 }, { 64, 64 },
	{ 128, 128 }, { 0, 321 }, { 319, 193 }, { 0, 512 }, { 63, 2 }, { 127, 129 }, { 1, 62 },
	{ 1, 510 } };

/* check_range -- that only the bits of the range are `value`, and what the tests of ranges say */
static void check_range(const uint64_t words[AREA_WORDS], struct range range, bool value)
{
	bool exact = true;

	for (uint64_t bit = 0; bit < AREA_PAGES; bit++) {
		bool inside = bit >= range.first && bit - range.first < range.count;

		exact &= bit_of(words, bit) == (inside == value);
	}
	CU_ASSERT_TRUE(exact);
	CU_ASSERT_EQUAL(page_bits_range_is_set(words, range.first, range.count), value);
	CU_ASSERT_EQUAL(page_bits_range_is_clear(words, range.first, range.count), !value);
	CU_ASSERT_EQUAL(page_bits_count_range(words, range.first, range.count),
		value ? range.count : 0);
	CU_ASSERT_EQUAL(page_bits_count_range(words, 0, AREA_PAGES),
		value ? range.count : AREA_PAGES - range.count);
	if (range.first > 0 && range.first + range.count < AREA_PAGES) {
		CU_ASSERT_FALSE(page_bits_range_is_set(words, range.first - 1, range.count + 2));
		CU_ASSERT_FALSE(page_bits_range_is_clear(words, range.first - 1, range.count + 2));
	}
}

static void test_bit_ranges(void)
{
	uint64_t words[AREA_WORDS];

	for (size_t i = 0; i < LENGTH_OF(bit_ranges); i++) {
		struct range range = bit_ranges[i];

		fill(words, &range, 1);
		check_range(words, range, true);
		memset(words, 0xff, sizeof(words));
		page_bits_clear_range(words, range.first, range.count);
		check_range(words, range, false);
		page_bits_set_range(words, range.first, range.count);
		CU_ASSERT_TRUE(page_bits_range_is_set(words, 0, AREA_PAGES));
	}
}

static void test_bit_mask(void)
{
	for (uint64_t first = 0; first < WORD_PAGES; first++) {
		for (uint64_t count = 1; first + count <= WORD_PAGES; count++) {
			uint64_t word = 0;

			page_bits_set_range(&word, first, count);
			CU_ASSERT_EQUAL(page_bits_mask(first, count), word);
		}
	}
}

static uint64_t naive_count(const uint64_t *words, uint64_t first, uint64_t count)
{
	uint64_t total = 0;

	for (uint64_t bit = first; bit < first + count; bit++)
		total += bit_of(words, bit);
	return total;
}

static void test_bit_count(void)
{
	static const struct range all = { 0, 512 }, half = { 0, 256 }, odd = { 3, 251 };
	static const struct range scattered[] = { { 1, 1 }, { 63, 2 }, { 130, 7 }, { 300, 90 },
		{ 511, 1 } };
	uint64_t words[AREA_WORDS];

	fill(words, NULL, 0);
	CU_ASSERT_EQUAL(page_bits_count_range(words, 0, AREA_PAGES), 0);
	fill(words, &all, 1);
	CU_ASSERT_EQUAL(page_bits_count_range(words, 0, AREA_PAGES), 512);
	CU_ASSERT_EQUAL(page_bits_count_range(words, 17, 401), 401);
	fill(words, &half, 1);
	CU_ASSERT_EQUAL(page_bits_count_range(words, 0, AREA_PAGES), 256);
	CU_ASSERT_EQUAL(page_bits_count_range(words, 255, 2), 1);
	fill(words, &odd, 1);
	CU_ASSERT_EQUAL(page_bits_count_range(words, 1, 509), 251);
	fill(words, scattered, LENGTH_OF(scattered));
	CU_ASSERT_EQUAL(page_bits_count_range(words, 0, AREA_PAGES), 101);
	CU_ASSERT_EQUAL(page_bits_count_range(words, 64, 70), 5);
}

static void test_bit_count_random(void)
{
	uint64_t words[40];

	seed_random("bit counts");
	for (int round = 0; round < 2000; round++) {
		uint64_t first = random_below(40 * WORD_PAGES);
		uint64_t count = 1 + random_below(40 * WORD_PAGES - first);

		for (size_t i = 0; i < LENGTH_OF(words); i++)
			words[i] = random_sparse();
		CU_ASSERT_EQUAL(page_bits_count_range(words, first, count),
			naive_count(words, first, count));
	}
}

/* Which bits of an area are set, and where the lowest run of `count` of them begins. */
struct find_case {
	struct range set[4]; /* up to the first empty one */
	uint64_t count;
	uint64_t found; /* AREA_PAGES: nowhere */
};

static const struct find_case find_cases[] = {
	{ { { 0, 0 } }, 1, AREA_PAGES },
	{ { { 0, 512 } }, 1, 0 },
	{ { { 0, 512 } }, 512, 0 },
	{ { { 0, 512 } }, 513, AREA_PAGES },
	{ { { 256, 1 } }, 1, 256 },
	{ { { 255, 2 } }, 2, 255 },
	{ { { 254, 5 } }, 5, 254 },
	{ { { 254, 5 } }, 6, AREA_PAGES },
	{ { { 230, 65 } }, 65, 230 },
	{ { { 192, 64 } }, 64, 192 },
	{ { { 0, 32 }, { 64, 31 }, { 130, 32 } }, 64, AREA_PAGES },
	{ { { 0, 32 }, { 64, 31 }, { 130, 32 } }, 32, 0 },
	{ { { 3, 146 }, { 180, 161 }, { 350, 162 } }, 161, 180 },
	{ { { 3, 146 }, { 180, 161 }, { 350, 162 } }, 162, 350 },
	{ { { 3, 146 }, { 180, 161 }, { 350, 162 } }, 147, 180 },
	{ { { 511, 1 } }, 1, 511 },
};

static void test_bit_find(void)
{
	uint64_t words[AREA_WORDS];

	for (size_t i = 0; i < LENGTH_OF(find_cases); i++) {
		const struct find_case *c = &find_cases[i];

		fill(words, c->set, range_count(c->set));
		CU_ASSERT_EQUAL(page_bits_find_run(words, AREA_WORDS, c->count), c->found);
	}
}

/* naive_run -- first of the lowest `count` set bits in a row among `bits`, `bits` when none */
static uint64_t naive_run(const uint64_t *words, uint64_t bits, uint64_t count)
{
	uint64_t run = 0;

	for (uint64_t bit = 0; bit < bits; bit++) {
		run = bit_of(words, bit) ? run + 1 : 0;
		if (run == count)
			return bit + 1 - count;
	}
	return bits;
}

/* naive_longest -- the longest run of set bits inside one word */
static uint64_t naive_longest(const uint64_t *words, uint64_t word_count)
{
	uint64_t longest = 0;

	for (uint64_t i = 0; i < word_count; i++) {
		while (naive_run(&words[i], WORD_PAGES, longest + 1) < WORD_PAGES)
			longest++;
	}
	return longest;
}

static void test_bit_runs_random(void)
{
	uint64_t words[AREA_WORDS];

	seed_random("bit runs");
	for (int round = 0; round < 500; round++) {
		uint64_t count = 1 + random_below(70);
		uint64_t word;

		for (size_t i = 0; i < AREA_WORDS; i++)
			words[i] = random_below(8) == 0 ? UINT64_MAX : random_sparse();
		/* cppcheck-suppress uninitvar ; AREA_WORDS is not 0 */
		word = words[0];
		CU_ASSERT_EQUAL(page_bits_lowest_run(word, count), naive_run(&word, 64, count));
		CU_ASSERT_EQUAL(page_bits_find_run(words, AREA_WORDS, count),
			naive_run(words, AREA_PAGES, count));
		CU_ASSERT_EQUAL(page_bits_longest_run(words), naive_longest(words, CHUNK_WORDS));
	}
}

static void test_bit_runs_in_word(void)
{
	uint64_t words[CHUNK_WORDS] = { 0 };

	CU_ASSERT_EQUAL(page_bits_lowest(0), 64);
	CU_ASSERT_EQUAL(page_bits_run_at_start(0), 0);
	CU_ASSERT_EQUAL(page_bits_run_at_end(0), 0);
	CU_ASSERT_EQUAL(page_bits_longest_run(words), 0);
	CU_ASSERT_EQUAL(page_bits_lowest_run(UINT64_MAX, 65), 64);
	CU_ASSERT_EQUAL(page_bits_lowest_run(UINT64_MAX, 129), 64);
	for (uint64_t length = 1; length <= WORD_PAGES; length++) {
		CU_ASSERT_EQUAL(page_bits_run_at_start(page_bits_mask(0, length)), length);
		CU_ASSERT_EQUAL(page_bits_run_at_end(page_bits_mask(64 - length, length)), length);
		for (uint64_t first = 0; first + length <= WORD_PAGES; first++) {
			words[CHUNK_WORDS - 1] = page_bits_mask(first, length);
			CU_ASSERT_EQUAL(page_bits_lowest(words[CHUNK_WORDS - 1]), first);
			CU_ASSERT_EQUAL(page_bits_longest_run(words), length);
			CU_ASSERT_EQUAL(page_bits_lowest_run(words[CHUNK_WORDS - 1], length),
				first);
		}
	}
}

/* ---- allocate ---- */

/* A1: fresh chunks by `npages` */
static void allocate_fresh(uint64_t npages)
{
	struct fixture f;
	uint64_t chunks = ceil_div(5 * npages, C);

	open_fixture(&f, BASE_CHUNK + chunks + 1);
	give(&f, at(0, 0), chunks * C);
	for (uint64_t i = 0; i < 5; i++)
		expect(&f, npages, at(0, i * npages));
	expect_free(&f, chunks * C - 5 * npages);
	close_fixture(&f);
}

static void test_a1_fresh(void)
{
	static const uint64_t sizes[] = { 1, 2, 5, 64, 65 };

	for (size_t i = 0; i < LENGTH_OF(sizes); i++)
		allocate_fresh(sizes[i]);
}

static void test_a2_last_page_of_third_chunk(void)
{
	struct fixture f;

	open_fixture(&f, BASE_CHUNK + 8);
	give(&f, at(2, C - 1), 1);
	expect(&f, 1, at(2, C - 1));
	expect(&f, 1, NONE);
	expect_free(&f, 0);
	close_fixture(&f);
}

static void test_a3_next_chunk_far_away(void)
{
	struct fixture f;

	open_fixture(&f, BASE_CHUNK + 0x100);
	give(&f, at(0, 0), C);
	give(&f, at(0xff, 0), C);
	expect(&f, C, at(0, 0));
	for (uint64_t page = 0; page < 5; page++)
		expect(&f, 1, at(0xff, page));
	expect_free(&f, C - 5);
	close_fixture(&f);
}

/* allocate_straddling -- the only run crosses from one chunk into the next or over it */
static void allocate_straddling(uint64_t first, uint64_t npages)
{
	struct fixture f;

	open_fixture(&f, BASE_CHUNK + 8);
	give(&f, at(0, first), npages);
	expect(&f, npages + 1, NONE);
	expect(&f, npages, at(0, first));
	expect(&f, 1, NONE);
	expect_free(&f, 0);
	close_fixture(&f);
}

static void test_a4_straddle_2(void)
{
	allocate_straddling(C - 1, 2);
	allocate_straddling(2 * C - 1, 2);
}

static void test_a5_tail_of_chunk(void)
{
	struct fixture f;

	open_fixture(&f, BASE_CHUNK + 2);
	give(&f, at(0, 0), C);
	expect(&f, C - 3, at(0, 0));
	expect(&f, C - 3, NONE);
	expect(&f, 1, at(0, C - 3));
	expect(&f, 2, at(0, C - 2));
	expect(&f, 1, NONE);
	expect(&f, C - 3, NONE);
	close_fixture(&f);
}

/* allocate_most -- `npages` of `chunks` fresh chunks, then what is left page by page */
static void allocate_most(uint64_t chunks, uint64_t npages)
{
	struct fixture f;

	open_fixture(&f, BASE_CHUNK + chunks);
	give(&f, at(0, 0), chunks * C);
	expect(&f, npages, at(0, 0));
	expect(&f, npages, NONE);
	for (uint64_t page = npages; page < min_u64(chunks * C, npages + 5); page++)
		expect(&f, 1, at(0, page));
	close_fixture(&f);
}

static void test_a6_whole_chunks(void)
{
	allocate_most(1, C);
	allocate_most(2, 2 * C);
	allocate_most(8, 7 * C + 5);
}

static void test_a7_straddle_from_middle(void)
{
	allocate_straddling(C / 2, C);
	allocate_straddling(C / 2, C + 1);
	allocate_straddling(C / 2, 2 * C);
	allocate_straddling(C / 2 + 2 * C, 2 * C);
}

static void test_a8_gap_is_not_joined(void)
{
	struct fixture f;

	open_fixture(&f, BASE_CHUNK + 0x43);
	give(&f, at(0, 0), C);
	give(&f, at(0x40, 0), C);
	give(&f, at(0x41, 0), C);
	expect(&f, 2 * C, at(0x40, 0));
	expect(&f, 21, at(0, 0));
	expect(&f, 1, at(0, 21));
	expect(&f, 2 * C, NONE);
	expect_free(&f, C - 22);
	close_fixture(&f);
}

static void test_a9_first_hole_too_small(void)
{
	struct fixture f;

	open_fixture(&f, BASE_CHUNK + 5);
	give(&f, at(1, C * 3 / 4), C / 4);
	take(&f, at(1, C - 1), 1);
	give(&f, at(2, C * 3 / 4), C / 4);
	give(&f, at(3, 0), C);
	expect(&f, C + C / 4, at(2, C * 3 / 4));
	expect(&f, C + C / 4, NONE);
	expect(&f, 1, at(1, C * 3 / 4));
	close_fixture(&f);
}

/* A10: the chunk's summary is the last in its page of memory */
static void test_a10_summary_ends_a_page(void)
{
	struct fixture f;
	uint64_t last = PAGE_INDEX_REGION_ALIGN_BYTES / sizeof(uint64_t) - 1;
	uint64_t far = last + 0x400;

	open_fixture(&f, far + 1);
	give(&f, last * C, C);
	give(&f, far * C, C);
	expect(&f, C - 1, last * C);
	expect(&f, 1, last * C + C - 1);
	expect(&f, 1, far * C);
	expect(&f, C - 1, far * C + 1);
	expect(&f, C, NONE);
	close_fixture(&f);
}

static void test_a11_hint_after_large_run(void)
{
	struct fixture f;

	open_fixture(&f, BASE_CHUNK + 9);
	give(&f, at(0, 3), 1);
	give(&f, at(4, 0), 5 * C);
	expect(&f, 5 * C, at(4, 0));
	expect(&f, 2, NONE);
	give(&f, at(2, 7), 2);
	expect(&f, 2, at(2, 7));
	expect(&f, 1, at(0, 3));
	expect(&f, 1, NONE);
	give(&f, at(1, 1), 1);
	expect(&f, 1, at(1, 1));
	close_fixture(&f);
}

/* exhaust -- four chunks by `npages`, to the last run that fits */
static void exhaust(uint64_t npages)
{
	struct fixture f;

	open_fixture(&f, BASE_CHUNK + 4);
	give(&f, at(0, 0), 4 * C);
	for (uint64_t i = 0; i < 4 * C / npages; i++)
		expect(&f, npages, at(0, i * npages));
	expect(&f, npages, NONE);
	expect_free(&f, 4 * C % npages);
	close_fixture(&f);
}

static void test_exhaust(void)
{
	static const uint64_t sizes[] = { 1, 2, 3, 4, 5, 8, 16, 64, 2 * C, 2 * C + 1, 4 * C,
		4 * C + 1 };

	for (size_t i = 0; i < LENGTH_OF(sizes); i++)
		exhaust(sizes[i]);
}

/* ---- free ---- */

/* free_all -- give back ranges of pages that count from the scenario's first chunk on, then take
 * them: each search returns the next, as they ascend and none is longer than the one before */
static void free_all(const struct range *ranges, size_t count)
{
	struct fixture f;
	uint64_t total = 0;

	open_fixture(&f, BASE_CHUNK + 9);
	for (size_t i = count; i-- > 0;) {
		give(&f, at(0, ranges[i].first), ranges[i].count);
		total += ranges[i].count;
	}
	expect_free(&f, total);
	for (size_t i = 0; i < count; i++)
		expect(&f, ranges[i].count, at(0, ranges[i].first));
	expect_free(&f, 0);
	close_fixture(&f);
}

static void test_f1_five_pages(void)
{
	static const struct range pages[] = { { 0, 1 }, { 1, 1 }, { 2, 1 }, { 3, 1 }, { 4, 1 } };

	free_all(pages, LENGTH_OF(pages));
}

static void test_f2_single_pages_of_chunks(void)
{
	static const struct range middle[] = { { C / 2, 1 }, { C + C / 2, 1 },
		{ 2 * C + C / 2, 1 } };
	static const struct range first[] = { { 0, 1 }, { C, 1 }, { 2 * C, 1 } };
	static const struct range last[] = { { C - 1, 1 }, { 2 * C - 1, 1 }, { 3 * C - 1, 1 } };

	free_all(middle, LENGTH_OF(middle));
	free_all(first, LENGTH_OF(first));
	free_all(last, LENGTH_OF(last));
}

static void test_f3_short_runs(void)
{
	static const uint64_t sizes[] = { 2, 5, 64, 65 };

	for (size_t i = 0; i < LENGTH_OF(sizes); i++) {
		uint64_t n = sizes[i];
		struct range runs[] = { { 0, n }, { n, n }, { 2 * n, n }, { 3 * n, n },
			{ 5 * n, n } };

		free_all(runs, LENGTH_OF(runs));
	}
}

static void test_f4_whole_chunk_and_straddles(void)
{
	static const struct range runs[] = { { 0, C }, { C - 1, 2 }, { C / 2, C }, { C / 2, C + 1 },
		{ C / 2, 2 * C }, { C + C / 2, 2 * C } };

	for (size_t i = 0; i < LENGTH_OF(runs); i++)
		free_all(&runs[i], 1);
}

static void test_f5_seven_chunks_and_five(void)
{
	static const struct range run = { 0, 7 * C + 5 };

	free_all(&run, 1);
}

/* F6: eight chunks again and again, so that summaries of several levels come and go */
static void test_f6_repeatedly(void)
{
	struct fixture f;
	uint64_t first = 8 * C;

	open_fixture(&f, 16);
	give(&f, first, 8 * C);
	for (int round = 0; round < 5; round++) {
		expect(&f, 8 * C, first);
		expect(&f, 1, NONE);
		give(&f, first, 8 * C);
		expect(&f, 1, first);
		expect(&f, 8 * C, NONE);
		give(&f, first, 1);
	}
	CU_ASSERT_EQUAL(page_summary_max(f.index.summaries[1][1]), 8 * C);
	close_fixture(&f);
}

/* free_in_area -- of an area in use, free and take again runs of `npages` all over it */
static void free_in_area(uint64_t npages)
{
	struct fixture f;

	open_fixture(&f, 2 * ceil_div(AREA_PAGES, C));
	for (uint64_t i = 0; i + npages <= AREA_PAGES; i += npages + 1)
		give(&f, AREA_PAGES + i, npages);
	for (uint64_t i = 0; i + npages <= AREA_PAGES; i += npages + 1)
		expect(&f, npages, AREA_PAGES + i);
	expect(&f, npages, NONE);
	expect_free(&f, 0);
	close_fixture(&f);
}

static void test_free_in_area(void)
{
	static const uint64_t sizes[] = { 1, 2, 5, 64, 65 };

	for (size_t i = 0; i < LENGTH_OF(sizes); i++)
		free_in_area(sizes[i]);
}

static void test_find_in_area(void)
{
	for (size_t i = 0; i < LENGTH_OF(find_cases); i++) {
		const struct find_case *c = &find_cases[i];
		struct fixture f;

		open_fixture(&f, 2 * ceil_div(AREA_PAGES, C));
		for (size_t k = 0; k < range_count(c->set); k++)
			give(&f, AREA_PAGES + c->set[k].first, c->set[k].count);
		expect(&f, c->count, c->found == AREA_PAGES ? NONE : AREA_PAGES + c->found);
		close_fixture(&f);
	}
}

/* ---- summaries ---- */

/* Which pages of an area are free, and what the entry over it says. */
struct summary_case {
	struct range free[4]; /* up to the first empty one */
	uint64_t start;
	uint64_t max;
	uint64_t end;
};

static const struct summary_case summary_cases[] = {
	{ { { 0, 0 } }, 0, 0, 0 },
	{ { { 0, 10 } }, 10, 10, 0 },
	{ { { 472, 40 } }, 0, 40, 40 },
	{ { { 0, 11 }, { 489, 23 } }, 11, 23, 23 },
	{ { { 0, 4 }, { 50, 100 }, { 508, 4 } }, 4, 100, 4 },
	{ { { 1, 20 }, { 35, 241 }, { 500, 9 } }, 0, 241, 0 },
	{ { { 35, 5 }, { 50, 5 }, { 400, 5 } }, 0, 5, 0 },
	{ { { 2, 1 } }, 0, 1, 0 },
	{ { { 65, 62 }, { 160, 61 } }, 0, 62, 0 },
	{ { { 0, 62 }, { 449, 63 } }, 62, 63, 63 },
	{ { { 0, 512 } }, 512, 512, 512 },
};

static void test_summaries(void)
{
	for (size_t i = 0; i < LENGTH_OF(summary_cases); i++) {
		const struct summary_case *c = &summary_cases[i];
		struct fixture f;
		uint64_t summary;

		open_fixture(&f, 2 * ceil_div(AREA_PAGES, C));
		for (size_t k = 0; k < range_count(c->free); k++)
			give(&f, AREA_PAGES + c->free[k].first, c->free[k].count);
		summary = f.index.summaries[AREA_LEVEL][1];
		CU_ASSERT_EQUAL(page_summary_start(summary), c->start);
		CU_ASSERT_EQUAL(page_summary_max(summary), c->max);
		CU_ASSERT_EQUAL(page_summary_end(summary), c->end);
		close_fixture(&f);
	}
}

/* assign -- the words of [page, page + npages) from the model, as a repairer does */
static void assign(struct fixture *f, uint64_t page, uint64_t npages)
{
	for (uint64_t i = page - page % WORD_PAGES; i < page + npages; i += WORD_PAGES)
		page_index_assign_word(&f->index, i, model_word(f, i));
}

/* randomize -- give the model random pages, more or less of them */
static void randomize(struct fixture *f, uint64_t page, uint64_t npages)
{
	uint64_t word = 0;

	for (uint64_t i = page; i < page + npages; i++) {
		if (i == page || i % WORD_PAGES == 0)
			word = random_below(4) == 0 ? random_below(2) - 1 : random_sparse();
		f->is_free[i] = i > 0 && (word >> i % WORD_PAGES & 1) != 0;
	}
}

static void test_summaries_random(void)
{
	struct fixture f;

	seed_random("summaries");
	open_fixture(&f, 2 * ceil_div(AREA_PAGES, C));
	for (int round = 0; round < 1000; round++) {
		randomize(&f, 0, f.pages);
		assign(&f, 0, f.pages);
		page_index_summarize(&f.index, 0, f.pages);
		check(&f);
	}
	close_fixture(&f);
}

static void test_summary_pack(void)
{
	static const uint64_t full = PAGE_SUMMARY_MAX_PAGES;
	static const uint64_t values[][3] = {
		{ 0, 0, 0 },
		{ full, full, full },
		{ full - 1, full - 1, full - 1 },
		{ full - 1, full - 1, 0 },
		{ 0, full - 1, full - 1 },
		{ 1, full / 2, 2 },
	};

	for (size_t i = 0; i < LENGTH_OF(values); i++) {
		uint64_t summary = page_summary_pack(values[i][0], values[i][1], values[i][2]);

		CU_ASSERT_EQUAL(page_summary_start(summary), values[i][0]);
		CU_ASSERT_EQUAL(page_summary_max(summary), values[i][1]);
		CU_ASSERT_EQUAL(page_summary_end(summary), values[i][2]);
		CU_ASSERT_EQUAL(summary == 0, values[i][1] == 0);
	}
	CU_ASSERT_EQUAL(page_summary_pack(full, full, full), PAGE_SUMMARY_ALL_FREE);
}

/* Runs as long as root entries and longer. */
static void test_root_entries(void)
{
	const uint64_t full = PAGE_SUMMARY_MAX_PAGES;
	struct fixture f;
	uint64_t *root;

	open_fixture(&f, 4 * full / C);
	root = f.index.summaries[PAGE_INDEX_ROOT];
	give(&f, full, 2 * full);
	CU_ASSERT_EQUAL(root[1], PAGE_SUMMARY_ALL_FREE);
	CU_ASSERT_EQUAL(root[2], PAGE_SUMMARY_ALL_FREE);
	CU_ASSERT_EQUAL(page_index_find(&f.index, full), full);
	CU_ASSERT_EQUAL(page_index_find(&f.index, 2 * full), full);
	CU_ASSERT_EQUAL(page_index_find(&f.index, 2 * full + 1), NONE);
	give(&f, full - 5, 5);
	give(&f, 3 * full, 7);
	CU_ASSERT_EQUAL(page_index_find(&f.index, 2 * full + 13), NONE);
	CU_ASSERT_EQUAL(page_index_find(&f.index, 2 * full + 12), full - 5);
	take(&f, 2 * full - 1, 1);
	CU_ASSERT_EQUAL(root[1], page_summary_pack(full - 1, full - 1, 0));
	CU_ASSERT_EQUAL(page_index_find(&f.index, full + 4), full - 5);
	CU_ASSERT_EQUAL(page_index_find(&f.index, full + 5), 2 * full);
	expect(&f, full + 7, 2 * full);
	expect(&f, full + 4, full - 5);
	expect(&f, 1, NONE);
	close_fixture(&f);
}

/* ---- words for page caches ---- */

static void test_word_nothing_free(void)
{
	struct fixture f;

	open_fixture(&f, BASE_CHUNK);
	expect_word(&f, 0, 0);
	give(&f, 1, f.pages - 1);
	take(&f, 1, f.pages - 1);
	expect_word(&f, 0, 0);
	close_fixture(&f);
}

static void test_word_whole(void)
{
	struct fixture f;

	open_fixture(&f, BASE_CHUNK + 2);
	give(&f, at(0, 0), 2 * C);
	for (uint64_t page = 0; page < 2 * C; page += WORD_PAGES)
		expect_word(&f, at(0, page), UINT64_MAX);
	expect_word(&f, 0, 0);
	close_fixture(&f);
}

static void test_word_last_of_third_chunk(void)
{
	struct fixture f;

	open_fixture(&f, BASE_CHUNK + 3);
	give(&f, at(2, C - WORD_PAGES), WORD_PAGES);
	expect_word(&f, at(2, C - WORD_PAGES), UINT64_MAX);
	expect_word(&f, 0, 0);
	close_fixture(&f);
}

static void test_word_next_chunk_far_away(void)
{
	struct fixture f;

	open_fixture(&f, BASE_CHUNK + 0x101);
	give(&f, at(0, 0), WORD_PAGES);
	give_mask(&f, at(0xff, C - WORD_PAGES), UINT64_C(0xf00f));
	expect_word(&f, at(0, 0), UINT64_MAX);
	expect_word(&f, at(0xff, C - WORD_PAGES), UINT64_C(0xf00f));
	expect_word(&f, 0, 0);
	close_fixture(&f);
}

/* Two partially used words of neighbouring chunks in turn. */
static void test_word_partially_used(void)
{
	struct fixture f;
	uint64_t low = at(1, C - WORD_PAGES);
	uint64_t high = at(2, 0);

	open_fixture(&f, BASE_CHUNK + 3);
	give_mask(&f, high, UINT64_C(0x5555555555555555));
	give_mask(&f, low, UINT64_C(1) << 63);
	expect_word(&f, low, UINT64_C(1) << 63);
	expect_word(&f, high, UINT64_C(0x5555555555555555));
	give_mask(&f, low, UINT64_C(0x8001));
	give_mask(&f, high, UINT64_C(2));
	take_mask(&f, low, UINT64_C(1));
	expect_word(&f, low, UINT64_C(0x8000));
	expect_word(&f, high, UINT64_C(2));
	expect_word(&f, 0, 0);
	close_fixture(&f);
}

/* The word of page 0 is a word like any other, without page 0. */
static void test_word_of_page_0(void)
{
	struct fixture f;

	open_fixture(&f, 1);
	give(&f, 1, WORD_PAGES - 1);
	expect(&f, 2, 1);
	expect_word(&f, 0, UINT64_MAX << 3);
	expect_word(&f, 0, 0);
	close_fixture(&f);
}

/* ---- batches ---- */

static void give_runs(struct fixture *f, const struct page_index_run *runs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		model_set(f, runs[i].page, runs[i].npages, true);
	page_index_give_runs(&f->index, runs, count);
	check(f);
}

static void test_give_runs(void)
{
	const struct page_index_run runs[] = { { at(0, 1), 1 }, { at(0, 3), 1 },
		{ at(0, C - 2), 2 }, { at(1, 0), C }, { at(2, 0), 1 }, { at(2, 2), 3 * C },
		{ at(5, 2), C - 2 }, { at(9, C / 2), 2 * C }, { at(11, C / 2), 1 },
		{ at(11, C / 2 + 2), 1 } };
	struct fixture f;

	open_fixture(&f, BASE_CHUNK + 12);
	give_runs(&f, runs, 0);
	give_runs(&f, runs, LENGTH_OF(runs));
	expect(&f, 4 * C - 2, at(2, 2));
	expect(&f, C + 3, at(0, C - 2));
	expect(&f, 2 * C + 1, at(9, C / 2));
	expect(&f, 2, NONE);
	expect_free(&f, 3);
	close_fixture(&f);
}

/* ---- layout and views ---- */

static void check_layout(uint64_t chunks)
{
	struct page_index_layout layout;
	uint64_t end;

	page_index_layout(chunks, &layout);
	CU_ASSERT_EQUAL(layout.base.offset_bytes, 0);
	CU_ASSERT(layout.search_hint_offset_bytes + sizeof(uint64_t) <=
		layout.summaries[PAGE_INDEX_ROOT].offset_bytes);
	end = sizeof(uint64_t);
	for (unsigned level = PAGE_INDEX_LEVELS; level-- > 0;) {
		struct page_index_slice slice = layout.summaries[level];
		uint64_t children = UINT64_C(1) << PAGE_INDEX_FANOUT_SHIFT * level;

		CU_ASSERT_EQUAL(slice.offset_bytes % PAGE_INDEX_REGION_ALIGN_BYTES, 0);
		CU_ASSERT(slice.offset_bytes >= end);
		CU_ASSERT(slice.length_bytes >= ceil_div(chunks, children) * sizeof(uint64_t));
		end = slice.offset_bytes + slice.length_bytes;
		if (level == PAGE_INDEX_ROOT)
			CU_ASSERT_EQUAL(layout.base.length_bytes, end);
	}
	CU_ASSERT_EQUAL(layout.free_words.offset_bytes % PAGE_INDEX_REGION_ALIGN_BYTES, 0);
	CU_ASSERT(layout.free_words.offset_bytes >= end);
	CU_ASSERT(layout.free_words.length_bytes >= chunks * C / 8);
	CU_ASSERT(layout.total_bytes >= layout.free_words.offset_bytes + chunks * C / 8);
}

static void test_layout(void)
{
	static const uint64_t chunks[] = { 1, 7, 8, 9, ARENA_CHUNKS, 1000,
		3 * PAGE_SUMMARY_MAX_PAGES / C };

	for (size_t i = 0; i < LENGTH_OF(chunks); i++)
		check_layout(chunks[i]);
}

/* back -- make the system's pages under a slice accessible */
static void back(char *memory, struct page_index_slice slice)
{
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t begin = slice.offset_bytes - slice.offset_bytes % page_bytes;
	uint64_t end = ceil_div(slice.offset_bytes + slice.length_bytes, page_bytes) * page_bytes;

	CU_ASSERT_EQUAL_FATAL(mprotect(memory + begin, end - begin, PROT_READ | PROT_WRITE), 0);
}

static void back_arena(const struct page_index_layout *layout, char *memory, uint64_t arena)
{
	struct page_index_slice slices[PAGE_INDEX_ARENA_SLICES];

	page_index_arena_slices(layout, arena, slices);
	for (size_t i = 0; i < PAGE_INDEX_ARENA_SLICES; i++)
		back(memory, slices[i]);
}

/* What is not backed is not touched: any access would be a SIGSEGV. */
static void test_backing(void)
{
	static const uint64_t arenas[] = { 0, 5, 1000 };
	struct page_index_layout layout;
	struct page_index index;
	char *memory;

	page_index_layout(1001 * ARENA_CHUNKS, &layout);
	memory = map_memory(layout.total_bytes, PROT_NONE);
	page_index_attach(&index, memory, 1001 * ARENA_CHUNKS);
	back(memory, layout.base);
	CU_ASSERT_EQUAL(page_index_find(&index, 1), NONE);
	for (size_t i = 0; i < LENGTH_OF(arenas); i++) {
		uint64_t first = arenas[i] * ARENA_PAGES + (i == 0);
		uint64_t npages = ARENA_PAGES - (i == 0);

		back_arena(&layout, memory, arenas[i]);
		page_index_give(&index, first, npages);
		CU_ASSERT_EQUAL(page_index_find(&index, ARENA_PAGES + 1), NONE);
		CU_ASSERT_EQUAL(page_index_find(&index, npages), first);
		page_index_take(&index, first, npages);
		CU_ASSERT_EQUAL(page_index_find(&index, 1), NONE);
		page_index_give(&index, first + npages - 1, 1);
		page_index_take_mask(&index, first + npages - WORD_PAGES, UINT64_C(1) << 63);
		CU_ASSERT_EQUAL(page_index_find(&index, 1), NONE);
	}
	munmap(memory, layout.total_bytes);
}

/* slices_cover -- whether the slices of all arenas leave no byte of a region out */
static void test_arena_slices_cover(void)
{
	const uint64_t arenas = 40;
	struct page_index_slice slices[PAGE_INDEX_ARENA_SLICES];
	struct page_index_layout layout;
	uint64_t ends[PAGE_INDEX_ARENA_SLICES];

	page_index_layout(arenas * ARENA_CHUNKS, &layout);
	for (size_t i = 0; i < PAGE_INDEX_ROOT; i++)
		ends[i] = layout.summaries[i].offset_bytes;
	ends[PAGE_INDEX_ROOT] = layout.free_words.offset_bytes;
	for (uint64_t arena = 0; arena < arenas; arena++) {
		page_index_arena_slices(&layout, arena, slices);
		for (size_t i = 0; i < PAGE_INDEX_ARENA_SLICES; i++) {
			CU_ASSERT(slices[i].offset_bytes <= ends[i]);
			ends[i] = slices[i].offset_bytes + slices[i].length_bytes;
		}
	}
	for (size_t i = 0; i < PAGE_INDEX_ROOT; i++)
		CU_ASSERT_EQUAL(ends[i],
			layout.summaries[i].offset_bytes + layout.summaries[i].length_bytes);
	CU_ASSERT_EQUAL(ends[PAGE_INDEX_ROOT],
		layout.free_words.offset_bytes + layout.free_words.length_bytes);
}

static void test_prefix_view(void)
{
	struct fixture f;
	struct page_index prefix;

	open_fixture(&f, 100);
	prefix = f.index;
	prefix.chunk_limit = 11;
	give(&f, 3 * C, 8 * C);
	CU_ASSERT_TRUE(page_index_valid(&prefix));
	CU_ASSERT_EQUAL(page_index_find(&prefix, 8 * C), 3 * C);
	page_index_take(&prefix, 3 * C, 8 * C);
	CU_ASSERT_EQUAL(page_index_find(&prefix, 1), NONE);
	page_index_give(&prefix, 4 * C, 1);
	CU_ASSERT_TRUE(page_index_valid(&prefix));
	CU_ASSERT_TRUE(page_index_valid(&f.index));
	CU_ASSERT_EQUAL(page_index_find(&f.index, 1), 4 * C);
	close_fixture(&f);
}

/* ---- repair ---- */

/* corrupt -- anything in the entries over [page, page + npages) and in its words */
static void corrupt(struct fixture *f, uint64_t page, uint64_t npages)
{
	uint64_t last = page + npages - 1;

	for (uint64_t i = page / WORD_PAGES; i <= last / WORD_PAGES; i++)
		f->index.free_words[i] = random_u64();
	for (unsigned level = 0; level < PAGE_INDEX_LEVELS; level++) {
		unsigned shift = CHUNK_PAGES_SHIFT + PAGE_INDEX_FANOUT_SHIFT * level;

		for (uint64_t entry = page >> shift; entry <= last >> shift; entry++)
			f->index.summaries[level][entry] = random_sparse();
	}
}

static struct range random_range(const struct fixture *f)
{
	uint64_t first = 1 + random_below(f->pages - 1);
	uint64_t longest = random_below(4) == 0 ? f->pages : 2 * C;

	return (struct range){ first, 1 + random_below(min_u64(longest, f->pages - first)) };
}

/* open_random_fixture -- with `chunks` chunks of random pages */
static void open_random_fixture(struct fixture *f, uint64_t chunks)
{
	open_fixture(f, chunks);
	randomize(f, 0, f->pages);
	assign(f, 0, f->pages);
	page_index_rebuild(&f->index, chunks);
	check(f);
}

static void test_repair_corrupted(void)
{
	struct fixture f;

	seed_random("repair");
	open_random_fixture(&f, 70);
	for (int round = 0; round < 200; round++) {
		struct range a = random_range(&f);
		struct range b = random_range(&f);

		randomize(&f, a.first, a.count);
		corrupt(&f, a.first, a.count);
		corrupt(&f, b.first, b.count);
		assign(&f, b.first, b.count);
		assign(&f, a.first, a.count);
		page_index_summarize(&f.index, a.first, a.count);
		page_index_summarize(&f.index, b.first, b.count);
		check(&f);
	}
	close_fixture(&f);
}

/* change -- take a run that is free, or give it in two parts */
static void change(struct fixture *f, struct range range, bool is_free)
{
	uint64_t low = range.count / 2;
	struct page_index_run parts[] = { { range.first, low },
		{ range.first + low, range.count - low } };

	if (is_free)
		page_index_take(&f->index, range.first, range.count);
	else if (low == 0)
		page_index_give(&f->index, range.first, range.count);
	else
		page_index_give_runs(&f->index, parts, LENGTH_OF(parts));
}

/* tear -- each word of the index is what it was before, or is what it has become */
static void tear(struct fixture *f, const uint64_t *before)
{
	uint64_t *words = f->memory;

	for (uint64_t i = 0; i < f->layout.total_bytes / sizeof(uint64_t); i++) {
		if (random_below(2) == 0)
			words[i] = before[i];
	}
}

/* A superset of what a death between two stores leaves, repaired to any outcome. */
static void test_repair_torn(void)
{
	struct fixture f;
	uint64_t *before;

	seed_random("torn changes");
	open_random_fixture(&f, 70);
	before = map_memory(f.layout.total_bytes, PROT_READ | PROT_WRITE);
	for (int round = 0; round < 300; round++) {
		struct range range = random_range(&f);
		bool is_free = random_below(2) == 0;

		model_set(&f, range.first, range.count, is_free);
		assign(&f, range.first, range.count);
		page_index_summarize(&f.index, range.first, range.count);
		page_index_find(&f.index, 1);
		memcpy(before, f.memory, f.layout.total_bytes);
		change(&f, range, is_free);
		tear(&f, before);
		randomize(&f, range.first, range.count);
		assign(&f, range.first, range.count);
		page_index_summarize(&f.index, range.first, range.count);
		check(&f);
	}
	munmap(before, f.layout.total_bytes);
	close_fixture(&f);
}

static void test_rebuild(void)
{
	struct fixture f;

	seed_random("rebuild");
	open_fixture(&f, 70);
	page_index_rebuild(&f.index, 0);
	check(&f);
	for (int round = 0; round < 50; round++) {
		uint64_t chunks = 1 + random_below(70);

		model_set(&f, 0, f.pages, false);
		assign(&f, 0, f.pages);
		page_index_rebuild(&f.index, 70);
		check(&f);
		corrupt(&f, 0, chunks * C);
		randomize(&f, 0, chunks * C);
		assign(&f, 0, chunks * C);
		*f.index.search_hint = random_below(2 * f.pages);
		page_index_rebuild(&f.index, chunks);
		check(&f);
	}
	close_fixture(&f);
}

/* The hint follows the lowest free page and does not outrun it. */
static void test_hint(void)
{
	struct fixture f;
	const uint64_t *hint;

	open_fixture(&f, 4);
	hint = f.index.search_hint;
	give(&f, C, 3 * C);
	CU_ASSERT_EQUAL(*hint, 0);
	expect(&f, 1, C);
	CU_ASSERT_EQUAL(*hint, C + 1);
	expect(&f, C, C + 1);
	CU_ASSERT_EQUAL(*hint, 2 * C + 1);
	give(&f, 2 * C, 1);
	CU_ASSERT_EQUAL(*hint, 2 * C);
	take(&f, 2 * C + 2, 3);
	CU_ASSERT_EQUAL(*hint, 2 * C);
	take_mask(&f, 2 * C, UINT64_C(0x23));
	CU_ASSERT_EQUAL(*hint, 2 * C + 6);
	give_mask(&f, 2 * C, UINT64_C(0x20));
	CU_ASSERT_EQUAL(*hint, 2 * C + 5);
	page_index_assign_word(&f.index, C, UINT64_C(0x8000));
	CU_ASSERT_EQUAL(*hint, C + 15);
	close_fixture(&f);
}

/* A check that cannot fail checks nothing. */
static void test_valid_notices(void)
{
	struct fixture f;

	open_fixture(&f, 70);
	give(&f, 9 * C + 3, 5);
	for (unsigned level = 0; level < PAGE_INDEX_LEVELS; level++) {
		uint64_t *entry = &f.index.summaries[level][9 >> PAGE_INDEX_FANOUT_SHIFT * level];
		uint64_t right = *entry;

		*entry = page_summary_pack(0, 6, 0);
		CU_ASSERT_FALSE(page_index_valid(&f.index));
		*entry = right;
		CU_ASSERT_TRUE(page_index_valid(&f.index));
	}
	*f.index.search_hint = 9 * C + 3;
	CU_ASSERT_TRUE(page_index_valid(&f.index));
	*f.index.search_hint = 9 * C + 4;
	CU_ASSERT_FALSE(page_index_valid(&f.index));
	*f.index.search_hint = 0;
	f.index.free_words[CHUNK_WORDS] = 1;
	CU_ASSERT_FALSE(page_index_valid(&f.index));
	f.index.free_words[CHUNK_WORDS] = 0;
	f.index.free_words[0] = 1;
	page_index_summarize(&f.index, 0, 1);
	CU_ASSERT_FALSE(page_index_valid(&f.index));
	close_fixture(&f);
}

/* ---- random operations ---- */

/* random_npages -- mostly few */
static uint64_t random_npages(void)
{
	static const uint64_t limits[] = { 1, 1, 1, 16, 16, 128, 3 * C };

	return 1 + random_below(limits[random_below(LENGTH_OF(limits))]);
}

/* random_run -- at most `npages` adjacent pages from `begin` on that are all free or all not;
 * none when there is no such page, or only page 0 */
static struct range random_run(const struct fixture *f, uint64_t begin, uint64_t npages,
	bool is_free)
{
	struct range run = { .first = begin == 0 ? 1 : begin };

	while (run.first < f->pages && f->is_free[run.first] != is_free)
		run.first++;
	while (run.count < npages && run.first + run.count < f->pages &&
		f->is_free[run.first + run.count] == is_free)
		run.count++;
	return run;
}

static void step_give(struct fixture *f)
{
	struct range run = random_run(f, random_below(f->pages), random_npages(), false);

	if (run.count > 0)
		give(f, run.first, run.count);
}

static void step_give_runs(struct fixture *f)
{
	struct page_index_run runs[20];
	size_t count = 0;
	uint64_t page = random_below(f->pages);

	while (count < LENGTH_OF(runs) && page < f->pages) {
		struct range run = random_run(f, page, random_npages(), false);

		if (run.count == 0)
			break;
		runs[count++] = (struct page_index_run){ run.first, run.count };
		page = run.first + run.count + random_below(2) * random_npages();
	}
	give_runs(f, runs, count);
}

static void step_give_mask(struct fixture *f)
{
	uint64_t first = random_below(f->pages / WORD_PAGES) * WORD_PAGES;
	uint64_t mask = random_sparse() & ~model_word(f, first) & ~(first == 0 ? UINT64_C(1) : 0);

	if (mask != 0)
		give_mask(f, first, mask);
}

static void step_find(struct fixture *f)
{
	uint64_t npages = random_npages();

	expect(f, npages, model_find(f, npages));
}

static void step_take(struct fixture *f)
{
	struct range run = random_run(f, random_below(f->pages), random_npages(), true);

	if (run.count > 0)
		take(f, run.first, run.count);
}

static void step_take_mask(struct fixture *f)
{
	uint64_t first = random_below(f->pages / WORD_PAGES) * WORD_PAGES;
	uint64_t mask = random_sparse() & model_word(f, first);

	if (mask != 0)
		take_mask(f, first, mask);
}

static void step_find_word(struct fixture *f)
{
	uint64_t lowest = model_find(f, 1);
	uint64_t first = lowest - lowest % WORD_PAGES;

	expect_word(f, first, lowest == NONE ? 0 : model_word(f, first));
}

static void step_count(struct fixture *f)
{
	struct range range = random_range(f);

	CU_ASSERT_EQUAL(page_index_count(&f->index, range.first, range.count),
		model_count(f, range.first, range.count));
}

/* Hundreds of steps that mostly give alternate with as many that mostly take, so that the index is
 * at times nearly full and at times nearly empty. */
static void test_random_steps(void)
{
	static void (*const giving[])(struct fixture *) = { step_give, step_give_runs,
		step_give_mask };
	static void (*const taking[])(struct fixture *) = { step_find, step_find, step_take,
		step_take_mask, step_find_word, step_count };
	struct fixture f;

	seed_random("steps");
	open_fixture(&f, ceil_div(12288, C));
	for (unsigned step = 0; step < 6000; step++) {
		bool mostly_giving = step / 300 % 2 == 0;

		if ((random_below(4) != 0) == mostly_giving)
			giving[random_below(LENGTH_OF(giving))](&f);
		else
			taking[random_below(LENGTH_OF(taking))](&f);
	}
	close_fixture(&f);
}

static CU_TestInfo bits_tests[] = {
	{ "ranges of bits", test_bit_ranges },
	{ "mask of a range in a word", test_bit_mask },
	{ "counts", test_bit_count },
	{ "counts, random", test_bit_count_random },
	{ "runs across words", test_bit_find },
	{ "runs in a word", test_bit_runs_in_word },
	{ "runs, random", test_bit_runs_random },
	CU_TEST_INFO_NULL,
};

static CU_TestInfo index_tests[] = {
	{ "A1 fresh chunks", test_a1_fresh },
	{ "A2 only the last page of the third chunk", test_a2_last_page_of_third_chunk },
	{ "A3 next chunk far away", test_a3_next_chunk_far_away },
	{ "A4 two pages astride a chunk's edge", test_a4_straddle_2 },
	{ "A5 tail of a chunk", test_a5_tail_of_chunk },
	{ "A6 whole chunks", test_a6_whole_chunks },
	{ "A7 from the middle of a chunk", test_a7_straddle_from_middle },
	{ "A8 a gap is not joined", test_a8_gap_is_not_joined },
	{ "A9 first hole too small", test_a9_first_hole_too_small },
	{ "A10 summary ends a page of memory", test_a10_summary_ends_a_page },
	{ "A11 hint after a large run", test_a11_hint_after_large_run },
	{ "exhaust four chunks", test_exhaust },
	{ "F1 five pages", test_f1_five_pages },
	{ "F2 single pages of three chunks", test_f2_single_pages_of_chunks },
	{ "F3 short runs", test_f3_short_runs },
	{ "F4 a whole chunk and across edges", test_f4_whole_chunk_and_straddles },
	{ "F5 seven chunks and five pages", test_f5_seven_chunks_and_five },
	{ "F6 eight chunks repeatedly", test_f6_repeatedly },
	{ "free runs in an area", test_free_in_area },
	{ "find runs in an area", test_find_in_area },
	{ "summaries", test_summaries },
	{ "summaries, random", test_summaries_random },
	{ "packed summaries", test_summary_pack },
	{ "runs of root entries", test_root_entries },
	{ "word: nothing free", test_word_nothing_free },
	{ "word: whole", test_word_whole },
	{ "word: last of the third chunk", test_word_last_of_third_chunk },
	{ "word: next chunk far away", test_word_next_chunk_far_away },
	{ "word: partially used", test_word_partially_used },
	{ "word: the one of page 0", test_word_of_page_0 },
	{ "give several runs", test_give_runs },
	{ "layout", test_layout },
	{ "slices of all arenas cover the regions", test_arena_slices_cover },
	{ "memory without backing is not touched", test_backing },
	{ "view of the first chunks", test_prefix_view },
	{ "hint", test_hint },
	{ "a wrong index is not valid", test_valid_notices },
	{ "repair of anything", test_repair_corrupted },
	{ "repair of torn changes", test_repair_torn },
	{ "rebuild", test_rebuild },
	{ "random steps", test_random_steps },
	CU_TEST_INFO_NULL,
};

int test_page_index_register(void)
{
	CU_SuiteInfo suites[] = {
		{ .pName = "page bits", .pTests = bits_tests },
		{ .pName = "page index", .pTests = index_tests },
		CU_SUITE_INFO_NULL,
	};

	return CU_register_suites(suites) == CUE_SUCCESS ? 0 : -1;
}
