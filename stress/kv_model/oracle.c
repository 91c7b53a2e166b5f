/* oracle.c -- what a store must show, whoever died where
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * An operation that has not begun is not done, one that has returned is, as a whole and with the result that it has
 * in some order of the two; one in between is done or not. One that was done before the other began comes first. A
 * look-up of a reader finds what was there before the other, unless that was done when the reader began, or what was
 * there afterwards, unless that had not begun when the reader had looked. */
#include "stress/kv_model/oracle.h"

#include "stress/kv_model/calls.h"

#include <stdio.h>
#include <string.h>

static char text[240];

/* --- the table ----------------------------------------------------------------------------- */

static const char *read_table(struct kv_table *table, content found)
{
	struct kv_cursor *cursor;
	struct kv_bytes key;
	struct kv_bytes value;
	int next = KEY_FIRST;
	int error = kv_cursor_open(table, &cursor);

	memset(found, 0, KEY_COUNT);
	if (error == 0)
		error = kv_cursor_first(cursor, &key, &value);
	for (; error == 0; error = kv_cursor_next(cursor, &key, &value)) {
		int letter = key.size == 1 ? *(const unsigned char *)key.data : 0;

		if (letter < next || letter >= KEY_FIRST + (int)KEY_COUNT)
			return "the table has a key that nobody put, or keys out of order";
		next = letter + 1;
		found[letter - KEY_FIRST] = (unsigned char)value_number(value);
	}
	kv_cursor_close(cursor);
	return error == KV_ENOTFOUND ? NULL : "the table cannot be read";
}

/* A cursor finds its way by order, a look-up by tags. */
static const char *look_up_all(struct kv_table *table, const content found)
{
	for (unsigned i = 0; i < KEY_COUNT; i++) {
		char letter = (char)(KEY_FIRST + i);
		struct kv_bytes value;
		int error = kv_get(table, (struct kv_bytes){ &letter, 1 }, &value);

		if ((error == 0 ? value_number(value) : 0) != found[i])
			return "a look-up and a scan do not agree";
	}
	return NULL;
}

/* --- what it may have ---------------------------------------------------------------------- */

/* Of each worker whether its operation is done; makes what the table has then. False: the results of those that
 * returned are others. */
static bool make_content(const struct ghost *ghosts, const struct kv_operation *const chosen[2],
	const unsigned order[2], unsigned done, content content)
{
	enum scene_kind scene = chosen[0]->scene;

	scene_content(&scenes[scene], content);
	for (unsigned i = 0; i < 2; i++) {
		unsigned process = order[i];

		if ((done >> process & 1) == 0)
			continue;
		if (operation_apply(chosen[process], process, content) !=
				(int)ghosts[process].result &&
			ghosts[process].progress == DONE)
			return false;
	}
	return true;
}

static bool may_be_done(const struct ghost *ghost, bool done)
{
	return done ? ghost->progress != NOT_STARTED : ghost->progress != DONE;
}

static bool may_come_first(const struct ghost *ghosts, unsigned first)
{
	return ghosts[first].progress == NOT_STARTED || operation_before(&ghosts[first]) != DONE;
}

/* Whether some order of the operations leads to it. */
static bool may_have(const struct ghost *ghosts, const struct kv_operation *const chosen[2],
	const content found)
{
	content content;

	for (unsigned first = 0; first < 2; first++)
		for (unsigned done = 0; done < 4; done++) {
			const unsigned order[2] = { first, 1 - first };
			bool possible = may_come_first(ghosts, first);

			for (unsigned i = 0; i < 2; i++)
				possible &= chosen[i] == NULL
					? (done >> i & 1) == 0
					: may_be_done(&ghosts[i], done >> i & 1);
			if (possible && make_content(ghosts, chosen, order, done, content) &&
				memcmp(content, found, KEY_COUNT) == 0)
				return true;
		}
	return false;
}

static void describe(const content found)
{
	size_t length = (size_t)snprintf(text, sizeof(text), "the table has what nobody left:");

	for (unsigned i = 0; i < KEY_COUNT && length < sizeof(text); i++)
		if (found[i] != 0)
			length += (size_t)snprintf(text + length, sizeof(text) - length, " %c=%u",
				(char)(KEY_FIRST + i), found[i]);
}

/* --- readers ------------------------------------------------------------------------------- */

static const char *check_found(const struct ghost *ghost, const content before, const content after,
	unsigned key, unsigned found, bool *later)
{
	bool may_before = operation_before(ghost) != DONE && !*later;
	bool may_after = operation_after(ghost) != NOT_STARTED;

	if (!(may_before && found == before[key]) && !(may_after && found == after[key])) {
		snprintf(text, sizeof(text), "a reader finds %c=%u, which is not there then",
			(char)(KEY_FIRST + key), found);
		return text;
	}
	*later |= before[key] != after[key] && found == after[key];
	return NULL;
}

/* Of one that has ended. */
static const char *check_reader(const struct kv_operation *reader, unsigned process,
	const struct ghost *ghosts, const struct kv_operation *other)
{
	content before;
	content after;
	const char *broken = NULL;

	scene_content(&scenes[reader->scene], before);
	scene_content(&scenes[reader->scene], after);
	if (other != NULL)
		operation_apply(other, 1 - process, after);
	for (unsigned key = 0; key < KEY_COUNT; key++) {
		bool later = false;

		for (unsigned which = 0; which < REQUESTS && broken == NULL; which++) {
			unsigned found;

			if (operation_found(reader, &ghosts[process], which, key, &found))
				broken = check_found(&ghosts[process], before, after, key, found,
					&later);
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
	struct kv_table *table;
	content found;
	uint64_t problems;
	const char *broken;

	if (kv_open("", KV_RDONLY, NULL, &store) != 0 ||
		kv_table_open(store, (struct kv_bytes){ TABLE_NAME, strlen(TABLE_NAME) }, 0,
			&table) != 0)
		return "the store does not open";
	if (kv_check(store, keep_problem, NULL, &problems) != 0 || problems != 0)
		return text;
	if (!calls_met_all())
		return "a block of somebody else is gone";
	broken = read_table(table, found);
	if (broken == NULL)
		broken = look_up_all(table, found);
	if (broken != NULL || may_have(ghosts, chosen, found))
		return broken;
	describe(found);
	return text;
}

const char *oracle_check(struct heap *heap, const struct ghost *ghosts,
	const struct kv_operation *const chosen[2])
{
	const char *broken;

	calls_begin_check(heap);
	broken = check_store(ghosts, chosen);
	calls_end_check();
	for (unsigned i = 0; i < 2 && broken == NULL; i++)
		if (chosen[i] != NULL && operation_reads(chosen[i]) && ghosts[i].progress == DONE)
			broken = check_reader(chosen[i], i, ghosts, chosen[1 - i]);
	return broken;
}
