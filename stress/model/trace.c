/* trace.c -- a schedule, run again from the start and printed
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/model/trace.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "stress/model/machine.h"
#include "stress/model/symbol.h"

/* One process's lines in a row, more of which are cut to the first and the last half. */
#define LINES_IN_A_ROW 32
#define CALLERS_SHOWN 3
#define EVENT_LIMIT ((size_t)1 << 20)

enum event_kind {
	EVENT_STARTS,
	EVENT_ACCESS,
	EVENT_BLOCKS,
	EVENT_RETURNS,
	EVENT_FREEZES,
	EVENT_DIES,
};

/* Process. */
struct event {
	enum event_kind kind;
	unsigned process;
	struct machine_access
		access; /* of EVENT_FREEZES and EVENT_DIES: what it did not come to; or none */
	uint64_t before;
	uint64_t after;
	const void *callers[CALLERS_SHOWN];
	size_t caller_count;
};

/* Process. A name for each distinct address in `events`, sorted by address. */
struct names {
	const void **addresses;
	struct symbol *symbols;
	size_t count;
};

/* Process. */
struct schedule {
	const struct trace_choice *choices;
	size_t choice_count;
	struct event *events;
	size_t event_count;
	bool full;
};

static uint64_t value_at(const struct machine_access *access)
{
	uint64_t value = 0;

	/* NOLINTNEXTLINE(clang-analyzer-*): only accesses with an address come here */
	memcpy(&value, access->address, access->bytes < 8 ? access->bytes : 8);
	return value;
}

static struct event *add_event(struct schedule *schedule, enum event_kind kind, unsigned process)
{
	const struct machine_access *pending = &machine_process(process)->pending;
	struct event *event = &schedule->events[schedule->event_count];
	size_t count;
	const void *const *callers = machine_callers(process, &count);

	if (schedule->event_count < EVENT_LIMIT - 1)
		schedule->event_count++;
	*event = (struct event){ .kind = kind, .process = process };
	if ((kind != EVENT_ACCESS && kind != EVENT_FREEZES && kind != EVENT_DIES) ||
		pending->region == NULL)
		return event;
	event->access = *pending;
	event->before = value_at(pending);
	event->after = event->before;
	event->caller_count = count < CALLERS_SHOWN ? count : CALLERS_SHOWN;
	memcpy(event->callers, callers, event->caller_count * sizeof *callers);
	return event;
}

static enum machine_event step(struct schedule *schedule, unsigned process)
{
	if (machine_process(process)->pending.region == NULL)
		return machine_step(process);

	struct event *event = add_event(schedule, EVENT_ACCESS, process);
	enum machine_event outcome = machine_step(process);

	event->after = value_at(&event->access);
	return outcome;
}

static void run(struct schedule *schedule, const struct trace_choice *choice)
{
	unsigned process = choice->process;
	enum explorer_status status = machine_process(process)->status;

	if (status == EXPLORER_FRESH || status == EXPLORER_IDLE)
		add_event(schedule, EVENT_STARTS, process);
	if (choice->action == TRACE_RUN)
		machine_wake(process);
	while (machine_accesses() < choice->accesses && schedule->event_count < EVENT_LIMIT - 1) {
		enum machine_event outcome = step(schedule, process);
		if (outcome == MACHINE_BLOCKED)
			add_event(schedule, EVENT_BLOCKS, process);
		else if (outcome == MACHINE_RETURNED)
			add_event(schedule, EVENT_RETURNS, process);
	}
}

static void make_choices(void *argument)
{
	struct schedule *schedule = argument;

	for (size_t i = 0; i < schedule->choice_count; i++) {
		const struct trace_choice *choice = &schedule->choices[i];
		if (choice->action == TRACE_STOP) {
			machine_stop(choice->process);
		} else if (choice->action == TRACE_FREEZE) {
			add_event(schedule, EVENT_FREEZES, choice->process);
			machine_freeze(choice->process);
		} else if (choice->action == TRACE_DIE) {
			add_event(schedule, EVENT_DIES, choice->process);
			machine_kill(choice->process);
		} else {
			run(schedule, choice);
		}
	}
}

static int compare_addresses(const void *left, const void *right)
{
	uintptr_t a = *(const uintptr_t *)left;
	uintptr_t b = *(const uintptr_t *)right;

	return (a > b) - (a < b);
}

static struct names name_callers(const struct schedule *schedule)
{
	size_t limit = schedule->event_count * CALLERS_SHOWN + 1;
	struct names names = { .addresses = calloc(limit, sizeof *names.addresses) };
	size_t distinct = 0;

	if (names.addresses == NULL)
		return names;
	for (size_t i = 0; i < schedule->event_count; i++)
		for (size_t j = 0; j < schedule->events[i].caller_count; j++)
			names.addresses[names.count++] = schedule->events[i].callers[j];
	qsort(names.addresses, names.count, sizeof *names.addresses, compare_addresses);
	for (size_t i = 0; i < names.count; i++)
		if (i == 0 || names.addresses[i] != names.addresses[distinct - 1])
			names.addresses[distinct++] = names.addresses[i];
	names.count = distinct;
	names.symbols = calloc(distinct + 1, sizeof *names.symbols);
	if (names.symbols == NULL)
		names.count = 0;
	else
		symbol_resolve(names.addresses, names.count, names.symbols);
	return names;
}

static const char *name_of(const struct names *names, const void *address)
{
	const void **found = bsearch(&address, names->addresses, names->count,
		sizeof *names->addresses, compare_addresses);

	return found == NULL ? "?" : names->symbols[found - names->addresses].text;
}

static void print_access(FILE *file, const struct event *event, const struct names *names)
{
	static const char *const verbs
		[] = { [HOOK_LOAD] = "load", [HOOK_STORE] = "store", [HOOK_UPDATE] = "update" };
	const struct machine_access *access = &event->access;
	size_t offset = (uintptr_t)access->address - (uintptr_t)access->region->base;

	fprintf(file, "%-6s %s+0x%zx %zu bytes", verbs[access->kind], access->region->name, offset,
		access->bytes);
	if (event->kind == EVENT_ACCESS && access->kind == HOOK_LOAD)
		fprintf(file, " 0x%" PRIx64, event->before);
	else if (event->kind == EVENT_ACCESS)
		fprintf(file, " 0x%" PRIx64 " -> 0x%" PRIx64, event->before, event->after);
	for (size_t i = 0; i < event->caller_count; i++)
		fprintf(file, "%s%s", i == 0 ? "   " : " < ", name_of(names, event->callers[i]));
	fputc('\n', file);
}

static void print_event(FILE *file, const struct event *event, const struct names *names)
{
	static const char *const verbs[] = {
		[EVENT_STARTS] = "starts",
		[EVENT_BLOCKS] = "blocks",
		[EVENT_RETURNS] = "returns",
		[EVENT_FREEZES] = "stands still until all die",
		[EVENT_DIES] = "DIES",
	};

	if (event->kind == EVENT_ACCESS) {
		fputs("    ", file);
		print_access(file, event, names);
		return;
	}
	fprintf(file, "  process %u %s", event->process, verbs[event->kind]);
	if (event->access.region != NULL) {
		fputs(" before: ", file);
		print_access(file, event, names);
	} else {
		fputc('\n', file);
	}
}

static bool is_silent(const struct schedule *schedule, const struct event *event)
{
	const struct machine_access *access = &event->access;

	return !schedule->full && event->kind == EVENT_ACCESS && access->kind == HOOK_LOAD &&
		!memory_is_conflict(access->region, access->address, access->bytes, event->process);
}

/* Prints events [first, end), all of one process. */
static void print_row(FILE *file, const struct schedule *schedule, const struct names *names,
	size_t first, size_t end)
{
	size_t lines = 0;
	size_t silent = 0;
	size_t line = 0;

	for (size_t i = first; i < end; i++)
		lines += !is_silent(schedule, &schedule->events[i]);
	if (schedule->events[first].kind == EVENT_ACCESS)
		fprintf(file, "  process %u goes on\n", schedule->events[first].process);
	for (size_t i = first; i < end; i++) {
		if (is_silent(schedule, &schedule->events[i])) {
			silent++;
			continue;
		}
		if (schedule->full || lines <= LINES_IN_A_ROW || line < LINES_IN_A_ROW / 2 ||
			line >= lines - LINES_IN_A_ROW / 2)
			print_event(file, &schedule->events[i], names);
		else if (line == LINES_IN_A_ROW / 2)
			fprintf(file, "    ... %zu more\n", lines - LINES_IN_A_ROW);
		line++;
	}
	if (silent > 0)
		fprintf(file, "    (%zu loads of words that only it uses, or nobody stores)\n",
			silent);
}

static void print_events(FILE *file, const struct schedule *schedule)
{
	struct names names = name_callers(schedule);

	for (size_t first = 0, end; first < schedule->event_count; first = end) {
		end = first + 1;
		while (end < schedule->event_count &&
			schedule->events[end].process == schedule->events[first].process)
			end++;
		print_row(file, schedule, &names, first, end);
	}
	free(names.addresses);
	free(names.symbols);
}

void trace_print(FILE *file, const struct trace_choice *choices, size_t count)
{
	const char *detail = getenv("EXPLORER_TRACE");
	struct schedule schedule = {
		.choices = choices,
		.choice_count = count,
		.events = malloc(EVENT_LIMIT * sizeof *schedule.events),
		.full = detail != NULL && strcmp(detail, "full") == 0,
	};
	bool in_body;

	if (schedule.events == NULL) {
		fputs("  (no memory to print the schedule)\n", file);
		return;
	}
	machine_reset();
	machine_set_tracing(true);
	machine_try(make_choices, &schedule, &in_body);
	machine_set_tracing(false);
	print_events(file, &schedule);
	machine_reset();
	free(schedule.events);
}
