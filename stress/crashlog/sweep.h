/* sweep.h -- every image of every operation of a scene
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef CRASHLOG_SWEEP_H
#define CRASHLOG_SWEEP_H

#include "stress/crashlog/options.h"
#include "stress/crashlog/scene.h"

/* Whether the options ask for the operation. */
bool sweep_wants(const struct options *options, const struct operation *operation);

/* Makes the stores of the log from number *at on, up to `end`; *at is there afterwards. */
void sweep_apply(struct scene *scene, uint64_t *at, uint64_t end);

/* Judges the images of all operations, those of their recoveries included, and prints a table. */
void sweep(struct scene *scene, const struct options *options);

/* How a failure is repeated. */
void print_repeat(const struct scene *scene, const struct options *options,
	const struct operation *operation, uint64_t store);

/* What the store does: "span: allocated, at 2400020 by 40f2a1". */
void print_store(const struct scene *scene, const struct store *store);

#endif
