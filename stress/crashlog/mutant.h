/* mutant.h -- the controls: what if a store were missing, or came too early?
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Each store of an operation is left out of the log, one at a time, and each is made before all others
 * of its operation. The oracle must find that something is wrong with what follows; or the store is one
 * that it does not need, and the table says so. Of some kinds of stores it must find the want. */
#ifndef CRASHLOG_MUTANT_H
#define CRASHLOG_MUTANT_H

#include "stress/crashlog/options.h"
#include "stress/crashlog/scene.h"

/* From the start of the log; prints a table and makes a check of each kind of store. */
void mutants(struct scene *scene, const struct options *options);

#endif
