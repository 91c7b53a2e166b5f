/* live.c -- cp(1) while processes work, and its copies put back
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/torn/live.h"

#include "stress/common/verdict.h"
#include "stress/torn/give_up.h"
#include "stress/torn/opener.h"
#include "stress/torn/worker.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKERS 3u

/* Process. What came of all copies. */
struct tally {
	unsigned copies;
	unsigned torn;
	unsigned salvaged;
	unsigned restored; /* put back over a killed heap, and refused */
	unsigned opened;   /* put back, with the stamp of the run: taken for what the run left */
	char fault[OPENER_TEXT];
};

/* Shared mapping. Turns that all workers have done. */
static _Atomic unsigned *turns;

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

_Noreturn static void work_for_ever(const char *path, uint64_t seed)
{
	static struct worker worker;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	worker.chance.state = seed;
	if (!worker_open(&worker, path, false))
		_exit(1);
	for (;;) {
		worker_turn(&worker);
		atomic_fetch_add(turns, 1);
	}
}

static bool make_heap(const char *path)
{
	struct worker worker = { .txn = NULL };

	return worker_open(&worker, path, true) && worker_close(&worker);
}

static void start_workers(const char *path, struct chance *chance, pid_t workers[WORKERS])
{
	fflush(stdout);
	atomic_store(turns, 0);
	for (unsigned i = 0; i < WORKERS; i++) {
		uint64_t seed = chance_next(chance);

		workers[i] = fork();
		if (workers[i] < 0)
			give_up("fork");
		if (workers[i] == 0)
			work_for_ever(path, seed);
	}
}

static void kill_workers(const pid_t workers[WORKERS])
{
	for (unsigned i = 0; i < WORKERS; i++)
		kill(workers[i], SIGKILL);
	for (unsigned i = 0; i < WORKERS; i++)
		waitpid(workers[i], NULL, 0);
}

static bool copy(const char *from, const char *to)
{
	char command[3000];

	snprintf(command, sizeof(command), "cp '%s' '%s' && cp '%s-shm' '%s-shm'", from, to, from,
		to);
	return system(command) == 0;
}

static void remove_all(const char *path)
{
	static const char *const ends[] = { "", "-shm", ".kept" };
	char name[600];

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		snprintf(name, sizeof(name), "%s%s", path, ends[i]);
		unlink(name);
	}
}

static void note(struct tally *tally, const char *what, const struct outcome *outcome)
{
	if (tally->fault[0] == '\0')
		snprintf(tally->fault, sizeof(tally->fault), "%s: %.150s (sh_open: %d)", what,
			outcome->fault, outcome->opened);
}

static void salvage(struct tally *tally, const char *path)
{
	struct outcome outcome = { .opened = 0 };
	char command[3000];

	snprintf(command, sizeof(command), "cp '%s' '%s.kept'", path, path);
	if (system(command) != 0 || !opener_salvage(path, true, &outcome) ||
		outcome.fault[0] != '\0' || outcome.opened != 0)
		note(tally, "salvage", &outcome);
	else
		tally->salvaged++;
}

static void try_copy(struct tally *tally, const char *path)
{
	struct outcome outcome = { .opened = 0 };

	tally->copies++;
	if (!opener_try(path, &outcome) || outcome.opened != SH_ETORN || outcome.read_only == 0)
		note(tally, "copy", &outcome);
	else
		tally->torn++;
	salvage(tally, path);
}

/* cp(1) over the file: the inode stays, the control file of the killed run is there. */
static void put_back(struct tally *tally, const char *from, const char *path)
{
	struct outcome outcome = { .opened = 0 };
	char command[3000];
	bool tried;

	snprintf(command, sizeof(command), "cp '%s' '%s'", from, path);
	if (system(command) != 0) {
		note(tally, "cp fails", &(struct outcome){ .opened = 0 });
		return;
	}
	tried = opener_try(path, &outcome);
	if (tried && (outcome.opened == SH_ETORN || outcome.opened == SH_EBADHEAP))
		tally->restored++;
	else if (tried && outcome.opened == 0)
		tally->opened++;
	else
		note(tally, "put back", &outcome);
	if (outcome.opened != 0)
		salvage(tally, path);
}

static void play(struct tally *tally, const char *path, const char *copied, struct chance *chance)
{
	pid_t workers[WORKERS];

	if (!make_heap(path))
		give_up("a heap cannot be made");
	start_workers(path, chance, workers);
	while (atomic_load(turns) < 20)
		usleep(500);
	usleep((useconds_t)chance_below(chance, 20000));
	if (!copy(path, copied))
		note(tally, "cp fails", &(struct outcome){ .opened = 0 });
	kill_workers(workers);
	/* try_copy() makes something else of the copy. */
	if (chance_once_in(chance, 2))
		put_back(tally, copied, path);
	else
		try_copy(tally, copied);
	if (tally->fault[0] != '\0')
		return;
	remove_all(path);
	remove_all(copied);
}

bool live_copies(const char *folder, uint64_t seed, unsigned milliseconds)
{
	struct tally tally = { .copies = 0 };
	struct chance chance = chance_of(seed, UINT64_MAX);
	uint64_t end = now_ms() + milliseconds;
	char path[560];
	char copied[570];

	turns = mmap(NULL, sizeof(*turns), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		0);
	if (turns == MAP_FAILED)
		give_up("mmap");
	snprintf(path, sizeof(path), "%s/live", folder);
	snprintf(copied, sizeof(copied), "%s.copy", path);
	while (tally.fault[0] == '\0' && (now_ms() < end || tally.torn == 0 || tally.restored == 0))
		play(&tally, path, copied, &chance);
	verdict(tally.fault[0] == '\0',
		"cp(1) while processes work: %u copies, %u torn; %u put back over the killed run: "
		"%u refused, %u with its stamp; %u salvaged",
		tally.copies, tally.torn, tally.restored + tally.opened, tally.restored,
		tally.opened, tally.salvaged);
	if (tally.fault[0] != '\0')
		printf("        %s\n        repeat: torn --salvage %s.kept, or %s.kept\n",
			tally.fault, path, copied);
	return tally.fault[0] == '\0';
}
