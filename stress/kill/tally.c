/* tally.c -- named checks: how often each was made, and whether it always held
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/kill/tally.h"

#include <stdarg.h>

struct shared *shared;

static const char *const names[CHECKS] = {
	[CHECK_KILLS] = "processes were killed",
	[CHECK_INSIDE_JOURNALS] = "a quarter of them inside an operation, say the journals",
	[CHECK_INSIDE_REPORTS] = "a tenth of them, and 100, inside one, say the reports",
	[CHECK_ROLLED_BACK] = "transactions of the dead were rolled back",
	[CHECK_ROLLED_FORWARD] = "transactions of the dead were rolled forward",
	[CHECK_FINISHED] = "page operations of the dead were finished",
	[CHECK_UNDONE] = "page operations of the dead were undone",
	[CHECK_DEATHS] = "calls in which threads died, often enough in each",
	[CHECK_REMAINS] = "states in which the dead left things, often enough each",
	[CHECK_CALLS] = "calls of the living did what they promise",
	[CHECK_TAKE_OVERS] = "what the dead did is whole, and their successors find it",
	[CHECK_MODEL] = "live blocks, contents, words, sums and roots are the model's",
	[CHECK_RUNS] = "page runs, their flags and contents are the model's",
	[CHECK_DEFERRED] = "after a grace period nothing is in limbo",
	[CHECK_HEAP_QUIET] = "sh_check() finds no problem while nobody works",
	[CHECK_HEAP_BUSY] = "sh_check() finds no problem while others work and die",
	[CHECK_REOPENS] = "opened and recovered after the death of all",
	[CHECK_CREATIONS] = "killed while it was created and grew: not there, or whole",
	[CHECK_STOPS] = "stopped workers went on where they were",
	[CHECK_PROGRESS] = "nobody hung",
	[CHECK_CLEAN_END] = "closed by all, it opens clean",
};

/* --- output -------------------------------------------------------------------------------- */

void fail(enum check check, const char *format, ...)
{
	va_list arguments;

	/* Counted before it is said: who says it may be killed. */
	atomic_fetch_add(&shared->failed[check], 1);
	atomic_fetch_add(&shared->failures, 1);
	atomic_store(&shared->stop, 1);
	va_start(arguments, format);
	say_list("FAILED: ", format, arguments);
	va_end(arguments);
}

/* --- counting ------------------------------------------------------------------------------ */

void tally(enum check check)
{
	atomic_fetch_add_explicit(&shared->rounds[check], 1, memory_order_relaxed);
}

void tally_report(const struct sh_reap_report *report, uint64_t deaths)
{
	struct reported *reported = &shared->reported;
	uint64_t inside = report->rolled_back + report->rolled_forward +
		report->operations_finished + report->operations_undone;

	atomic_fetch_add(&reported->threads, report->threads);
	atomic_fetch_add(&reported->rolled_back, report->rolled_back);
	atomic_fetch_add(&reported->rolled_forward, report->rolled_forward);
	atomic_fetch_add(&reported->operations_finished, report->operations_finished);
	atomic_fetch_add(&reported->operations_undone, report->operations_undone);
	/* One death can leave a log and two page operations. */
	atomic_fetch_add(&reported->inside, inside < deaths ? inside : deaths);
}

unsigned tally_print(void)
{
	unsigned bad = 0;

	for (unsigned check = 0; check < CHECKS; check++) {
		uint64_t wrong = atomic_load(&shared->failed[check]);

		say("%s %8llu  %s", wrong == 0 ? "ok    " : "FAILED",
			(unsigned long long)atomic_load(&shared->rounds[check]), names[check]);
		if (wrong != 0)
			bad++;
	}
	say("%u passed, %u failed", CHECKS - bad, bad);
	return bad;
}

/* --- time and chance ----------------------------------------------------------------------- */

uint64_t seed_of(uint64_t number)
{
	struct chance random = { shared->seed ^ number * UINT64_C(0xd6e8feb86659fd93) };

	return chance_next(&random);
}
