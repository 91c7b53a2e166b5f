/* procs.c -- spanheap procs: who uses the heap, and what each of them holds
 * SPDX-License-Identifier: BSD-3-Clause */
#include "heap/log.h"
#include "heap/page_bits.h"
#include "heap/parked.h"
#include "heap/span.h"
#include "recovery/check.h"
#include "shm/lock.h"
#include "shm/slot.h"
#include "tools/control.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- processes ----------------------------------------------------------------------------- */

/* Stack. A process slot as it was at one moment. */
struct process_look {
	uint64_t owner; /* 0: free */
	uint64_t pid;
	bool alive;
};

static struct process_look look_at_process(struct control *control, uint32_t slot)
{
	const struct process_slot *process = &control->heap.process_slot[slot];
	struct process_look look = {
		.owner = atomic_load_explicit(&process->owner, memory_order_acquire),
	};

	if (look.owner == 0)
		return look;
	look.pid = atomic_load_explicit(&process->pid, memory_order_relaxed);
	look.alive = liveness_process_alive(&control->liveness, slot);
	/* It may have given the slot back before we asked: then it is not a dead one. */
	if (!look.alive &&
		atomic_load_explicit(&process->owner, memory_order_acquire) != look.owner)
		look.owner = 0;
	return look;
}

/* Whether /proc says that a process with this number is stopped. In another pid namespace it is another
 * one's number. */
static bool is_stopped(uint64_t pid)
{
	char path[64];
	char text[512] = "";
	const char *end;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/stat", pid);
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	/* Behind the name, which may hold anything. */
	end = strrchr(text, ')');
	return end != NULL && end[1] == ' ' && (end[2] == 'T' || end[2] == 't');
}

static const char *process_state(const struct process_look *look)
{
	if (!look->alive)
		return "dead";
	return is_stopped(look->pid) ? "stopped" : "alive";
}

static uint32_t process_limit(const struct control *control)
{
	uint32_t high_water = atomic_load_explicit(&control->heap.header->process_high_water,
		memory_order_acquire);

	return high_water < control->heap.process_slots ? high_water : control->heap.process_slots;
}

/* Stack. How many there are. */
struct user_counts {
	unsigned alive;
	unsigned dead;
};

static struct user_counts print_processes(struct control *control, struct printer *printer)
{
	static const struct column columns[] = {
		{ "slot", "slot", 6 },
		{ "pid", "pid", 10 },
		{ "state", "state", -8 },
		{ "access", "access", 0 },
	};
	struct user_counts counts = { 0, 0 };

	print_table(printer, "processes", "processes", columns, 4);
	for (uint32_t slot = 0; control != NULL && slot < process_limit(control); slot++) {
		struct process_look look = look_at_process(control, slot);
		struct cell cells[] = {
			cell_number(slot),
			cell_number(look.pid),
			cell_text(look.owner == 0 ? "" : process_state(&look)),
			cell_text(look.owner & TAG_READER ? "reads" : "writes"),
		};

		if (look.owner == 0)
			continue;
		print_row(printer, cells);
		counts.alive += look.alive;
		counts.dead += !look.alive;
	}
	print_table_end(printer);
	return counts;
}

/* --- threads ------------------------------------------------------------------------------- */

/* Stack. A thread slot as it was at one moment. */
struct thread_look {
	uint64_t owner; /* 0: free */
	uint32_t process;
	uint32_t thread_id;
	bool alive;
	bool has_word; /* a liveness word: it is a thread's */
	bool enrolled; /* it has read */
	uint64_t section;
	bool held;      /* the section holds others up, ... */
	uint64_t since; /* ... since then */
	struct log_word log;
	unsigned owned;
	uint64_t cached;
};

static uint32_t thread_limit(const struct control *control)
{
	uint32_t high_water = heap_slot_high_water(&control->heap);

	return high_water < control->heap.thread_slots ? high_water : control->heap.thread_slots;
}

static unsigned count_owned(const struct heap *heap, uint32_t slot)
{
	const struct slot_words *words = heap_slot_words(heap, slot);
	uint64_t limit = atomic_load_explicit(&words->owned_limit, memory_order_acquire);
	unsigned count = 0;

	for (unsigned place = 1; place <= limit && place <= OWNED_COUNT; place++)
		count += atomic_load_explicit(heap_owned(heap, slot, place),
				 memory_order_relaxed) != 0;
	return count;
}

static void look_at_section(const struct heap *heap, uint32_t slot, struct thread_look *look)
{
	const struct thread_slot *words = &heap->thread_slot[slot];
	uint64_t held = atomic_load_explicit(&words->held, memory_order_acquire);

	look->section = atomic_load_explicit(&words->section, memory_order_relaxed);
	look->since = atomic_load_explicit(&words->held_ns, memory_order_relaxed);
	look->held = look->section != 0 && look->section == held;
	look->enrolled =
		atomic_load_explicit(&heap->rcu.readers[slot / 64], memory_order_relaxed) >>
			(slot & 63) &
		1;
}

/* A claim: of a slot that is being taken, or that its thread left and still has its word in. */
static void look_at_claim(struct control *control, struct thread_look *look)
{
	look->process = (uint32_t)(look->owner >> 1);
	look->alive = liveness_process_alive(&control->liveness, look->process);
	look->has_word = true;
}

static void look_at_words(struct control *control, uint32_t slot, struct thread_look *look)
{
	const struct heap *heap = &control->heap;
	const struct thread_slot *words = &heap->thread_slot[slot];

	look->process = atomic_load_explicit(&words->process, memory_order_relaxed);
	look->thread_id = atomic_load_explicit(&words->thread_id, memory_order_relaxed);
	look->has_word =
		atomic_load_explicit(&words->liveness_tag, memory_order_relaxed) == look->owner;
	look->alive = liveness_thread_alive(&control->liveness, look->owner);
	look_at_section(heap, slot, look);
	look->log = log_read(&heap->logs[slot]);
	look->owned = count_owned(heap, slot);
	look->cached =
		page_bits_count(atomic_load_explicit(&heap_slot_words(heap, slot)->cache_mask,
			memory_order_relaxed));
}

#define THREAD_LOOKS 5

static struct thread_look look_at_thread(struct control *control, uint32_t slot)
{
	const struct thread_slot *words = &control->heap.thread_slot[slot];
	struct thread_look look = { .owner = 0 };

	for (int i = 0; i < THREAD_LOOKS; i++) {
		look = (struct thread_look){ .owner = atomic_load_explicit(&words->owner,
						     memory_order_acquire) };
		if (look.owner != 0 && slot_is_claim(look.owner))
			look_at_claim(control, &look);
		else if (look.owner != 0)
			look_at_words(control, slot, &look);
		/* Given back, or somebody else's, meanwhile. */
		if (atomic_load_explicit(&words->owner, memory_order_acquire) == look.owner)
			return look;
	}
	look.owner = 0;
	return look;
}

static const char *thread_state(const struct thread_look *look)
{
	if (!look->alive)
		return "dead";
	return slot_is_claim(look->owner) ? "parked" : "alive";
}

static const char *thread_kind(const struct thread_look *look)
{
	if (look->has_word)
		return "thread";
	return look->log.state == LOG_EMPTY && look->enrolled ? "reader" : "detached";
}

static const char *log_state_name(enum log_state state)
{
	static const char *const names[] = { "none", "open", "committed", "freeing", "aborting",
		"rolling back" };

	return (unsigned)state < sizeof(names) / sizeof(names[0]) ? names[state] : "damaged";
}

static uint64_t pid_of(const struct control *control, uint32_t process)
{
	return process >= control->heap.process_slots
		? 0
		: atomic_load_explicit(&control->heap.process_slot[process].pid,
			  memory_order_relaxed);
}

static void print_thread(struct control *control, uint32_t slot, const struct thread_look *look,
	struct printer *printer)
{
	bool claim = slot_is_claim(look->owner);
	struct cell cells[] = {
		cell_number(slot),
		cell_number(look->process),
		cell_number(pid_of(control, look->process)),
		claim ? cell_none() : cell_number(look->thread_id),
		cell_text(thread_state(look)),
		cell_text(thread_kind(look)),
		cell_text(log_state_name(look->log.state)),
		cell_number(look->log.count),
		cell_number(look->owned),
		cell_number(look->cached),
	};

	print_row(printer, cells);
}

/* Stack. Sums over the threads. */
struct sums {
	uint64_t owned;
	uint64_t cached;
	uint64_t blocks; /* in limbo */
	uint64_t bytes;
};

static void print_threads(struct control *control, struct printer *printer, struct sums *sums)
{
	static const struct column columns[] = {
		{ "slot", "slot", 6 },
		{ "process", "process", 8 },
		{ "pid", "pid", 10 },
		{ "thread_id", "thread", 10 },
		{ "state", "state", -8 },
		{ "kind", "kind", -10 },
		{ "transaction", "transaction", -12 },
		{ "entries", "entries", 8 },
		{ "owned_spans", "spans", 8 },
		{ "cached_pages", "pages", 8 },
	};

	print_table(printer, "threads", "threads", columns, 10);
	for (uint32_t slot = 0; control != NULL && slot < thread_limit(control); slot++) {
		struct thread_look look = look_at_thread(control, slot);

		if (look.owner == 0)
			continue;
		print_thread(control, slot, &look, printer);
		sums->owned += look.owned;
		sums->cached += look.cached;
	}
	print_table_end(printer);
}

/* --- read sections ------------------------------------------------------------------------- */

/* Since when is known of those only that somebody waits for. */
static void print_section(struct control *control, uint32_t slot, const struct thread_look *look,
	struct printer *printer)
{
	uint64_t now = system_now_ns(NULL);
	bool known = look->held && look->since <= now;
	struct cell cells[] = {
		cell_number(slot),
		cell_number(pid_of(control, look->process)),
		cell_number(look->thread_id),
		cell_text(thread_state(look)),
		cell_number(look->section & SECTION_NESTING),
		cell_text(known ? "held" : "new"),
		known ? cell_number((now - look->since) / 1000000) : cell_none(),
	};

	print_row(printer, cells);
}

static void print_sections(struct control *control, struct printer *printer)
{
	static const struct column columns[] = {
		{ "slot", "slot", 6 },
		{ "pid", "pid", 10 },
		{ "thread_id", "thread", 10 },
		{ "state", "state", -8 },
		{ "depth", "depth", 6 },
		{ "age", "age", -5 },
		{ "held_ms", "held ms", 10 },
	};

	print_table(printer, "sections", "read sections", columns, 7);
	for (uint32_t slot = 0; control != NULL && slot < thread_limit(control); slot++) {
		struct thread_look look = look_at_thread(control, slot);

		if (look.owner != 0 && (look.section & SECTION_NESTING) != 0)
			print_section(control, slot, &look, printer);
	}
	print_table_end(printer);
}

/* --- locks --------------------------------------------------------------------------------- */

static void print_lock(struct control *control, const char *name, const _Atomic uint64_t *lock,
	struct printer *printer)
{
	uint64_t word = atomic_load_explicit(lock, memory_order_acquire);
	uint64_t tag = word & ~TAG_WAITERS;
	bool known = tag_plausible(tag, control->heap.thread_slots);
	const struct thread_slot *slot = &control->heap.thread_slot[known ? tag_slot(tag) : 0];
	struct cell cells[] = {
		cell_text(name),
		known ? cell_number(tag_slot(tag)) : cell_none(),
		known ? cell_number(pid_of(control, atomic_load(&slot->process))) : cell_none(),
		known ? cell_number(atomic_load(&slot->thread_id)) : cell_none(),
		cell_text(liveness_thread_alive(&control->liveness, tag) ? "alive" : "dead"),
		cell_text(word & TAG_WAITERS ? "yes" : "no"),
	};

	/* Whoever held it a moment ago is not dead. */
	if (tag != 0 && (atomic_load(lock) & ~TAG_WAITERS) == tag)
		print_row(printer, cells);
}

static void print_locks(struct control *control, struct printer *printer)
{
	static const struct column columns[] = {
		{ "lock", "lock", -8 },
		{ "slot", "slot", 6 },
		{ "pid", "pid", 10 },
		{ "thread_id", "thread", 10 },
		{ "state", "state", -8 },
		{ "waited_for", "waited for", 0 },
	};

	print_table(printer, "locks", "locks that are held", columns, 6);
	if (control != NULL) {
		const struct derived_header *derived = control->heap.derived;

		print_lock(control, "page", &derived->page_lock, printer);
		print_lock(control, "growth", &derived->growth_lock, printer);
		print_lock(control, "root", &derived->root_lock, printer);
		print_lock(control, "drain", &derived->drain.lock, printer);
	}
	print_table_end(printer);
}

/* --- what is held -------------------------------------------------------------------------- */

/* Stack. A count of what waits to be freed. */
struct limbo_count {
	const struct heap *heap;
	struct sums *sums;
};

static uint64_t count_limbo(const struct heap *heap, uint64_t head,
	const struct size_class *size_class)
{
	uint64_t count = 0;

	for (unsigned word = 0; word < size_class->words; word++) {
		_Atomic uint64_t *allocated = span_allocated(heap, head, word);

		count += page_bits_count(atomic_load_explicit(allocated + SPAN_LIMBO_STEP,
						 memory_order_acquire) &
			~atomic_load_explicit(allocated + SPAN_FREED_STEP, memory_order_acquire) &
			atomic_load_explicit(allocated, memory_order_relaxed) &
			span_word_mask(size_class, word));
	}
	return count;
}

static int add_limbo(void *argument, uint64_t head)
{
	const struct limbo_count *count = argument;
	const struct heap *heap = count->heap;
	struct span_record record = span_record_read(heap, head);
	uint64_t blocks = 0;
	uint64_t bytes = 0;

	if (!span_record_plausible(heap, head, &record))
		return 0;
	if (record.purpose == SPAN_OBJECTS) {
		blocks = count_limbo(heap, head, span_size_class(heap, record.span_class));
		bytes = blocks * span_size_class(heap, record.span_class)->bytes;
	} else if (record.purpose == SPAN_LARGE && !span_large_is_live(heap, head)) {
		blocks = 1;
		bytes = record.bytes;
	}
	if (span_record_stands(heap, head, &record)) {
		count->sums->blocks += blocks;
		count->sums->bytes += bytes;
	}
	return 0;
}

static void print_held(const struct view *view, const struct control *control, struct sums *sums,
	struct printer *printer)
{
	struct limbo_count count = { .heap = &view->heap, .sums = sums };

	check_each_span(&view->heap, NULL, add_limbo, &count);
	print_group(printer, "held", "held");
	print_number(printer, "owned_spans", "spans that threads own", sums->owned);
	print_number(printer, "cached_pages", "pages set aside by threads", sums->cached);
	print_number(printer, "parked_pages", "freed pages that wait",
		control == NULL ? 0 : parked_count(&control->heap));
	print_number(printer, "limbo_blocks", "freed blocks that wait", sums->blocks);
	print_bytes(printer, "limbo_bytes", "in these", sums->bytes);
	print_group_end(printer);
}

static void print_grace_periods(const struct control *control, struct printer *printer)
{
	const struct rcu_words *words = control->heap.rcu.words;

	print_group(printer, "grace_periods", "grace periods");
	print_number(printer, "begun", "begun", atomic_load(&words->begun) >> SECTION_NESTING_BITS);
	print_number(printer, "completed", "completed",
		atomic_load(&words->completed) >> SECTION_NESTING_BITS);
	print_flag(printer, "waited_for", "somebody waits", atomic_load(&words->waiting) != 0);
	print_group_end(printer);
}

/* --- the verb ------------------------------------------------------------------------------ */

static void print_users(const struct user_counts *counts, struct printer *printer)
{
	char text[64] = "nobody";

	if (counts->alive + counts->dead != 0)
		snprintf(text, sizeof(text), "%u alive, %u dead", counts->alive, counts->dead);
	print_text(printer, "users", "users", text);
}

/* `control` NULL: nobody uses the heap. */
static void print(const struct view *view, struct control *control, struct printer *printer)
{
	struct sums sums = { .owned = 0 };
	struct user_counts counts;

	view_print_state(view, printer);
	counts = print_processes(control, printer);
	print_users(&counts, printer);
	print_threads(control, printer, &sums);
	print_sections(control, printer);
	print_locks(control, printer);
	print_held(view, control, &sums, printer);
	if (control != NULL)
		print_grace_periods(control, printer);
	problems_print(&view->wrong, printer, "problems", "problems");
}

/* How often a heap is looked at anew whose control file is not there yet. */
#define PROCS_TRIES 5

/* Opens the heap and, unless nobody uses it, its control file. */
static enum status open_both(struct view *view, struct control *control, const char *path,
	int *error)
{
	enum status status = view_open(view, path);

	for (int i = 1; status == STATUS_FINE; i++) {
		*error = view->state == STATE_CLEAN ? ENOENT : control_open(control, view);
		/* Nobody is there, or whoever opens it lays the file right now. */
		if (*error == 0 || view->state != STATE_IN_USE || i == PROCS_TRIES)
			break;
		view_close(view);
		status = view_open(view, path);
	}
	return status;
}

static enum status complain_of_control(const struct view *view, const char *path, int error)
{
	complain(path, "its control file cannot be read: %s",
		error == ESTALE ? "it is not that of this run" : strerror(error));
	return view_status(view) == STATUS_FINE ? STATUS_ERROR : view_status(view);
}

enum status procs_run(const struct arguments *arguments)
{
	struct control control;
	struct printer printer;
	struct view view;
	int error;
	enum status status = open_both(&view, &control, arguments->path, &error);

	if (status != STATUS_FINE)
		return status;
	if (error != 0 && view.state == STATE_IN_USE) {
		status = complain_of_control(&view, arguments->path, error);
	} else {
		print_begin(&printer, arguments->json, "procs", arguments->path);
		print(&view, error == 0 ? &control : NULL, &printer);
		print_end(&printer);
		status = view_status(&view);
	}
	if (error == 0)
		control_close(&control);
	view_close(&view);
	return status;
}
