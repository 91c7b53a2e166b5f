/* tally.c -- named checks: how often each was made, and whether it always held
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/kv/tally.h"

#include "stress/common/verdict.h"

#include <stdarg.h>
#include <time.h>

struct shared *shared;

static const char *const names[CHECKS] = {
	[CHECK_CALLS] = "calls gave what they must",
	[CHECK_ACKNOWLEDGED] = "keys held what was acknowledged, or was in flight at a death",
	[CHECK_READERS] = "lookups, and keys shown, while others wrote were of their time",
	[CHECK_TAKEN_OVER] = "operations of the dead were whole or had not been",
	[CHECK_BATCHES] = "of these were batches",
	[CHECK_DROPS] = "of these dropped a table",
	[CHECK_GROUP] = "times all keys of the group were of one batch, the last",
	[CHECK_LOCKS] = "keys were had by the one who inserted them",
	[CHECK_TEMPORARY] = "tables that all drop held their own keys only",
	[CHECK_SCANS] = "scans showed all that was there all along, in order, once",
	[CHECK_HISTORIES] = "histories of a key were linearizable",
	[CHECK_STORE] = "times kv_check() and sh_check() found nothing",
	[CHECK_REOPENED] = "times the store was opened after the death of all",
	[CHECK_PROGRESS] = "times nobody hung",
};

void fail(enum check check, const char *format, ...)
{
	va_list arguments;
	bool tells;

	/* Counted before it is said: who says it may be killed. Of one fault come many failures: the first ones tell. */
	atomic_fetch_add(&shared->counts.failed[check], 1);
	tells = atomic_fetch_add(&shared->failures, 1) < 8;
	atomic_store(&shared->stop, 1);
	va_start(arguments, format);
	if (tells)
		say_list(shared->fault == FAULT_NONE ? "FAILED: " : "  as it must: ", format,
			arguments);
	va_end(arguments);
}

int expect_ok(int error, const char *call)
{
	if (error != 0)
		fail(CHECK_CALLS, "%s: %s", call, kv_strerror(error));
	return error;
}

void tally_verdicts(void)
{
	for (unsigned check = 0; check < CHECKS; check++) {
		uint64_t made = atomic_load(&shared->counts.made[check]);
		uint64_t wrong = atomic_load(&shared->counts.failed[check]);

		/* What did not come up before a failure is no other one. */
		if (made == 0 && wrong == 0 && failed())
			continue;
		verdict(made > 0 && wrong == 0, "%10llu %s%s", (unsigned long long)made,
			names[check], wrong == 0 ? "" : ": NOT ALWAYS");
	}
}

void sleep_us(uint64_t us)
{
	struct timespec time = {
		.tv_sec = (time_t)(us / 1000000),
		.tv_nsec = (long)(us % 1000000 * 1000),
	};

	nanosleep(&time, NULL);
}
