/* memory.h -- the tracked memory of a model: who uses which word, undo, fingerprints
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Invariant, whenever nothing is pending: digest = sum over all words of
 * fingerprint(word, content) - fingerprint(word, content at memory_begin()). */
#ifndef MODEL_MEMORY_H
#define MODEL_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stress/model/explorer.h"
#include "stress/model/fingerprint.h"

#define MEMORY_REGION_LIMIT 64

/* Of a process p: its own uses of a word, and those of others while p is active. */
enum memory_use {
	MEMORY_LOADS,
	MEMORY_STORES,
	MEMORY_OTHERS_LOAD,
	MEMORY_OTHERS_STORE,
	MEMORY_USES,
};

/* Process. A word of 8 bytes. Of each use of each process: bit 15 says that there was one, bit i that
 * lock i was not held during one.
 *
 * Bit p of `conflicts`: p uses the word, another one may at the same time, one of the two stores, and
 * no lock that both always hold keeps them apart. */
struct memory_word {
	uint16_t uses[EXPLORER_PROCESS_LIMIT][MEMORY_USES];
	uint8_t conflicts;
	bool logged; /* will_write was told of it */
};

/* Process. */
struct memory_region {
	const char *name;
	unsigned char *base;
	size_t bytes;
	enum explorer_kind kind;
	unsigned char *image; /* content at memory_begin() */
	struct memory_word *words;
};

/* Process. One fingerprint for each kind of memory. */
struct memory_digest {
	struct fingerprint kinds[EXPLORER_KINDS];
};

void memory_track(const char *name, void *base, size_t bytes, enum explorer_kind kind);
void memory_untrack_all(void);

/* memory_begin() takes the present content as the image that all regions start from, and forgets
 * who uses which word; memory_end() releases what begin took. */
void memory_begin(void);
void memory_end(void);

/* NULL: the address is not tracked. Runs on the stacks of processes, where what it leaves behind
 * must not depend on earlier calls. */
struct memory_region *memory_find(const void *address);

/* The last region that ends at or below the address; NULL: none. */
const struct memory_region *memory_before(const void *address);

/* Notes that the process, holding the locks of the mask, loads or stores there while the processes
 * of the mask are active (README.md says who is). True: a word of it was in no conflict for some
 * process, and is. */
bool memory_note(struct memory_region *region, const void *address, size_t bytes, unsigned process,
	bool stores, unsigned active, unsigned locks);

/* Whether others may use a word of it, against the process's access, while the process is
 * active. */
bool memory_is_conflict(const struct memory_region *region, const void *address, size_t bytes,
	unsigned process);

/* Makes the words conflicts for everybody, whoever uses them. */
void memory_set_conflict(struct memory_region *region, const void *address, size_t bytes);

/* Words that are in conflict for some process. */
size_t memory_conflict_count(void);

/* Before a store: files the words' content for undo and leaves them pending. After it, at the
 * latest before the next will_write: settle brings the digest up to date. */
void memory_will_write(struct memory_region *region, const void *address, size_t bytes);
void memory_settle(void);

/* Sum over the kinds in the mask (1 << kind). Nothing may be pending. */
struct fingerprint memory_fingerprint(unsigned kinds);
struct memory_digest memory_digest(void);

/* A place in the history of stores. Rollback takes all later stores back; digest is what
 * memory_digest() returned there. */
size_t memory_mark(void);
void memory_rollback(size_t mark, const struct memory_digest *digest);

/* Finds a store that came past the hooks: compares all words with the digest. Returns NULL, or a
 * text that names the place. Nothing may be pending. */
const char *memory_verify(void);

#endif
