/* expected.c -- the scenario's operations and snapshots, read from its file
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/crashlog/expected.h"

#include "heap/geometry.h"
#include "stress/crashlog/read_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* --- reading ------------------------------------------------------------------------------- */

/* Stack. */
struct cursor_in_file {
	char *at;
	char *end;
};

static void *take(struct cursor_in_file *cursor, uint64_t count, size_t size)
{
	void *taken = cursor->at;

	if (cursor->at == NULL || (uint64_t)(cursor->end - cursor->at) / size < count) {
		cursor->at = NULL;
		return NULL;
	}
	cursor->at += count * size;
	return taken;
}

static bool read_truth(struct cursor_in_file *cursor, struct truth *truth)
{
	const struct snapshot_counts *counts = take(cursor, 1, sizeof(*counts));

	if (counts == NULL)
		return false;
	*truth = (struct truth){
		.block_count = counts->blocks,
		.run_count = counts->runs,
		.root_count = counts->roots,
	};
	truth->blocks = take(cursor, counts->blocks, sizeof(*truth->blocks));
	truth->runs = take(cursor, counts->runs, sizeof(*truth->runs));
	truth->roots = take(cursor, counts->roots, sizeof(*truth->roots));
	return cursor->at != NULL;
}

static bool read_operation(struct cursor_in_file *cursor, struct operation *operation)
{
	const struct operation_record *record = take(cursor, 1, sizeof(*record));

	if (record == NULL)
		return false;
	operation->record = *record;
	operation->allowed = calloc(record->snapshots, sizeof(*operation->allowed));
	for (uint32_t i = 0; i < record->snapshots; i++)
		if (operation->allowed == NULL || !read_truth(cursor, &operation->allowed[i]))
			return false;
	return record->snapshots >= 2;
}

bool expected_read(struct expected *expected, const char *path)
{
	struct cursor_in_file cursor = { 0 };
	uint64_t bytes = 0;
	uint32_t limit = 0;

	memset(expected, 0, sizeof(*expected));
	expected->file = read_file(path, &bytes);
	if (expected->file == NULL)
		return false;
	cursor = (struct cursor_in_file){ expected->file, expected->file + bytes };
	while (cursor.at != NULL && cursor.at < cursor.end) {
		if (expected->count == limit) {
			limit = limit * 2 + 64;
			expected->operations = realloc(expected->operations,
				limit * sizeof(expected->operations[0]));
			if (expected->operations == NULL)
				return false;
		}
		if (!read_operation(&cursor, &expected->operations[expected->count++]))
			break;
	}
	if (cursor.at == cursor.end)
		return true;
	printf("%s is not whole\n", path);
	return false;
}

void expected_free(struct expected *expected)
{
	for (uint32_t i = 0; i < expected->count; i++)
		free(expected->operations[i].allowed);
	free(expected->operations);
	free(expected->file);
}

/* --- comparing ----------------------------------------------------------------------------- */

/* Of the first bytes of a block that was found. */
static uint64_t digest_of(const struct truth *found, uint32_t i, uint64_t bytes)
{
	struct snapshot_block *block = &found->blocks[i];

	if (block->known != bytes) {
		block->digest = content_digest(found->base + block->off, bytes);
		block->known = bytes;
	}
	return block->digest;
}

static bool blocks_agree(const struct truth *found, const struct truth *allowed, char *why,
	size_t why_bytes)
{
	for (uint32_t i = 0; i < found->block_count && i < allowed->block_count; i++) {
		const struct snapshot_block *is = &found->blocks[i];
		const struct snapshot_block *must = &allowed->blocks[i];

		if (is->off != must->off || is->bytes != must->bytes || is->kind != must->kind) {
			snprintf(why, why_bytes,
				"a block at %" PRIx64 " of %" PRIu64 " bytes, not one at %" PRIx64
				" of %" PRIu64,
				is->off, is->bytes, must->off, must->bytes);
			return false;
		}
		if (digest_of(found, i, must->known) != must->digest) {
			snprintf(why, why_bytes,
				"the content of the block at %" PRIx64 " is not what was stored",
				is->off);
			return false;
		}
	}
	if (found->block_count == allowed->block_count)
		return true;
	snprintf(why, why_bytes, "%" PRIu32 " blocks, not %" PRIu32, found->block_count,
		allowed->block_count);
	return false;
}

static bool roots_agree(const struct truth *found, const struct truth *allowed, char *why,
	size_t why_bytes)
{
	bool equal = found->root_count == allowed->root_count;

	for (uint32_t i = 0; equal && i < found->root_count; i++)
		equal = found->roots[i].value == allowed->roots[i].value &&
			strcmp(found->roots[i].name, allowed->roots[i].name) == 0;
	if (!equal)
		snprintf(why, why_bytes, "the roots differ");
	return equal;
}

static bool runs_agree(const struct truth *found, const struct truth *allowed, char *why,
	size_t why_bytes)
{
	bool equal = found->run_count == allowed->run_count &&
		(found->run_count == 0 ||
			memcmp(found->runs, allowed->runs,
				found->run_count * sizeof(found->runs[0])) == 0);

	if (!equal)
		snprintf(why, why_bytes, "the page runs differ");
	return equal;
}

bool truth_agrees(const struct truth *found, const struct truth *allowed, char *why,
	size_t why_bytes)
{
	return blocks_agree(found, allowed, why, why_bytes) &&
		runs_agree(found, allowed, why, why_bytes) &&
		roots_agree(found, allowed, why, why_bytes);
}

/* The run in which a page lies; NULL: none. */
static const struct snapshot_run *run_with(const struct truth *truth, uint64_t off)
{
	for (uint32_t i = 0; i < truth->run_count; i++)
		if (off - truth->runs[i].off < truth->runs[i].pages * PAGE_BYTES)
			return &truth->runs[i];
	return NULL;
}

static uint64_t pages_of(const struct truth *truth)
{
	uint64_t pages = 0;

	for (uint32_t i = 0; i < truth->run_count; i++)
		pages += truth->runs[i].pages;
	return pages;
}

/* Whether a run begins, or another one ends, at the offset. */
static bool has_end(const struct truth *truth, uint64_t off)
{
	for (uint32_t i = 0; i < truth->run_count; i++)
		if (truth->runs[i].off == off ||
			truth->runs[i].off + truth->runs[i].pages * PAGE_BYTES == off)
			return true;
	return false;
}

static bool pages_agree(const struct truth *found, const struct truth *allowed,
	const struct truth *other)
{
	for (uint32_t i = 0; i < found->run_count; i++) {
		const struct snapshot_run *run = &found->runs[i];
		uint64_t end = run->off + run->pages * PAGE_BYTES;

		for (uint64_t off = run->off; off < end; off += PAGE_BYTES) {
			const struct snapshot_run *must = run_with(allowed, off);

			if (must == NULL || (off == run->off && must->flags != run->flags))
				return false;
		}
		if ((!has_end(allowed, run->off) && !has_end(other, run->off)) ||
			(!has_end(allowed, end) && !has_end(other, end)))
			return false;
	}
	return pages_of(found) == pages_of(allowed);
}

bool truth_agrees_but_cuts(const struct truth *found, const struct truth *allowed,
	const struct truth *other, char *why, size_t why_bytes)
{
	if (!blocks_agree(found, allowed, why, why_bytes) ||
		!roots_agree(found, allowed, why, why_bytes))
		return false;
	if (pages_agree(found, allowed, other))
		return true;
	snprintf(why, why_bytes, "the pages in runs differ");
	return false;
}
