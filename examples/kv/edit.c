/* edit.c -- leaves and nodes that take the place of others
 * SPDX-License-Identifier: BSD-3-Clause */
#include "edit.h"

#include "list.h"

void edit_begin(struct edit *edit, struct sh_heap *heap, struct sh_txn *txn)
{
	*edit = (struct edit){ .txn = txn };
	locks_begin(&edit->locks, heap);
}

int edit_end_txn(struct sh_txn *txn, int error)
{
	if (error == 0)
		return sh_txn_commit(txn);
	sh_txn_abort(txn);
	return error;
}

int edit_end(struct edit *edit, int error)
{
	error = edit_end_txn(edit->txn, error);
	locks_end(&edit->locks);
	free(edit->pieces);
	free(edit->swaps);
	return error;
}

/* --- lists --------------------------------------------------------------------------------- */

static int add_piece(struct edit *edit, sh_off node, struct kv_bytes low)
{
	struct piece *pieces = list_with_room(edit->pieces, edit->piece_count, 1,
		&edit->piece_capacity, sizeof(*pieces));

	if (pieces == NULL)
		return ENOMEM;
	edit->pieces = pieces;
	edit->pieces[edit->piece_count++] = (struct piece){ node, low };
	return 0;
}

static int add_swap(struct edit *edit, struct swap swap)
{
	struct swap *swaps = list_with_room(edit->swaps, edit->swap_count, 1, &edit->swap_capacity,
		sizeof(*swaps));

	if (swaps == NULL)
		return ENOMEM;
	edit->swaps = swaps;
	edit->swaps[edit->swap_count++] = swap;
	return 0;
}

/* Into how many, none larger than `limit`, so many are divided: one if they fit, else about `fill` each. */
static size_t parts_of(size_t count, size_t limit, size_t fill)
{
	return count <= limit ? 1 : (count + fill - 1) / fill;
}

/* Where part `i` begins. */
static size_t part_begin(size_t count, size_t parts, size_t i)
{
	return count * i / parts;
}

/* --- leaves -------------------------------------------------------------------------------- */

static sh_off offset_of(const struct edit *edit, const void *address)
{
	return (sh_off)((const char *)address - edit->table->base);
}

/* What is at the front of both ends of a range is in front of all its keys. */
static size_t range_prefix(struct kv_bytes low, struct kv_bytes high)
{
	return low.data == NULL || high.data == NULL ? 0 : bytes_common(low, high);
}

/* The shortest string that is above `below` and not above `first`. */
static struct kv_bytes separator_between(struct kv_bytes below, struct kv_bytes first)
{
	return (struct kv_bytes){ first.data, bytes_common(below, first) + 1 };
}

sh_off edit_make_leaf(struct sh_txn *txn, struct sh_heap *heap, size_t prefix_bytes,
	const struct items *items)
{
	struct leaf_layout layout = leaf_layout(items->count, items->bytes);
	sh_off node = sh_txn_alloc(txn, layout.bytes, 0);

	if (node != 0)
		leaf_fill(sh_ptr(heap, node), layout, prefix_bytes, items->list, items->count,
			sh_base(heap));
	return node;
}

static int make_leaf(struct edit *edit, struct kv_bytes low, struct kv_bytes high,
	const struct items *items)
{
	sh_off node = edit_make_leaf(edit->txn, edit->table->heap, range_prefix(low, high), items);

	return node == 0 ? errno : add_piece(edit, node, low);
}

static void append_item(struct items *items, struct leaf_item item)
{
	items->bytes += leaf_item_bytes(&item);
	items->list[items->count++] = item;
}

/* What each leaf of these is to be filled with, at least but for the last. A table that grows at its end gets full
 * leaves. */
static size_t fill_of(const struct items *items, const struct range *range)
{
	size_t parts = parts_of(items->bytes, LEAF_FILL_BYTES, LEAF_FILL_BYTES),
	       by_count = parts_of(items->count, LEAF_SLOTS, LEAF_FILL);

	if (leaf_fits_well(items->count, items->bytes) ||
		(items->at_end && range->high.data == NULL))
		return SIZE_MAX;
	if (parts < by_count)
		parts = by_count;
	return (items->bytes + parts - 1) / parts;
}

/* Those of a leaf that begins with entry `begin`. */
static struct items take_leaf(const struct items *items, size_t begin, size_t fill)
{
	struct items taken = { .list = items->list + begin };

	while (begin + taken.count < items->count && taken.bytes < fill) {
		size_t bytes = taken.bytes + leaf_item_bytes(&taken.list[taken.count]);

		if (!leaf_fits(taken.count + 1, bytes))
			break;
		taken.bytes = bytes;
		taken.count++;
	}
	return taken;
}

/* Makes leaves of these entries, in place of the range's. */
static int make_leaves(struct edit *edit, const struct range *range, const struct items *items)
{
	size_t fill = fill_of(items, range), begin = 0;
	struct kv_bytes low = range->low;
	int error = 0;

	do {
		struct items leaf = take_leaf(items, begin, fill);
		const struct leaf_item *end = leaf.list + leaf.count;
		struct kv_bytes high = begin + leaf.count == items->count
			? range->high
			: separator_between(end[-1].key, end->key);

		error = make_leaf(edit, low, high, &leaf);
		low = high;
		begin += leaf.count;
	} while (begin < items->count && error == 0);
	return error;
}

static int retire_leaf(struct edit *edit, struct leaf *leaf)
{
	int error = leaf_retire(leaf, edit->txn);

	return error != 0 ? error : sh_txn_free(edit->txn, offset_of(edit, leaf), SH_DEFERRED);
}

/* Has the pieces from `first_piece` on take the range's leaf's place. */
static int replace_leaf(struct edit *edit, const struct range *range, size_t first_piece,
	struct kv_bytes key)
{
	int error = add_swap(edit,
		(struct swap){ .key = key,
			.old = offset_of(edit, range->leaf),
			.removed = 1,
			.first_piece = first_piece,
			.pieces = edit->piece_count - first_piece });

	return error == 0 ? retire_leaf(edit, range->leaf) : error;
}

/* --- changes to a leaf --------------------------------------------------------------------- */

int edit_make_record(struct sh_txn *txn, struct change *change)
{
	struct kv_bytes key = change->key, value = change->value;

	if (change->removes || leaf_inline_bytes(key.size, value.size) != 0)
		return 0;
	change->record = sh_txn_alloc(txn, record_bytes(key.size, value.size), 0);
	if (change->record == 0)
		return errno;
	record_fill(tree_node(change->table, change->record), key, value);
	return 0;
}

/* What changes need of a leaf. */
struct need {
	size_t slots;
	size_t text_bytes;
};

/* Finds the changes' keys in the leaf, and what they need of it. */
static int find_keys(const struct leaf_edit *leaf, struct change *changes, size_t count,
	struct need *need)
{
	*need = (struct need){ 0, 0 };
	for (size_t i = 0; i < count; i++) {
		struct change *change = &changes[i];

		change->slot = leaf_edit_find(leaf, change->key);
		if (change->slot == LEAF_SLOTS ? change->must_be_there : change->must_be_new)
			return change->must_be_new ? KV_EEXIST : KV_ENOTFOUND;
		if (change->removes)
			continue;
		need->slots += change->slot == LEAF_SLOTS;
		need->text_bytes += change->record != 0
			? 0
			: leaf_inline_bytes(change->key.size, change->value.size);
	}
	return 0;
}

static int change_in_place(struct leaf_edit *leaf, const struct change *change, struct sh_txn *txn)
{
	sh_off record = change->record;

	if (change->removes) {
		if (change->slot != LEAF_SLOTS)
			leaf_edit_remove(leaf, change->slot);
		return 0;
	}
	if (record == 0)
		record = leaf_write(leaf->leaf, leaf->base, change->key, change->value);
	if (change->slot != LEAF_SLOTS)
		return leaf_edit_replace(leaf, change->slot, record, txn);
	leaf_edit_insert(leaf, record);
	return 0;
}

/* Has the transaction free the blocks that the changes replace or remove. */
static int free_blocks(const struct leaf_edit *leaf, const struct change *changes, size_t count,
	struct sh_txn *txn)
{
	int error = 0;

	for (size_t i = 0; i < count && error == 0; i++)
		if (changes[i].slot != LEAF_SLOTS)
			error = leaf_edit_free(leaf, changes[i].slot, txn);
	return error;
}

/* Makes the changes, but for what they free. */
static int apply_in_place(struct leaf_edit *leaf, const struct change *changes, size_t count,
	struct sh_txn *txn)
{
	uint64_t live = leaf->view.live;
	int error = 0;

	for (size_t i = 0; i < count && error == 0; i++)
		error = change_in_place(leaf, &changes[i], txn);
	if (error == 0 && leaf->view.live != live)
		error = leaf_edit_publish(leaf, txn);
	return error;
}

/* Whether the leaf has what the changes need. */
static bool has_room(const struct leaf_edit *leaf, struct need need)
{
	return need.slots <= leaf_edit_room(leaf) && need.text_bytes <= leaf_text_left(leaf->leaf);
}

int edit_in_place(struct leaf *leaf, struct change *change, struct sh_txn *txn)
{
	struct leaf_edit edit;
	struct need need;
	int error;

	leaf_edit_begin(&edit, leaf, change->table->base);
	error = find_keys(&edit, change, 1, &need);
	if (error != 0)
		return error;
	if (!has_room(&edit, need) ||
		(txn == NULL && change->slot != LEAF_SLOTS &&
			!leaf_edit_is_inline(&edit, change->slot)))
		return EDIT_NOT_HERE;
	error = txn == NULL ? 0 : free_blocks(&edit, change, 1, txn);
	return error == 0 ? apply_in_place(&edit, change, 1, txn) : error;
}

static void append_change(struct items *items, const struct change *change)
{
	if (!change->removes)
		append_item(items,
			(struct leaf_item){ change->key, change->value, change->record });
}

/* A record of a leaf: it stays where it is, or is copied from the leaf's text. */
static void append_record(struct items *items, const struct edit *edit, const struct leaf *leaf,
	sh_off off)
{
	const struct record *record = tree_node(edit->table, off);

	append_item(items,
		(struct leaf_item){ record_key(record), record_value(record),
			leaf_has_inside(leaf, edit->table->base, off) ? 0 : off });
}

/* The leaf's entries and the changes', in order. */
static void merge(const struct edit *edit, const struct leaf_edit *leaf,
	const struct change *changes, size_t count, struct items *merged)
{
	const unsigned char *order = (const unsigned char *)leaf->view.order;
	size_t next = 0;

	for (unsigned place = 0; place < leaf->count; place++) {
		sh_off off = leaf->leaf->words[order[place]];
		struct kv_bytes key = record_key(tree_node(edit->table, off));

		for (; next < count && bytes_compare(changes[next].key, key) < 0; next++)
			append_change(merged, &changes[next]);
		if (next < count && changes[next].slot == order[place])
			append_change(merged, &changes[next++]);
		else
			append_record(merged, edit, leaf->leaf, off);
	}
	for (; next < count; next++)
		append_change(merged, &changes[next]);
}

/* Whether the first change that adds comes after all that is there. */
static bool adds_at_end(const struct edit *edit, const struct leaf_edit *leaf,
	const struct change *changes)
{
	const unsigned char *order = (const unsigned char *)leaf->view.order;

	return leaf->count == 0 ||
		bytes_compare(record_key(tree_node(edit->table,
				      leaf->leaf->words[order[leaf->count - 1]])),
			changes[0].key) < 0;
}

static int apply_in_new_leaves(struct edit *edit, const struct range *range, struct leaf_edit *leaf,
	const struct change *changes, size_t count)
{
	struct items merged = { .at_end = adds_at_end(edit, leaf, changes) };
	size_t first_piece = edit->piece_count;
	int error;

	merged.list = malloc((leaf->count + count) * sizeof(*merged.list));
	if (merged.list == NULL)
		return ENOMEM;
	merge(edit, leaf, changes, count, &merged);
	error = make_leaves(edit, range, &merged);
	if (error == 0)
		error = replace_leaf(edit, range, first_piece, changes[0].key);
	free(merged.list);
	return error;
}

/* Whether one leaf, of the same size, has room for what counts and the changes, and for some more. */
static bool is_worth_renewing(const struct leaf_edit *leaf, struct need need)
{
	size_t count = leaf->count + need.slots;
	size_t text_bytes = leaf_edit_text_bytes(leaf) + need.text_bytes;

	return count <= leaf->leaf->slots && text_bytes <= leaf->leaf->text_bytes &&
		leaf_fits_well(count, count * LEAF_SLOT_BYTES + text_bytes);
}

/* As in new leaves, and the slots stay as they are. */
static int apply_in_renewed_leaf(struct edit *edit, const struct range *range,
	const struct leaf_edit *leaf, const struct change *changes, size_t count)
{
	size_t first_piece = edit->piece_count;
	sh_off node = sh_txn_alloc(edit->txn, leaf_bytes(leaf->leaf), 0);
	struct leaf_edit renewed;
	int error;

	if (node == 0)
		return errno;
	leaf_renew(tree_node(edit->table, node), leaf);
	leaf_edit_begin(&renewed, tree_node(edit->table, node), edit->table->base);
	error = apply_in_place(&renewed, changes, count, NULL);
	if (error == 0)
		error = add_piece(edit, node, range->low);
	return error == 0 ? replace_leaf(edit, range, first_piece, changes[0].key) : error;
}

static int apply_to_leaf(struct edit *edit, const struct range *range, struct change *changes,
	size_t count)
{
	struct leaf_edit leaf;
	struct need need;
	int error;

	leaf_edit_begin(&leaf, range->leaf, edit->table->base);
	error = find_keys(&leaf, changes, count, &need);
	if (error == 0)
		error = free_blocks(&leaf, changes, count, edit->txn);
	if (error != 0)
		return error;
	if (has_room(&leaf, need))
		return apply_in_place(&leaf, changes, count, edit->txn);
	if (is_worth_renewing(&leaf, need))
		return apply_in_renewed_leaf(edit, range, &leaf, changes, count);
	return apply_in_new_leaves(edit, range, &leaf, changes, count);
}

/* --- nodes above --------------------------------------------------------------------------- */

/* Children of a node that is to be made. Process. */
struct children {
	unsigned count;
	struct piece *list;
};

static int children_begin(struct children *children, size_t capacity)
{
	children->count = 0;
	children->list = malloc(capacity * sizeof(*children->list));
	return children->list == NULL ? ENOMEM : 0;
}

static void append(struct children *children, sh_off node, struct kv_bytes low)
{
	children->list[children->count++] = (struct piece){ node, low };
}

/* Where a child's keys begin; nothing is said of the first one's. */
static struct kv_bytes low_of(const struct inner *inner, unsigned i)
{
	return i == 0 ? (struct kv_bytes){ NULL, 0 } : inner_separator(inner, i - 1);
}

/* Appends children [from, to) of a node. */
static void append_old(struct children *children, const struct inner *inner, unsigned from,
	unsigned to)
{
	for (unsigned i = from; i < to; i++)
		append(children, inner_child(inner, i), low_of(inner, i));
}

/* Makes a node of this level of these children, or several. */
static int make_inner(struct edit *edit, unsigned level, const struct children *children)
{
	size_t parts = parts_of(children->count, INNER_CHILDREN, INNER_FILL);
	int error = 0;

	for (size_t i = 0; i < parts && error == 0; i++) {
		size_t begin = part_begin(children->count, parts, i);
		unsigned count = (unsigned)(part_begin(children->count, parts, i + 1) - begin);
		const struct piece *list = children->list + begin;
		sh_off node = sh_txn_alloc(edit->txn, inner_bytes(list, count), 0);

		if (node == 0)
			return errno;
		inner_fill(tree_node(edit->table, node), level, list, count);
		error = add_piece(edit, node, list->low);
	}
	return error;
}

static int retire_inner(struct edit *edit, struct inner *inner)
{
	int error = sh_txn_store(edit->txn, &inner->retired, 1);

	return error != 0 ? error : sh_txn_free(edit->txn, offset_of(edit, inner), SH_DEFERRED);
}

/* The children of a node after these swaps. */
static int swap_children(const struct edit *edit, const struct inner *inner,
	const struct swap *swaps, size_t count, struct children *children)
{
	size_t capacity = inner->count + 1u;
	unsigned at = 0;

	for (size_t i = 0; i < count; i++)
		capacity += swaps[i].pieces;
	if (children_begin(children, capacity) != 0)
		return ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const struct piece *piece = edit->pieces + swaps[i].first_piece;

		append_old(children, inner, at, swaps[i].index);
		append(children, piece->node, low_of(inner, swaps[i].index));
		for (size_t k = 1; k < swaps[i].pieces; k++)
			append(children, piece[k].node, piece[k].low);
		at = swaps[i].index + swaps[i].removed;
	}
	append_old(children, inner, at, inner->count + 1u);
	return 0;
}

/* Makes what takes a node's place, with these children. A root with one child gives way to that. */
static int make_successors(struct edit *edit, const struct inner *inner,
	const struct children *children, struct swap *swap)
{
	bool is_root = edit->table->block->root == swap->old;
	int error;

	swap->first_piece = edit->piece_count;
	if (is_root && children->count == 1 && inner->level > 1)
		error = add_piece(edit, children->list[0].node, (struct kv_bytes){ NULL, 0 });
	else
		error = make_inner(edit, inner->level, children);
	swap->pieces = edit->piece_count - swap->first_piece;
	swap->few = !is_root && children->count < INNER_FEW;
	return error;
}

/* Has other nodes take the place of one that is locked, to which the key leads, and in which the swaps from `first`
 * on are made. */
static int replace_inner(struct edit *edit, struct inner *inner, struct kv_bytes key, size_t first,
	size_t count)
{
	struct swap swap = {
		.key = key,
		.old = offset_of(edit, inner),
		.removed = 1,
	};
	struct children children;
	int error = swap_children(edit, inner, edit->swaps + first, count, &children);

	if (error != 0)
		return error;
	error = make_successors(edit, inner, &children, &swap);
	free(children.list);
	if (error == 0)
		error = add_swap(edit, swap);
	return error == 0 ? retire_inner(edit, inner) : error;
}

/* Has one node take another's place, by a store to the node above. */
static int replace_child(struct edit *edit, struct inner *inner, const struct swap *swap)
{
	return sh_txn_store(edit->txn, &inner_children(inner)[swap->index],
		edit->pieces[swap->first_piece].node);
}

/* Has a node take the root's place, above all pieces if there are several. */
static int replace_root(struct edit *edit, unsigned level, struct swap swap)
{
	while (swap.pieces > 1) {
		struct children children;
		int error = children_begin(&children, swap.pieces);

		if (error != 0)
			return error;
		for (size_t i = 0; i < swap.pieces; i++)
			append(&children, edit->pieces[swap.first_piece + i].node,
				edit->pieces[swap.first_piece + i].low);
		swap.first_piece = edit->piece_count;
		error = make_inner(edit, level++, &children);
		swap.pieces = edit->piece_count - swap.first_piece;
		free(children.list);
		if (error != 0)
			return error;
	}
	return sh_txn_store(edit->txn, &edit->table->block->root,
		edit->pieces[swap.first_piece].node);
}

/* --- neighbours that are joined ------------------------------------------------------------ */

/* The children of both, the left one's first. */
static int both_children(const struct inner *left, const struct inner *right,
	struct kv_bytes between, struct children *children)
{
	if (children_begin(children, left->count + right->count + 2u) != 0)
		return ENOMEM;
	append_old(children, left, 0, left->count + 1u);
	append(children, inner_child(right, 0), between);
	append_old(children, right, 1, right->count + 1u);
	return 0;
}

/* Makes one node of the swap's piece and of child `other` of the node above, its neighbour. */
static int join_inner_with(struct edit *edit, const struct inner *above, struct swap *swap,
	unsigned other)
{
	struct inner *sibling = tree_node(edit->table, inner_child(above, other));
	sh_off node = edit->pieces[swap->first_piece].node;
	struct inner *own = tree_node(edit->table, node);
	unsigned left = other < swap->index ? other : swap->index;
	struct children children;
	int error = both_children(left == other ? sibling : own, left == other ? own : sibling,
		inner_separator(above, left), &children);

	if (error != 0)
		return error;
	swap->first_piece = edit->piece_count;
	error = make_inner(edit, own->level, &children);
	swap->pieces = edit->piece_count - swap->first_piece;
	free(children.list);
	if (error == 0)
		error = sh_txn_free(edit->txn, node, 0);
	if (error == 0)
		error = retire_inner(edit, sibling);
	swap->index = left;
	swap->removed = 2;
	return error;
}

static unsigned neighbour_of(const struct inner *above, unsigned index)
{
	return index < above->count ? index + 1 : index - 1;
}

/* Joins the swap's piece, an inner node with few children, with a neighbour, if that is free and both fit. What has
 * only one gets some of a larger neighbour's. */
static int join_inner(struct edit *edit, const struct inner *above, struct swap *swap)
{
	const struct inner *own = tree_node(edit->table, edit->pieces[swap->first_piece].node);
	struct inner *sibling;
	int error;

	if (above->count == 0)
		return 0;
	sibling = tree_node(edit->table, inner_child(above, neighbour_of(above, swap->index)));
	if (own->count > 0 && own->count + sibling->count + 2u > INNER_JOINED)
		return 0;
	error = locks_try(&edit->locks, &sibling->mutex);
	/* EDEADLK: this edit has changed the neighbour, too, which only the commit stores there. */
	if (error != 0)
		return error == EBUSY || error == EDEADLK ? 0 : error;
	return join_inner_with(edit, above, swap, neighbour_of(above, swap->index));
}

/* --- from level to level ------------------------------------------------------------------- */

static int swap_together(struct edit *edit, struct inner *inner, size_t first, size_t count)
{
	/* One child that should have been joined: it takes a neighbour of the node above. */
	bool one_for_one = inner->count > 0 || !edit->swaps[first].few;
	int error = 0;

	for (size_t i = first; i < first + count; i++)
		one_for_one &= edit->swaps[i].removed == 1 && edit->swaps[i].pieces == 1;
	if (!one_for_one)
		return replace_inner(edit, inner, edit->swaps[first].key, first, count);
	for (size_t i = first; i < first + count && error == 0; i++)
		error = replace_child(edit, inner, &edit->swaps[i]);
	return error;
}

/* Makes the swaps from `first` on, `count` at most, that belong to one node of this level; *done is how many. */
static int swap_in_holder(struct edit *edit, unsigned level, size_t first, size_t count,
	size_t *done)
{
	struct swap *swap = &edit->swaps[first];
	struct holder holder;
	int error =
		tree_lock_holder(edit->table, &edit->locks, level, swap->key, swap->old, &holder);

	*done = 1;
	if (error != 0)
		return error;
	if (holder.inner == NULL)
		return replace_root(edit, level, *swap);
	swap->index = holder.index;
	if (count == 1 && swap->few)
		error = join_inner(edit, holder.inner, swap);
	if (error != 0)
		return error;
	for (; *done < count; (*done)++) {
		struct swap *other = &swap[*done];

		other->index = inner_search(holder.inner, other->key);
		if (inner_child(holder.inner, other->index) != other->old)
			break;
	}
	return swap_together(edit, holder.inner, first, *done);
}

/* Makes the swaps from `first_swap` on, and what follows from them at the levels above. */
static int raise_swaps(struct edit *edit, unsigned level, size_t first)
{
	while (first < edit->swap_count) {
		size_t end = edit->swap_count, done;

		for (; first < end; first += done) {
			int error = swap_in_holder(edit, level, first, end - first, &done);

			if (error != 0)
				return error;
		}
		level++;
	}
	return 0;
}

/* --- from leaf to leaf --------------------------------------------------------------------- */

/* How many leaves ahead of the work the tree is searched, so that what it will touch is in the cache by then:
 * first the leaf, then the entries. */
#define LEAVES_AHEAD 8u
#define ENTRIES_AHEAD 4u

/* Changes that go to one leaf, as it was when the tree was searched. */
struct group {
	struct range range;
	struct change *changes;
	size_t count;
};

/* The groups of a list of changes; a ring of those that are next. Stack. */
struct groups {
	struct change *changes; /* in no group yet */
	size_t count;
	unsigned first;
	unsigned end;
	struct group ring[LEAVES_AHEAD];
};

static void next_group(struct groups *groups, const struct kv_table *table)
{
	struct group *group = &groups->ring[groups->end++ % LEAVES_AHEAD];

	*group = (struct group){ tree_range(table, groups->changes->key), groups->changes, 1 };
	if (group->range.leaf != NULL)
		tree_prefetch_leaf(group->range.leaf);
	while (group->count < groups->count &&
		(group->range.high.data == NULL ||
			bytes_compare(group->changes[group->count].key, group->range.high) < 0))
		group->count++;
	groups->changes += group->count;
	groups->count -= group->count;
}

static void prefetch_entries(const struct groups *groups, const char *base)
{
	const struct group *group = &groups->ring[(groups->first + ENTRIES_AHEAD) % LEAVES_AHEAD];

	if (groups->end - groups->first <= ENTRIES_AHEAD || group->range.leaf == NULL)
		return;
	leaf_prefetch(group->range.leaf, group->changes->key, base);
	leaf_prefetch_text(group->range.leaf);
}

/* The leaf of this group was replaced: by some with fewer keys, or by one that has a neighbour's, too. What belongs to
 * the one that is locked now is the group, and what was searched ahead is searched again. */
static void group_again(struct groups *groups, struct group *group)
{
	size_t left = (size_t)(groups->changes - group->changes) + groups->count, count = 1;

	while (count < left &&
		(group->range.high.data == NULL ||
			bytes_compare(group->changes[count].key, group->range.high) < 0))
		count++;
	group->count = count;
	groups->changes = group->changes + count;
	groups->count = left - count;
	groups->end = groups->first + 1;
}

static int apply_group(struct edit *edit, struct groups *groups, struct group *group)
{
	int error;

	if (group->range.leaf == NULL)
		return KV_EDROPPED;
	error = locks_take(&edit->locks, &group->range.leaf->mutex);
	if (error == 0 && (leaf_load(group->range.leaf) & LEAF_RETIRED) != 0) {
		locks_drop(&edit->locks);
		error = tree_lock_leaf(edit->table, &edit->locks, group->changes->key,
			&group->range);
		if (error == 0)
			group_again(groups, group);
	}
	return error != 0 ? error
			  : apply_to_leaf(edit, &group->range, group->changes, group->count);
}

int edit_apply(struct edit *edit, struct kv_table *table, struct change *changes, size_t count)
{
	struct groups groups = { .changes = changes, .count = count };
	size_t first_swap = edit->swap_count;

	edit->table = table;
	while (groups.count > 0 || groups.first != groups.end) {
		int error;

		while (groups.count > 0 && groups.end - groups.first < LEAVES_AHEAD)
			next_group(&groups, table);
		prefetch_entries(&groups, table->base);
		error = apply_group(edit, &groups, &groups.ring[groups.first % LEAVES_AHEAD]);
		if (error != 0)
			return error;
		groups.first++;
	}
	return raise_swaps(edit, 1, first_swap);
}

/* --- joining leaves ------------------------------------------------------------------------ */

/* The entries of a locked leaf, in order, behind those that are there. */
static void append_all(struct items *items, const struct edit *edit, const struct leaf *leaf)
{
	struct leaf_copy copy;

	leaf_read(leaf, edit->table->base, &copy);
	for (unsigned i = 0; i < copy.count; i++)
		append_record(items, edit, leaf, offset_of(edit, copy.records[i]));
}

/* Whether so many entries are worth a leaf. What is empty is given up in any case. */
static bool are_worth_joining(const struct items *items, size_t left_count)
{
	return left_count == 0 || left_count == items->count ||
		(items->count <= LEAF_FILL && items->bytes <= LEAF_FILL_BYTES);
}

/* Makes one leaf of two that are locked, and puts it into the node above, which is, too. */
static int join_leaves(struct edit *edit, struct inner *above, unsigned index, struct range left,
	struct range right)
{
	struct leaf_item list[2 * LEAF_SLOTS];
	struct items items = { .list = list };
	struct swap swap = { .key = right.low,
		.old = offset_of(edit, left.leaf),
		.removed = 2,
		.index = index,
		.first_piece = edit->piece_count,
		.pieces = 1 };
	size_t first_swap = edit->swap_count, left_count;
	int error;

	append_all(&items, edit, left.leaf);
	left_count = items.count;
	append_all(&items, edit, right.leaf);
	if (!are_worth_joining(&items, left_count))
		return 0;
	error = make_leaf(edit, left.low, right.high, &items);
	if (error == 0)
		error = retire_leaf(edit, left.leaf);
	if (error == 0)
		error = retire_leaf(edit, right.leaf);
	if (error == 0)
		error = add_swap(edit, swap);
	if (error == 0)
		error = replace_inner(edit, above, swap.key, first_swap, 1);
	return error == 0 ? raise_swaps(edit, 2, first_swap + 1) : error;
}

static int join_with_neighbour(struct edit *edit, const struct holder *holder, struct range range)
{
	unsigned other = neighbour_of(holder->inner, holder->index);
	bool is_left = other < holder->index;
	struct range sibling = is_left ? tree_range_below(edit->table, range.low)
				       : tree_range(edit->table, range.high);
	int error;

	if (sibling.leaf == NULL)
		return KV_EDROPPED;
	error = locks_try(&edit->locks, &sibling.leaf->mutex);
	if (error != 0)
		return error == EBUSY ? 0 : error;
	if (inner_child(holder->inner, other) != offset_of(edit, sibling.leaf))
		return 0;
	return join_leaves(edit, holder->inner, is_left ? other : holder->index,
		is_left ? sibling : range, is_left ? range : sibling);
}

/* The leaf has no neighbour in its node: the node is joined with one of its own. */
static int join_only_child(struct edit *edit, const struct holder *holder, struct kv_bytes key)
{
	size_t first_swap = edit->swap_count;
	int error;

	if (edit->table->block->root == offset_of(edit, holder->inner))
		return 0;
	error = replace_inner(edit, holder->inner, key, first_swap, 0);
	return error == 0 ? raise_swaps(edit, 2, first_swap) : error;
}

int edit_join(struct edit *edit, struct kv_table *table, struct kv_bytes key)
{
	struct holder holder;
	struct range range;
	int error;

	edit->table = table;
	error = tree_lock_leaf(table, &edit->locks, key, &range);
	if (error != 0 || !leaf_is_few(range.leaf, leaf_count(leaf_load(range.leaf))))
		return error;
	error = tree_lock_holder(table, &edit->locks, 1, key, offset_of(edit, range.leaf), &holder);
	if (error != 0 || holder.inner == NULL)
		return error;
	if (holder.inner->count > 0)
		return join_with_neighbour(edit, &holder, range);
	return join_only_child(edit, &holder, key);
}
