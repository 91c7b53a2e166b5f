/* content.h -- a store's file, put aside and back; what a store shows
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KV_DEATH_CONTENT_H
#define KV_DEATH_CONTENT_H

#include "examples/kv/kv.h"

/* Process. A file's bytes. */
struct content {
	char *bytes;
	size_t size;
};
struct content content_read(const char *path);
void content_free(struct content *content);

/* Makes the file what it was. Nobody has it open. */
void content_put_back(const struct content *content, const char *path);

/* A hash of all tables, keys and values, as cursors show them; each key is looked up, too. */
uint64_t content_shown(struct kv *store);

/* Fails unless kv_check() and sh_check() find nothing. */
void content_expect_good(struct kv *store);

#endif
