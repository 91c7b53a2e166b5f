/* audit.c -- the whole heap against the ledger, while nobody writes
 * SPDX-License-Identifier: BSD-3-Clause */
#include "audit.h"

#include "memory.h"
#include "process.h"

#include <inttypes.h>
#include <stdio.h>

static int problem_show(const struct sh_problem *problem, void *argument)
{
	(void)argument;
	printf("  WRONG: sh_check at %" PRIu64 ": %s\n", problem->off, problem->text);
	return 0;
}

void audit_check(struct audit *audit, struct sh_heap *heap)
{
	uint64_t problems;

	must(sh_check(heap, 0, problem_show, NULL, &problems), "sh_check");
	audit->problems += problems;
}

static enum wrong key_audit(const struct table *table, const struct ledger *ledger, uint64_t key)
{
	enum wrong wrong;
	const struct entry *entry = table_find(table, key, &wrong);

	if (wrong == RIGHT && entry != NULL)
		wrong = table_examine(entry);
	if (wrong != RIGHT)
		return wrong;
	return ledger_judge(ledger, key, ledger_acknowledged(ledger, key),
		entry == NULL ? 0 : entry->number);
}

/* Nobody writes, so this needs no read section. */
static void keys_audit(struct audit *audit, const struct table *table, const struct ledger *ledger)
{
	for (uint64_t key = 0; key < ledger->keys; key++) {
		enum wrong wrong = key_audit(table, ledger, key);
		audit->keys++;
		if (wrong == RIGHT)
			continue;
		audit->keys_wrong++;
		printf("  WRONG: key %" PRIu64 ": %s\n", key, ledger_wrong_name(wrong));
	}
}

/* Every block was allocated, linked, unlinked and freed in one step with what it was done for. */
static void blocks_audit(struct audit *audit, const struct table *table)
{
	uint64_t expected = table_count_blocks(table);
	uint64_t live = memory_count_blocks(table->heap);

	if (live == expected)
		return;
	printf("  WRONG: %" PRIu64 " blocks are live, and the table consists of %" PRIu64 "\n",
		live, expected);
	audit->blocks_wrong += live > expected ? live - expected : expected - live;
}

void audit_all(struct audit *audit, const struct table *table, const struct ledger *ledger)
{
	audit->audits++;
	keys_audit(audit, table, ledger);
	blocks_audit(audit, table);
	audit_check(audit, table->heap);
}
