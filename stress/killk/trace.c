/* trace.c -- one execution of an operation, instruction by instruction
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/killk/trace.h"

#include "stress/common/single_step.h"
#include "stress/killk/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define INSTRUCTIONS_LIMIT UINT64_C(100000)
#define STEP_COST 2u
#define VISIT_COST 5u
#define PAGE_WORDS (FOUR_KIB / sizeof(uint64_t))

/* --- images -------------------------------------------------------------------------------- */

static void add_words(struct image *image, uint64_t offset, const char *page, const char *beginning)
{
	const uint64_t *word = (const uint64_t *)(const void *)page;
	const uint64_t *before = (const uint64_t *)(const void *)beginning;

	for (uint64_t i = 0; i < PAGE_WORDS; i++)
		if (word[i] != before[i])
			image_add_word(image, offset + i * sizeof(*word), word[i], 1);
}

void trace_begin_image(struct trace *trace, const struct target *target)
{
	for (unsigned i = 0; i < trace->pages; i++)
		memcpy(trace->page[i], target->file + trace->page_offset[i], FOUR_KIB);
}

struct image trace_image(const struct trace *trace, const struct target *target)
{
	struct image image = { { 0, 0 } };

	for (unsigned i = 0; i < trace->pages; i++)
		add_words(&image, trace->page_offset[i], target->file + trace->page_offset[i],
			trace->page[i]);
	return image;
}

/* --- what it stores to --------------------------------------------------------------------- */

/* A page beyond the mapping is one of a chunk that the operation adds. */
static bool find_pages(struct trace *trace, struct target *target,
	const struct operation *operation, enum survivor survivor)
{
	if (!trial_play(target, operation, survivor, ACTING_ALONE))
		return false;
	for (unsigned i = 0; i < atomic_load(&board->touched_count); i++) {
		const struct touched *touched = &board->touched[i];

		if (touched->file == FILE_CONTROL)
			trace->control_offset[trace->control_pages++] = touched->offset;
		else if (touched->offset + FOUR_KIB <= target->bytes)
			trace->page_offset[trace->pages++] = touched->offset;
	}
	trace->page = calloc(trace->pages + 1, FOUR_KIB);
	return trace->page != NULL;
}

/* Worker. A page that is compared at each step. */
struct watched {
	const char *page;
	char last[FOUR_KIB];
	unsigned change;
};

struct watch {
	struct watched *page;
	unsigned pages;
	char *control;
	uint64_t control_bytes;
};

static bool map_control(struct watch *watch, const struct target *target)
{
	int fd = open(target->control, O_RDONLY | O_CLOEXEC);
	off_t bytes = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);

	if (bytes > 0) {
		watch->control_bytes = (uint64_t)bytes;
		watch->control = mmap(NULL, watch->control_bytes, PROT_READ, MAP_SHARED, fd, 0);
	}
	if (fd >= 0)
		close(fd);
	if (watch->control == MAP_FAILED)
		complain("%s cannot be mapped: %s", target->control, strerror(errno));
	return watch->control != MAP_FAILED;
}

static void add_watched(struct watch *watch, const char *page, unsigned change)
{
	struct watched *watched = &watch->page[watch->pages++];

	watched->page = page;
	watched->change = change;
	memcpy(watched->last, page, FOUR_KIB);
}

static bool watch_begin(struct watch *watch, const struct trace *trace, const struct target *target)
{
	*watch = (struct watch){ .control = MAP_FAILED };
	watch->page = calloc(trace->pages + trace->control_pages + 1, sizeof(*watch->page));
	if (watch->page == NULL || !map_control(watch, target))
		return false;
	for (unsigned i = 0; i < trace->pages; i++)
		add_watched(watch, target->file + trace->page_offset[i], CHANGE_HEAP);
	for (unsigned i = 0; i < trace->control_pages; i++)
		if (trace->control_offset[i] + FOUR_KIB <= watch->control_bytes)
			add_watched(watch, watch->control + trace->control_offset[i],
				CHANGE_CONTROL);
	return true;
}

static unsigned watch_changes(struct watch *watch)
{
	unsigned changes = 0;

	for (unsigned i = 0; i < watch->pages; i++) {
		struct watched *watched = &watch->page[i];

		if (memcmp(watched->last, watched->page, FOUR_KIB) == 0)
			continue;
		memcpy(watched->last, watched->page, FOUR_KIB);
		changes |= watched->change;
	}
	return changes;
}

static void watch_end(struct watch *watch)
{
	if (watch->control != MAP_FAILED)
		munmap(watch->control, watch->control_bytes);
	free(watch->page);
}

/* --- landmarks ----------------------------------------------------------------------------- */

/* Worker. How often an instruction was executed. */
struct visits {
	uint64_t place;
	uint64_t times;
};

static struct visits *find_place(struct visits *table, uint64_t slots, uint64_t place)
{
	uint64_t i = mix(place) % slots;

	while (table[i].times != 0 && table[i].place != place)
		i = (i + 1) % slots;
	table[i].place = place;
	return &table[i];
}

static bool count_visits(struct trace *trace)
{
	uint64_t slots = 2 * trace->instructions + 16;
	struct visits *table = calloc(slots, sizeof(*table));
	uint64_t times = 0;

	if (table == NULL)
		return false;
	for (uint64_t k = 0; k <= trace->instructions; k++) {
		struct moment *moment = &trace->moment[k];

		moment->times = times;
		times = ++find_place(table, slots, moment->place)->times;
		moment->visits = times - 1;
	}
	free(table);
	return true;
}

/* To come to a landmark costs VISIT_COST for each visit of its instruction, from there a step STEP_COST. */
static void find_landmarks(struct trace *trace)
{
	for (uint64_t k = 0; k <= trace->instructions; k++) {
		uint64_t best = UINT64_MAX;

		for (uint64_t back = 0; back <= k && back * STEP_COST < best; back++) {
			uint64_t cost =
				back * STEP_COST + trace->moment[k - back].visits * VISIT_COST;

			if (cost < best) {
				best = cost;
				trace->moment[k].landmark = k - back;
			}
		}
	}
}

/* --- recording ----------------------------------------------------------------------------- */

static void note_moment(struct trace *trace, uint64_t k, const struct target *target, pid_t victim,
	unsigned change)
{
	struct moment *moment = &trace->moment[k];

	moment->place = step_place(victim);
	moment->change = change;
	moment->image = k > 0 ? trace->moment[k - 1].image : (struct image){ { 0, 0 } };
	if (change & CHANGE_HEAP) {
		moment->image = trace_image(trace, target);
		trace->heap_changes++;
	}
	if (change & CHANGE_CONTROL)
		trace->control_changes++;
}

static bool record_steps(struct trace *trace, const struct target *target, struct watch *watch,
	pid_t victim)
{
	uint64_t k = 0;

	trace_begin_image(trace, target);
	note_moment(trace, 0, target, victim, 0);
	while (!step_at_end(victim)) {
		if (k == INSTRUCTIONS_LIMIT) {
			complain("more than %llu instructions",
				(unsigned long long)INSTRUCTIONS_LIMIT);
			return false;
		}
		if (!step(victim)) {
			complain("the victim ended at step %llu", (unsigned long long)k);
			return false;
		}
		k++;
		note_moment(trace, k, target, victim, watch_changes(watch));
	}
	trace->instructions = k;
	return true;
}

static bool record(struct trace *trace, struct target *target, const struct operation *operation,
	enum survivor survivor)
{
	struct cast cast;
	struct watch watch;
	bool recorded = false;

	if (!trial_enter(&cast, target, operation, survivor, 0))
		return false;
	if (watch_begin(&watch, trace, target))
		recorded = record_steps(trace, target, &watch, cast.victim);
	watch_end(&watch);
	trial_leave(&cast);
	if (!recorded || !count_visits(trace))
		return false;
	find_landmarks(trace);
	return true;
}

bool trace_record(struct trace *trace, struct target *target, const struct operation *operation,
	enum survivor survivor)
{
	*trace = (struct trace){ .moment = NULL };
	trace->moment = calloc(INSTRUCTIONS_LIMIT + 1, sizeof(*trace->moment));
	if (trace->moment == NULL) {
		complain("no memory");
		return false;
	}
	return find_pages(trace, target, operation, survivor) &&
		record(trace, target, operation, survivor);
}

uint64_t trace_images(const struct trace *trace, struct image **images)
{
	uint64_t moments = trace->instructions + 1;

	*images = calloc(moments, sizeof(**images));
	if (*images == NULL)
		return 0;
	for (uint64_t k = 0; k < moments; k++)
		(*images)[k] = trace->moment[k].image;
	return images_distinct(*images, moments);
}

void trace_free(struct trace *trace)
{
	free(trace->moment);
	free(trace->page);
}
