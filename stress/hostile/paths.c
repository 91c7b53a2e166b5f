/* paths.c -- the same file by other names; a control file that goes away; openers that are killed
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/hostile/place.h"
#include "stress/hostile/scenarios.h"
#include "stress/hostile/work.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILLS 60u

static char path[700];
static char control[720];

static const char *make_heap(void)
{
	const char *place = place_plain();

	snprintf(path, sizeof(path), "%s", path_in(place));
	snprintf(control, sizeof(control), "%s-shm", path);
	close_heap(new_heap(path));
	return place;
}

static void expect_control_error(const char *name)
{
	struct sh_heap *heap;
	int error = try_open(name, 0, &heap);

	if (error != SH_ECONTROL)
		fail(__FILE__, __LINE__, "sh_open says %s",
			error == 0 ? "yes" : sh_strerror(error));
}

/* --- the control file ---------------------------------------------------------------------- */

static void work_in_child(void *heap)
{
	work(heap, 5, 50);
	close_heap(heap);
}

/* Steps of the signpost that is its argument: 1 open, 2 may work, 3 has worked, 4 may close. */
static void be_peer(void *argument)
{
	unsigned post = *(const unsigned *)argument;
	struct sh_heap *heap = open_heap(path, 0);
	struct sh_reap_report report;

	reach(post, 1);
	wait_for(post, 2);
	EXPECT_EQUAL(sh_reap(heap, &report), 0);
	EXPECT_EQUAL(report.processes, 0);
	work(heap, post, 100);
	grow(heap, 8);
	run(work_in_child, heap);
	reach(post, 3);
	wait_for(post, 4);
	close_heap(heap);
}

/* Two processes have the heap open when the control file changes; then they go on. */
static void change_under_the_living(void (*change)(void))
{
	unsigned posts[] = { 4, 5 };
	pid_t peers[2];

	make_heap();
	for (unsigned i = 0; i < 2; i++) {
		peers[i] = start(be_peer, &posts[i]);
		wait_for(posts[i], 1);
	}
	change();
	expect_control_error(path);
	for (unsigned i = 0; i < 2; i++)
		reach(posts[i], 2);
	for (unsigned i = 0; i < 2; i++)
		wait_for(posts[i], 3);
	expect_control_error(path);
	for (unsigned i = 0; i < 2; i++)
		reach(posts[i], 4);
	for (unsigned i = 0; i < 2; i++)
		finish_well(peers[i]);
	EXPECT(is_clean(path));
	check_file(path);
	EXPECT(files_beside(path) <= 3);
}

static void delete_it(void)
{
	EXPECT_EQUAL(unlink(control), 0);
}

void run_control_file_deleted(void)
{
	change_under_the_living(delete_it);
	tell("SH_ECONTROL for openers; the living went on, grew, forked, and the last one marked "
	     "the "
	     "file clean");
}

static void swap_it(void)
{
	EXPECT_EQUAL(command("cp %s %s.old && mv %s.old %s", control, control, control, control),
		0);
}

static void swap_for_another(void)
{
	char name[760];

	snprintf(name, sizeof(name), "%s/other", folder);
	close_heap(new_heap(name));
	EXPECT_EQUAL(command("mv %s-shm %s", name, control), 0);
}

void run_control_file_swapped(void)
{
	change_under_the_living(swap_it);
	tell("its own copy in its place: SH_ECONTROL");
	for (unsigned i = 0; i < STEPS; i++)
		reach(i, 0);
	change_under_the_living(swap_for_another);
	tell("another heap's: SH_ECONTROL; the living went on, and the last one marked the file "
	     "clean");
}

/* --- other names --------------------------------------------------------------------------- */

static void hold_open(void *unused)
{
	struct sh_heap *heap = open_heap(path, 0);

	(void)unused;
	EXPECT_EQUAL(sh_mutex_lock(heap, &bank_of(heap)->mutex), 0);
	reach(1, 1);
	wait_for(1, 2);
	EXPECT_EQUAL(sh_mutex_unlock(heap, &bank_of(heap)->mutex), 0);
	close_heap(heap);
}

/* `name` leads to the heap that another process has open by its path; or, while it has, nowhere. */
static void look_by(const char *name, bool same)
{
	pid_t child = start(hold_open, NULL);

	wait_for(1, 1);
	if (same) {
		struct sh_heap *heap = open_heap(name, 0);

		EXPECT(heap == open_heap(path, 0));
		EXPECT_EQUAL(sh_mutex_trylock(heap, &bank_of(heap)->mutex), EBUSY);
		reach(1, 2);
		work(heap, 1, 50);
		close_heap(heap);
		close_heap(heap);
	} else {
		expect_control_error(name);
		reach(1, 2);
	}
	finish_well(child);
	EXPECT(is_clean(path));
	/* Once nobody has it open each name is as good as the other. */
	check_file(name);
	check_file(path);
}

void run_symbolic_link(void)
{
	char name[760];

	make_heap();
	snprintf(name, sizeof(name), "%s/link", folder);
	EXPECT_EQUAL(symlink(path, name), 0);
	look_by(name, true);
	tell("the same heap, in one process the same handle");
}

void run_hard_link(void)
{
	char name[760];

	make_heap();
	snprintf(name, sizeof(name), "%s/link", folder);
	EXPECT_EQUAL(link(path, name), 0);
	look_by(name, false);
	tell("in use: SH_ECONTROL, because its control file is beside the other name; at rest: "
	     "opens");
}

void run_bind_mount(void)
{
	char name[760];
	const char *place;

	own_mounts();
	place = make_heap();
	snprintf(name, sizeof(name), "%s/bound", folder);
	EXPECT_EQUAL(mkdir(name, 0700), 0);
	EXPECT_EQUAL(mount(place, name, NULL, MS_BIND, NULL), 0);
	strcat(name, "/heap");
	look_by(name, true);
	reach(1, 0);
	snprintf(name, sizeof(name), "%s/alone", folder);
	EXPECT_EQUAL(command("touch %s", name), 0);
	EXPECT_EQUAL(mount(path, name, NULL, MS_BIND, NULL), 0);
	look_by(name, false);
	tell("a folder bound elsewhere: the same heap; the file alone: SH_ECONTROL while in use");
}

/* --- openers and creators that are killed -------------------------------------------------- */

static void open_and_close(void *unused)
{
	(void)unused;
	for (;;) {
		struct sh_heap *heap = open_heap(path, 0);

		reach(0, 1);
		close_heap(heap);
	}
}

void run_openers_killed(void)
{
	make_heap();
	for (unsigned i = 0; i < KILLS; i++) {
		pid_t one;
		pid_t other;

		reach(0, 0);
		one = start(open_and_close, NULL);
		other = start(open_and_close, NULL);
		wait_for(0, 1);
		usleep(i * 131 % 4000);
		finish_killed(one);
		usleep(i * 57 % 700);
		finish_killed(other);
		if (i % 5 == 0)
			check_file(path);
	}
	check_file(path);
	EXPECT_EQUAL(files_beside(path), 2);
	tell("%u pairs killed inside sh_open() and sh_close(): nothing lost, no file left behind",
		KILLS);
}

static void create_and_remove(void *unused)
{
	(void)unused;
	for (;;) {
		unlink(path);
		unlink(control);
		close_heap(open_heap(path, SH_CREATE));
		reach(0, 1);
	}
}

static void kill_creators(const char *place)
{
	snprintf(path, sizeof(path), "%s", path_in(place));
	snprintf(control, sizeof(control), "%s-shm", path);
	for (unsigned i = 0; i < KILLS; i++) {
		struct sh_heap *heap;
		pid_t child;
		int error;

		reach(0, 0);
		child = start(create_and_remove, NULL);
		wait_for(0, 1);
		usleep(i * 131 % 3000);
		finish_killed(child);
		error = try_open(path, 0, &heap);
		if (error == 0)
			close_heap(heap);
		else
			EXPECT_EQUAL(error, ENOENT);
	}
	close_heap(open_heap(path, SH_CREATE));
	EXPECT_EQUAL(files_beside(path), 2);
}

void run_creators_killed(void)
{
	kill_creators(place_plain());
	tell("%u killed: the heap was whole or not there, no file left behind", KILLS);
}
