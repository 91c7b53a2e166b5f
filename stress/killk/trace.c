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

/* --- recording ----------------------------------------------------------------------------- */

/* Worker. */
struct recording {
	struct trace *trace;
	const struct target *target;
	struct watch watch;
};

static void note_moment(void *argument, uint64_t k)
{
	struct recording *recording = argument;
	struct trace *trace = recording->trace;
	struct moment *moment = &trace->moment[k];

	if (k == 0)
		return;
	moment->change = watch_changes(&recording->watch);
	moment->image = trace->moment[k - 1].image;
	if (moment->change & CHANGE_HEAP) {
		moment->image = trace_image(trace, recording->target);
		trace->heap_changes++;
	}
	if (moment->change & CHANGE_CONTROL)
		trace->control_changes++;
}

static bool record(struct trace *trace, struct target *target, const struct operation *operation,
	enum survivor survivor)
{
	struct recording recording = { .trace = trace, .target = target };
	struct cast cast;
	bool recorded = false;

	if (!trial_enter(&cast, target, operation, survivor, 0))
		return false;
	if (watch_begin(&recording.watch, trace, target)) {
		trace_begin_image(trace, target);
		recorded = route_record(&trace->route, cast.victim, INSTRUCTIONS_LIMIT, note_moment,
			&recording);
		if (!recorded)
			complain("the victim ended before its end, or took more than %llu "
				 "instructions",
				(unsigned long long)INSTRUCTIONS_LIMIT);
	}
	watch_end(&recording.watch);
	trial_leave(&cast);
	return recorded;
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
	uint64_t moments = trace->route.instructions + 1;

	*images = calloc(moments, sizeof(**images));
	if (*images == NULL)
		return 0;
	for (uint64_t k = 0; k < moments; k++)
		(*images)[k] = trace->moment[k].image;
	return images_distinct(*images, moments);
}

void trace_free(struct trace *trace)
{
	route_free(&trace->route);
	free(trace->moment);
	free(trace->page);
}
