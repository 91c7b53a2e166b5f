/* toy_copy.c -- a record that a death tears, and one that it does not
 * SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "stress/model/toy.h"

void toy_record_overwrite(struct toy_records *records, unsigned char fill)
{
	unsigned char record[TOY_RECORD_BYTES];

	memset(record, fill, sizeof record);
	memcpy(records->records[0], record, sizeof record);
}

/* Crash: before the store to `chosen` the old record is current, after it the new one. */
void toy_record_switch(struct toy_records *records, unsigned char fill)
{
	unsigned char record[TOY_RECORD_BYTES];
	uint64_t other = !atomic_load(&records->chosen);

	memset(record, fill, sizeof record);
	memcpy(records->records[other], record, sizeof record);
	atomic_store_explicit(&records->chosen, other, memory_order_release);
}

bool toy_record_is_whole(const struct toy_records *records)
{
	const unsigned char *record = records->records[atomic_load(&records->chosen)];

	for (size_t i = 1; i < TOY_RECORD_BYTES; i++)
		if (record[i] != record[0])
			return false;
	return true;
}
