/* field.h -- what stands at an offset of the heap file
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef CRASHLOG_FIELD_H
#define CRASHLOG_FIELD_H

#include "heap/heap.h"

enum field {
	FIELD_DATA, /* pages of data */
	FIELD_SUPERBLOCK,
	FIELD_RUNNING,
	FIELD_DIRECTORY,
	FIELD_ROOT,
	FIELD_LOG_WORD,
	FIELD_APPLYING,
	FIELD_INTENT,
	FIELD_EXTENSION,
	FIELD_ENTRY,
	FIELD_STAMP, /* of an arena: the incarnation */
	FIELD_HEAD,
	FIELD_MANUAL_HEAD,
	FIELD_RECORD, /* pages, class, purpose, generation */
	FIELD_HOT,
	FIELD_BYTES,
	FIELD_ALLOCATED,
	FIELD_FREED,
	FIELD_LIMBO,
	FIELD_TABLE,
	FIELD_OTHER,
	FIELD_CONTROL, /* of the control file */
	FIELDS,
};

enum field field_at(const struct heap *heap, uint64_t offset);
const char *field_name(enum field field);

/* Whether an opener takes no notice of what stands there, or only of the whole superblock's. */
static inline bool field_is_volatile(enum field field)
{
	return field == FIELD_SUPERBLOCK || field == FIELD_STAMP || field == FIELD_HOT;
}

#endif
