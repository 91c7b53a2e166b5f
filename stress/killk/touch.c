/* touch.c -- which pages of the heap's files the calling process stores to
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * All mappings of them become read-only; a store then is a SIGSEGV, whose handler notes the page and lets the
 * store through. */
#define _GNU_SOURCE
#include "stress/killk/touch.h"

#include "stress/killk/board.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define MAPPINGS 16u

/* Process. */
struct mapping {
	uint64_t begin;
	uint64_t end;
	uint64_t offset;
	enum which_file file;
};

static struct mapping mappings[MAPPINGS];
static unsigned mapping_count;

static bool add_touched(enum which_file file, uint64_t offset)
{
	unsigned count = atomic_load(&board->touched_count);

	for (unsigned i = 0; i < count; i++)
		if (board->touched[i].file == file && board->touched[i].offset == offset)
			return true;
	if (count == TOUCHED_LIMIT)
		return false;
	board->touched[count] = (struct touched){ .file = file, .offset = offset };
	atomic_store(&board->touched_count, count + 1);
	return true;
}

static void on_store(int signal_number, siginfo_t *information, void *unused)
{
	uint64_t page = (uint64_t)(uintptr_t)information->si_addr & ~(FOUR_KIB - 1);

	(void)unused;
	for (unsigned i = 0; i < mapping_count; i++) {
		const struct mapping *mapping = &mappings[i];

		if (page >= mapping->begin && page < mapping->end &&
			add_touched(mapping->file, page - mapping->begin + mapping->offset) &&
			mprotect((void *)(uintptr_t)page, FOUR_KIB, PROT_READ | PROT_WRITE) == 0)
			return;
	}
	/* Not ours: the store is made again, and ends the process. */
	signal(signal_number, SIG_DFL);
}

static uint64_t inode_of(const char *path)
{
	struct stat status;

	EXPECT_EQUAL(stat(path, &status), 0);
	return status.st_ino;
}

/* Notes the mapping that a line of /proc/self/maps describes, if it is one of the heap's files. Names there are
 * those that a file had first. */
static void add_mapping(const char *line, const uint64_t inode[FILES])
{
	unsigned long long begin;
	unsigned long long end;
	unsigned long long offset;
	unsigned long long number;

	if (sscanf(line, "%llx-%llx %*s %llx %*s %llu", &begin, &end, &offset, &number) != 4)
		return;
	for (enum which_file file = 0; file < FILES; file++)
		if (number == inode[file]) {
			EXPECT(mapping_count < MAPPINGS);
			mappings[mapping_count++] = (struct mapping){
				.begin = begin,
				.end = end,
				.offset = offset,
				.file = file,
			};
		}
}

static void protect_all(int protection)
{
	for (unsigned i = 0; i < mapping_count; i++)
		EXPECT_EQUAL(mprotect((void *)(uintptr_t)mappings[i].begin,
				     mappings[i].end - mappings[i].begin, protection),
			0);
}

void touch_begin(void)
{
	char control[PATH_BYTES + 8];
	uint64_t inode[FILES];
	struct sigaction action = { .sa_sigaction = on_store, .sa_flags = SA_SIGINFO };
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[PATH_BYTES + 128];

	EXPECT(maps != NULL);
	snprintf(control, sizeof(control), "%s-shm", board->path);
	inode[FILE_HEAP] = inode_of(board->path);
	inode[FILE_CONTROL] = inode_of(control);
	EXPECT_EQUAL(sigaction(SIGSEGV, &action, NULL), 0);
	while (fgets(line, sizeof(line), maps) != NULL)
		add_mapping(line, inode);
	fclose(maps);
	protect_all(PROT_READ);
}

void touch_end(void)
{
	protect_all(PROT_READ | PROT_WRITE);
}
