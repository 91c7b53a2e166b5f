/* storm.h -- rounds of work, deaths and judgements
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KV_STRESS_STORM_H
#define KV_STRESS_STORM_H

#include "stress/kv/shared.h"

struct storm_options {
	uint64_t seed;
	uint64_t seconds;
	uint64_t limit_seconds;
	const char *folder;
};

/* Makes a store, and works, kills and judges for these seconds, or until something is wrong. Then the store stays,
 * and *path says where. */
void storm_run(const struct storm_options *options);

/* The same with a fault, which must be noticed. */
void storm_control(const struct storm_options *options, enum fault fault);

const char *fault_name(enum fault fault);

#endif
