/* history.c -- what a few processes do to a few keys, call by call
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/kv/history.h"

#include "stress/kv/content.h"
#include "stress/kv/linear.h"
#include "stress/kv/process.h"
#include "stress/kv/tally.h"

#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILLERS 200u /* of each key, between it and the next */
#define FILLER_STRETCH 60u
#define FILLER_ODDS 5u
#define STALE_ODDS 20u
#define HANG_NS (20 * UINT64_C(1000000000))

/* Process. One that records. */
struct actor {
	struct life *life;
	unsigned number;
	struct kv *store;
	struct kv_table *table;
	struct chance random;
	uint32_t puts;
	uint32_t seen[HISTORY_KEYS]; /* for the control: what it found some time ago */
};

static uint64_t stamp_now(void)
{
	return shared->history.by_clock ? now_ns() : stamp();
}

static struct kv_bytes key_of(char *text, unsigned key)
{
	return key_text(text, "history %u", key);
}

/* --- neighbours ---------------------------------------------------------------------------- */

/* Of the key: they come and go, so that its leaf is split and joined. */
static void disturb(struct actor *actor)
{
	unsigned key = (unsigned)chance_below(&actor->random, HISTORY_KEYS);
	unsigned first = (unsigned)chance_below(&actor->random, FILLERS);
	unsigned count = chance_between(&actor->random, 1, FILLER_STRETCH);
	bool puts = chance_once_in(&actor->random, 2);
	char text[KEY_BYTES];
	struct kv_batch *batch;
	int error = kv_batch_begin(actor->store, &batch);

	for (unsigned i = first; i < first + count && error == 0; i++) {
		struct kv_bytes filler = key_text(text, "history %u/%03u", key, i);

		error = puts ? kv_batch_put(batch, actor->table, filler, filler)
			     : kv_batch_delete(batch, actor->table, filler);
	}
	if (error == 0)
		error = kv_batch_commit(batch);
	else
		kv_batch_abort(batch);
	expect_ok(error, "a batch of fillers");
}

/* --- calls --------------------------------------------------------------------------------- */

static int get(struct actor *actor, struct event *event)
{
	struct kv_bytes value;
	uint64_t version = 0;
	char text[KEY_BYTES];
	int error = kv_read_begin(actor->store);

	if (error != 0)
		return error;
	error = kv_get(actor->table, key_of(text, event->key), &value);
	if (error == 0 && !value_read(value, ID_HISTORY + event->key, &version))
		fail(CHECK_HISTORIES, "key %u of a history has no value of its own", event->key);
	kv_read_end(actor->store);
	event->value = (uint32_t)version;
	return error == KV_ENOTFOUND ? 0 : error;
}

/* For the control. */
static void be_stale(struct actor *actor, struct event *event)
{
	uint32_t found = event->value;

	if (chance_once_in(&actor->random, STALE_ODDS))
		event->value = actor->seen[event->key];
	if (chance_once_in(&actor->random, 4))
		actor->seen[event->key] = found;
}

static int put(struct actor *actor, struct event *event)
{
	unsigned char bytes[VALUE_BYTES];
	char text[KEY_BYTES];
	int error = kv_put(actor->table, key_of(text, event->key),
		value_of(bytes, ID_HISTORY + event->key, event->value),
		event->kind == EVENT_INSERT ? KV_INSERT : 0);

	event->refused = error == KV_EEXIST && event->kind == EVENT_INSERT;
	return event->refused ? 0 : error;
}

static int delete (struct actor *actor, struct event *event)
{
	char text[KEY_BYTES];
	int error = kv_delete(actor->table, key_of(text, event->key));

	event->refused = error == KV_ENOTFOUND;
	return event->refused ? 0 : error;
}

static int call(struct actor *actor, struct event *event)
{
	switch ((enum event_kind)event->kind) {
	case EVENT_GET:
		return get(actor, event);
	case EVENT_PUT:
	case EVENT_INSERT:
		return put(actor, event);
	case EVENT_DELETE:
		return delete (actor, event);
	}
	return 0;
}

static void record_one(struct actor *actor)
{
	static const enum event_kind kinds[] = { EVENT_GET, EVENT_GET, EVENT_GET, EVENT_PUT,
		EVENT_PUT, EVENT_INSERT, EVENT_DELETE, EVENT_DELETE };
	struct event *event = &actor->life->events[atomic_load(&actor->life->count)];
	int error;

	*event = (struct event){
		.kind = (uint8_t)kinds[chance_below(&actor->random, 8)],
		.key = (uint16_t)chance_below(&actor->random, HISTORY_KEYS),
		.begun = stamp_now(),
	};
	if (event->kind == EVENT_PUT || event->kind == EVENT_INSERT)
		event->value = (actor->number + 1) << 16 | ++actor->puts;
	atomic_fetch_add(&actor->life->count, 1);
	error = call(actor, event);
	if (shared->fault == FAULT_STALE && event->kind == EVENT_GET)
		be_stale(actor, event);
	if (expect_ok(error, "a call of a history") == 0)
		atomic_store(&event->ended, stamp_now());
}

/* --- processes ----------------------------------------------------------------------------- */

static void act(struct actor *actor, unsigned events)
{
	atomic_fetch_add(&shared->history.here, 1);
	while (atomic_load(&shared->history.go) == 0 && !told_to_stop())
		sched_yield();
	while (atomic_load(&actor->life->count) < events && !told_to_stop()) {
		if (chance_once_in(&actor->random, FILLER_ODDS))
			disturb(actor);
		else
			record_one(actor);
	}
	atomic_fetch_add(&shared->history.done, 1);
}

static _Noreturn void live(const char *path, unsigned number, uint64_t seed, unsigned events)
{
	struct actor actor = {
		.life = &shared->history.life[number],
		.number = number,
		.random = chance_of(seed, number),
	};
	char text[KEY_BYTES];

	process_follow();
	if (expect_ok(kv_open(path, KV_CREATE, NULL, &actor.store), "kv_open") == 0 &&
		expect_ok(kv_table_open(actor.store, key_text(text, "history"), KV_CREATE,
				  &actor.table),
			"kv_table_open") == 0) {
		act(&actor, events);
		expect_ok(kv_close(actor.store), "kv_close");
	}
	_exit(0);
}

/* Process. A recording. */
struct recording {
	const char *path;
	struct chance random;
	uint64_t seed;
	unsigned events; /* of each life */
	pid_t pids[HISTORY_ACTORS];
	unsigned actors;
};

static void start_one(struct recording *recording, unsigned actor)
{
	unsigned number = shared->history.lives++;
	pid_t pid = fork();

	if (pid == 0)
		live(recording->path, number, recording->seed, recording->events);
	if (pid < 0)
		fail(CHECK_PROGRESS, "fork failed");
	recording->pids[actor] = pid > 0 ? pid : 0;
}

/* Whether some run yet. Those that have ended are buried. */
static bool any_left(struct recording *recording)
{
	bool left = false;

	for (unsigned i = 0; i < recording->actors; i++) {
		int status;

		if (recording->pids[i] == 0)
			continue;
		if (waitpid(recording->pids[i], &status, WNOHANG) == 0) {
			left = true;
			continue;
		}
		recording->pids[i] = 0;
		if (status != 0)
			fail(CHECK_CALLS, "one of a history ended with status %#x",
				(unsigned)status);
	}
	return left;
}

static void kill_one(struct recording *recording)
{
	unsigned actor = (unsigned)chance_below(&recording->random, recording->actors);

	if (recording->pids[actor] == 0)
		return;
	kill(recording->pids[actor], SIGKILL);
	waitpid(recording->pids[actor], NULL, 0);
	atomic_fetch_add(&shared->counts.history_deaths, 1);
	start_one(recording, actor);
}

static void kill_all(struct recording *recording)
{
	for (unsigned i = 0; i < recording->actors; i++)
		if (recording->pids[i] > 0) {
			kill(recording->pids[i], SIGKILL);
			waitpid(recording->pids[i], NULL, 0);
		}
}

/* Until all have come to their end. */
static void record(struct recording *recording, unsigned deaths)
{
	uint64_t begun = now_ns();

	for (unsigned i = 0; i < recording->actors; i++)
		start_one(recording, i);
	while (atomic_load(&shared->history.here) < recording->actors && any_left(recording))
		sleep_us(50);
	atomic_store(&shared->history.go, 1);
	while (any_left(recording) && now_ns() - begun < HANG_NS) {
		sleep_us(chance_below(&recording->random, 2000));
		if (deaths > 0 && shared->history.lives < HISTORY_LIVES) {
			deaths--;
			kill_one(recording);
		}
	}
	if (any_left(recording))
		fail(CHECK_PROGRESS, "a history did not come to its end");
	tally(CHECK_PROGRESS);
	kill_all(recording);
}

/* --- judging ------------------------------------------------------------------------------- */

/* All keys of histories are away at the beginning; at the end the last calls read them. */
static void visit_keys(struct recording *recording, bool begins)
{
	struct life *life = &shared->history.life[HISTORY_LIVES - 1];
	struct actor actor = { .life = life };
	char text[KEY_BYTES];

	if (expect_ok(kv_open(recording->path, KV_CREATE, NULL, &actor.store), "kv_open") != 0)
		return;
	expect_ok(kv_table_open(actor.store, key_text(text, "history"), KV_CREATE, &actor.table),
		"kv_table_open");
	for (unsigned key = 0; key < HISTORY_KEYS && !failed(); key++) {
		struct event event = { .kind = begins ? EVENT_DELETE : EVENT_GET,
			.key = (uint16_t)key,
			.begun = stamp_now() };

		expect_ok(call(&actor, &event), "a call of a history");
		event.ended = stamp_now();
		if (!begins)
			life->events[atomic_fetch_add(&life->count, 1)] = event;
	}
	expect_ok(kv_close(actor.store), "kv_close");
}

/* The events of a key, of all lives; what has no end gets one. */
static size_t gather(unsigned key, const struct event **events)
{
	size_t count = 0;

	for (unsigned i = 0; i < HISTORY_LIVES; i++) {
		struct life *life = &shared->history.life[i];

		for (uint32_t k = 0; k < atomic_load(&life->count); k++) {
			struct event *event = &life->events[k];

			if (atomic_load(&event->ended) == 0)
				atomic_store(&event->ended, EVENT_PENDING);
			if (event->key == key &&
				(event->kind != EVENT_GET || event->ended != EVENT_PENDING))
				events[count++] = event;
		}
	}
	return count;
}

static void explain(unsigned key, const struct event *const *events, size_t count, size_t at)
{
	static const char *const kinds[] = { "get", "put", "insert", "delete" };
	const struct event *event = events[at];

	fail(CHECK_HISTORIES,
		"history %u, key %u, %zu calls: no order explains a %s from %llu to %llu%s, value "
		"%#x",
		shared->history.number, key, count, kinds[event->kind],
		(unsigned long long)event->begun, (unsigned long long)event->ended,
		event->refused ? ", refused" : "", event->value);
	for (size_t i = 0; i < count && shared->fault == FAULT_NONE; i++)
		if (events[i]->begun <= event->ended && events[i]->ended + 40 >= event->begun)
			say("    %s [%llu, %lld]%s value %#x", kinds[events[i]->kind],
				(unsigned long long)events[i]->begun, (long long)events[i]->ended,
				events[i]->refused ? " refused" : "", events[i]->value);
}

static void judge_key(unsigned key, const struct event **events)
{
	size_t count = gather(key, events), at = 0;

	atomic_fetch_add(&shared->counts.history_operations, count);
	switch (linear_decide(events, count, &at)) {
	case LINEAR:
		tally(CHECK_HISTORIES);
		break;
	case NOT_LINEAR:
		explain(key, events, count, at);
		break;
	case LINEAR_UNDECIDED:
		atomic_fetch_add(&shared->counts.histories_undecided, 1);
		break;
	}
}

static void judge(void)
{
	static const struct event *events[HISTORY_LIVES * HISTORY_EVENTS];

	for (unsigned key = 0; key < HISTORY_KEYS && !failed(); key++)
		judge_key(key, events);
}

void history_run(const char *path, uint64_t seed)
{
	struct history *history = &shared->history;
	struct recording recording = { .path = path, .random = chance_of(seed, 77), .seed = seed };
	unsigned number = history->number + 1, deaths = 0;

	memset(history, 0, sizeof(*history));
	history->number = number;
	history->by_clock = chance_once_in(&recording.random, 2);
	recording.actors = chance_between(&recording.random, 2, HISTORY_ACTORS);
	recording.events = chance_between(&recording.random, 200, HISTORY_EVENTS - 1);
	if (chance_once_in(&recording.random, 2))
		deaths = chance_between(&recording.random, 1, HISTORY_DEATHS);
	visit_keys(&recording, true);
	if (!failed())
		record(&recording, deaths);
	if (!failed())
		visit_keys(&recording, false);
	if (!failed())
		judge();
}
