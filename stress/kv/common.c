/* common.c -- keys that all writers write to: locks by insertion, and a group that is always of one batch
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/kv/content.h"
#include "stress/kv/group.h"
#include "stress/kv/tally.h"
#include "stress/kv/writer.h"

/* --- locks --------------------------------------------------------------------------------- */

static struct kv_bytes lock_key(char *text, unsigned lock)
{
	return key_text(text, "lock %u", lock);
}

/* The version says whose value it is: a ticket of a seat. */
static uint64_t ticket_version(unsigned seat, uint64_t ticket)
{
	return ticket << 8 | seat;
}

static bool is_mine(struct desk *desk, unsigned lock, uint64_t version)
{
	char text[KEY_BYTES];
	struct kv_bytes value;
	uint64_t found = 0;
	bool mine;

	if (expect_ok(kv_read_begin(desk->store), "kv_read_begin") != 0)
		return false;
	mine = kv_get(desk->common, lock_key(text, lock), &value) == 0 &&
		value_read(value, ID_LOCK + lock, &found) && found == version;
	kv_read_end(desk->store);
	return mine;
}

static void give_back(struct desk *desk, unsigned lock)
{
	char text[KEY_BYTES];

	atomic_store(&shared->lock_holder[lock], 0);
	expect_ok(kv_delete(desk->common, lock_key(text, lock)), "kv_delete of an own lock");
}

/* Nobody else can have inserted it. */
static void hold(struct writer *writer, unsigned lock, uint64_t version)
{
	unsigned nobody = 0;

	tally(CHECK_LOCKS);
	if (!atomic_compare_exchange_strong(&shared->lock_holder[lock], &nobody,
		    writer->number + 1))
		fail(CHECK_LOCKS, "lock %u: writer %u has inserted it, and writer %u has it", lock,
			writer->number, nobody - 1);
	else if (!is_mine(&writer->desk, lock, version))
		fail(CHECK_LOCKS, "lock %u: writer %u has inserted it, and it is not there", lock,
			writer->number);
}

void common_lock(struct writer *writer)
{
	struct journal *journal = &writer->seat->journal;
	unsigned lock = (unsigned)chance_below(&writer->random, LOCKS);
	uint64_t version = ticket_version(writer->number, ++journal->ticket);
	unsigned char bytes[VALUE_BYTES];
	char text[KEY_BYTES];
	int error;

	atomic_store(&journal->lock, lock + 1);
	call_begin(writer);
	error = kv_put(writer->desk.common, lock_key(text, lock),
		value_of(bytes, ID_LOCK + lock, version), KV_INSERT);
	if (error == 0) {
		hold(writer, lock, version);
		give_back(&writer->desk, lock);
	} else if (error != KV_EEXIST) {
		expect_ok(error, "kv_put of a lock");
	}
	call_end(writer);
	atomic_store(&journal->lock, 0);
}

void common_take_over_lock(struct desk *desk, unsigned number)
{
	struct journal *journal = &shared->seats[number].journal;
	unsigned lock = atomic_load(&journal->lock) - 1;

	if (lock == UINT32_MAX)
		return;
	tally(CHECK_LOCKS);
	if (is_mine(desk, lock, ticket_version(number, journal->ticket)))
		give_back(desk, lock);
	else if (atomic_load(&shared->lock_holder[lock]) == number + 1)
		fail(CHECK_LOCKS, "lock %u: dead writer %u had it, and it is not there", lock,
			number);
	atomic_store(&journal->lock, 0);
}

/* --- the group ----------------------------------------------------------------------------- */

/* Half of it stands in a table of its own, half between everybody's keys. */
static struct kv_table *group_table(const struct desk *desk, unsigned number)
{
	return number % 2 == 0 ? desk->common : desk->tables[0];
}

static struct kv_bytes group_key(char *text, unsigned number)
{
	return key_text(text, "key %06u of the group", number * (BOTH_KEYS / GROUP_KEYS));
}

static uint64_t group_version(unsigned seat, uint64_t number)
{
	return number << 8 | seat;
}

static int commit_group(struct writer *writer, uint64_t version)
{
	unsigned char bytes[VALUE_BYTES];
	char text[KEY_BYTES];
	struct kv_batch *batch;
	int error = kv_batch_begin(writer->desk.store, &batch);

	if (error != 0)
		return error;
	for (unsigned i = 0; i < GROUP_KEYS && error == 0; i++)
		error = kv_batch_put(batch, group_table(&writer->desk, i), group_key(text, i),
			value_of(bytes, ID_GROUP + i, version));
	if (error == 0)
		return kv_batch_commit(batch);
	kv_batch_abort(batch);
	return error;
}

void common_group(struct writer *writer)
{
	struct group_note *note = &writer->seat->group;
	uint64_t number = atomic_fetch_add(&note->begun, 1) + 1, begun_at = stamp();
	int error;

	call_begin(writer);
	error = commit_group(writer, group_version(writer->number, number));
	call_end(writer);
	if (expect_ok(error, "kv_batch_commit of the group") != 0)
		return;
	atomic_store(&note->ended_at, stamp());
	atomic_store(&note->begun_at, begun_at);
	atomic_store(&note->acknowledged, number);
}

/* The version of one of the group; 0: it is not there, or nothing of the group. */
static uint64_t group_read(struct desk *desk, unsigned number)
{
	char text[KEY_BYTES];
	struct kv_bytes value;
	uint64_t version = 0;

	if (expect_ok(kv_read_begin(desk->store), "kv_read_begin") != 0)
		return 0;
	if (kv_get(group_table(desk, number), group_key(text, number), &value) == 0 &&
		!value_read(value, ID_GROUP + number, &version))
		fail(CHECK_GROUP, "key %u of the group has another's value", number);
	kv_read_end(desk->store);
	return version;
}

static bool anything_acknowledged(void)
{
	for (unsigned i = 0; i < WRITERS; i++)
		if (atomic_load(&shared->seats[i].group.acknowledged) > 0)
			return true;
	return false;
}

/* No other seat's acknowledged batch can have come after this one, which is the last. */
static void judge_last(uint64_t version)
{
	const struct group_note *last = &shared->seats[version % WRITERS].group;
	uint64_t number = version >> 8;
	bool is_known = number == atomic_load(&last->acknowledged);

	if (number < atomic_load(&last->acknowledged) || number > atomic_load(&last->begun))
		fail(CHECK_GROUP,
			"the group is of batch %llu of writer %u, which acknowledged %llu",
			(unsigned long long)number, (unsigned)(version % WRITERS),
			(unsigned long long)atomic_load(&last->acknowledged));
	for (unsigned i = 0; i < WRITERS && is_known; i++)
		if (atomic_load(&shared->seats[i].group.begun_at) > atomic_load(&last->ended_at))
			fail(CHECK_GROUP,
				"the group is of writer %u's batch, and writer %u's came later",
				(unsigned)(version % WRITERS), i);
}

void group_judge(struct desk *desk)
{
	uint64_t version = group_read(desk, 0);

	tally(CHECK_GROUP);
	for (unsigned i = 1; i < GROUP_KEYS; i++) {
		uint64_t other = group_read(desk, i);

		if (other != version)
			fail(CHECK_GROUP,
				"keys 0 and %u of the group are of batches %#llx and %#llx", i,
				(unsigned long long)version, (unsigned long long)other);
	}
	if (version != 0)
		judge_last(version);
	else if (anything_acknowledged())
		fail(CHECK_GROUP, "the group is not there, and was acknowledged");
}
