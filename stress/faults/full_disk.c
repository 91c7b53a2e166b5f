/* full_disk.c -- disks of many sizes, each full at another place
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * On each, a heap is made, filled until nothing can be had, emptied by half, used, and opened again, after a
 * close and after a kill, the disk still full. */
#define _GNU_SOURCE
#include "stress/faults/full_disk.h"

#include "stress/faults/case.h"
#include "stress/faults/content.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define KIB 1024u
#define STEP_KIB 32u         /* until a heap can be made, ... */
#define GROWTH_STEP_KIB 388u /* ... and from there on: odd to all steps of growth */
#define GROWTHS 64u
#define CONTROL_STEP_KIB 8u
#define CONTENT_BYTES (1u << 20) /* more than content_make() takes */
#define SECONDS 20u
#define STATUS_NO_ROOM 77

/* The control file is on the small disk, and the heap file is not. */
static bool is_control_only;

static sh_off filled[4096];
static unsigned filled_count;

/* --- filling --------------------------------------------------------------------------------- */

static void expect_full(const char *what)
{
	if (errno != ENOSPC && errno != ENOMEM)
		bad("%s on a full disk gives %s", what, sh_strerror(errno));
}

/* Blocks of the size until there is none; all of each is written. */
static void fill_with(struct sh_heap *heap, size_t size)
{
	while (filled_count < sizeof(filled) / sizeof(filled[0])) {
		sh_off block = sh_alloc(heap, size);

		if (block == 0) {
			expect_full("sh_alloc()");
			return;
		}
		memset(sh_ptr(heap, block), 0x3c, size);
		filled[filled_count++] = block;
	}
}

static void expect_no_room(struct sh_heap *heap)
{
	int error = sh_reserve(heap, 32u << 20);

	if (error != ENOSPC && error != ENOMEM)
		bad("sh_reserve() on a full disk gives %s", sh_strerror(error));
	if (sh_pages_alloc(heap, 4096, 0) != 0)
		bad("a full disk holds a run of 32 MiB");
	expect_full("sh_pages_alloc()");
}

/* Every other block is freed, and what was freed can be had again. */
static void free_half(struct sh_heap *heap)
{
	unsigned freed = 0;

	for (unsigned i = 0; i < filled_count; i += 2, freed++)
		EXPECT(sh_free(heap, filled[i]) == 0);
	for (unsigned i = 0; i < filled_count; i += 2) {
		filled[i] = sh_alloc(heap, 100);
		if (filled[i] == 0)
			bad("%u blocks were freed, and none of 100 bytes can be had", freed);
	}
}

static void free_all(struct sh_heap *heap)
{
	while (filled_count > 0)
		EXPECT(sh_free(heap, filled[--filled_count]) == 0);
}

/* --- one disk -------------------------------------------------------------------------------- */

/* What could not be made is not there, or is a heap that only its control file had no room for. */
static void expect_nothing_left(void)
{
	DIR *entries = opendir(folder);
	struct dirent *entry;

	EXPECT(entries != NULL);
	while ((entry = readdir(entries)) != NULL)
		if (entry->d_name[0] != '.' && strcmp(entry->d_name, "heap") != 0)
			bad("a failed sh_open() leaves %s", entry->d_name);
	closedir(entries);
	if (access(heap_path, F_OK) == 0)
		must_close(must_open(SH_RDONLY, "a reader of the new heap"),
			"a reader of the new heap");
}

static void die_in_all(void)
{
	pid_t child = fork();

	if (child == 0) {
		content_begin_all(must_open(0, "the casualty"));
		kill(getpid(), SIGKILL);
	}
	EXPECT(waitpid(child, NULL, 0) == child);
}

static void look_again(const char *who)
{
	struct sh_heap *heap = must_open(0, who);

	content_check(heap, filled_count, 0, who);
	must_close(heap, who);
}

static void fill_all(struct sh_heap *heap)
{
	fill_with(heap, 100000);
	fill_with(heap, 3000);
	fill_with(heap, 200);
	expect_no_room(heap);
	free_half(heap);
}

static void live_on(struct sh_heap *heap)
{
	content_make(heap);
	if (!is_control_only)
		fill_all(heap);
	must_close(heap, "on a full disk");
	look_again("the next one, on a full disk");
	die_in_all();
	look_again("the next one, on a full disk, after a death");
	heap = must_open(0, "the last one");
	free_all(heap);
	content_work(heap, "the last one");
	must_close(heap, "the last one");
	look_again("after it");
}

_Noreturn static void be_on_disk(void)
{
	struct sh_heap *heap;
	int error;

	alarm(SECONDS);
	case_say_control_folder(is_control_only);
	error = open_heap(SH_CREATE | SH_EXCL, &heap);
	if (error != 0 && error != ENOSPC && error != ENOMEM)
		bad("sh_open() gives %s", sh_strerror(error));
	if (error != 0) {
		expect_nothing_left();
		_exit(STATUS_NO_ROOM);
	}
	error = sh_reserve(heap, CONTENT_BYTES);
	if (error != 0) {
		errno = error;
		expect_full("sh_reserve()");
		must_close(heap, "without room for the content");
		must_close(must_open(0, "without room for the content"),
			"without room for the content");
		_exit(STATUS_NO_ROOM);
	}
	live_on(heap);
	_exit(0);
}

/* --- all of them ----------------------------------------------------------------------------- */

static bool mount_disk(unsigned kibibytes)
{
	char size[64];

	snprintf(size, sizeof(size), "size=%uk", kibibytes);
	return mount("tmpfs", folder, "tmpfs", 0, size) == 0;
}

/* False when it was bad. *has_room: it came to live_on(). */
static bool run_size(unsigned kibibytes, bool *has_room)
{
	int status = -1;
	pid_t child;

	memset(board, 0, sizeof(*board));
	if (!mount_disk(kibibytes)) {
		snprintf(board->text, TEXT_BYTES, "mount: %s", strerror(errno));
		return false;
	}
	child = fork();
	if (child == 0)
		be_on_disk();
	waitpid(child, &status, 0);
	umount2(folder, MNT_DETACH);
	unlink(heap_path);
	*has_room = status == 0;
	if (status == 0 || (WIFEXITED(status) && WEXITSTATUS(status) == STATUS_NO_ROOM))
		return true;
	if (WIFSIGNALED(status))
		snprintf(board->text, TEXT_BYTES, "ended by signal %d", WTERMSIG(status));
	return false;
}

static void judge(unsigned kibibytes, struct verdict *verdict, bool *has_room)
{
	if (run_size(kibibytes, has_room)) {
		verdict->passed++;
		return;
	}
	verdict->failed++;
	printf("BAD full-disk: of %u KiB%s: %s\n    repeat: --scenario full-disk\n", kibibytes,
		is_control_only ? ", for the control file" : "", board->text);
}

/* Steps until all has room, and then so many more. */
static void sweep(unsigned step, unsigned more_step, unsigned more, struct verdict *verdict)
{
	unsigned size = 64;
	unsigned too_small = 0;
	bool has_room = false;

	for (; !has_room && size < 64 * KIB; size += step, too_small++)
		judge(size, verdict, &has_room);
	for (unsigned i = 0; i < more; i++, size += more_step)
		judge(size, verdict, &has_room);
	printf("full-disk%s: %u sizes without room for the content, %u with, up to %u KiB\n",
		is_control_only ? " for the control file" : "", too_small, more + 1, size);
	verdict->failed += size >= 64 * KIB;
}

static bool enter(const char *parent)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return false;
	snprintf(folder, sizeof(folder), "%s/disk", parent);
	snprintf(control_folder, sizeof(control_folder), "%s", folder);
	if (mkdir(folder, 0700) != 0 || !mount_disk(64))
		return false;
	return umount2(folder, MNT_DETACH) == 0;
}

void full_disk_run(bool quick, const char *parent, struct verdict *verdict)
{
	unsigned scale = quick ? 4 : 1;

	if (!enter(parent)) {
		printf("SKIPPED full-disk: wants root, to mount\n");
		verdict->skipped++;
		return;
	}
	snprintf(heap_path, sizeof(heap_path), "%s/heap", folder);
	sweep(STEP_KIB * scale, GROWTH_STEP_KIB * scale, GROWTHS / scale, verdict);
	is_control_only = true;
	snprintf(heap_path, sizeof(heap_path), "%s/heap", parent);
	sweep(CONTROL_STEP_KIB * scale, CONTROL_STEP_KIB * scale, 4, verdict);
	rmdir(folder);
}
