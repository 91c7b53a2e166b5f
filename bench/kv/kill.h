/* kill.h -- what the death of processes costs those who come after them, and those who live
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_BENCH_KV_KILL_H
#define SPANHEAP_BENCH_KV_KILL_H

#include "plan.h"

/* Kills all users of a store in the middle of writing, again and again, and opens it. Returns the median
 * time of opening our own engine in ms; NAN when it was not measured. */
double kill_everybody(const struct settings *settings, const struct subjects *subjects,
	const struct numbers *numbers, uint64_t value_bytes);

/* Kills one of two writers again and again: how long until the other's next write? */
void kill_one_writer(const struct settings *settings, const struct subjects *subjects,
	const struct numbers *numbers, uint64_t value_bytes);

#endif
