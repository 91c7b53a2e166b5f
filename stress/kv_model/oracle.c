/* oracle.c -- what a store must show, whoever died where
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Of an operation that has not begun no step is done. Of one that has returned all are, each as a whole and with the
 * results that they have in some order of the steps of the two; of one in between so many of the first ones. One that
 * was done before the other began comes first. What a reader finds under a key was there at some moment: before the
 * other's first step, unless all were done when the reader began, or after some, unless none had begun when the reader
 * had looked; and what it finds there next was not there earlier. */
#include "stress/kv_model/oracle.h"

#include "stress/kv_model/calls.h"

#include <stdio.h>
#include <string.h>

static char text[240];

/* --- the table ----------------------------------------------------------------------------- */

static const char *read_table(struct kv_table *table, struct content *found)
{
	struct kv_cursor *cursor;
	struct kv_bytes key;
	struct kv_bytes value;
	int next = KEY_FIRST;
	int error = kv_cursor_open(table, &cursor);

	if (error == 0)
		error = kv_cursor_first(cursor, &key, &value);
	for (; error == 0; error = kv_cursor_next(cursor, &key, &value)) {
		int letter = key.size == 1 ? *(const unsigned char *)key.data : 0;

		if (letter < next || letter >= KEY_FIRST + (int)KEY_COUNT)
			return "the table has a key that nobody put, or keys out of order";
		next = letter + 1;
		found->numbers[letter - KEY_FIRST] = (unsigned char)value_number(value);
	}
	kv_cursor_close(cursor);
	return error == KV_ENOTFOUND ? NULL : "the table cannot be read";
}

/* A cursor finds its way by order, a look-up by tags. */
static const char *look_up_all(struct kv_table *table, const struct content *found)
{
	for (unsigned i = 0; i < KEY_COUNT; i++) {
		char letter = (char)(KEY_FIRST + i);
		struct kv_bytes value;
		int error = kv_get(table, (struct kv_bytes){ &letter, 1 }, &value);

		if ((error == 0 ? value_number(value) : 0) != found->numbers[i])
			return "a look-up and a scan do not agree";
	}
	return NULL;
}

static const char *read_store(struct kv *store, struct content *found)
{
	struct kv_bytes name = { TABLE_NAME, strlen(TABLE_NAME) };
	struct kv_table *table;
	const char *broken;
	int error = kv_table_open(store, name, 0, &table);

	*found = (struct content){ .dropped = error == KV_ENOTFOUND };
	if (error != 0)
		return error == KV_ENOTFOUND ? NULL : "the table does not open";
	broken = read_table(table, found);
	return broken != NULL ? broken : look_up_all(table, found);
}

/* --- what it may have ---------------------------------------------------------------------- */

/* How far the operations have come in one order of their steps. Stack. */
struct order {
	unsigned done[2];
	int results[2];
	struct content content;
};

/* Whether it may have returned that, where `expected` is what it should. Of a table that was dropped meanwhile it may
 * have found what was left when it had been emptied. */
static bool may_return(const struct ghost *ghost, int expected)
{
	int result = (int)ghost->result;

	return result == expected ||
		(expected == KV_EDROPPED && operation_before(ghost) != DONE &&
			(result == KV_ENOTFOUND || result == 0));
}

/* Whether it may have done so much when it stopped, and returned that. */
static bool may_stop(const struct ghost *ghost, const struct kv_operation *operation, unsigned done,
	int result)
{
	if (operation == NULL || ghost->progress == NOT_STARTED)
		return done == 0;
	return ghost->progress != DONE ||
		(done == operation_steps(operation) && may_return(ghost, result));
}

/* Whether its next step may be the next of all. */
static bool may_go_on(const struct ghost *ghosts, const struct kv_operation *const chosen[2],
	unsigned process, const struct order *order)
{
	const struct kv_operation *other = chosen[1 - process];

	if (chosen[process] == NULL || ghosts[process].progress == NOT_STARTED ||
		order->done[process] == operation_steps(chosen[process]))
		return false;
	return other == NULL || operation_before(&ghosts[process]) != DONE ||
		order->done[1 - process] == operation_steps(other);
}

/* Whether some order that goes on from this one leads to it. */
static bool may_have(const struct ghost *ghosts, const struct kv_operation *const chosen[2],
	const struct order *order, const struct content *found)
{
	bool may_end = memcmp(&order->content, found, sizeof(*found)) == 0;

	for (unsigned i = 0; i < 2; i++)
		may_end &= may_stop(&ghosts[i], chosen[i], order->done[i], order->results[i]);
	if (may_end)
		return true;
	for (unsigned i = 0; i < 2; i++) {
		struct order next = *order;
		int error;

		if (!may_go_on(ghosts, chosen, i, order))
			continue;
		error = operation_apply(chosen[i], i, next.done[i]++, &next.content);
		if (error != 0)
			next.results[i] = error;
		if (may_have(ghosts, chosen, &next, found))
			return true;
	}
	return false;
}

static void describe(const struct content *found)
{
	size_t length = (size_t)snprintf(text, sizeof(text), "the table has what nobody left:");

	for (unsigned i = 0; i < KEY_COUNT && length < sizeof(text); i++)
		if (found->numbers[i] != 0)
			length += (size_t)snprintf(text + length, sizeof(text) - length, " %c=%u",
				(char)(KEY_FIRST + i), found->numbers[i]);
}

/* --- readers ------------------------------------------------------------------------------- */

/* What it found under the key at its `which`-th look was there after `*step` steps of the other, or after more, as
 * many of which are the new `*step`. */
static const char *check_found(const struct ghost *ghost, enum scene_kind scene,
	const struct kv_operation *other, unsigned process, unsigned key, unsigned found,
	unsigned *step)
{
	unsigned last =
		other == NULL || operation_after(ghost) == NOT_STARTED ? 0 : operation_steps(other);
	struct content content;

	scene_content(&scenes[scene], &content);
	for (unsigned i = 0; i < *step; i++)
		operation_apply(other, process, i, &content);
	for (; content.numbers[key] != found && *step < last; (*step)++)
		operation_apply(other, process, *step, &content);
	if (content.numbers[key] == found)
		return NULL;
	snprintf(text, sizeof(text), "a reader finds %c=%u, which is not there then",
		(char)(KEY_FIRST + key), found);
	return text;
}

/* Of one that has ended. */
static const char *check_reader(const struct kv_operation *reader, unsigned process,
	const struct ghost *ghosts, const struct kv_operation *other)
{
	const struct ghost *ghost = &ghosts[process];
	const char *broken = NULL;

	for (unsigned key = 0; key < KEY_COUNT; key++) {
		unsigned step = other != NULL && operation_before(ghost) == DONE
			? operation_steps(other)
			: 0;

		for (unsigned which = 0; which < REQUESTS && broken == NULL; which++) {
			unsigned found;

			if (operation_found(reader, ghost, which, key, &found))
				broken = check_found(ghost, reader->scene, other, 1 - process, key,
					found, &step);
		}
	}
	return broken;
}

/* --- all of it ----------------------------------------------------------------------------- */

static int keep_problem(const char *problem, void *argument)
{
	(void)argument;
	snprintf(text, sizeof(text), "check: %s", problem);
	return 1;
}

static const char *check_store(const struct ghost *ghosts,
	const struct kv_operation *const chosen[2])
{
	struct kv *store;
	struct order none = { .done = { 0, 0 } };
	struct content found;
	uint64_t problems;
	const char *broken;

	if (kv_open("", KV_RDONLY, NULL, &store) != 0)
		return "the store does not open";
	if (kv_check(store, keep_problem, NULL, &problems) != 0 || problems != 0)
		return text;
	if (!calls_met_all())
		return "a block of somebody else is gone";
	broken = read_store(store, &found);
	scene_content(&scenes[chosen[0]->scene], &none.content);
	if (broken != NULL || may_have(ghosts, chosen, &none, &found))
		return broken;
	describe(&found);
	return text;
}

const char *oracle_check_store(struct heap *heap, const struct ghost *ghosts,
	const struct kv_operation *const chosen[2])
{
	const char *broken;

	calls_begin_check(heap);
	broken = check_store(ghosts, chosen);
	calls_end_check();
	return broken;
}

const char *oracle_check_readers(const struct ghost *ghosts,
	const struct kv_operation *const chosen[2])
{
	const char *broken = NULL;

	for (unsigned i = 0; i < 2 && broken == NULL; i++)
		if (chosen[i] != NULL && operation_reads(chosen[i]) && ghosts[i].progress == DONE)
			broken = check_reader(chosen[i], i, ghosts, chosen[1 - i]);
	return broken;
}
