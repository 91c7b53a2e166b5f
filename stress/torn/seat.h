/* seat.h -- processes that use the heap one after the other, and show each sync of theirs
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * They take turns, so that what a recording holds follows from its seed. A process that syncs the heap
 * file stops there until the recorder has taken what the sync put on the disk. */
#ifndef TORN_SEAT_H
#define TORN_SEAT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SEATS 3u

enum command { COMMAND_CREATE, COMMAND_OPEN, COMMAND_WORK, COMMAND_CLOSE };

/* What the recorder is told of a sync; pages of the disk. */
struct sync_seen {
	pid_t process;
	int fd; /* of that process; FILE_NONE: the heap file is at its path */
	uint64_t first;
	uint64_t end;
};

typedef void sync_fn(const struct sync_seen *seen, void *argument);

/* Maps what the seats share; their heap is at `path`. */
void seats_prepare(const char *path);

/* Starts a process in the seat, whose decisions follow from `seed`. */
void seat_start(unsigned seat, uint64_t seed);

/* Has it do something, and waits; `on_sync` is called for each sync meanwhile. Whether it went well. */
bool seat_do(unsigned seat, enum command command, sync_fn *on_sync, void *argument);

void seat_kill(unsigned seat);

/* The same when it has ended by itself. */
bool seat_finish(unsigned seat);

#endif
