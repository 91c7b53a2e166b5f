/* users.c -- other user ids, rights that are dropped, rights that are too wide
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/hostile/place.h"
#include "stress/hostile/scenarios.h"
#include "stress/hostile/work.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROUP 61001u
#define OTHER_GROUP 61002u
#define USER_A 61011u
#define USER_B 61012u
#define STRANGER 61013u

static char path[700];

static void become(uid_t user, gid_t group)
{
	EXPECT_EQUAL(setgroups(0, NULL), 0);
	EXPECT_EQUAL(setresgid(group, group, group), 0);
	EXPECT_EQUAL(setresuid(user, user, user), 0);
}

/* A heap of USER_A that its group may write. */
static void make_heap_of_group(void)
{
	const char *place;

	need_root();
	chmod(folder, 0755);
	place = place_plain();
	EXPECT_EQUAL(chown(place, USER_A, GROUP), 0);
	EXPECT_EQUAL(chmod(place, 0775), 0);
	snprintf(path, sizeof(path), "%s", path_in(place));
	close_heap(new_heap(path));
	EXPECT_EQUAL(chown(path, USER_A, GROUP), 0);
	EXPECT_EQUAL(chmod(path, 0660), 0);
}

static struct stat status_of(const char *suffix)
{
	struct stat status;
	char name[720];

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	EXPECT_EQUAL(stat(name, &status), 0);
	return status;
}

static void work_as_a(void *unused)
{
	(void)unused;
	become(USER_A, GROUP);
	work_until_killed(path);
}

static void work_as_b(void *unused)
{
	(void)unused;
	become(USER_B, GROUP);
	work_until_killed(path);
}

static void check_as_b(void *unused)
{
	(void)unused;
	become(USER_B, GROUP);
	check_file(path);
}

static void be_refused(void *unused)
{
	struct sh_heap *heap;

	(void)unused;
	become(STRANGER, OTHER_GROUP);
	EXPECT_EQUAL(try_open(path, 0, &heap), EACCES);
	EXPECT_EQUAL(try_open(path, SH_RDONLY, &heap), EACCES);
}

void run_two_users(void)
{
	struct stat control;

	make_heap_of_group();
	for (unsigned i = 0; i < 4; i++) {
		pid_t a;
		pid_t b;

		reach(0, 0);
		a = start(i % 2 == 0 ? work_as_a : work_as_b, NULL);
		wait_for(0, 1);
		control = status_of("-shm");
		EXPECT_EQUAL(control.st_gid, GROUP);
		EXPECT_EQUAL(control.st_mode & 0777, 0660);
		EXPECT_EQUAL(control.st_uid, i % 2 == 0 ? USER_A : USER_B);
		reach(0, 0);
		b = start(i % 2 == 0 ? work_as_b : work_as_a, NULL);
		wait_for(0, 1);
		run(be_refused, NULL);
		sleep_ms(5);
		finish_killed(a);
		sleep_ms(5);
		finish_killed(b);
		run(check_as_b, NULL);
	}
	check_file(path);
	control = status_of("-shm");
	EXPECT_EQUAL(control.st_uid, USER_A);
	tell("each opened what the other one left; the control file had the heap's group and mode, "
	     "and its owner when root made it; a stranger got EACCES");
}

/* --- a control file that others may write -------------------------------------------------- */

static void expect_refused(const char *what)
{
	struct sh_heap *heap;
	int error = try_open(path, 0, &heap);

	if (error != SH_ECONTROL)
		fail(__FILE__, __LINE__, "%s: sh_open says %s", what, sh_strerror(error));
}

static void look_at_control_file(void *unused)
{
	char control[720];

	(void)unused;
	snprintf(control, sizeof(control), "%s-shm", path);
	EXPECT_EQUAL(chmod(control, 0666), 0);
	expect_refused("wider mode");
	EXPECT_EQUAL(chmod(control, 0660), 0);
	EXPECT_EQUAL(chown(control, USER_A, OTHER_GROUP), 0);
	expect_refused("another group");
	EXPECT_EQUAL(chown(control, USER_A, GROUP), 0);
	EXPECT_EQUAL(chmod(path, 0600), 0);
	EXPECT_EQUAL(chmod(control, 0600), 0);
	EXPECT_EQUAL(chown(control, STRANGER, GROUP), 0);
	expect_refused("another owner");
	EXPECT_EQUAL(chown(control, USER_A, GROUP), 0);
}

void run_wide_control_file(void)
{
	char control[720];
	pid_t worker;

	make_heap_of_group();
	worker = start(work_as_a, NULL);
	wait_for(0, 1);
	run(look_at_control_file, NULL);
	close_heap(open_heap(path, 0));
	finish_killed(worker);
	/* Nor does it prove that a heap is recoverable. */
	snprintf(control, sizeof(control), "%s-shm", path);
	EXPECT_EQUAL(chmod(control, 0666), 0);
	expect_refused("wider mode, everybody dead");
	EXPECT_EQUAL(chmod(control, 0600), 0);
	check_file(path);
	/* A new one does not follow a link. */
	EXPECT_EQUAL(unlink(control), 0);
	EXPECT_EQUAL(symlink("/etc/passwd", control), 0);
	check_file(path);
	EXPECT(S_ISREG(status_of("-shm").st_mode) && status_of("-shm").st_uid == USER_A);
	tell("mode, group or owner wider than the heap's: SH_ECONTROL, with live processes and "
	     "without; a link in its place was replaced, not followed");
}

/* --- rights are dropped -------------------------------------------------------------------- */

static void work_in_child(void *heap)
{
	work(heap, (uint64_t)getpid(), 100);
	close_heap(heap);
}

static void work_without_rights(void *unused)
{
	struct sh_heap *heap = open_heap(path, 0);
	struct sh_heap *again;
	pid_t victim;

	(void)unused;
	become(STRANGER, OTHER_GROUP);
	EXPECT_EQUAL(open(path, O_RDWR), -1);
	work(heap, 1, 100);
	grow(heap, 12);
	for (unsigned i = 0; i < 6; i++)
		run(work_in_child, heap);
	victim = start(work_in_child, heap);
	finish_killed(victim);
	check_heap_content(heap);
	EXPECT_EQUAL(try_open(path, 0, &again), EACCES);
	close_heap(heap);
}

void run_rights_dropped(void)
{
	const char *place;

	need_root();
	place = place_plain();
	EXPECT_EQUAL(chmod(place, 0700), 0);
	snprintf(path, sizeof(path), "%s", path_in(place));
	close_heap(new_heap(path));
	run(work_without_rights, NULL);
	EXPECT(is_clean(path));
	check_file(path);
	tell("opened as root, then setuid: it worked, grew, forked 7 children that worked, one of "
	     "them killed; the close marked the file clean");
}
