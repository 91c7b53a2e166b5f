/* crew.c -- the processes of a run: started, killed, stopped, replaced, watched
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/rcu/crew.h"

#include "stress/rcu/pool.h"
#include "stress/rcu/reader.h"
#include "stress/rcu/updater.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_BYTES (UINT64_C(64) << 20)

static bool fails(const char *what, int error)
{
	if (error != 0)
		printf("%s: %s\n", what, sh_strerror(error));
	return error != 0;
}

/* --- the heap ------------------------------------------------------------------------------ */

static bool make_folder(struct crew *crew, const char *parent)
{
	snprintf(crew->folder, sizeof(crew->folder), "%s/rcu_torture.XXXXXX", parent);
	if (mkdtemp(crew->folder) == NULL)
		return !fails(crew->folder, errno);
	snprintf(crew->path, sizeof(crew->path), "%s/heap", crew->folder);
	return true;
}

bool crew_make(struct crew *crew, const char *parent, unsigned barrier, enum fault fault,
	uint64_t seed)
{
	struct sh_options options = SH_OPTIONS_INIT;

	*crew = (struct crew){ .chance = chance_of(seed, UINT64_MAX) };
	memset(shared, 0, sizeof(*shared));
	shared->seed = seed;
	shared->fault = fault;
	options.max_size = MAX_BYTES;
	options.barrier = barrier;
	if (!make_folder(crew, parent) ||
		fails(crew->path, sh_open(crew->path, SH_CREATE, &options, &crew->heap)))
		return false;
	if (!pool_make(crew->heap))
		return !fails("the pool", errno);
	return true;
}

int crew_end(struct crew *crew)
{
	static const char *const names[] = { "heap", "heap-shm" };
	int error = sh_close(crew->heap);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[CREW_PATH_BYTES + 16];

		snprintf(path, sizeof(path), "%s/%s", crew->folder, names[i]);
		unlink(path);
	}
	rmdir(crew->folder);
	return error;
}

/* --- coming -------------------------------------------------------------------------------- */

/* A child is attached from the fork on. Some come as strangers do, who clean up after the dead. */
static struct sh_heap *come(const struct crew *crew, uint64_t generation)
{
	struct sh_heap *heap = crew->heap;

	if (generation % 2 == 0)
		return heap;
	if (sh_close(heap) != 0 || sh_open(crew->path, 0, NULL, &heap) != 0)
		_exit(3);
	return heap;
}

__attribute__((noreturn)) static void work(const struct crew *crew, unsigned worker,
	uint64_t generation)
{
	struct sh_heap *heap;
	int status;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	heap = come(crew, generation);
	status = worker < UPDATERS ? updater_main(heap, worker, generation)
				   : reader_main(heap, worker - UPDATERS, generation);
	if (status == 0 && sh_close(heap) != 0)
		status = 4;
	_exit(status);
}

static bool start_one(struct crew *crew, unsigned worker)
{
	uint64_t generation = atomic_fetch_add(&shared->generation, 1) + 1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		work(crew, worker, generation);
	if (pid < 0)
		return !fails("fork", errno);
	crew->pids[worker] = pid;
	return true;
}

bool crew_start(struct crew *crew)
{
	uint64_t now = now_ns();

	for (unsigned worker = 0; worker < WORKERS; worker++)
		if (crew->pids[worker] == 0 && !start_one(crew, worker))
			return false;
	for (unsigned seat = 0; seat < SEATS; seat++)
		crew->seen_ns[seat] = crew->seen_ns[seat] == 0 ? now : crew->seen_ns[seat];
	return true;
}

/* --- going --------------------------------------------------------------------------------- */

static unsigned first_seat(unsigned worker)
{
	return worker < UPDATERS ? worker : UPDATERS + (worker - UPDATERS) * READER_THREADS;
}

static unsigned seats_of(unsigned worker)
{
	return worker < UPDATERS ? 1 : READER_THREADS;
}

static unsigned worker_of(unsigned seat)
{
	return seat < UPDATERS ? seat : UPDATERS + (seat - UPDATERS) / READER_THREADS;
}

bool crew_is_inside(unsigned worker)
{
	bool inside = false;

	for (unsigned i = 0; i < seats_of(worker); i++)
		inside |= atomic_load(&shared->seats[first_seat(worker) + i].inside) != 0;
	return inside;
}

static void vacate(struct crew *crew, unsigned worker)
{
	for (unsigned i = 0; i < seats_of(worker); i++)
		atomic_store(&shared->seats[first_seat(worker) + i].inside, 0);
	crew->pids[worker] = 0;
}

bool crew_kill(struct crew *crew, unsigned worker)
{
	bool inside;

	/* To kill nobody is to kill everybody. */
	assert(crew->pids[worker] > 0);
	kill(crew->pids[worker], SIGKILL);
	waitpid(crew->pids[worker], NULL, 0);
	inside = crew_is_inside(worker);
	vacate(crew, worker);
	return inside;
}

void crew_kill_all(struct crew *crew)
{
	for (unsigned worker = 0; worker < WORKERS; worker++)
		if (crew->pids[worker] != 0)
			crew_kill(crew, worker);
}

void crew_stop(const struct crew *crew, unsigned worker)
{
	int status;

	kill(crew->pids[worker], SIGSTOP);
	waitpid(crew->pids[worker], &status, WUNTRACED);
}

void crew_continue(const struct crew *crew, unsigned worker)
{
	kill(crew->pids[worker], SIGCONT);
}

/* Whether the worker ended without an error within the limit. */
static bool ends(pid_t pid, uint64_t limit_ns)
{
	uint64_t end = now_ns() + limit_ns;
	int status = 0;
	pid_t ended;

	while ((ended = waitpid(pid, &status, WNOHANG)) == 0 && now_ns() < end)
		usleep(100);
	if (ended == 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return ended == pid && status == 0;
}

bool crew_dismiss(struct crew *crew, uint64_t limit_ns)
{
	bool all = true;

	atomic_store(&shared->stop, true);
	for (unsigned worker = 0; worker < WORKERS; worker++) {
		if (crew->pids[worker] == 0)
			continue;
		all &= ends(crew->pids[worker], limit_ns);
		vacate(crew, worker);
	}
	return all;
}

/* --- watching ------------------------------------------------------------------------------ */

unsigned crew_hung(struct crew *crew, uint64_t limit_ns)
{
	uint64_t now = now_ns();

	for (unsigned seat = 0; seat < SEATS; seat++) {
		uint64_t done = atomic_load(&shared->seats[seat].done);

		if (done != crew->seen[seat] || crew->pids[worker_of(seat)] == 0)
			crew->seen_ns[seat] = now;
		crew->seen[seat] = done;
		if (now - crew->seen_ns[seat] > limit_ns)
			return seat;
	}
	return SEATS;
}

unsigned crew_deserter(const struct crew *crew)
{
	for (unsigned worker = 0; worker < WORKERS; worker++) {
		siginfo_t info = { .si_pid = 0 };

		if (crew->pids[worker] != 0 &&
			waitid(P_PID, (id_t)crew->pids[worker], &info,
				WEXITED | WNOHANG | WNOWAIT) == 0 &&
			info.si_pid != 0)
			return worker;
	}
	return WORKERS;
}
