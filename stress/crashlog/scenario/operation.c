/* operation.c -- one operation between two marks in the log, and what it must leave
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/crashlog/scenario/operation.h"

#include "stress/crashlog/scenario/book.h"
#include "stress/crashlog/scenario/must.h"
#include "stress/crashlog/snapshot.h"
#include "stress/crashlog/tool/storelog.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>
#include <valgrind/valgrind.h>

struct sh_heap *heap;

/* Process. */
static char folder_path[STORELOG_PATH_BYTES - 64];
static FILE *model;
static bool logging;
static uint32_t number = FIRST_OPERATION - 1;
static char *snapshots; /* of the operation under way, until it is known how many there are */
static size_t snapshots_bytes;
static FILE *snapshots_stream;
static struct operation_record record;

/* --- the tool ------------------------------------------------------------------------------ */

static unsigned request(unsigned which)
{
	return (unsigned)VG_USERREQ_TOOL_BASE(STORELOG_FIRST_LETTER, STORELOG_SECOND_LETTER) +
		which;
}

static void say(uint64_t mark)
{
	VALGRIND_DO_CLIENT_REQUEST_STMT(request(STORELOG_REQUEST_SAY), mark, 0, 0, 0, 0);
}

static void name_file(const char *path, enum logged_file file)
{
	VALGRIND_DO_CLIENT_REQUEST_STMT(request(STORELOG_REQUEST_FILE), path, file, 0, 0, 0);
}

static void name_range(uint64_t begin, uint64_t end, enum logged_file file, uint64_t offset)
{
	unsigned long known = VALGRIND_DO_CLIENT_REQUEST_EXPR(0UL, request(STORELOG_REQUEST_RANGE),
		begin, end - begin, (unsigned long)file, offset, 0);

	MUST(known == 1 || !RUNNING_ON_VALGRIND);
}

/* --- files --------------------------------------------------------------------------------- */

static const char *path_of(const char *name)
{
	static char path[STORELOG_PATH_BYTES];

	snprintf(path, sizeof(path), "%s/%s", folder_path, name);
	return path;
}

static void copy(const char *from, const char *to)
{
	static const char zeros[65536];
	static char bytes[sizeof(zeros)];
	int in = open(path_of(from), O_RDONLY | O_CLOEXEC);
	int out = open(path_of(to), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	off_t length = lseek(in, 0, SEEK_END);
	off_t at = 0;

	MUST(in >= 0 && out >= 0 && length > 0 && ftruncate(out, length) == 0);
	while ((at = lseek(in, at, SEEK_DATA)) >= 0) {
		ssize_t got = pread(in, bytes, sizeof(bytes), at);

		MUST(got > 0);
		/* What was backed, and never written, may count as data. */
		if (memcmp(bytes, zeros, (size_t)got) != 0)
			MUST(pwrite(out, bytes, (size_t)got, at) == got);
		at += got;
	}
	MUST(close(in) == 0 && close(out) == 0);
}

static bool ends_with(const char *text, const char *name)
{
	const char *slash = strrchr(text, '/');

	return slash != NULL && strcmp(slash + 1, name) == 0;
}

/* Every mapping that can be stored through, whoever made it. */
static void name_mappings(void)
{
	char line[PATH_MAX + 128];
	FILE *maps = fopen("/proc/self/maps", "re");

	MUST(maps != NULL);
	while (fgets(line, sizeof(line), maps) != NULL) {
		unsigned long begin;
		unsigned long end;
		unsigned long offset;
		char rights[5];

		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "%lx-%lx %4s %lx", &begin, &end, rights, &offset) != 4 ||
			rights[1] != 'w' || strstr(line, folder_path) == NULL)
			continue;
		if (ends_with(line, HEAP_FILE))
			name_range(begin, end, FILE_HEAP, offset);
		else if (ends_with(line, CONTROL_FILE))
			name_range(begin, end, FILE_CONTROL, offset);
	}
	fclose(maps);
}

void logging_start(const char *folder)
{
	char resolved[PATH_MAX];

	MUST(realpath(folder, resolved) != NULL && strlen(resolved) < sizeof(folder_path));
	memcpy(folder_path, resolved, strlen(resolved) + 1);
	model = fopen(path_of(MODEL_FILE), "we");
	MUST(model != NULL);
	name_mappings();
	copy(HEAP_FILE, BASE_FILE);
	copy(CONTROL_FILE, BASE_CONTROL_FILE);
	say(MARK_START);
	name_file(path_of(HEAP_FILE), FILE_HEAP);
	name_file(path_of(CONTROL_FILE), FILE_CONTROL);
	name_file(path_of(NEW_CONTROL_FILE), FILE_NEW_CONTROL);
	logging = true;
}

void logging_stop(void)
{
	say(MARK_STOP);
	logging = false;
	copy(HEAP_FILE, LAST_FILE);
	MUST(fclose(model) == 0);
}

/* --- operations ---------------------------------------------------------------------------- */

static void add_snapshot(void)
{
	if (!logging)
		return;
	book_write_snapshot(snapshots_stream);
	record.snapshots++;
}

void operation_begin(const char *name, unsigned flags)
{
	if (!logging)
		return;
	number++;
	record = (struct operation_record){
		.number = number,
		.flags = flags,
	};
	snprintf(record.name, sizeof(record.name), "%s", name);
	snapshots_stream = open_memstream(&snapshots, &snapshots_bytes);
	MUST(snapshots_stream != NULL);
	add_snapshot();
	say(MARK_BEGIN(number));
}

void operation_end(void)
{
	if (logging)
		say(MARK_END(number));
}

void operation_may_leave(void)
{
	add_snapshot();
}

void operation_done(void)
{
	if (!logging)
		return;
	add_snapshot();
	MUST(fclose(snapshots_stream) == 0);
	MUST(fwrite(&record, sizeof(record), 1, model) == 1);
	MUST(fwrite(snapshots, snapshots_bytes, 1, model) == 1);
	free(snapshots);
}
