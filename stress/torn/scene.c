/* scene.c -- the life of a heap file that images are made of
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/torn/scene.h"

#include "shm/file.h"
#include "stress/torn/give_up.h"
#include "stress/torn/seat.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* Stack. */
struct scene {
	struct recording *recording;
	struct chance chance;
	const char *path;
	char control[600];
	bool sits[SEATS];
	bool well;
};

static void take(struct scene *scene, enum moment_state state)
{
	int fd = open(scene->path, O_RDONLY | O_CLOEXEC);

	recording_take(scene->recording, fd, scene->control, state);
	if (fd >= 0)
		close(fd);
}

/* A file that has no name yet is one that is being made: what is synced then is a clean heap. */
static void on_sync(const struct sync_seen *seen, void *argument)
{
	struct scene *scene = argument;
	bool named = access(scene->path, F_OK) == 0;
	char name[64];
	struct moment *moment;
	int fd;

	snprintf(name, sizeof(name), "/proc/%d/fd/%d", (int)seen->process, seen->fd);
	fd = open(seen->fd == FILE_NONE ? scene->path : name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		give_up("the synced file");
	moment = recording_take(scene->recording, fd, scene->control,
		named ? MOMENT_IN_USE : MOMENT_CLEAN);
	close(fd);
	moment->synced_from = seen->first;
	moment->synced_end = seen->end;
}

static void order(struct scene *scene, unsigned seat, enum command command)
{
	if (!scene->well)
		return;
	if (command == COMMAND_CREATE || command == COMMAND_OPEN) {
		seat_start(seat, chance_next(&scene->chance));
		scene->sits[seat] = true;
	}
	scene->well = seat_do(seat, command, on_sync, scene);
	if (command == COMMAND_CLOSE) {
		scene->sits[seat] = false;
		scene->well &= seat_finish(seat);
	}
}

static void turns(struct scene *scene, unsigned seat, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		order(scene, seat, COMMAND_WORK);
		take(scene, MOMENT_IN_USE);
	}
}

static void kill_in(struct scene *scene, unsigned seat)
{
	seat_kill(seat);
	scene->sits[seat] = false;
}

static void come_and_go(struct scene *scene, unsigned seat)
{
	if (!scene->sits[seat])
		order(scene, seat, COMMAND_OPEN);
	else if (chance_once_in(&scene->chance, 6))
		kill_in(scene, seat);
	else if (chance_once_in(&scene->chance, 5))
		order(scene, seat, COMMAND_CLOSE);
	else
		order(scene, seat, COMMAND_WORK);
	take(scene, MOMENT_IN_USE);
}

static void first_run(struct scene *scene)
{
	take(scene, MOMENT_ABSENT);
	order(scene, 0, COMMAND_CREATE);
	take(scene, MOMENT_IN_USE);
	turns(scene, 0, chance_between(&scene->chance, 2, 5));
	order(scene, 0, COMMAND_CLOSE);
	take(scene, MOMENT_CLEAN);
}

/* Seat 0 stays to the end, so that the run is one. */
static void run_of_several(struct scene *scene)
{
	unsigned steps = chance_between(&scene->chance, 8, 16);

	order(scene, 0, COMMAND_OPEN);
	take(scene, MOMENT_IN_USE);
	for (unsigned i = 0; i < steps && scene->well; i++) {
		if (chance_once_in(&scene->chance, 3))
			turns(scene, 0, 1);
		else
			come_and_go(scene, chance_between(&scene->chance, 1, SEATS - 1));
	}
	for (unsigned seat = SEATS; seat-- > 0;)
		if (scene->sits[seat])
			order(scene, seat, COMMAND_CLOSE);
	take(scene, MOMENT_CLEAN);
}

static void run_that_is_killed(struct scene *scene)
{
	order(scene, 0, COMMAND_OPEN);
	take(scene, MOMENT_IN_USE);
	turns(scene, 0, chance_between(&scene->chance, 2, 6));
	if (scene->well)
		kill_in(scene, 0);
	take(scene, MOMENT_IN_USE);
	order(scene, 1, COMMAND_OPEN);
	turns(scene, 1, chance_between(&scene->chance, 1, 3));
	order(scene, 1, COMMAND_CLOSE);
	take(scene, MOMENT_CLEAN);
}

bool scene_play(struct recording *recording, const char *path, struct chance chance)
{
	struct scene scene = {
		.recording = recording,
		.chance = chance,
		.path = path,
		.well = true,
	};

	snprintf(scene.control, sizeof(scene.control), "%s-shm", path);
	unlink(path);
	unlink(scene.control);
	first_run(&scene);
	run_of_several(&scene);
	run_that_is_killed(&scene);
	for (unsigned seat = 0; seat < SEATS; seat++)
		if (scene.sits[seat])
			kill_in(&scene, seat);
	unlink(path);
	unlink(scene.control);
	return scene.well;
}
