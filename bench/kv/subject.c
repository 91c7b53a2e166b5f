/* subject.c -- engines and folders
 * SPDX-License-Identifier: BSD-3-Clause */
#include "subject.h"

#include "table.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* What a store may take, in eighths of its entries' bytes. */
#define ROOM_EIGHTHS 20u

/* Whether the list has the engine's name, alone or with this file system behind it. */
static bool list_names(const char *list, const char *engine, const char *file_system)
{
	char with_place[96];
	size_t length;

	snprintf(with_place, sizeof(with_place), "%s@%s", engine, file_system);
	for (const char *next = list; *next != '\0'; next += length + (next[length] == ',')) {
		length = strcspn(next, ",");
		if ((length == strlen(engine) && strncmp(next, engine, length) == 0) ||
			(length == strlen(with_place) && strncmp(next, with_place, length) == 0))
			return true;
	}
	return false;
}

static bool is_wanted(const struct engine *engine, const char *list, const char *file_system,
	unsigned folder)
{
	if (list != NULL)
		return list_names(list, engine->name, file_system);
	if (engine->syncs && strcmp(file_system, "tmpfs") == 0)
		return false;
	return folder == 0 || !engine->outside_mark;
}

static void add(struct subjects *subjects, const struct engine *engine, const char *folder)
{
	struct subject *subject = &subjects->of[subjects->count++];
	const char *file_system = file_system_name(folder);

	if (subjects->count == SUBJECTS_MAX)
		die("fewer than %u engines and folders, please", SUBJECTS_MAX);
	subject->engine = engine;
	subject->on_tmpfs = strcmp(file_system, "tmpfs") == 0;
	if (snprintf(subject->folder, sizeof(subject->folder), "%s/%s", folder, engine->name) >=
		(int)sizeof(subject->folder))
		die("%s: too long", folder);
	snprintf(subject->label, sizeof(subject->label), "%s %s", engine->name, file_system);
}

void subjects_pick(struct subjects *subjects, const char *list, const char *const *folders,
	unsigned folder_count)
{
	const struct engine *engine;

	for (unsigned f = 0; f < folder_count; f++)
		for (unsigned e = 0; (engine = engine_number(e)) != NULL; e++)
			if (is_wanted(engine, list, file_system_name(folders[f]), f))
				add(subjects, engine, folders[f]);
	if (subjects->count == 0)
		die("no engine is left to be measured");
}

static unsigned find(const struct subjects *subjects, const char *name, bool on_tmpfs)
{
	for (unsigned s = 0; s < subjects->count; s++)
		if (strcmp(subjects->of[s].engine->name, name) == 0 &&
			subjects->of[s].on_tmpfs == on_tmpfs)
			return s;
	return SUBJECTS_MAX;
}

unsigned subjects_reference(const struct subjects *subjects)
{
	unsigned on_tmpfs = find(subjects, REFERENCE_ENGINE, true);

	return on_tmpfs < SUBJECTS_MAX ? on_tmpfs : find(subjects, REFERENCE_ENGINE, false);
}

unsigned subjects_own(const struct subjects *subjects)
{
	unsigned reference = subjects_reference(subjects);

	if (reference == SUBJECTS_MAX)
		return SUBJECTS_MAX;
	return find(subjects, OWN_ENGINE, subjects->of[reference].on_tmpfs);
}

/* --- the folder ------------------------------------------------------------------------------- */

static void remove_files(const char *folder)
{
	DIR *directory = opendir(folder);
	const struct dirent *entry;

	if (directory == NULL)
		return;
	while ((entry = readdir(directory)) != NULL)
		unlinkat(dirfd(directory), entry->d_name, 0);
	closedir(directory);
}

void subject_remove(const struct subject *subject)
{
	remove_files(subject->folder);
	if (rmdir(subject->folder) != 0 && errno != ENOENT)
		die("%s: %s", subject->folder, strerror(errno));
}

void subject_reset(const struct subject *subject)
{
	subject_remove(subject);
	if (mkdir(subject->folder, 0700) != 0)
		die("%s: %s", subject->folder, strerror(errno));
}

static bool has_room(const struct subject *subject, uint64_t bytes)
{
	struct statvfs status;
	char *folder = strdup(subject->folder);
	uint64_t room;

	if (folder == NULL)
		die("no memory");
	*strrchr(folder, '/') = '\0';
	if (statvfs(folder, &status) != 0)
		die("%s: %s", folder, strerror(errno));
	free(folder);
	room = (uint64_t)status.f_bavail * status.f_frsize;
	if (bytes / 8 * ROOM_EIGHTHS <= room)
		return true;
	note("SKIPPED: %s: there is no room for %llu MiB of entries", subject->label,
		(unsigned long long)(bytes / MIB));
	return false;
}

struct subjects subjects_with_room(const struct subjects *subjects, uint64_t bytes)
{
	struct subjects fitting = { .count = 0 };

	for (unsigned s = 0; s < subjects->count; s++)
		if (has_room(&subjects->of[s], bytes))
			fitting.of[fitting.count++] = subjects->of[s];
	return fitting;
}
