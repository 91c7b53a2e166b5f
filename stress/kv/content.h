/* content.h -- keys and values: what each says of itself
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KV_STRESS_CONTENT_H
#define KV_STRESS_CONTENT_H

#include "stress/kv/shared.h"

#define KEY_BYTES 96u
#define VALUE_BYTES (8u << 10)

/* Numbers of what is no place: values of these are never empty. */
#define ID_GROUP UINT64_C(0x100000000)
#define ID_LOCK UINT64_C(0x200000000)
#define ID_SCAN UINT64_C(0x300000000)
#define ID_TEMPORARY UINT64_C(0x400000000)
#define ID_HISTORY UINT64_C(0x500000000)

/* A name, from printf(3). In `text`, of KEY_BYTES. */
__attribute__((format(printf, 2, 3))) struct kv_bytes key_text(char *text, const char *format, ...);

/* The key of a place: some in order of their numbers, some in none, some long, some binary. */
struct kv_bytes key_of_place(char *text, uint32_t place);

/* The table of a place: 0 and 1: those that all write to; 2 + w: writer w's own. And who writes there. */
unsigned table_of_place(uint32_t place);
unsigned owner_of_place(uint32_t place);

/* The name of such a table. */
struct kv_bytes table_name(char *text, unsigned table);

/* The value of a version: nothing, or id, version, and bytes that follow from both: some hundred, which a leaf
 * has in its text, or more. In `bytes`, of VALUE_BYTES. */
struct kv_bytes value_of(void *bytes, uint64_t id, uint64_t version);

/* Whether this is a value of the id as a whole; then *version is which, 0: an empty one, of any. */
bool value_read(struct kv_bytes value, uint64_t id, uint64_t *version);

/* The same, whatever its id is. */
bool value_holds(struct kv_bytes value, uint64_t *id, uint64_t *version);

/* Whether a version's value is empty. */
bool value_is_empty(uint64_t id, uint64_t version);

#endif
