/* scene.h -- a run of the scenario under the tool, and what it left
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef CRASHLOG_SCENE_H
#define CRASHLOG_SCENE_H

#include "stress/crashlog/expected.h"
#include "stress/crashlog/log.h"
#include "stress/crashlog/options.h"
#include "stress/crashlog/replay.h"

/* Process. */
struct scene {
	const char *state; /* of the heap, when logging begins */
	struct store_log log;
	struct expected expected;
	struct replay replay;
	char *last; /* path of what the log must lead to */
	char folder[512];
};

/* NULL, or why there can be no scene here. */
const char *scene_missing(void);

/* Runs the scenario in a new folder below `folder`, and reads what it left. False: it failed, and said how. */
bool scene_make(struct scene *scene, const struct options *options, const char *folder,
	const char *state);
void scene_remove(struct scene *scene);

/* Back to before the first operation. */
void scene_rewind(struct scene *scene);

#endif
