/* operation_target.h -- a sequence of calls and deaths, beside a model of what must be true
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef FUZZ_OPERATION_TARGET_H
#define FUZZ_OPERATION_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Plays an input: a byte for the kind of each call, two for its arguments. Returns when all promises held;
 * else the program ends. */
void operation_target(const uint8_t *data, size_t size);

/* Where a death can come. By default between calls and in callbacks of the system; a build with hooks has
 * them before every store. `arm` has the one after `count` steps kill; 0: none. */
typedef void operation_arm_fn(uint64_t count);

void operation_set_deaths(operation_arm_fn *arm);

/* Deaths so far that came inside a call. */
uint64_t operation_deaths(void);

#endif
