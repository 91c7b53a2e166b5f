/* engines.c -- which engines this program was built with
 * SPDX-License-Identifier: BSD-3-Clause */
#include "engine.h"
#include "table.h"

/* In the order of the tables: the reference first. */
static const struct engine *const libraries[] = {
#ifdef KV_LMDB
	lmdb_engines,
#endif
	spankv_engines,
#ifdef KV_SQLITE
	sqlite_engines,
#endif
#ifdef KV_ROCKSDB
	rocksdb_engines,
#endif
	NULL,
};

const struct engine *engine_number(unsigned index)
{
	for (const struct engine *const *library = libraries; *library != NULL; library++)
		for (const struct engine *engine = *library; engine->name != NULL; engine++)
			if (index-- == 0)
				return engine;
	return NULL;
}

void engines_note_missing(void)
{
#ifndef KV_LMDB
	note("SKIPPED: LMDB was not built, and nothing is compared with it; ./dev deps installs "
	     "liblmdb-dev");
#endif
#ifndef KV_SQLITE
	note("SKIPPED: SQLite was not built; ./dev deps installs libsqlite3-dev");
#endif
#ifndef KV_ROCKSDB
	note("SKIPPED: RocksDB was not built; ./dev deps installs librocksdb-dev");
#endif
}
