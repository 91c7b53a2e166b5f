/* table.c -- a hash table in the heap, read without locks
 * SPDX-License-Identifier: BSD-3-Clause */
#include "table.h"

#include "chance.h"
#include "process.h"

#include <stddef.h>

#define ROOT_NAME "readmostly"
#define POISON UINT64_C(0xdeadbeefdeadbeef)

enum { CHAIN_MAX = KEYS_MAX, LARGE_ONE_IN = 512, SMALL_WORDS_MAX = 40, ENTRY_ALIGN = 16 };

void table_create(struct sh_heap *heap)
{
	struct sh_txn *txn;

	must(sh_txn_begin(heap, 0, &txn), "sh_txn_begin");
	sh_off root = must_allocate(sh_txn_alloc(txn, sizeof(struct table_root), SH_ZERO));
	must(sh_txn_root(txn, ROOT_NAME, root), "sh_txn_root");
	must(sh_txn_commit(txn), "sh_txn_commit");
}

void table_attach(struct table *table, struct sh_heap *heap, uint64_t *locks_inherited)
{
	sh_off root;

	must(sh_root_get(heap, ROOT_NAME, &root), "the heap has no table");
	*table = (struct table){
		.heap = heap,
		.root = sh_ptr(heap, root),
		.locks_inherited = locks_inherited,
	};
}

void table_destroy(struct table *table)
{
	struct sh_txn *txn;

	must(sh_txn_begin(table->heap, 0, &txn), "sh_txn_begin");
	must(sh_txn_root(txn, ROOT_NAME, 0), "sh_txn_root");
	must(sh_txn_free(txn, sh_offset(table->heap, table->root), SH_DEFERRED), "sh_txn_free");
	must(sh_txn_commit(txn), "sh_txn_commit");
	table->root = NULL;
}

/* Entries. */

/* The value of a step: so long, and these words. Most are small, a few take pages of their own. */
static uint64_t value_words(uint64_t key, uint64_t number)
{
	uint64_t random = chance_mix(number << 24 ^ key);

	if (random % LARGE_ONE_IN == 0)
		return 1 + (random >> 16) % VALUE_WORDS_MAX;
	return 1 + (random >> 16) % SMALL_WORDS_MAX;
}

/* Of all but the link. Reads no more than an entry may have, whatever its length says. */
static uint64_t entry_checksum(const struct entry *entry)
{
	uint64_t words = entry->length / sizeof(uint64_t);
	uint64_t sum = chance_mix(entry->key ^ chance_mix(entry->number ^ chance_mix(words)));

	if (words > VALUE_WORDS_MAX)
		return ~entry->checksum;
	for (uint64_t i = 0; i < words; i++)
		sum = (sum ^ entry->value[i]) * UINT64_C(0x100000001b3) + (sum >> 29);
	return sum;
}

static void entry_poison(struct entry *entry, uint64_t words)
{
	entry->next = POISON;
	entry->key = POISON;
	entry->number = POISON;
	entry->checksum = POISON;
	entry->length = POISON;
	for (uint64_t i = 0; i < words; i++)
		entry->value[i] = POISON;
}

static void entry_fill(struct entry *entry, uint64_t key, uint64_t number, uint64_t words)
{
	entry->key = key;
	entry->number = number;
	entry->length = words * sizeof(uint64_t);
	for (uint64_t i = 0; i < words; i++)
		entry->value[i] = chance_mix(key ^ number << 20 ^ i << 48);
	entry->checksum = entry_checksum(entry);
}

/* Poison first: a reader that still has what this block was before would find it. */
static sh_off entry_make(const struct table *table, struct sh_txn *txn, uint64_t key,
	uint64_t number)
{
	uint64_t words = value_words(key, number);
	size_t bytes = sizeof(struct entry) + words * sizeof(uint64_t);
	sh_off off = must_allocate(sh_txn_alloc(txn, bytes, 0));
	struct entry *entry = sh_ptr(table->heap, off);

	entry_poison(entry, words);
	/* The compiler must not think that nobody reads the poison. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	entry_fill(entry, key, number, words);
	return off;
}

enum wrong table_examine(const struct entry *entry)
{
	if (entry->key == POISON || entry->checksum == POISON)
		return WRONG_POISON;
	return entry_checksum(entry) == entry->checksum ? RIGHT : WRONG_CHECKSUM;
}

/* Chains. */

static uint64_t bucket_of(uint64_t key)
{
	return chance_mix(key) % BUCKET_COUNT;
}

/* An entry on the way must be one of this bucket. */
static enum wrong link_examine(sh_off off, const struct entry *entry, uint64_t bucket)
{
	if (off % ENTRY_ALIGN != 0)
		return off == POISON ? WRONG_POISON : WRONG_LINK;
	if (entry->key == POISON)
		return WRONG_POISON;
	return entry->key < KEYS_MAX && bucket_of(entry->key) == bucket ? RIGHT : WRONG_KEY;
}

const struct entry *table_find(const struct table *table, uint64_t key, enum wrong *wrong)
{
	uint64_t bucket = bucket_of(key);
	const sh_off *link = &table->root->bucket[bucket];

	*wrong = RIGHT;
	for (unsigned i = 0; i < CHAIN_MAX; i++) {
		/* acquire: what the link leads to was written before it was linked. */
		sh_off off = __atomic_load_n(link, __ATOMIC_ACQUIRE);
		const struct entry *entry = sh_ptr(table->heap, off);
		if (entry == NULL)
			return NULL;
		*wrong = link_examine(off, entry, bucket);
		if (*wrong != RIGHT)
			return NULL;
		if (entry->key == key)
			return entry;
		link = &entry->next;
	}
	*wrong = WRONG_LINK;
	return NULL;
}

/* The link that leads to the key's entry, or the last one, which leads nowhere. The caller has the
 * stripe: what it sees is no older than the last unlock, and stays. */
static sh_off *link_to(const struct table *table, uint64_t key)
{
	sh_off *link = &table->root->bucket[bucket_of(key)];

	while (*link != 0) {
		struct entry *entry = sh_ptr(table->heap, *link);
		if (entry->key == key)
			break;
		link = &entry->next;
	}
	return link;
}

/* Locks. */

/* Whether the last holder died with it. */
static bool lock(const struct table *table, struct sh_mutex *mutex)
{
	int error = sh_mutex_lock(table->heap, mutex);

	/* The dead holder's transaction is finished or undone by now: there is nothing to mend. */
	if (error != SH_EOWNERDIED)
		must(error, "sh_mutex_lock");
	return error == SH_EOWNERDIED;
}

static void unlock(const struct table *table, struct sh_mutex *mutex)
{
	must(sh_mutex_unlock(table->heap, mutex), "sh_mutex_unlock");
}

static struct sh_mutex *stripe_lock(const struct table *table, uint64_t key)
{
	struct sh_mutex *stripe = &table->root->stripe[bucket_of(key) % STRIPE_COUNT];

	if (lock(table, stripe))
		note_add(table->locks_inherited, 1);
	return stripe;
}

/* Steps. */

void table_put(struct table *table, uint64_t key, uint64_t number)
{
	struct sh_mutex *stripe = stripe_lock(table, key);
	sh_off *link = link_to(table, key);
	const struct entry *old = sh_ptr(table->heap, *link);
	struct sh_txn *txn;

	must(sh_txn_begin(table->heap, 0, &txn), "sh_txn_begin");
	sh_off off = entry_make(table, txn, key, number);
	/* Not linked yet, so this needs no transaction. */
	((struct entry *)sh_ptr(table->heap, off))->next = old == NULL ? 0 : old->next;
	must(sh_txn_store(txn, link, off), "sh_txn_store");
	if (old != NULL)
		must(sh_txn_free(txn, *link, table->careless ? 0 : SH_DEFERRED), "sh_txn_free");
	must(sh_txn_commit(txn), "sh_txn_commit");
	unlock(table, stripe);
}

void table_delete(struct table *table, uint64_t key)
{
	struct sh_mutex *stripe = stripe_lock(table, key);
	sh_off *link = link_to(table, key);
	const struct entry *old = sh_ptr(table->heap, *link);
	struct sh_txn *txn;

	if (old != NULL) {
		must(sh_txn_begin(table->heap, 0, &txn), "sh_txn_begin");
		must(sh_txn_store(txn, link, old->next), "sh_txn_store");
		must(sh_txn_free(txn, *link, table->careless ? 0 : SH_DEFERRED), "sh_txn_free");
		must(sh_txn_commit(txn), "sh_txn_commit");
	}
	unlock(table, stripe);
}

/* Gives back what is retired, if anything: its readers are gone after a grace period. */
static void retired_free(struct table *table, unsigned range)
{
	sh_off *retired = &table->root->retired[range];

	if (*retired == 0)
		return;
	must(sh_synchronize(table->heap), "sh_synchronize");
	struct entry *entry = sh_ptr(table->heap, *retired);
	/* A predecessor may have died on the way, with poison in place of the length. */
	size_t words = sh_usable_size(table->heap, *retired) / sizeof(uint64_t);
	entry_poison(entry, words - sizeof(struct entry) / sizeof(uint64_t));
	/* In one step, so that the word never names a block that is somebody else's by now. */
	must(sh_free_from(table->heap, retired), "sh_free_from");
}

void table_claim(struct table *table, unsigned range)
{
	lock(table, &table->root->range_lock[range]);
	retired_free(table, range);
}

void table_retire(struct table *table, uint64_t key, unsigned range)
{
	struct sh_mutex *stripe = stripe_lock(table, key);
	sh_off *link = link_to(table, key);
	const struct entry *old = sh_ptr(table->heap, *link);
	struct sh_txn *txn;

	if (old != NULL) {
		must(sh_txn_begin(table->heap, 0, &txn), "sh_txn_begin");
		must(sh_txn_store(txn, &table->root->retired[range], *link), "sh_txn_store");
		must(sh_txn_store(txn, link, old->next), "sh_txn_store");
		must(sh_txn_commit(txn), "sh_txn_commit");
	}
	/* Others need not wait for the readers. */
	unlock(table, stripe);
	retired_free(table, range);
}

void table_drop(struct table *table, uint64_t key)
{
	struct sh_mutex *stripe = stripe_lock(table, key);
	sh_off *link = link_to(table, key);
	sh_off off = *link;

	if (off != 0) {
		const struct entry *old = sh_ptr(table->heap, off);
		__atomic_store_n(link, old->next, __ATOMIC_RELEASE);
		must(sh_free_deferred(table->heap, off), "sh_free_deferred");
	}
	unlock(table, stripe);
}

uint64_t table_count_blocks(const struct table *table)
{
	const struct table_root *root = table->root;
	uint64_t blocks = 1;

	for (unsigned i = 0; i < BUCKET_COUNT; i++) {
		const struct entry *entry = sh_ptr(table->heap, root->bucket[i]);
		for (; entry != NULL; entry = sh_ptr(table->heap, entry->next))
			blocks++;
	}
	for (unsigned i = 0; i < WRITERS_MAX; i++)
		blocks += root->retired[i] != 0;
	return blocks;
}
