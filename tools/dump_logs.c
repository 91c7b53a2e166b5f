/* dump_logs.c -- spanheap dump: logs and page operations of the slots
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/log.h"
#include "tools/dump.h"

/* --- logs ---------------------------------------------------------------------------------- */

static const char *log_state_name(enum log_state state)
{
	static const char *const names[] = {
		[LOG_EMPTY] = "empty",
		[LOG_OPEN] = "open",
		[LOG_COMMITTED] = "committed",
		[LOG_FREEING] = "freeing",
		[LOG_ABORTING] = "aborting",
		[LOG_ROLLBACK] = "rolling back",
	};

	return (unsigned)state < sizeof(names) / sizeof(names[0]) ? names[state] : "damaged";
}

static unsigned count_extensions(const struct slot_log *log)
{
	unsigned count = 0;

	for (unsigned k = 0; k < LOG_EXTENSIONS; k++)
		if (atomic_load_explicit(&log->extension[k], memory_order_relaxed) != 0)
			count++;
	return count;
}

static void print_log(struct dump *dump, uint32_t slot)
{
	const struct slot_log *log = &dump->heap->logs[slot];
	struct log_word word = log_read(log);
	uint64_t applying = atomic_load_explicit(&log->applying, memory_order_relaxed);
	unsigned extensions = count_extensions(log);
	struct cell cells[] = {
		cell_number(slot),
		cell_text(log_state_name(word.state)),
		cell_number(word.count),
		cell_number(word.index),
		applying != 0 ? cell_offset(applying) : cell_none(),
		cell_number(extensions),
	};

	if (word.state != LOG_EMPTY || applying != 0 || extensions != 0)
		print_row(&dump->printer, cells);
}

static void print_open_logs(struct dump *dump)
{
	static const struct column columns[] = {
		{ "slot", "slot", 5 },
		{ "state", "state", -12 },
		{ "entries", "entries", 10 },
		{ "applied", "applied", 10 },
		{ "applying", "applying", 14 },
		{ "extensions", "extensions", 10 },
	};

	print_table(&dump->printer, "logs", "logs that are not empty", columns, 6);
	for (uint32_t slot = 0; slot < dump->heap->thread_slots; slot++)
		print_log(dump, slot);
	print_table_end(&dump->printer);
}

static const char *operation_name(uint64_t run)
{
	switch (run_operation(run)) {
	case RUN_ALLOC:
		return "allocate";
	case RUN_FREE:
		return "free";
	default:
		return "damaged";
	}
}

static void print_intent(struct dump *dump, uint32_t slot, unsigned which)
{
	uint64_t run =
		atomic_load_explicit(&dump->heap->logs[slot].intent[which], memory_order_acquire);
	struct cell cells[] = {
		cell_number(slot),
		cell_text(which == 0 ? "the thread" : "its log"),
		cell_text(operation_name(run)),
		cell_number(run_page(run)),
		cell_number(run_pages(run)),
	};

	if (run != 0)
		print_row(&dump->printer, cells);
}

static void print_intents(struct dump *dump)
{
	static const struct column columns[] = {
		{ "slot", "slot", 5 },
		{ "by", "by", -10 },
		{ "operation", "operation", -9 },
		{ "page", "page", 10 },
		{ "pages", "pages", 9 },
	};

	print_table(&dump->printer, "intents", "page operations under way", columns, 5);
	for (uint32_t slot = 0; slot < dump->heap->thread_slots; slot++)
		for (unsigned which = 0; which < 2; which++)
			print_intent(dump, slot, which);
	print_table_end(&dump->printer);
}

void dump_logs(struct dump *dump)
{
	print_open_logs(dump);
	print_intents(dump);
}
