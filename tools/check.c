/* check.c -- spanheap check: every problem, and what recovery would do
 * SPDX-License-Identifier: BSD-3-Clause */
#include "recovery/check.h"

#include "tools/trial.h"
#include "tools/view.h"

#include <stdio.h>
#include <string.h>

/* How often a heap in use is checked before what is wrong every time counts. */
#define PASSES 5

/* Stack. What a check of one file found. */
struct findings {
	struct problems problems; /* of the file as it is */
	unsigned passes;
	bool directory_damaged;
	bool tried; /* recovery, see trial */
	int trial_error;
	struct trial trial;
};

/* --- looking ------------------------------------------------------------------------------- */

/* One pass over an open view. False: look again, by a new view. */
static bool settle(struct view *view, struct findings *findings)
{
	struct problems now = { .list = NULL };
	uint64_t count;

	findings->directory_damaged = view->wrong.count != 0;
	problems_join(&now, &view->wrong);
	check_reading(&view->heap, reader_thread(&view->reader), problems_add, &now, &count);
	if (findings->passes++ == 0)
		problems_join(&findings->problems, &now);
	else
		problems_keep_common(&findings->problems, &now);
	problems_free(&now);
	return findings->problems.count == 0 || findings->passes >= PASSES || !view_moves(view);
}

static enum status look(struct view *view, const struct arguments *arguments,
	struct findings *findings)
{
	enum status status = view_open_to_look(view, arguments);

	while (status == STATUS_FINE && !settle(view, findings)) {
		view_close(view);
		status = view_open_to_look(view, arguments);
	}
	return status;
}

static void try_recovery(struct view *view, struct findings *findings)
{
	if (findings->directory_damaged || view->state == STATE_IN_USE ||
		view->state == STATE_CLEAN)
		return;
	findings->tried = true;
	findings->trial_error = trial_run(view, &findings->trial);
}

/* --- printing ------------------------------------------------------------------------------ */

static void print_trial(const struct trial *trial, struct printer *printer)
{
	const struct reap_counts *counts = &trial->counts;

	print_group(printer, "recovery", "recovery, tried on a private copy");
	print_number(printer, "rolled_back", "transactions rolled back", counts->rolled_back);
	print_number(printer, "rolled_forward", "transactions rolled forward",
		counts->rolled_forward);
	print_number(printer, "blocks_freed", "blocks freed", counts->blocks_freed);
	print_number(printer, "operations_finished", "page operations finished",
		counts->operations_finished);
	print_number(printer, "operations_undone", "page operations undone",
		counts->operations_undone);
	print_number(printer, "spans", "spans kept", trial->spans);
	print_number(printer, "quarantined", "spans set aside", trial->quarantined);
	problems_print(&trial->set_aside, printer, "set_aside", "set aside");
	problems_print(&trial->after, printer, "problems", "problems afterwards");
	print_group_end(printer);
}

static void print_findings(const struct view *view, const struct findings *findings,
	const struct arguments *arguments)
{
	struct printer printer;

	print_begin(&printer, arguments->json, "check", arguments->path);
	view_print_state(view, &printer);
	if (view->state == STATE_IN_USE)
		print_text(&printer, "note", "note",
			"checked beside those who use it: what moves is not counted");
	print_number(&printer, "passes", "passes", findings->passes);
	problems_print(&findings->problems, &printer, "problems", "problems");
	print_number(&printer, "problem_count", "problems in all", findings->problems.count);
	if (findings->tried && findings->trial_error == 0)
		print_trial(&findings->trial, &printer);
	print_end(&printer);
}

/* --- the verb ------------------------------------------------------------------------------ */

static enum status verdict(const struct view *view, const struct findings *findings)
{
	if (findings->problems.count != 0 || view->state == STATE_TORN ||
		findings->trial.quarantined != 0 || findings->trial.after.count != 0)
		return STATUS_DAMAGED;
	return view->state == STATE_RECOVERABLE ? STATUS_UNCLEAN : STATUS_FINE;
}

enum status check_run(const struct arguments *arguments)
{
	struct findings findings = { .passes = 0 };
	struct view view;
	enum status status = look(&view, arguments, &findings);

	if (status == STATUS_FINE) {
		try_recovery(&view, &findings);
		print_findings(&view, &findings, arguments);
		status = verdict(&view, &findings);
		view_close(&view);
	}
	if (findings.trial_error != 0)
		status = complain_of(arguments->path, findings.trial_error);
	problems_free(&findings.problems);
	trial_free(&findings.trial);
	return status;
}
