/* reap.c -- spanheap reap, spanheap recover: the verbs that write
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * They write through the public interface of the library only; the view serves to report. */
#include "recovery/check.h"
#include "tools/view.h"

#include <spanheap.h>
#include <stdio.h>

/* --- printing ------------------------------------------------------------------------------ */

static void print_report(struct printer *printer, const struct sh_reap_report *report)
{
	print_group(printer, "report", "report");
	print_number(printer, "processes", "dead processes", report->processes);
	print_number(printer, "threads", "their threads", report->threads);
	print_number(printer, "rolled_back", "transactions rolled back", report->rolled_back);
	print_number(printer, "rolled_forward", "transactions rolled forward",
		report->rolled_forward);
	print_number(printer, "blocks_freed", "blocks freed", report->blocks_freed);
	print_number(printer, "pages_returned", "pages returned", report->pages_returned);
	print_number(printer, "operations_finished", "page operations finished",
		report->operations_finished);
	print_number(printer, "operations_undone", "page operations undone",
		report->operations_undone);
	print_group_end(printer);
}

static void add(struct sh_reap_report *sum, const struct sh_reap_report *more)
{
	sum->processes += more->processes;
	sum->threads += more->threads;
	sum->rolled_back += more->rolled_back;
	sum->rolled_forward += more->rolled_forward;
	sum->blocks_freed += more->blocks_freed;
	sum->pages_returned += more->pages_returned;
	sum->operations_finished += more->operations_finished;
	sum->operations_undone += more->operations_undone;
}

/* A span that recovery set aside stays wrong, and is to be seen. */
static void check_recovered(struct view *view)
{
	uint64_t count;

	if (view->state == STATE_CLEAN)
		check_heap(&view->heap, NULL, problems_add, &view->wrong, &count);
}

/* What was done, in how many nanoseconds, and the state of the heap after it. */
static enum status print_done(const struct arguments *arguments, const char *verb,
	const struct sh_reap_report *report, uint64_t nanoseconds)
{
	struct printer printer;
	struct view view;
	enum status status = view_open(&view, arguments->path);

	if (status != STATUS_FINE)
		return status;
	check_recovered(&view);
	print_begin(&printer, arguments->json, verb, arguments->path);
	print_report(&printer, report);
	print_number(&printer, "nanoseconds", "nanoseconds", nanoseconds);
	view_print_state(&view, &printer);
	problems_print(&view.wrong, &printer, "problems", "problems");
	print_end(&printer);
	status = view_status(&view);
	view_close(&view);
	return status;
}

/* --- reap ---------------------------------------------------------------------------------- */

/* Attaching looks for the dead, too; what that did belongs to the report. */
static int reap(const char *path, struct sh_reap_report *report, uint64_t *nanoseconds)
{
	struct sh_reap_report more = { 0 };
	struct sh_heap *heap;
	int error = sh_open(path, 0, NULL, &heap);
	int close_error;

	if (error != 0)
		return error;
	error = sh_recovery_report(heap, report, nanoseconds);
	if (error == 0)
		error = sh_reap(heap, &more);
	add(report, &more);
	close_error = sh_close(heap);
	return error != 0 ? error : close_error;
}

enum status reap_run(const struct arguments *arguments)
{
	struct sh_reap_report report = { 0 };
	uint64_t nanoseconds = 0;
	struct view view;
	enum status status = view_open(&view, arguments->path);
	bool in_use;
	int error = 0;

	if (status != STATUS_FINE)
		return status;
	in_use = view.state == STATE_IN_USE;
	view_close(&view);
	if (in_use)
		error = reap(arguments->path, &report, &nanoseconds);
	else
		complain(arguments->path,
			"nobody uses this heap, so there is nobody to clean up "
			"after; 'spanheap recover' recovers it");
	if (error != 0)
		return complain_of(arguments->path, error);
	return print_done(arguments, "reap", &report, nanoseconds);
}

/* --- recover ------------------------------------------------------------------------------- */

static int recover_heap(const struct arguments *arguments, struct sh_reap_report *report,
	uint64_t *nanoseconds)
{
	struct sh_heap *heap;
	int error = sh_open(arguments->path, arguments->salvage ? SH_SALVAGE : 0, NULL, &heap);
	int close_error;

	if (error != 0)
		return error;
	error = sh_recovery_report(heap, report, nanoseconds);
	close_error = sh_close(heap);
	return error != 0 ? error : close_error;
}

enum status recover_run(const struct arguments *arguments)
{
	struct sh_reap_report report = { 0 };
	uint64_t nanoseconds = 0;
	struct view view;
	enum status status = view_open(&view, arguments->path);
	int error;

	if (status != STATUS_FINE)
		return status;
	view_close(&view);
	error = recover_heap(arguments, &report, &nanoseconds);
	if (error != 0)
		return complain_of(arguments->path, error);
	return print_done(arguments, "recover", &report, nanoseconds);
}
