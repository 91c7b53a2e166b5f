/* run.h -- the whole story: create, build under fire, kill everything, open, finish, look
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef WORDINDEX_RUN_H
#define WORDINDEX_RUN_H

#include <stdint.h>

#include "process.h"

/* Tells the story on the standard output. Ends the program with a message when anything is not
 * as it must be. The heap file must not exist yet and stays behind, closed and clean. */
void run(const struct job *job, uint64_t seed, uint64_t limit_seconds);

#endif
