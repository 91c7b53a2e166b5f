/* scene.h -- the life of a heap file that images are made of
 * SPDX-License-Identifier: BSD-3-Clause
 *
 *	not there; made and opened; a run that is closed; a run of several processes that come, go, are killed,
 *	and the last of which closes; one that is killed, recovered and closed. */
#ifndef TORN_SCENE_H
#define TORN_SCENE_H

#include "stress/common/chance.h"
#include "stress/torn/recording.h"

/* Plays it at the path that seats_prepare() was given, and records it. Whether everybody did what was asked;
 * both files are gone afterwards. */
bool scene_play(struct recording *recording, const char *path, struct chance chance);

#endif
