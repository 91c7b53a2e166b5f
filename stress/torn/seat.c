/* seat.c -- processes that use the heap one after the other, and show each sync of theirs
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/torn/seat.h"

#include "shm/file.h"
#include "stress/torn/give_up.h"
#include "stress/torn/recording.h"
#include "stress/torn/worker.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S 20

enum event { EVENT_DONE, EVENT_REFUSED, EVENT_SYNC };

/* Shared mapping. */
struct seat {
	sem_t turn;
	sem_t reply;
	enum command command;
	enum event event;
	struct sync_seen seen;
};

/* Process. */
static struct seat *seats;
static struct seat *own; /* of a process in a seat */
static pid_t process_in[SEATS];
static char heap_path[512];

/* --- in the seat --------------------------------------------------------------------------- */

static void wait_for_turn(void)
{
	while (sem_wait(&own->turn) != 0 && errno == EINTR)
		;
}

static void tell(enum event event)
{
	own->event = event;
	sem_post(&own->reply);
}

static void show_sync(int fd, uint64_t first, uint64_t end)
{
	if (own == NULL)
		return;
	own->seen = (struct sync_seen){
		.process = getpid(),
		.fd = fd,
		.first = first,
		.end = end,
	};
	tell(EVENT_SYNC);
	wait_for_turn();
}

/* Whether the descriptor is of the heap file, which has no name while it is made. */
static bool is_heap_file(int fd)
{
	char link[64];
	char name[600];
	ssize_t length;
	struct stat status;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, name, sizeof(name) - 1);
	return length > 4 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
		memcmp(name + length - 4, "-shm", 4) != 0;
}

/* In place of the C library's: the call, and then the recorder's look. */
int fsync(int fd)
{
	int result = (int)syscall(SYS_fsync, fd);

	if (result == 0 && own != NULL && is_heap_file(fd))
		show_sync(fd, 0, UINT64_MAX);
	return result;
}

int msync(void *address, size_t bytes, int flags)
{
	int result = (int)syscall(SYS_msync, address, bytes, flags);

	/* The one range that the library syncs is at the start of the file. */
	if (result == 0)
		show_sync(FILE_NONE, 0, (bytes + DISK_PAGE - 1) / DISK_PAGE);
	return result;
}

static bool obey(struct worker *worker)
{
	switch (own->command) {
	case COMMAND_CREATE:
		return worker_open(worker, heap_path, true);
	case COMMAND_OPEN:
		return worker_open(worker, heap_path, false);
	case COMMAND_WORK:
		worker_turn(worker);
		return true;
	case COMMAND_CLOSE:
		return worker_close(worker);
	}
	return false;
}

_Noreturn static void sit(unsigned seat, uint64_t seed)
{
	static struct worker worker;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	own = &seats[seat];
	worker.chance.state = seed;
	for (;;) {
		enum command command;
		bool done;

		wait_for_turn();
		command = own->command;
		done = obey(&worker);
		tell(done ? EVENT_DONE : EVENT_REFUSED);
		if (!done || command == COMMAND_CLOSE)
			_exit(0);
	}
}

/* --- the recorder's side ------------------------------------------------------------------- */

void seats_prepare(const char *path)
{
	snprintf(heap_path, sizeof(heap_path), "%s", path);
	seats = mmap(NULL, SEATS * sizeof(*seats), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (seats == MAP_FAILED)
		give_up("mmap");
}

void seat_start(unsigned seat, uint64_t seed)
{
	sem_init(&seats[seat].turn, 1, 0);
	sem_init(&seats[seat].reply, 1, 0);
	fflush(stdout);
	process_in[seat] = fork();
	if (process_in[seat] < 0)
		give_up("fork");
	if (process_in[seat] == 0)
		sit(seat, seed);
}

static bool wait_for_reply(struct seat *seat)
{
	struct timespec limit;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += PATIENCE_S;
	while (sem_timedwait(&seat->reply, &limit) != 0)
		if (errno != EINTR)
			return false;
	return true;
}

/* What a process does that does not come back. */
static void tell_why(unsigned seat, enum command command)
{
	char debug[160];
	int status = 0;

	if (waitpid(process_in[seat], &status, WNOHANG) != 0) {
		printf("seat %u died in command %d (status 0x%x)\n", seat, command,
			(unsigned)status);
		return;
	}
	printf("seat %u hangs in command %d\n", seat, command);
	fflush(stdout);
	snprintf(debug, sizeof(debug), "gdb -p %d -batch -ex 'thread apply all bt' 2>/dev/null",
		(int)process_in[seat]);
	if (system(debug) != 0)
		printf("(gdb shows nothing)\n");
}

bool seat_do(unsigned seat, enum command command, sync_fn *on_sync, void *argument)
{
	struct seat *at = &seats[seat];

	at->command = command;
	for (;;) {
		sem_post(&at->turn);
		if (!wait_for_reply(at)) {
			tell_why(seat, command);
			return false;
		}
		if (at->event != EVENT_SYNC)
			return at->event == EVENT_DONE;
		on_sync(&at->seen, argument);
	}
}

void seat_kill(unsigned seat)
{
	kill(process_in[seat], SIGKILL);
	waitpid(process_in[seat], NULL, 0);
}

bool seat_finish(unsigned seat)
{
	int status = -1;

	waitpid(process_in[seat], &status, 0);
	return status == 0;
}
