/* writer.h -- a process that replaces, inserts and deletes the keys of its range
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef READMOSTLY_WRITER_H
#define READMOSTLY_WRITER_H

#include <stdint.h>

#include "process.h"

/* Writes as writer `slot`, who owns the range of this number, until it is killed. */
_Noreturn void writer_run(const struct job *job, unsigned slot, uint64_t seed);

#endif
