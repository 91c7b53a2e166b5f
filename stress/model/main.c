/* main.c -- explores every operation of the library, alone and in pairs, under deaths
 * SPDX-License-Identifier: BSD-3-Clause
 *
 *	model_checker [-a] [-q] [-t] [-u] [-j JOBS] [-s STATE_LIMIT] [-d DEATHS] [FIRST [SECOND [THIRD]]]
 *
 * Without arguments: each operation alone with two deaths (reapers' deaths included); each operation
 * dying, and the recovery of everything dying in turn; each pair of operations with one death, where
 * variants of operations are left out (enum role). With -a: all pairs. With -q: but those of two long
 * operations. With -t: triples of the core operations, with one death, instead. With -u: as if no lock were
 * known, which takes more states to the same images. FIRST and SECOND are names of operations, or
 * parts of names; SECOND may be "alone" or "recovery". The last line is "N passed, N failed". */
#include "stress/common/names.h"
#include "stress/model/jobs.h"
#include "stress/model/kernel.h"
#include "stress/model/world.h"

#include "heap/growth.h"
#include "heap/object.h"
#include "heap/pages.h"
#include "heap/span.h"
#include "recovery/check.h"
#include "recovery/reap.h"
#include "shm/lock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct world world;
static struct ghost ghosts[WORLD_PROCESSES];
static const struct operation *chosen[WORLD_WORKERS];
static struct image recovered; /* check_truth's view, over the same heap buffer */
static bool recovering;        /* processes 1 and 2 recover the heap after process 0's death */
static struct image recoverers[WORLD_PROCESSES];

/* --- building the world -------------------------------------------------------------------- */

/* One large block, so that of the first arena four chunks are left. */
static void use_first_arena(void)
{
	uint64_t chunks = ARENA_CHUNKS - world.image.heap.zone_chunks[0] - CHUNKS_BACKED - 1;

	world_allocate_large(&world, WORLD_PROCESSES - 1, chunks * CHUNK_BYTES);
	world.bystanders++;
}

/* What is free is used up, so that the operation grows. */
static void use_up(void)
{
	while (page_index_find(&world.image.heap.pages, 20) != 0) {
		world_allocate_large(&world, WORLD_PROCESSES - 1, 20 * PAGE_BYTES);
		world.bystanders++;
	}
}

static void restart(void)
{
	memset(world.image.control, 0, world.image.control_bytes);
	if (image_open(&world.image, &kernel_system) != 0)
		abort();
	world_attach_all(&world);
}

static void make_world(void)
{
	unsigned setting = 0;

	for (unsigned i = 0; i < WORLD_WORKERS; i++)
		if (chosen[i] != NULL)
			setting |= chosen[i]->setting;
	kernel.detaching = (setting & SETTING_DETACHED) != 0;
	world_make_heap(&world, setting);
	world.ghosts = ghosts;
	world_attach_all(&world);
	if (setting & SETTING_ARENAS)
		use_first_arena();
	world_grow_first(&world);
	for (unsigned i = 0; i < WORLD_WORKERS; i++)
		if (chosen[i] != NULL && chosen[i]->prepare != NULL)
			chosen[i]->prepare(&world, i);
	if (setting & SETTING_GROWTH)
		use_up();
	if (setting & SETTING_RESTART)
		restart();
	world_remember_chunks(&world);
}

static void track_world(void)
{
	explorer_track("heap", world.image.base, world.buffer_bytes, EXPLORER_TRUTH);
	explorer_track("control", world.image.control, world.image.control_bytes, EXPLORER_SHARED);
	explorer_track("ghost", ghosts, sizeof(ghosts), EXPLORER_TRUTH);
	kernel_track();
	if (kernel.detaching)
		explorer_track("detached threads", world.detached, sizeof(world.detached),
			EXPLORER_PRIVATE);
	explorer_track("threads", world.threads, sizeof(world.threads), EXPLORER_PRIVATE);
	explorer_track("transactions", world.transactions, sizeof(world.transactions),
		EXPLORER_PRIVATE);
	recovered.base = world.image.base;
	recovered.bytes = world.image.bytes;
	recovered.control_bytes = world.image.control_bytes;
	recovered.control = kernel_memory(recovered.control_bytes);
	for (unsigned i = 1; recovering && i < WORLD_PROCESSES - 1; i++) {
		recoverers[i] = recovered;
		recoverers[i].recovery.trusts = true;
		recoverers[i].control = kernel_memory(recovered.control_bytes);
		/* Whoever comes after its death makes another one. */
		explorer_track("new control", recoverers[i].control, recovered.control_bytes,
			EXPLORER_PRIVATE);
	}
	if (recovering)
		explorer_track("recoverers", recoverers, sizeof(recoverers), EXPLORER_PRIVATE);
}

/* --- processes ----------------------------------------------------------------------------- */

static void set_ghost(uint64_t *word, uint64_t value)
{
	explorer_will_write(word, sizeof(*word));
	*word = value;
}

static void work(unsigned process)
{
	struct thread *thread = &world.threads[process];
	uint64_t result;

	set_ghost(&ghosts[process].progress, RUNNING);
	result = chosen[process]->run(&world, process);
	if (thread->met_dead)
		reap_all(thread);
	set_ghost(&ghosts[process].result, result);
	set_ghost(&ghosts[process].progress, DONE);
}

static void recover_everything(unsigned process)
{
	if (image_open(&recoverers[process], NULL) != 0)
		explorer_fail("the heap does not open");
	set_ghost(&ghosts[process].progress, DONE);
}

static void body(unsigned process)
{
	if (process == WORLD_PROCESSES - 1 && kernel_going() != WORLD_PROCESSES)
		kernel_let_go(kernel_going());
	else if (recovering && process > 0)
		recover_everything(process);
	else if (process < world.workers)
		work(process);
	else
		/* cppcheck-suppress arrayIndexOutOfBoundsCond ; there are WORLD_PROCESSES */
		reap_all(&world.threads[process]);
}

static bool may_start(unsigned process)
{
	if (recovering && process > 0)
		return process < WORLD_PROCESSES - 1 && kernel.dead[process - 1] &&
			explorer_status(process) == EXPLORER_FRESH;
	if (process < world.workers)
		return chosen[process] != NULL && explorer_status(process) == EXPLORER_FRESH;
	if (process == WORLD_PROCESSES - 1 && kernel_going() != WORLD_PROCESSES)
		return true;
	/* The second reaper is there for the first one's death. */
	if (process > world.workers && !kernel.dead[process - 1])
		return false;
	return world_has_dead(&world);
}

static void on_death(unsigned process)
{
	kernel_die(process);
	/* There is a kernel, whoever dies. */
	while (process == WORLD_PROCESSES - 1 && kernel_going() != WORLD_PROCESSES)
		kernel_let_go(kernel_going());
}

#define SLOT_LOCKS 3u /* the first of WORLD_PROCESSES */
static_assert(SLOT_LOCKS + WORLD_PROCESSES <= EXPLORER_LOCK_LIMIT, "locks have numbers");

static unsigned locks_held(unsigned process)
{
	struct derived_header *derived = world.image.heap.derived;
	_Atomic uint64_t *const words[SLOT_LOCKS] = { &derived->page_lock, &derived->growth_lock,
		&derived->root_lock };
	unsigned held = 0;

	for (unsigned i = 0; i < SLOT_LOCKS; i++)
		if (lock_held_by(words[i], kernel.lives[process]) ||
			(kernel.detached_lives[process] != 0 &&
				lock_held_by(words[i], kernel.detached_lives[process])))
			held |= 1u << i;
	for (unsigned slot = 0; slot < WORLD_PROCESSES; slot++)
		if (world_holds_slot(&world, process, slot))
			held |= 1u << (SLOT_LOCKS + slot);
	return held;
}

/* --- oracle -------------------------------------------------------------------------------- */

static char problem_text[200];

static int keep_problem(const struct sh_problem *problem, void *argument)
{
	(void)argument;
	snprintf(problem_text, sizeof(problem_text), "check: %s (at 0x%llx)", problem->text,
		(unsigned long long)problem->off);
	return 1;
}

static int count_block(const struct sh_block *block, void *argument)
{
	uint64_t *count = argument;

	(void)block;
	(*count)++;
	return 0;
}

static int count_pages(const struct sh_pages *pages, void *argument)
{
	uint64_t *count = argument;

	*count += pages->npages;
	return 0;
}

static const char *check_count(const char *what, uint64_t found, uint64_t least, uint64_t most)
{
	if (found >= least && found <= most)
		return NULL;
	snprintf(problem_text, sizeof(problem_text), "%llu %s, not %llu to %llu",
		(unsigned long long)found, what, (unsigned long long)least,
		(unsigned long long)most);
	return problem_text;
}

static const char *check_promises(struct heap *heap)
{
	struct contribution sum = { .least = world.bystanders, .most = world.bystanders };
	uint64_t live = 0;
	uint64_t pages = 0;
	const char *broken;

	for (unsigned i = 0; i < WORLD_WORKERS && chosen[i] != NULL; i++) {
		struct contribution blocks = { .least = 0 };

		broken = chosen[i]->promise(&world, i, heap, &blocks);
		if (broken != NULL)
			/* cppcheck-suppress returnDanglingLifetime ; a text, not a part of blocks */
			return broken;
		sum.least += blocks.least;
		sum.most += blocks.most;
		sum.least_pages += blocks.least_pages;
		sum.most_pages += blocks.most_pages;
	}
	walk_heap(heap, NULL, count_block, &live);
	walk_manual(heap, NULL, count_pages, &pages);
	broken = check_count("blocks are live", live, sum.least, sum.most);
	return broken != NULL
		? broken
		: check_count("pages are in manual runs", pages, sum.least_pages, sum.most_pages);
}

static const char *check_backing(const struct heap *heap)
{
	uint64_t backed = kernel.backed.chunks & kernel.backed.tables & kernel.backed.metadata;

	for (uint64_t chunk = arena_first_chunk(heap, 0); chunk < arena_frontier(heap, 0); chunk++)
		if (!(backed >> chunk & 1))
			return "a chunk below the frontier is not backed";
	return NULL;
}

/* Continuations are backed, and no run's that is not there; what was given back is zero. */
static const char *check_arenas(const struct heap *heap)
{
	const uint64_t *words = (const uint64_t *)(const void *)(heap->base + ARENA_BYTES);
	uint64_t word;

	if (heap->max_arenas < 2)
		return NULL;
	word = arena_word(heap, 1);
	if (arena_word_chunks(word) != 0 && !growth_is_continued(heap, 1))
		return "an arena continues a run that is not there";
	for (uint64_t chunk = 0; chunk < arena_word_chunks(word); chunk++)
		if (!(kernel.backed.chunks & UINT64_C(1) << (ARENA_CHUNKS + chunk)))
			return "a chunk of a continuation is not backed";
	if (arena_is_ordinary(heap, 1) || arena_word_chunks(word) != 0 ||
		heap->directory[1].touched != 0)
		return NULL;
	for (uint64_t i = 0; i < ARENA_BYTES / sizeof(*words); i++)
		if (words[i] != 0)
			return "an arena that was given back holds something";
	return NULL;
}

static const char *check_whole(struct heap *heap, struct thread *thread)
{
	const char *broken = check_backing(heap);
	uint64_t problems;

	if (broken == NULL)
		broken = check_arenas(heap);
	if (broken != NULL)
		return broken;
	check_heap(heap, thread, keep_problem, NULL, &problems);
	return problems != 0 ? problem_text : check_promises(heap);
}

/* Nobody would look at it again, but for recovery. */
static const char *check_no_large_limbo(const struct heap *heap)
{
	uint64_t end = arena_frontier(heap, 0) << CHUNK_PAGES_SHIFT;
	uint64_t head = arena_first_chunk(heap, 0) << CHUNK_PAGES_SHIFT;

	while ((head = heap_next_head(heap, head, end)) < end) {
		if (span_of_head(heap, head)->purpose == SPAN_LARGE &&
			!span_large_is_live(heap, head))
			return "a large block in limbo was not freed";
		head++;
	}
	return NULL;
}

/* Everybody is dead here: what does the next open find? And, of one operation alone, the one after? */
static const char *check_truth(void)
{
	for (int i = 0; i < (chosen[1] == NULL ? 2 : 1); i++) {
		const char *broken;

		memset(recovered.control, 0, recovered.control_bytes);
		/* By the spans table, and of one operation alone by the records, too. */
		recovered.recovery.trusts = i == 0;
		if (image_open(&recovered, NULL) != 0)
			return "P2: the heap does not open";
		/* Whoever claims a slot has what recovery left in its words. */
		atomic_store(&recovered.heap.header->thread_high_water,
			recovered.heap.thread_slots);
		broken = check_no_large_limbo(&recovered.heap);
		if (broken == NULL)
			broken = check_whole(&recovered.heap, &recovered.thread);
		if (broken != NULL) {
			static char text[240];

			snprintf(text, sizeof(text), "P2%s: %s", i ? " twice" : "", broken);
			return text;
		}
	}
	return NULL;
}

static const char *check_recovered(void)
{
	for (unsigned i = 1; i < WORLD_PROCESSES; i++)
		if (ghosts[i].progress == DONE)
			return check_whole(&recoverers[i].heap, &recoverers[i].thread);
	return NULL;
}

/* What a living thread allocates from is its own. */
static const char *check_cursors(void)
{
	const struct heap *heap = &world.image.heap;

	for (unsigned i = 0; i < WORLD_PROCESSES; i++)
		for (unsigned c = 0; c < SPAN_CLASS_COUNT && !kernel.dead[i]; c++) {
			uint64_t head = world.threads[i].cursors[c].page;

			if (head != 0 &&
				hot_owner(span_hot(heap, head)) !=
					hot_owned_by(world.threads[i].slot))
				return "a thread allocates from a span that is not its own";
		}
	return NULL;
}

static const char *check_final(void)
{
	struct thread thread;
	const char *broken;

	if (recovering)
		return check_recovered();
	for (unsigned i = 0; i < WORLD_WORKERS && chosen[i] != NULL; i++)
		if (!kernel.dead[i] && ghosts[i].progress != DONE)
			return "an operation did not end";
	broken = check_cursors();
	if (broken != NULL)
		return broken;
	image_attach_thread(&world.image, &thread, WORLD_CHECK_SLOT);
	return check_whole(&world.image.heap, &thread);
}

/* --- running ------------------------------------------------------------------------------- */

#define ALONE (-1)
#define RECOVERY (-2)

/* Process. One exploration to do. */
struct job {
	int first;
	int second; /* or ALONE, or RECOVERY */
	int third;  /* or ALONE */
	unsigned deaths;
};

static uint64_t state_limit = 0;
static bool locks_unknown = false;

static enum job_end explore(const struct job *job)
{
	char name[128];
	struct explorer_scenario scenario = {
		.name = name,
		.process_count = WORLD_PROCESSES,
		.death_limit = job->deaths,
		.state_limit = state_limit,
		.switches = EXPLORER_AT_CONFLICTS,
		.report = stdout,
		.body = body,
		.may_start = may_start,
		.locks_held = locks_unknown ? NULL : locks_held,
		.on_death = on_death,
		.check_truth = check_truth,
		.check_final = check_final,
	};

	chosen[0] = &operations[job->first];
	chosen[1] = job->second < 0 ? NULL : &operations[job->second];
	chosen[2] = job->third < 0 ? NULL : &operations[job->third];
	world.workers = chosen[2] == NULL ? 2 : 3;
	recovering = job->second == RECOVERY;
	snprintf(name, sizeof(name), "%s%s", chosen[0]->name,
		recovering                  ? " | recovery"
			: chosen[1] != NULL ? " | "
					    : "");
	if (chosen[1] != NULL)
		strncat(name, chosen[1]->name, sizeof(name) - strlen(name) - 1);
	if (chosen[2] != NULL) {
		strncat(name, " | ", sizeof(name) - strlen(name) - 1);
		strncat(name, chosen[2]->name, sizeof(name) - strlen(name) - 1);
	}
	make_world();
	track_world();
	return jobs_explore(&scenario);
}

static const char *name_of(unsigned operation)
{
	return operations[operation].name;
}

static struct names operation_names(void)
{
	return (struct names){ operation_count, name_of };
}

static bool matches(int operation, const char *part)
{
	struct names names = operation_names();

	return name_is_meant(&names, (unsigned)operation, part);
}

/* Whether another pair is the same exploration: a setting is the world's, so beside an operation that
 * has it, the same operation without it is that one. */
static bool is_repeated(int i, int j)
{
	const struct operation *first = &operations[i];
	const struct operation *second = &operations[j];

	return i != j && first->run == second->run && first->prepare == second->prepare &&
		first->setting != second->setting;
}

/* Process. What the command line asks for. */
struct wish {
	unsigned parallel;
	unsigned deaths; /* 0: as many as usual */
	unsigned passed; /* explorations at the beginning that are left out */
	bool all_pairs;
	bool quick;
	bool triples;
	const char *first; /* NULL: all */
	const char *second;
	const char *third; /* NULL: none */
};

static bool is_wished(const struct wish *wish, int i, int j)
{
	struct names names = operation_names();

	return name_pair_is_meant(&names, (unsigned)i, (unsigned)j, wish->first, wish->second);
}

static enum role role_of(int i)
{
	return operations[i].role & ~(unsigned)(LONG | SHORT);
}

static bool is_long(int i)
{
	return (operations[i].role & LONG) != 0;
}

/* In pairs a core operation is an ordinary one. */
static enum role pair_role(int i)
{
	return role_of(i) == CORE ? ORDINARY : role_of(i);
}

static bool is_paired(const struct wish *wish, int i, int j)
{
	enum role first = pair_role(i);
	enum role second = pair_role(j);

	if (wish->second != NULL)
		return true;
	if (wish->quick && is_long(i) && is_long(j))
		return false;
	if (first == COUPLE || second == COUPLE)
		return i == j;
	if (wish->all_pairs)
		return true;
	return (first == ORDINARY && second == ORDINARY) || (first == TWIN && i == j);
}

static unsigned pair_deaths(const struct wish *wish, int i, int j)
{
	if (wish->deaths != 0)
		return wish->deaths;
	return i == j && (operations[i].role & SHORT) != 0 ? 2 : 1;
}

/* A recovery of several arenas looks at so much that two of its deaths take minutes: by -d 2 only. */
static unsigned recovery_deaths(const struct wish *wish, int i)
{
	if (wish->deaths != 0)
		return wish->deaths;
	return operations[i].setting & SETTING_ARENAS ? 1 : 2;
}

/* All operations alone, with recovery, in pairs. */
static struct job *room_for_jobs(void)
{
	struct job *jobs =
		calloc(operation_count * operation_count * operation_count, sizeof(*jobs));

	if (jobs == NULL)
		abort();
	return jobs;
}

static unsigned make_jobs(struct job *jobs, const struct wish *wish)
{
	const char *second = wish->second;
	unsigned alone_deaths = wish->deaths ? wish->deaths : 2;
	unsigned count = 0;

	for (int i = 0; i < (int)operation_count; i++) {
		bool here = matches(i, wish->first);

		if (here && (second == NULL || strcmp("alone", second) == 0))
			jobs[count++] = (struct job){ i, ALONE, ALONE, alone_deaths };
		if (here && (second == NULL || strcmp("recovery", second) == 0))
			jobs[count++] =
				(struct job){ i, RECOVERY, ALONE, recovery_deaths(wish, i) };
		for (int j = 0; j <= i; j++)
			if (is_wished(wish, i, j) && is_paired(wish, i, j) && !is_repeated(i, j))
				jobs[count++] =
					(struct job){ i, j, ALONE, pair_deaths(wish, i, j) };
	}
	return count;
}

/* Whether the triple is wished in some order. */
static bool is_triple_wished(const struct wish *wish, int i, int j, int k)
{
	return (is_wished(wish, i, j) && matches(k, wish->third)) ||
		(is_wished(wish, i, k) && matches(j, wish->third)) ||
		(is_wished(wish, j, k) && matches(i, wish->third));
}

static bool is_core(int i)
{
	return role_of(i) == CORE;
}

/* Of core operations only, or of any that are named. */
static unsigned make_triples(struct job *jobs, const struct wish *wish)
{
	unsigned deaths = wish->deaths ? wish->deaths : 1;
	unsigned count = 0;

	for (int i = 0; i < (int)operation_count; i++)
		for (int j = 0; j <= i; j++)
			for (int k = 0; k <= j; k++)
				if ((wish->third != NULL ||
					    (is_core(i) && is_core(j) && is_core(k))) &&
					is_triple_wished(wish, i, j, k))
					jobs[count++] = (struct job){ i, j, k, deaths };
	return count;
}

static struct job *jobs; /* that are to be done */

static enum job_end explore_one(unsigned job)
{
	return explore(&jobs[job]);
}

int main(int argc, char **argv)
{
	struct wish wish = { .parallel = 2 };
	unsigned count;
	int option;

	while ((option = getopt(argc, argv, "aqtuj:s:d:n:")) != -1) {
		if (option == 'a')
			wish.all_pairs = true;
		else if (option == 'q')
			wish.quick = true;
		else if (option == 't')
			wish.triples = true;
		else if (option == 'u')
			locks_unknown = true;
		else if (option == 'j')
			wish.parallel = (unsigned)atoi(optarg);
		else if (option == 's')
			state_limit = strtoull(optarg, NULL, 10);
		else if (option == 'd')
			wish.deaths = (unsigned)atoi(optarg);
		else if (option == 'n')
			wish.passed = (unsigned)atoi(optarg);
		else
			return 2;
	}
	wish.first = optind < argc ? argv[optind] : NULL;
	wish.second = optind + 1 < argc ? argv[optind + 1] : NULL;
	wish.third = optind + 2 < argc ? argv[optind + 2] : NULL;
	jobs = room_for_jobs();
	count = wish.triples || wish.third != NULL ? make_triples(jobs, &wish)
						   : make_jobs(jobs, &wish);
	if (wish.passed > count)
		wish.passed = count;
	jobs += wish.passed;
	return jobs_run(count - wish.passed, wish.parallel, explore_one, state_limit);
}
