/* tool.h -- what a victim says to the tool that logs its stores (stress/crashlog/tool/)
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Without the tool nothing happens. */
#ifndef KILLK_TOOL_H
#define KILLK_TOOL_H

#include <stdbool.h>
#include <stdint.h>

/* Why there is no tool here; NULL: there is one. */
const char *tool_missing(void);

/* Becomes `program` under the tool, which writes its log to `log`. */
_Noreturn void tool_exec(const char *log, char *const program[]);

/* The environment's setting by which libc copies and fills in vectors and never byte by byte; and by which these are
 * of 32 bytes at most, as under the tool. */
extern const char tool_tunables_of_copies[];
extern const char tool_tunables[];

/* From here on stores to the file at `path` are logged, wherever it is mapped. */
void tool_start(const char *path);
/* The operation of that number begins, and ends. */
void tool_begin(uint32_t number);
void tool_end(uint32_t number);

#endif
