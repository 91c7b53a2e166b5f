/* ledger.c -- what must be in the table, kept outside of the heap
 * SPDX-License-Identifier: BSD-3-Clause */
#include "ledger.h"

#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { DELETE_ONE_IN = 8, ACCUSATIONS_SHOWN = 10 };

struct ledger *ledger_map(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		fail("%s: %s", path, strerror(errno));
	void *ledger = mmap(NULL, sizeof(struct ledger), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ledger == MAP_FAILED)
		fail("mapping %s: %s", path, strerror(errno));
	close(fd);
	return ledger;
}

void ledger_create(const char *path, unsigned writers)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, sizeof(struct ledger)) != 0)
		fail("%s: %s", path, strerror(errno));
	close(fd);
	ledger_map(path)->keys = (uint64_t)writers * RANGE_KEYS;
}

uint64_t ledger_choose(struct chance *chance, uint64_t range)
{
	uint64_t keys = chance_one_in(chance, 2) ? HOT_KEYS : RANGE_KEYS;

	return range * RANGE_KEYS + chance_below(chance, keys);
}

bool ledger_deletes(uint64_t key, uint64_t number)
{
	return number == 0 || chance_mix(key << 40 ^ number) % DELETE_ONE_IN == 0;
}

uint64_t ledger_next_delete(uint64_t key, uint64_t number)
{
	while (!ledger_deletes(key, number))
		number++;
	return number;
}

/* release: who finds the new value also finds that it was begun. */
void ledger_begin(struct ledger *ledger, uint64_t key, uint64_t number)
{
	__atomic_store_n(&ledger->key[key].begun, number, __ATOMIC_RELEASE);
}

/* release: who finds it acknowledged also finds the new value. */
void ledger_acknowledge(struct ledger *ledger, uint64_t key, uint64_t number)
{
	__atomic_store_n(&ledger->key[key].acknowledged, number, __ATOMIC_RELEASE);
}

uint64_t ledger_acknowledged(const struct ledger *ledger, uint64_t key)
{
	return __atomic_load_n(&ledger->key[key].acknowledged, __ATOMIC_ACQUIRE);
}

enum wrong ledger_judge(const struct ledger *ledger, uint64_t key, uint64_t acknowledged,
	uint64_t found)
{
	/* Loads of the lookup come before this one. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	uint64_t begun = __atomic_load_n(&ledger->key[key].begun, __ATOMIC_RELAXED);

	if (found == 0)
		return ledger_next_delete(key, acknowledged) <= begun ? RIGHT : WRONG_MISSING;
	if (found < acknowledged)
		return WRONG_OLD;
	return found > begun ? WRONG_NEW : RIGHT;
}

void ledger_accuse(struct ledger *ledger, enum wrong wrong, uint64_t key)
{
	__atomic_fetch_add(&ledger->wrong[wrong], 1, __ATOMIC_RELAXED);
	if (ledger_wrong(ledger) <= ACCUSATIONS_SHOWN) {
		printf("  WRONG: key %" PRIu64 ": %s\n", key, ledger_wrong_name(wrong));
		fflush(stdout);
	}
}

uint64_t ledger_wrong(const struct ledger *ledger)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < WRONG_KINDS; i++)
		sum += __atomic_load_n(&ledger->wrong[i], __ATOMIC_RELAXED);
	return sum;
}

const char *ledger_wrong_name(enum wrong wrong)
{
	static const char *const name[WRONG_KINDS] = {
		[RIGHT] = "right",
		[WRONG_CHECKSUM] = "a wrong checksum",
		[WRONG_KEY] = "an entry of another bucket",
		[WRONG_POISON] = "poison",
		[WRONG_LINK] = "a link that leads nowhere",
		[WRONG_CHANGED] = "changed while it was held",
		[WRONG_OLD] = "older than acknowledged",
		[WRONG_NEW] = "newer than begun",
		[WRONG_MISSING] = "missing",
	};

	return name[wrong];
}

void ledger_note_settled(struct ledger *ledger, const struct sh_reap_report *report)
{
	__atomic_fetch_add(&ledger->settled.back, report->rolled_back, __ATOMIC_RELAXED);
	__atomic_fetch_add(&ledger->settled.forward, report->rolled_forward, __ATOMIC_RELAXED);
}

void ledger_note_opening(struct ledger *ledger, struct sh_heap *heap)
{
	struct sh_reap_report report;

	must(sh_recovery_report(heap, &report, NULL), "sh_recovery_report");
	ledger_note_settled(ledger, &report);
}
