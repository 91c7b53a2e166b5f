/* main.c -- explores the operations of examples/kv, alone and in pairs, under deaths
 * SPDX-License-Identifier: BSD-3-Clause
 *
 *	kv_checker [-a] [-q] [-r] [-u] [-j JOBS] [-s STATE_LIMIT] [-d DEATHS] [FIRST [SECOND]]
 *
 * Without arguments: each operation alone with two deaths (reapers' deaths included), and some pairs of operations of
 * one scene with one (usual_pairs). With -a: all pairs but those of which both drain. With -q: but the long ones. With -r:
 * reapers begin, too, while a writer is at work that settles what it meets of the dead. With -u: as if no lock were known.
 * FIRST and SECOND are names of operations, or parts of names; SECOND may be "alone". The last line is "N passed, N
 * failed". */
#include "stress/common/names.h"
#include "stress/kv_model/arena.h"
#include "stress/kv_model/calls.h"
#include "stress/kv_model/operations.h"
#include "stress/kv_model/oracle.h"
#include "stress/model/jobs.h"
#include "stress/model/kernel.h"

#include "heap/deferred.h"
#include "recovery/check.h"
#include "recovery/reap.h"
#include "shm/lock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORKERS 2u

static struct world world;
static struct ghost ghosts[WORLD_PROCESSES];
static const struct kv_operation *chosen[WORKERS];
static struct place place;
static bool reapers_beside;    /* writers that could settle the same */
static struct image recovered; /* check_truth's view, over the same heap buffer */

static unsigned workers(void)
{
	return chosen[1] == NULL ? 1 : 2;
}

/* --- building the store -------------------------------------------------------------------- */

static void leave_bystander(unsigned process, uint64_t bytes)
{
	calls_leave_out(world_allocate(&world, process, bytes));
}

/* Records, or tables' blocks, which have the same size class. */
static bool makes_blocks(const struct kv_operation *operation)
{
	for (unsigned i = 0; i < REQUESTS; i++)
		if (operation->requests[i].kind == PUT_LARGE || operation->requests[i].kind == DROP)
			return true;
	return false;
}

/* So that nobody makes spans: each worker has one of each size that its operation allocates. */
static void own_spans(const struct scene *scene, unsigned process)
{
	if (makes_blocks(chosen[process]))
		leave_bystander(process, sizeof(struct table_block));
	if (scene->room != 0)
		leave_bystander(process, LEAF_BYTES);
	for (unsigned i = 0; i < sizeof(scene->children) / sizeof(scene->children[0]); i++) {
		unsigned children = scene->children[i];

		if (children != 0)
			leave_bystander(process,
				sizeof(struct inner) + (3 * children - 1) * sizeof(uint64_t) +
					children - 1);
	}
}

/* What is drained is the next that is given out. */
static void fill_span(const struct scene *scene, unsigned process)
{
	unsigned span_class = span_class_make(size_class_of(LEAF_BYTES), false);
	const struct cursor *cursor = &world.threads[process].cursors[span_class];

	while (scene->room != 0 && (unsigned)__builtin_popcountll(cursor->free_bits) != scene->room)
		leave_bystander(process, LEAF_BYTES);
}

static void make_store(const struct scene *scene, unsigned builder)
{
	struct kv_stats stats;

	calls_act_as(builder);
	world_must(kv_open("/dev/null", KV_CREATE, NULL, &place.store) == 0, builder);
	world_must(kv_table_open(place.store, (struct kv_bytes){ TABLE_NAME, strlen(TABLE_NAME) },
			   KV_CREATE, &place.table) == 0,
		builder);
	scene_fill(scene, place.table);
	world_must(kv_stats(place.table, &stats) == 0 && stats.leaves == scene->leaves, builder);
	deferred_drain_all(&world.threads[builder]);
	calls_act_as(CALLS_BODY);
}

/* Who uses the blocks again that it frees must own them. */
static unsigned choose_builder(void)
{
	return chosen[1] != NULL && (chosen[1]->flags & REUSES) != 0 &&
			(chosen[0]->flags & REUSES) == 0
		? 1
		: 0;
}

static void make_world(void)
{
	const struct scene *scene = &scenes[chosen[0]->scene];

	world_make_heap(&world, 0);
	world.ghosts = ghosts;
	world_attach_all(&world);
	world_grow_first(&world);
	calls_begin(&world);
	calls_set_heap(&world.image.heap);
	place.world = &world;
	for (unsigned i = 0; i < workers(); i++) {
		own_spans(scene, i);
		thread_enroll(&world.threads[i]);
	}
	make_store(scene, choose_builder());
	for (unsigned i = 0; i < workers(); i++)
		fill_span(scene, i);
	world_remember_chunks(&world);
}

static void track_world(void)
{
	explorer_track("heap", world.image.base, world.buffer_bytes, EXPLORER_TRUTH);
	explorer_track("control", world.image.control, world.image.control_bytes, EXPLORER_SHARED);
	explorer_track("ghost", ghosts, sizeof(ghosts), EXPLORER_TRUTH);
	kernel_track();
	explorer_track("threads", world.threads, sizeof(world.threads), EXPLORER_PRIVATE);
	calls_track();
	arena_track();
	recovered.base = world.image.base;
	recovered.bytes = world.image.bytes;
	recovered.control_bytes = world.image.control_bytes;
	recovered.control = kernel_memory(recovered.control_bytes);
}

/* --- processes ----------------------------------------------------------------------------- */

static void body(unsigned process)
{
	struct thread *thread = &world.threads[process];

	if (process >= WORKERS)
		reap_all(thread);
	else
		operation_run(&place, chosen[process], process);
}

/* Whether a writer is at work: it settles what the dead left where it needs it. */
static bool is_settled_by_writer(void)
{
	for (unsigned i = 0; i < workers(); i++)
		if (!operation_reads(chosen[i]) &&
			(explorer_status(i) == EXPLORER_RUNNING ||
				explorer_status(i) == EXPLORER_BLOCKED))
			return true;
	return false;
}

static bool may_start(unsigned process)
{
	if (process < WORKERS)
		return chosen[process] != NULL && explorer_status(process) == EXPLORER_FRESH;
	/* The second reaper is there for the first one's death. */
	if (process > WORKERS && !kernel.dead[process - 1])
		return false;
	return world_has_dead(&world) && (reapers_beside || !is_settled_by_writer());
}

static void on_death(unsigned process)
{
	kernel_die(process);
	calls_forget(process);
	arena_clear(process);
	calls_clear(&world.threads[process], sizeof(world.threads[process]));
}

/* --- locks --------------------------------------------------------------------------------- */

#define MUTEX_LIMIT (EXPLORER_LOCK_LIMIT - WORLD_PROCESSES - 1)

/* The store's, and that of the heap's free pages. */
static _Atomic uint64_t *mutexes[MUTEX_LIMIT];
static unsigned mutex_count;

static void note_mutex(struct sh_mutex *mutex)
{
	if (mutex_count < MUTEX_LIMIT)
		mutexes[mutex_count++] = (_Atomic uint64_t *)(void *)&mutex->word;
}

static void note_mutexes_below(struct inner *inner)
{
	note_mutex(&inner->mutex);
	for (unsigned i = 0; i <= inner->count; i++) {
		void *child = tree_node(place.table, inner_child(inner, i));

		if (inner->level > 1)
			note_mutexes_below(child);
		else
			note_mutex(&((struct leaf *)child)->mutex);
	}
}

static void note_mutexes(void)
{
	struct table_block *block = place.table->block;

	note_mutex(&block->mutex);
	note_mutexes_below(tree_node(place.table, block->root));
}

static unsigned locks_held(unsigned process)
{
	unsigned held = 0;

	for (unsigned slot = 0; slot < WORLD_PROCESSES; slot++)
		if (world_holds_slot(&world, process, slot))
			held |= 1u << slot;
	if (lock_held_by(&world.image.heap.derived->page_lock, kernel.lives[process]))
		held |= 1u << WORLD_PROCESSES;
	for (unsigned i = 0; i < mutex_count; i++)
		if (lock_held_by(mutexes[i], kernel.lives[process]))
			held |= 2u << (WORLD_PROCESSES + i);
	return held;
}

/* --- checks -------------------------------------------------------------------------------- */

static char problem_text[240];

static int keep_problem(const struct sh_problem *problem, void *argument)
{
	(void)argument;
	snprintf(problem_text, sizeof(problem_text), "check of the heap: %s (at 0x%llx)",
		problem->text, (unsigned long long)problem->off);
	return 1;
}

static const char *check_whole(struct heap *heap, struct thread *thread)
{
	uint64_t problems;

	check_heap(heap, thread, keep_problem, NULL, &problems);
	return problems != 0 ? problem_text : oracle_check_store(heap, ghosts, chosen);
}

/* Everybody is dead here: what does the next open find? */
static const char *check_truth(void)
{
	static char text[280];
	const char *broken = oracle_check_readers(ghosts, chosen);

	if (broken != NULL)
		return broken;
	memset(recovered.control, 0, recovered.control_bytes);
	if (image_open(&recovered, NULL) != 0)
		return "P2: the heap does not open";
	broken = check_whole(&recovered.heap, &recovered.thread);
	if (broken == NULL)
		return NULL;
	snprintf(text, sizeof(text), "P2: %s", broken);
	return text;
}

static const char *check_final(void)
{
	struct thread thread;

	for (unsigned i = 0; i < workers(); i++) {
		if (kernel.dead[i])
			continue;
		if (ghosts[i].progress != DONE)
			return "an operation did not end";
		if (!arena_is_empty(i))
			return "an operation leaves memory of its process behind";
		if (locks_held(i) & ~((1u << WORLD_PROCESSES) - 1))
			return "an operation leaves a mutex locked";
	}
	image_attach_thread(&world.image, &thread, WORLD_CHECK_SLOT);
	return check_whole(&world.image.heap, &thread);
}

/* --- running ------------------------------------------------------------------------------- */

#define ALONE (-1)

/* Process. One exploration to do. */
struct job {
	int first;
	int second; /* or ALONE */
	unsigned deaths;
};

/* Process. What the command line asks for. */
struct wish {
	unsigned parallel;
	unsigned deaths; /* 0: as many as usual */
	bool all_pairs;
	bool quick;
	const char *first;  /* NULL: all */
	const char *second; /* NULL: alone, and those that are paired */
};

static uint64_t state_limit;
static bool locks_unknown;
static struct job *wanted;

static enum job_end explore(unsigned number)
{
	const struct job *job = &wanted[number];
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

	chosen[0] = &kv_operations[job->first];
	chosen[1] = job->second == ALONE ? NULL : &kv_operations[job->second];
	snprintf(name, sizeof(name), "%s%s%s", chosen[0]->name, chosen[1] != NULL ? " | " : "",
		chosen[1] != NULL ? chosen[1]->name : "");
	make_world();
	note_mutexes();
	track_world();
	return jobs_explore(&scenario);
}

static const char *name_of(unsigned operation)
{
	return kv_operations[operation].name;
}

static struct names operation_names(void)
{
	return (struct names){ kv_operation_count, name_of };
}

static bool matches(int operation, const char *part)
{
	struct names names = operation_names();

	return name_is_meant(&names, (unsigned)operation, part);
}

/* The pair of the list; NULL: it is not there. */
static const struct kv_pair *find_usual(int i, int j)
{
	const char *first = kv_operations[i].name;
	const char *second = kv_operations[j].name;

	for (unsigned k = 0; k < usual_pair_count; k++)
		if ((strcmp(usual_pairs[k].first, first) == 0 &&
			    strcmp(usual_pairs[k].second, second) == 0) ||
			(strcmp(usual_pairs[k].first, second) == 0 &&
				strcmp(usual_pairs[k].second, first) == 0))
			return &usual_pairs[k];
	return NULL;
}

static bool is_usual(const struct wish *wish, int i, int j)
{
	const struct kv_pair *pair = find_usual(i, j);

	return pair != NULL && !(wish->quick && pair->is_long);
}

/* What two drains do to each other is the heap's, and explored by its own checker. */
static bool both_drain(const struct kv_operation *first, const struct kv_operation *second)
{
	return (first->flags & (DRAINS | REUSES)) != 0 && (second->flags & (DRAINS | REUSES)) != 0;
}

/* What two readers see, each sees alone. */
static bool can_meet(const struct kv_operation *first, const struct kv_operation *second)
{
	return first->scene == second->scene &&
		!(operation_reads(first) && operation_reads(second));
}

static bool is_paired(const struct wish *wish, int i, int j)
{
	struct names names = operation_names();

	if (!can_meet(&kv_operations[i], &kv_operations[j]))
		return false;
	if (!name_pair_is_meant(&names, (unsigned)i, (unsigned)j, wish->first, wish->second))
		return false;
	if (wish->second != NULL)
		return true;
	return wish->all_pairs ? !both_drain(&kv_operations[i], &kv_operations[j])
			       : is_usual(wish, i, j);
}

/* A pair of the list that names none is none. */
static void check_usual_pairs(void)
{
	unsigned count = 0;

	for (int i = 0; i < (int)kv_operation_count; i++)
		for (int j = 0; j <= i; j++)
			count += find_usual(i, j) != NULL &&
				can_meet(&kv_operations[i], &kv_operations[j]);
	if (count != usual_pair_count)
		abort();
}

static unsigned make_jobs(const struct wish *wish)
{
	unsigned count = 0;

	check_usual_pairs();
	wanted = calloc(kv_operation_count * (kv_operation_count + 1), sizeof(*wanted));
	if (wanted == NULL)
		abort();
	for (int i = 0; i < (int)kv_operation_count; i++) {
		if (matches(i, wish->first) &&
			(wish->second == NULL || strcmp("alone", wish->second) == 0))
			wanted[count++] =
				(struct job){ i, ALONE, wish->deaths != 0 ? wish->deaths : 2 };
		for (int j = 0; j <= i; j++)
			if (is_paired(wish, i, j))
				wanted[count++] =
					(struct job){ i, j, wish->deaths != 0 ? wish->deaths : 1 };
	}
	return count;
}

int main(int argc, char **argv)
{
	struct wish wish = { .parallel = 2 };
	int option;

	while ((option = getopt(argc, argv, "aqruj:s:d:")) != -1) {
		if (option == 'a')
			wish.all_pairs = true;
		else if (option == 'q')
			wish.quick = true;
		else if (option == 'r')
			reapers_beside = true;
		else if (option == 'u')
			locks_unknown = true;
		else if (option == 'j')
			wish.parallel = (unsigned)atoi(optarg);
		else if (option == 's')
			state_limit = strtoull(optarg, NULL, 10);
		else if (option == 'd')
			wish.deaths = (unsigned)atoi(optarg);
		else
			return 2;
	}
	wish.first = optind < argc ? argv[optind] : NULL;
	wish.second = optind + 1 < argc ? argv[optind + 1] : NULL;
	return jobs_run(make_jobs(&wish), wish.parallel, explore, state_limit);
}
