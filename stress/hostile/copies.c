/* copies.c -- files that were copied at the wrong moment, and put back
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/common/heap_files.h"
#include "stress/hostile/place.h"
#include "stress/hostile/scenarios.h"
#include "stress/hostile/work.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPIES 12u
#define RACES 40u
#define STAMPED_BLOCKS 48u
#define STAMPED_WORDS 16384u

static char path[700];
static char copy[720];

static void make_heap(void)
{
	snprintf(path, sizeof(path), "%s", path_in(place_plain()));
	snprintf(copy, sizeof(copy), "%s.copy", path);
	close_heap(new_heap(path));
}

static off_t data_from(int fd, off_t at)
{
	off_t data = lseek(fd, at, SEEK_DATA);

	return data < 0 ? at : data;
}

/* From its start to its end, as cp(1) does, into the file that is there or a new one. It goes on after
 * a pause when so many bytes are done; 0: none. */
static void copy_file(const char *from, const char *to, off_t pause_at, unsigned pause_ms)
{
	static char buffer[65536];
	int in = open(from, O_RDONLY);
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	bool paused = pause_at == 0;
	off_t at = 0;
	ssize_t got;

	EXPECT(in >= 0 && out >= 0);
	for (;;) {
		at = data_from(in, at);
		got = pread(in, buffer, sizeof(buffer), at);
		if (got <= 0)
			break;
		EXPECT_EQUAL(pwrite(out, buffer, (size_t)got, at), got);
		if (!paused && at + got >= pause_at) {
			paused = true;
			reach(3, 1);
			sleep_ms(pause_ms);
		}
		at += got;
	}
	close(in);
	close(out);
}

static void expect_torn(const char *name)
{
	struct sh_heap *heap;
	int error = try_open(name, 0, &heap);

	if (error != SH_ETORN)
		fail(__FILE__, __LINE__, "sh_open of the copy says %s",
			error == 0 ? "yes" : sh_strerror(error));
}

/* --- in use -------------------------------------------------------------------------------- */

void run_copy_in_use(void)
{
	char control[740];
	char control_copy[740];
	pid_t worker;

	make_heap();
	snprintf(control, sizeof(control), "%s-shm", path);
	snprintf(control_copy, sizeof(control_copy), "%s-shm", copy);
	worker = start(work_until_killed, path);
	wait_for(0, 1);
	for (unsigned i = 0; i < COPIES; i++) {
		heap_files_remove(copy);
		copy_file(path, copy, 0, 0);
		expect_torn(copy);
		/* Its control file was copied with it. */
		copy_file(control, control_copy, 0, 0);
		expect_torn(copy);
	}
	finish_killed(worker);
	check_file(path);
	tell("%u copies, with and without the control file: SH_ETORN each time", COPIES);
}

/* --- clean, and opened meanwhile ----------------------------------------------------------- */

struct stamped {
	sh_off block[STAMPED_BLOCKS];
};

static struct stamped *stamped_of(struct sh_heap *heap)
{
	sh_off off;

	EXPECT_EQUAL(sh_root_get(heap, "stamped", &off), 0);
	return sh_ptr(heap, off);
}

static void make_stamped(void)
{
	struct sh_heap *heap = open_heap(path, 0);
	sh_off off = sh_alloc_ex(heap, sizeof(struct stamped), 0, SH_ZERO);

	EXPECT(off != 0 && sh_root_set(heap, "stamped", off) == 0);
	for (unsigned i = 0; i < STAMPED_BLOCKS; i++)
		EXPECT_EQUAL((stamped_of(heap)->block[i] =
					     sh_alloc_ex(heap, STAMPED_WORDS * 8, 0, SH_ZERO)) != 0,
			1);
	close_heap(heap);
}

/* Every word of every block becomes `stamp`; one time in two the heap grows as well. */
static void stamp_all(void *stamp)
{
	struct sh_heap *heap;

	wait_for(3, 1);
	heap = open_heap(path, 0);
	for (unsigned i = 0; i < STAMPED_BLOCKS; i++) {
		uint64_t *words = sh_ptr(heap, stamped_of(heap)->block[i]);

		for (unsigned k = 0; k < STAMPED_WORDS; k++)
			words[k] = *(const uint64_t *)stamp;
	}
	if (*(const uint64_t *)stamp % 8 == 0)
		grow(heap, 4);
	if (*(const uint64_t *)stamp % 2 == 0)
		close_heap(heap);
	else
		kill(getpid(), SIGKILL);
}

/* All words of an opened copy must be of one time. */
static void expect_one_time(struct sh_heap *heap)
{
	const uint64_t *first = sh_ptr(heap, stamped_of(heap)->block[0]);

	for (unsigned i = 0; i < STAMPED_BLOCKS; i++) {
		const uint64_t *words = sh_ptr(heap, stamped_of(heap)->block[i]);

		for (unsigned k = 0; k < STAMPED_WORDS; k++)
			if (words[k] != *first)
				fail(__FILE__, __LINE__,
					"a copy was called clean that mixes %llu and %llu",
					(unsigned long long)*first, (unsigned long long)words[k]);
	}
}

void run_copy_while_opened(void)
{
	unsigned clean = 0;
	unsigned torn = 0;
	struct stat status;

	make_heap();
	make_stamped();
	EXPECT_EQUAL(stat(path, &status), 0);
	srand(1);
	for (uint64_t i = 1; i <= RACES; i++) {
		struct sh_heap *heap;
		pid_t opener;
		int error;

		reach(3, 0);
		heap_files_remove(copy);
		opener = start(stamp_all, &i);
		/* Somewhere in the file, the first and the last blocks more often. */
		copy_file(path, copy,
			i % 4 == 0 ? 65536 * (off_t)(i / 4) : 1 + rand() % status.st_size,
			(unsigned)rand() % 30);
		error = finish(opener);
		EXPECT(error == 0 || error == SIGKILL);
		error = try_open(copy, 0, &heap);
		if (error == 0) {
			expect_one_time(heap);
			check_heap_content(heap);
			close_heap(heap);
			clean++;
		} else {
			EXPECT_EQUAL(error, SH_ETORN);
			torn++;
		}
		check_file(path);
	}
	EXPECT(torn > 0);
	tell("%u copies: %u torn, %u clean and all of one time", RACES, torn, clean);
}

/* --- put back in place --------------------------------------------------------------------- */

static void stay_until_killed(void *unused)
{
	struct sh_heap *heap = open_heap(path, 0);

	(void)unused;
	/* After a salvage the content may be any mixture: only what it did not have before. */
	EXPECT(sh_alloc(heap, 100000) != 0);
	reach(1, 1);
	pause();
}

static void live_and_die(void)
{
	pid_t worker;

	reach(1, 0);
	worker = start(stay_until_killed, NULL);
	wait_for(1, 1);
	finish_killed(worker);
}

static void salvage(void)
{
	struct sh_heap *heap = open_heap(path, SH_SALVAGE);

	EXPECT_EQUAL(sh_check(heap, 0, NULL, NULL, NULL), 0);
	close_heap(heap);
	EXPECT(is_clean(path));
}

void run_restore_torn(void)
{
	pid_t worker;

	make_heap();
	worker = start(work_until_killed, path);
	wait_for(0, 1);
	sleep_ms(20);
	copy_file(path, copy, 0, 0);
	finish_killed(worker);
	check_file(path);
	/* The same inode, the same boot, beside the control file of the last run. */
	copy_file(copy, path, 0, 0);
	expect_torn(path);
	salvage();
	live_and_die();
	copy_file(copy, path, 0, 0);
	expect_torn(path);
	salvage();
	tell("over a clean file and over a killed one: SH_ETORN; SH_SALVAGE opens it");
}

void run_restore_whole(void)
{
	struct sh_heap *heap;

	make_heap();
	heap = open_heap(path, 0);
	work(heap, 1, 100);
	close_heap(heap);
	copy_file(path, copy, 0, 0);
	check_file(copy);
	heap_files_remove(copy);
	copy_file(path, copy, 0, 0);
	live_and_die();
	copy_file(copy, path, 0, 0);
	check_file(path);
	live_and_die();
	EXPECT_EQUAL(rename(copy, path), 0);
	check_file(path);
	tell("in place, and by rename, beside the control file of a killed run: clean");
}
