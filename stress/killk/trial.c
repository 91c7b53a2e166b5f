/* trial.c -- one case: an operation, a survivor, an instruction
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/killk/trial.h"

#include "heap/derived_layout.h"
#include "stress/common/single_step.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of a whole case; of a survivor beside a stopped victim; of that when it goes on. */
#define CASE_SECONDS 20u
#define WATCH_MS 2000u
#define PATIENCE_MS 20000

/* --- somebody hangs ------------------------------------------------------------------------ */

static struct cast *playing;

static void on_alarm(int unused)
{
	(void)unused;
	complain("it took more than %u s", CASE_SECONDS);
	if (playing->victim > 0)
		kill(playing->victim, SIGKILL);
	if (playing->survivor > 0)
		kill(playing->survivor, SIGKILL);
}

static void begin_case(struct cast *cast)
{
	struct sigaction action = { .sa_handler = on_alarm };

	*cast = (struct cast){ .victim = 0 };
	playing = cast;
	sigaction(SIGALRM, &action, NULL);
	alarm(CASE_SECONDS);
}

static void remove_process(pid_t *process)
{
	if (*process > 0)
		step_kill(*process);
	*process = 0;
}

void trial_leave(struct cast *cast)
{
	alarm(0);
	remove_process(&cast->victim);
	remove_process(&cast->survivor);
}

/* --- beginning ----------------------------------------------------------------------------- */

static bool start_survivor(struct cast *cast)
{
	if (board->survivor == SURVIVOR_NONE)
		return true;
	cast->survivor = start(actor_survivor);
	return await(&board->ready, 1, PATIENCE_MS);
}

static bool enter(struct cast *cast, struct target *target, const struct operation *operation,
	enum survivor survivor, uint64_t step_number)
{
	begin_case(cast);
	board_clear();
	target_reset(target);
	board->survivor = survivor;
	board->step = step_number;
	acting = operation;
	if (!start_survivor(cast)) {
		complain("the survivor does not come");
		return false;
	}
	return true;
}

bool trial_enter(struct cast *cast, struct target *target, const struct operation *operation,
	enum survivor survivor, uint64_t step_number)
{
	bool entered = enter(cast, target, operation, survivor, step_number);

	acting_way = ACTING_STEPPED;
	if (entered) {
		cast->victim = start(actor_victim);
		entered = step_begin(cast->victim);
		if (!entered) {
			cast->victim = 0;
			complain("the victim ended before its operation");
		}
	}
	if (!entered)
		trial_leave(cast);
	return entered;
}

bool trial_play(struct target *target, const struct operation *operation, enum survivor survivor,
	enum acting_way how)
{
	struct cast cast;
	bool played = enter(&cast, target, operation, survivor, 0);

	acting_way = how;
	if (played) {
		int status;

		cast.victim = start(actor_victim);
		status = finish(cast.victim, PATIENCE_MS);
		if (status != -1)
			cast.victim = 0;
		if (status != 0)
			complain("the victim ended with status %d", status);
		played = status == 0;
	}
	trial_leave(&cast);
	return played;
}

/* --- going there --------------------------------------------------------------------------- */

/* Without a trace it steps all the way. */
static bool go_to(pid_t victim, uint64_t target, const struct trace *trace)
{
	return trace == NULL ? route_step(victim, target) : route_go(&trace->route, victim, target);
}

/* --- after the death ----------------------------------------------------------------------- */

static void expect_good_end(pid_t *process, const char *name)
{
	int status = finish(*process, PATIENCE_MS);

	if (status == -1)
		complain("the %s does not come to an end", name);
	else
		*process = 0;
	if (status > 0)
		complain("the %s ended with status %d", name, status);
}

static void judge_death(struct cast *cast)
{
	if (board->survivor == SURVIVOR_NONE)
		cast->survivor = start(actor_judge);
	post(&board->order, ORDER_JUDGE);
	expect_good_end(&cast->survivor, "judge");
}

/* --- stopped ------------------------------------------------------------------------------- */

/* Whether nobody holds any of the heap's own locks. */
static bool is_unlocked(const struct target *target)
{
	int fd = open(target->control, O_RDONLY | O_CLOEXEC);
	uint64_t bytes = fd < 0 ? 0 : (uint64_t)lseek(fd, 0, SEEK_END);
	const struct control_header *header = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	const struct derived_header *derived;
	bool unlocked;

	close(fd);
	if (header == MAP_FAILED) {
		complain("%s cannot be mapped", target->control);
		return false;
	}
	/* The last slot is recovery's, and does not count. */
	derived = (const struct derived_header *)(const void *)((const char *)header +
		control_derived_offset(header->process_slot_count, header->thread_slot_count + 1));
	unlocked = atomic_load(&derived->page_lock) == 0 &&
		atomic_load(&derived->growth_lock) == 0 && atomic_load(&derived->root_lock) == 0 &&
		atomic_load(&derived->drain.lock) == 0;
	munmap((void *)(uintptr_t)header, bytes);
	return unlocked;
}

static void judge_stop(struct cast *cast, const struct target *target)
{
	board->unlocked = is_unlocked(target);
	if (!step_stop(cast->victim)) {
		complain("the victim cannot be stopped");
		return;
	}
	post(&board->order, ORDER_WATCH);
	if (!await(&board->watched, 1, WATCH_MS))
		complain("beside a stopped victim%s the survivor comes to no end in %u ms",
			board->unlocked ? "" : ", which holds a lock,", WATCH_MS);
	kill(cast->victim, SIGCONT);
	expect_good_end(&cast->victim, "victim");
	post(&board->gone, 1);
	post(&board->order, ORDER_JUDGE);
	expect_good_end(&cast->survivor, "judge");
}

/* --- */

static void meet_end(struct cast *cast, const struct target *target)
{
	if (board->survivor == SURVIVOR_WATCH) {
		judge_stop(cast, target);
		return;
	}
	/* Every fourth time the survivor comes while the kernel is still at it. */
	if (board->survivor == SURVIVOR_IDLE && board->step % 4 == 0) {
		post(&board->order, ORDER_JUDGE);
		kill(cast->victim, SIGKILL);
	}
	step_kill(cast->victim);
	cast->victim = 0;
	post(&board->gone, 1);
	judge_death(cast);
}

/* Beside a busy survivor only the place tells. */
static void look_where(const struct cast *cast, const struct target *target,
	const struct trace *trace, struct trial_result *result)
{
	result->image = trace_image(trace, target);
	if (board->survivor == SURVIVOR_BUSY)
		result->strayed =
			step_place(cast->victim) != trace->route.waypoint[board->step].place;
	else
		result->strayed = !image_equal(result->image, trace->moment[board->step].image);
}

bool trial_run(struct target *target, const struct operation *operation, enum survivor survivor,
	uint64_t step_number, struct trace *trace, struct trial_result *result)
{
	struct cast cast;

	*result = (struct trial_result){ .strayed = false };
	if (!trial_enter(&cast, target, operation, survivor, step_number))
		return false;
	if (trace != NULL)
		trace_begin_image(trace, target);
	if (go_to(cast.victim, step_number, trace)) {
		if (trace != NULL)
			look_where(&cast, target, trace, result);
		meet_end(&cast, target);
	} else {
		cast.victim = 0;
		complain("the victim ended before step %llu", (unsigned long long)step_number);
	}
	trial_leave(&cast);
	return atomic_load(&board->complaints) == 0;
}
