/* reader.h -- a process that looks keys up and trusts nothing that it finds
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef READMOSTLY_READER_H
#define READMOSTLY_READER_H

#include <stdint.h>

#include "process.h"

/* Reads as reader `slot` until it is killed. */
_Noreturn void reader_run(const struct job *job, unsigned slot, uint64_t seed);

#endif
