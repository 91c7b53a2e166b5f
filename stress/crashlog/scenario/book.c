/* book.c -- what the scenario knows of the heap, from what it asked for and was told
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/crashlog/scenario/book.h"

#include "stress/crashlog/scenario/must.h"
#include "stress/crashlog/snapshot.h"

#include <stdlib.h>
#include <string.h>

#define BLOCKS 4096u
#define RUNS 256u
#define ROOTS 64u
#define RUN_PAGE_BYTES 8192u

/* Process. Block i of the book: snapshot_blocks[i], and its content. In ascending order. */
static struct snapshot_block blocks[BLOCKS];
static unsigned char *contents[BLOCKS];
static unsigned block_count;
static struct snapshot_run runs[RUNS];
static unsigned run_count;
static struct snapshot_root roots[ROOTS];
static unsigned root_count;
static uint64_t patterns;

/* --- blocks -------------------------------------------------------------------------------- */

/* The first one that ends behind `off`. */
static unsigned block_at(sh_off off)
{
	unsigned low = 0;
	unsigned high = block_count;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (blocks[middle].off + blocks[middle].bytes <= off)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static unsigned block_with(sh_off off)
{
	unsigned i = block_at(off);

	MUST(i < block_count && blocks[i].off <= off);
	return i;
}

static void digest(unsigned i)
{
	blocks[i].digest = content_digest(contents[i], blocks[i].known);
}

sh_off book_add(struct sh_heap *heap, sh_off off, unsigned kind)
{
	unsigned i = block_at(off);
	size_t bytes = sh_usable_size(heap, off);

	MUST(off != 0 && bytes != 0 && block_count < BLOCKS);
	MUST(i == block_count || blocks[i].off >= off + bytes);
	memmove(&blocks[i + 1], &blocks[i], (block_count - i) * sizeof(blocks[0]));
	memmove(&contents[i + 1], &contents[i], (block_count - i) * sizeof(contents[0]));
	block_count++;
	blocks[i] = (struct snapshot_block){ .off = off, .bytes = bytes, .kind = kind };
	contents[i] = calloc(1, bytes);
	MUST(contents[i] != NULL);
	return off;
}

sh_off book_fill(struct sh_heap *heap, sh_off off)
{
	unsigned i = block_with(off);
	uint64_t word = ++patterns * UINT64_C(0x9e3779b97f4a7c15);

	for (uint64_t at = 0; at < blocks[i].bytes; at += sizeof(word), word += 0x0101)
		memcpy(contents[i] + at, &word, sizeof(word));
	memcpy(sh_ptr(heap, off), contents[i], blocks[i].bytes);
	blocks[i].known = blocks[i].bytes;
	digest(i);
	return off;
}

sh_off book_zero(sh_off off, size_t bytes)
{
	unsigned i = block_with(off);

	memset(contents[i], 0, bytes);
	blocks[i].known = bytes;
	digest(i);
	return off;
}

void book_remove(sh_off off)
{
	unsigned i = block_with(off);

	MUST(blocks[i].off == off);
	free(contents[i]);
	block_count--;
	memmove(&blocks[i], &blocks[i + 1], (block_count - i) * sizeof(blocks[0]));
	memmove(&contents[i], &contents[i + 1], (block_count - i) * sizeof(contents[0]));
}

void book_move(struct sh_heap *heap, sh_off from, sh_off to, size_t bytes)
{
	unsigned i = block_with(from);
	struct snapshot_block old = blocks[i];
	unsigned char *content = contents[i];
	size_t known = bytes < old.known ? bytes : old.known;

	contents[i] = NULL;
	book_remove(from);
	book_add(heap, to, (unsigned)old.kind);
	i = block_with(to);
	memcpy(contents[i], content, known);
	free(content);
	blocks[i].known = known;
	digest(i);
}

void book_write(sh_off at, const void *content, size_t bytes)
{
	unsigned i = block_with(at);

	MUST(at + bytes <= blocks[i].off + blocks[i].known);
	memcpy(contents[i] + (at - blocks[i].off), content, bytes);
	digest(i);
}

void book_store(sh_off at, uint64_t value)
{
	book_write(at, &value, sizeof(value));
}

const void *book_content(sh_off off)
{
	return contents[block_with(off)];
}

size_t book_bytes(sh_off off)
{
	return blocks[block_with(off)].bytes;
}

unsigned book_kind(sh_off off)
{
	return (unsigned)blocks[block_with(off)].kind;
}

/* --- page runs ----------------------------------------------------------------------------- */

static void insert_run(struct snapshot_run run)
{
	unsigned i = 0;

	MUST(run_count < RUNS);
	while (i < run_count && runs[i].off < run.off)
		i++;
	memmove(&runs[i + 1], &runs[i], (run_count - i) * sizeof(runs[0]));
	run_count++;
	runs[i] = run;
}

static struct snapshot_run take_run(unsigned i)
{
	struct snapshot_run run = runs[i];

	run_count--;
	memmove(&runs[i], &runs[i + 1], (run_count - i) * sizeof(runs[0]));
	return run;
}

void book_add_run(sh_off off, size_t pages, unsigned flags)
{
	insert_run((struct snapshot_run){ .off = off, .pages = pages, .flags = flags });
}

static uint64_t run_end(const struct snapshot_run *run)
{
	return run->off + run->pages * RUN_PAGE_BYTES;
}

void book_cut_runs(sh_off off, size_t pages)
{
	sh_off end = off + pages * RUN_PAGE_BYTES;

	for (unsigned i = 0; i < run_count;) {
		struct snapshot_run run;

		if (run_end(&runs[i]) <= off || runs[i].off >= end) {
			i++;
			continue;
		}
		run = take_run(i);
		if (run.off < off)
			book_add_run(run.off, (off - run.off) / RUN_PAGE_BYTES,
				(unsigned)run.flags);
		if (run_end(&run) > end)
			book_add_run(end, (run_end(&run) - end) / RUN_PAGE_BYTES,
				(unsigned)run.flags);
		i = 0;
	}
}

/* --- roots --------------------------------------------------------------------------------- */

void book_root(const char *name, sh_off off)
{
	unsigned i = 0;

	while (i < root_count && strcmp(roots[i].name, name) < 0)
		i++;
	if (i < root_count && strcmp(roots[i].name, name) == 0) {
		roots[i].value = off;
		if (off == 0)
			memmove(&roots[i], &roots[i + 1], (--root_count - i) * sizeof(roots[0]));
		return;
	}
	if (off == 0)
		return;
	MUST(root_count < ROOTS && strlen(name) < sizeof(roots[0].name));
	memmove(&roots[i + 1], &roots[i], (root_count++ - i) * sizeof(roots[0]));
	roots[i] = (struct snapshot_root){ .value = off };
	memcpy(roots[i].name, name, strlen(name));
}

/* --- snapshots ----------------------------------------------------------------------------- */

void book_write_snapshot(FILE *to)
{
	struct snapshot_counts counts = {
		.blocks = block_count,
		.runs = run_count,
		.roots = root_count,
	};

	MUST(fwrite(&counts, sizeof(counts), 1, to) == 1);
	MUST(fwrite(blocks, sizeof(blocks[0]), block_count, to) == block_count);
	MUST(fwrite(runs, sizeof(runs[0]), run_count, to) == run_count);
	MUST(fwrite(roots, sizeof(roots[0]), root_count, to) == root_count);
}
