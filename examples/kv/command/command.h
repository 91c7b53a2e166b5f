/* command.h -- what the verbs of kv(1) share
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KV_COMMAND_H
#define KV_COMMAND_H

#include "kv.h"

#include <stdbool.h>
#include <stdio.h>

enum status { STATUS_FINE, STATUS_ERROR, STATUS_NOT_FOUND, STATUS_DAMAGED };

/* The command line. Process. */
struct command {
	const char *path;
	struct kv_bytes table; /* -t; the one without a name is the default */
	bool all_tables;       /* -a */
	bool hex;              /* -x: keys and values are hexadecimal */
	bool printable;        /* -p */
	bool keep;             /* -n: what is there stays */
	bool backward;         /* -r */
	uint64_t limit;        /* -l */
	char **words;          /* what is not an option, behind the path; ends with NULL */
	int word_count;
};

/* Says what is wrong, and what to do, on standard error. STATUS_ERROR. */
__attribute__((format(printf, 1, 2))) enum status complain(const char *format, ...);

/* The same of a result of the library, with what was being done. */
enum status complain_of(const char *what, int error);

/* The store opened for writing (made if `create`) or reading; NULL after it has complained. */
struct kv *command_open(const struct command *command, bool write, bool create);

/* The table of the command line; NULL after it has complained. */
struct kv_table *command_table(const struct command *command, struct kv *store, bool create);

/* Closes it; `status`, or STATUS_ERROR after it has complained. */
enum status command_close(struct kv *store, enum status status);

enum status verb_put(const struct command *command);
enum status verb_get(const struct command *command);
enum status verb_del(const struct command *command);
enum status verb_scan(const struct command *command);
enum status verb_load(const struct command *command);
enum status verb_dump(const struct command *command);
enum status verb_stat(const struct command *command);
enum status verb_check(const struct command *command);

#endif
