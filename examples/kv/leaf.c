/* leaf.c -- looking into leaves, and changing them
 * SPDX-License-Identifier: BSD-3-Clause */
#include "leaf.h"

#define EVERY_BYTE UINT64_C(0x0101010101010101)

/* No slot. */
#define LEAF_CHANGED (LEAF_SLOTS + 1)

/* What there is to be divided. */
#define SPACE_BYTES (LEAF_BYTES - sizeof(struct leaf))

/* --- looking ------------------------------------------------------------------------------- */

static unsigned slot_at(const struct leaf_view *view, unsigned place)
{
	return __atomic_load_n((const unsigned char *)view->order + place, __ATOMIC_RELAXED);
}

/* Bit i: byte i of the word is `tag`; above such a byte there may be bits for others, too. */
static uint64_t matches(uint64_t word, uint64_t tag_everywhere)
{
	uint64_t zeros = word ^ tag_everywhere;

	zeros = (zeros - EVERY_BYTE) & ~zeros & EVERY_BYTE << 7;
	return (zeros >> 7) * UINT64_C(0x0102040810204080) >> 56;
}

static uint64_t slots_with_tag(const struct leaf *leaf, uint8_t tag)
{
	uint64_t slots = 0;

	for (unsigned i = 0; i < LEAF_SLOTS / 8; i++)
		slots |=
			matches(__atomic_load_n(&leaf->tags[i], __ATOMIC_RELAXED), tag * EVERY_BYTE)
			<< 8 * i;
	return slots;
}

/* The slot of the key, of those in `live`, and its record; LEAF_SLOTS: in none; LEAF_CHANGED: `state` is not
 * the leaf's any more. Before that is known nothing is read through an offset, which may lead anywhere. */
static unsigned find(const struct leaf *leaf, uint64_t state, uint64_t live, struct kv_bytes key,
	const char *base, const struct record **found)
{
	uint8_t tag = bytes_tag(key);
	uint64_t slots = slots_with_tag(leaf, tag) & live;

	for (; slots != 0; slots &= slots - 1) {
		unsigned slot = (unsigned)__builtin_ctzll(slots);
		const struct record *record = leaf_record(leaf, slot, base);

		if (!leaf_unchanged(leaf, state))
			return LEAF_CHANGED;
		if (bytes_equal(record_key(record), key)) {
			*found = record;
			return slot;
		}
	}
	*found = NULL;
	return leaf_unchanged(leaf, state) ? LEAF_SLOTS : LEAF_CHANGED;
}

const struct record *leaf_get(const struct leaf *leaf, struct kv_bytes key, const char *base)
{
	const struct record *record;
	unsigned slot;

	do {
		uint64_t state = leaf_load(leaf);
		const struct leaf_view *view = leaf_view(leaf, state);

		slot = find(leaf, state, __atomic_load_n(&view->live, __ATOMIC_RELAXED), key, base,
			&record);
	} while (slot == LEAF_CHANGED);
	return record;
}

void leaf_prefetch(const struct leaf *leaf, struct kv_bytes key, const char *base)
{
	uint64_t live = __atomic_load_n(&leaf_view(leaf, leaf_load(leaf))->live, __ATOMIC_RELAXED);
	uint64_t slots = slots_with_tag(leaf, bytes_tag(key)) & live;

	if (slots != 0)
		__builtin_prefetch(leaf_record(leaf, (unsigned)__builtin_ctzll(slots), base));
}

void leaf_prefetch_text(const struct leaf *leaf)
{
	const char *next = leaf_text(leaf) + leaf->text_used;

	__builtin_prefetch(next, 1);
	__builtin_prefetch(next + 64, 1);
}

void leaf_prefetch_all(const struct leaf *leaf)
{
	for (size_t at = 0; at < sizeof(*leaf) + LEAF_SLOTS * LEAF_SLOT_BYTES; at += 64)
		__builtin_prefetch((const char *)leaf + at);
}

void leaf_prefetch_records(const struct leaf *leaf, const char *base, unsigned count, bool first)
{
	uint64_t state = leaf_load(leaf);
	const struct leaf_view *view = leaf_view(leaf, state);
	unsigned entries = leaf_count(state);

	for (unsigned i = 0; i < count && i < entries; i++) {
		unsigned slot = slot_at(view, first ? i : entries - 1 - i);
		const char *record = (const char *)leaf_record(leaf, slot, base);

		__builtin_prefetch(record);
		__builtin_prefetch(record + 64);
	}
}

static void copy_entry(const struct leaf *leaf, unsigned slot, const char *base,
	struct leaf_copy *copy, unsigned place)
{
	copy->heads[place] = __atomic_load_n(&leaf_heads(leaf)[slot], __ATOMIC_RELAXED);
	copy->records[place] = leaf_record(leaf, slot, base);
}

void leaf_read(const struct leaf *leaf, const char *base, struct leaf_copy *copy)
{
	uint64_t state;

	copy->prefix_bytes = leaf->prefix_bytes;
	do {
		state = leaf_load(leaf);
		const struct leaf_view *view = leaf_view(leaf, state);

		copy->count = leaf_count(state);
		for (unsigned i = 0; i < copy->count; i++)
			copy_entry(leaf, slot_at(view, i), base, copy, i);
	} while (!leaf_unchanged(leaf, state));
}

static int compare(uint64_t head, const struct record *record, uint64_t key_head,
	struct kv_bytes key)
{
	if (head != key_head)
		return head < key_head ? -1 : 1;
	return bytes_compare(record_key(record), key);
}

unsigned leaf_copy_rank(const struct leaf_copy *copy, struct kv_bytes key)
{
	uint64_t head = bytes_head(key, copy->prefix_bytes);
	unsigned low = 0, high = copy->count;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (compare(copy->heads[middle], copy->records[middle], head, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* --- changing ------------------------------------------------------------------------------ */

void leaf_edit_begin(struct leaf_edit *edit, struct leaf *leaf, const char *base)
{
	edit->leaf = leaf;
	edit->base = base;
	edit->state = leaf_load(leaf);
	edit->count = leaf_count(edit->state);
	edit->view = *leaf_view(leaf, edit->state);
	/* Stores to slots and views come after the store of `state` that freed them: who reads one of these
	 * sees in leaf_unchanged() that it was late. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

unsigned leaf_edit_find(const struct leaf_edit *edit, struct kv_bytes key)
{
	const struct record *record;

	return find(edit->leaf, edit->state, edit->view.live, key, edit->base, &record);
}

static bool slot_before(const struct leaf_edit *edit, unsigned place, uint64_t head,
	struct kv_bytes key)
{
	unsigned slot = slot_at(&edit->view, place);

	return compare(leaf_heads(edit->leaf)[slot], leaf_record(edit->leaf, slot, edit->base),
		       head, key) < 0;
}

/* How many of the keys come before this one. */
static unsigned rank_of(const struct leaf_edit *edit, struct kv_bytes key)
{
	uint64_t head = bytes_head(key, edit->leaf->prefix_bytes);
	unsigned low = 0, high = edit->count;

	/* Keys often come in order: the last one first. */
	if (high > 0 && slot_before(edit, high - 1, head, key))
		return high;
	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (slot_before(edit, middle, head, key))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static uint64_t free_slots(const struct leaf_edit *edit)
{
	uint64_t used = edit->view.live | leaf_view(edit->leaf, edit->state)->live;

	return ~used & ((UINT64_C(1) << edit->leaf->slots) - 1);
}

unsigned leaf_edit_room(const struct leaf_edit *edit)
{
	return (unsigned)__builtin_popcountll(free_slots(edit));
}

static void set_byte(uint64_t *words, unsigned at, unsigned value)
{
	__atomic_store_n((unsigned char *)words + at, (unsigned char)value, __ATOMIC_RELAXED);
}

static void fill_slot(struct leaf *leaf, unsigned slot, sh_off record, struct kv_bytes key)
{
	set_byte(leaf->tags, slot, bytes_tag(key));
	__atomic_store_n(&leaf->words[leaf->slots + slot], bytes_head(key, leaf->prefix_bytes),
		__ATOMIC_RELAXED);
	__atomic_store_n(&leaf->words[slot], record, __ATOMIC_RELAXED);
}

void leaf_edit_insert(struct leaf_edit *edit, sh_off record)
{
	const struct record *block = (const struct record *)(const void *)(edit->base + record);
	struct kv_bytes key = record_key(block);
	unsigned slot = (unsigned)__builtin_ctzll(free_slots(edit));
	unsigned rank = rank_of(edit, key);
	unsigned char *order = (unsigned char *)edit->view.order;

	assert(free_slots(edit) != 0);
	fill_slot(edit->leaf, slot, record, key);
	memmove(order + rank + 1, order + rank, edit->count - rank);
	order[rank] = (unsigned char)slot;
	edit->view.live |= UINT64_C(1) << slot;
	edit->count++;
}

/* --- records ------------------------------------------------------------------------------- */

bool leaf_has_inside(const struct leaf *leaf, const char *base, sh_off record)
{
	return (uintptr_t)(base + record) - (uintptr_t)leaf_text(leaf) < leaf->text_bytes;
}

/* What a record takes of a text. */
static size_t text_bytes(size_t key_bytes, size_t value_bytes)
{
	return (record_bytes(key_bytes, value_bytes) + 7) & ~(size_t)7;
}

size_t leaf_inline_bytes(size_t key_bytes, size_t value_bytes)
{
	if (key_bytes > LEAF_INLINE_BYTES || value_bytes > LEAF_INLINE_BYTES ||
		record_bytes(key_bytes, value_bytes) > LEAF_INLINE_BYTES)
		return 0;
	return text_bytes(key_bytes, value_bytes);
}

/* So much of the leaf's text, which has room. */
static char *take_text(struct leaf *leaf, size_t bytes)
{
	char *taken = (char *)(uintptr_t)leaf_text(leaf) + leaf->text_used;

	assert(bytes != 0 && bytes <= leaf_text_left(leaf));
	/* Crash: text that nothing leads to, until another leaf takes this one's place. So it is taken before
	 * something does. */
	__atomic_store_n(&leaf->text_used, leaf->text_used + bytes, __ATOMIC_RELAXED);
	return taken;
}

sh_off leaf_write(struct leaf *leaf, const char *base, struct kv_bytes key, struct kv_bytes value)
{
	char *text = take_text(leaf, leaf_inline_bytes(key.size, value.size));
	struct record *record = (struct record *)(void *)text;

	record_fill(record, key, value);
	return (sh_off)(text - base);
}

/* release: what the word leads to was written before. */
static int store_word(uint64_t *word, uint64_t value, struct sh_txn *txn)
{
	if (txn != NULL)
		return sh_txn_store(txn, word, value);
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
	return 0;
}

int leaf_edit_free(const struct leaf_edit *edit, unsigned slot, struct sh_txn *txn)
{
	return leaf_edit_is_inline(edit, slot)
		? 0
		: sh_txn_free(txn, edit->leaf->words[slot], SH_DEFERRED);
}

int leaf_edit_replace(const struct leaf_edit *edit, unsigned slot, sh_off record,
	struct sh_txn *txn)
{
	return store_word(&edit->leaf->words[slot], record, txn);
}

void leaf_edit_remove(struct leaf_edit *edit, unsigned slot)
{
	unsigned char *order = (unsigned char *)edit->view.order;
	unsigned char *at = memchr(order, (int)slot, edit->count);

	assert(at != NULL);
	memmove(at, at + 1, edit->count - (size_t)(at - order) - 1);
	edit->view.live &= ~(UINT64_C(1) << slot);
	edit->count--;
}

/* --- the whole leaf ------------------------------------------------------------------------ */

int leaf_edit_publish(const struct leaf_edit *edit, struct sh_txn *txn)
{
	struct leaf_view *other = &edit->leaf->views[~edit->state & LEAF_VIEW];
	uint64_t version = edit->state & ~(LEAF_VERSION - 1);

	__atomic_store_n(&other->live, edit->view.live, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < LEAF_SLOTS / 8; i++)
		__atomic_store_n(&other->order[i], edit->view.order[i], __ATOMIC_RELAXED);
	return store_word(&edit->leaf->state,
		(version + LEAF_VERSION) | (uint64_t)edit->count << LEAF_COUNT_SHIFT |
			(~edit->state & LEAF_VIEW),
		txn);
}

static size_t text_bytes_of(const struct record *record)
{
	return text_bytes(record_key(record).size, record_value(record).size);
}

size_t leaf_edit_text_bytes(const struct leaf_edit *edit)
{
	size_t bytes = 0;

	for (uint64_t live = edit->view.live; live != 0; live &= live - 1) {
		unsigned slot = (unsigned)__builtin_ctzll(live);

		if (leaf_edit_is_inline(edit, slot))
			bytes += text_bytes_of(leaf_record(edit->leaf, slot, edit->base));
	}
	return bytes;
}

/* Copies a slot's record into the text of the leaf, which has room. */
static void copy_text(struct leaf *leaf, const struct leaf_edit *old, unsigned slot)
{
	const struct record *record = leaf_record(old->leaf, slot, old->base);
	size_t bytes = text_bytes_of(record);
	char *copy = take_text(leaf, bytes);

	memcpy(copy, record, bytes);
	leaf->words[slot] = (uint64_t)(copy - old->base);
}

void leaf_renew(struct leaf *leaf, const struct leaf_edit *old)
{
	/* Others wait for the old leaf's mutex, and mark it. */
	size_t begin = offsetof(struct leaf, state);
	size_t end = sizeof(*leaf) + old->leaf->slots * LEAF_SLOT_BYTES;

	memcpy((char *)leaf + begin, (const char *)old->leaf + begin, end - begin);
	leaf->mutex = (struct sh_mutex){ 0 };
	leaf->state = (uint64_t)old->count << LEAF_COUNT_SHIFT;
	leaf->text_used = 0;
	leaf->views[0] = old->view;
	leaf->views[1] = (struct leaf_view){ 0 };
	for (uint64_t live = old->view.live; live != 0; live &= live - 1) {
		unsigned slot = (unsigned)__builtin_ctzll(live);

		if (leaf_edit_is_inline(old, slot))
			copy_text(leaf, old, slot);
	}
}

int leaf_retire(struct leaf *leaf, struct sh_txn *txn)
{
	return sh_txn_store(txn, &leaf->state, leaf_load(leaf) | LEAF_RETIRED);
}

size_t leaf_item_bytes(const struct leaf_item *item)
{
	return LEAF_SLOT_BYTES +
		(item->record != 0 ? 0 : leaf_inline_bytes(item->key.size, item->value.size));
}

static size_t slots_for(size_t count)
{
	return (count + 7) & ~(size_t)7;
}

bool leaf_fits(size_t count, size_t bytes)
{
	return count <= LEAF_SLOTS &&
		bytes + (slots_for(count) - count) * LEAF_SLOT_BYTES <= SPACE_BYTES;
}

bool leaf_fits_well(size_t count, size_t bytes)
{
	return count <= LEAF_SLOTS && bytes <= SPACE_BYTES / 8 * 7;
}

struct leaf_layout leaf_layout(size_t count, size_t bytes)
{
	size_t slots;

	if (count > 0 && bytes == count * LEAF_SLOT_BYTES)
		return (struct leaf_layout){ LEAF_SLOTS,
			sizeof(struct leaf) + LEAF_SLOTS * LEAF_SLOT_BYTES };
	/* As many as it has when it is full of such entries. */
	slots = count == 0 ? LEAF_EMPTY_SLOTS : slots_for(SPACE_BYTES * count / bytes);
	if (slots > LEAF_SLOTS)
		slots = LEAF_SLOTS;
	while (slots > slots_for(count) && bytes + (slots - count) * LEAF_SLOT_BYTES > SPACE_BYTES)
		slots -= 8;
	return (struct leaf_layout){ slots, LEAF_BYTES };
}

static sh_off record_of(struct leaf *leaf, const struct leaf_item *item, const char *base)
{
	return item->record != 0 ? item->record : leaf_write(leaf, base, item->key, item->value);
}

void leaf_fill(struct leaf *leaf, struct leaf_layout layout, size_t prefix_bytes,
	const struct leaf_item *items, size_t count, const char *base)
{
	struct leaf_view *view = &leaf->views[0];

	assert(count <= layout.slots);
	memset(leaf, 0, sizeof(*leaf) + layout.slots * LEAF_SLOT_BYTES);
	leaf->prefix_bytes = prefix_bytes;
	leaf->slots = layout.slots;
	leaf->text_bytes = layout.bytes - sizeof(*leaf) - layout.slots * LEAF_SLOT_BYTES;
	for (unsigned slot = 0; slot < count; slot++) {
		fill_slot(leaf, slot, record_of(leaf, &items[slot], base), items[slot].key);
		set_byte(view->order, slot, slot);
	}
	view->live = (UINT64_C(1) << count) - 1;
	leaf->state = (uint64_t)count << LEAF_COUNT_SHIFT;
}
