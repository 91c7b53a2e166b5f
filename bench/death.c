/* death.c -- how long a death blocks those who live
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Two processes work on one heap without a pause. One of them, the victim, is killed by SIGKILL at a
 * random moment; the survivor times each of its steps. What counts is the longest step of the
 * survivor that ended after the kill and before 30 ms had passed since the victim was gone. The rows
 * "nobody dies" show the longest step in such a window without a death: what the scheduler does.
 *
 *	mutex     a step locks one sh_mutex, replaces a block in a transaction and unlocks
 *	internal  a step replaces a block of 4 to 32 KiB in one step, without a mutex: both meet at
 *	          the page lock
 *	LMDB      a step is a write transaction of one record, under LMDB's robust mutex
 *	Boost     a step locks an interprocess_mutex, allocates and frees a block and unlocks; the
 *	          survivor waits for 200 ms at most
 *
 * Every victim has read all pages of the heap: its page tables are full, and tearing them down takes
 * the kernel long. */
#define _GNU_SOURCE
#include "peer.h"
#include "subjects.h"

#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define DEATHS_MAX 1000u
#define BALLAST_BYTES (64 * KIB)
#define BALLAST_MAX (8 * GIB / BALLAST_BYTES)
#define WORDS 64u
#define SETS 16u
#define WINDOW_NS UINT64_C(30000000)
#define HANG_NS UINT64_C(5000000000)
#define KERNEL_PAGE_BYTES 4096u
#define BOOST_WAIT_MS 200u
#define VALUE_BYTES 1000u

enum role { SURVIVOR, VICTIM, ROLES };

/* In the heap: what the steps work on. Nobody may touch a word that a dead process was about to change
 * before that one was cleaned up after. Each process does that when it starts; should another one
 * be at it in that moment, the victims' sets of words come round again long after. Words under the
 * mutex need no such care. */
struct board {
	struct sh_mutex mutex;
	sh_off shared_words[WORDS];
	sh_off survivor_words[WORDS];
	sh_off victim_words[SETS][WORDS];
};

/* Shared mapping. */
struct shared {
	sh_off board;
	pid_t survivor;
	unsigned victims; /* started so far */
	uint64_t ballast_count;
	sh_off ballast[BALLAST_MAX];
	_Atomic uint64_t steps[ROLES];  /* that ended */
	_Atomic uint64_t step_start_ns; /* of the survivor's step under way */
	_Atomic uint64_t killed_ns;     /* 0: nobody was killed */
	_Atomic uint64_t longest_ns;    /* survivor's steps that ended after the kill */
	_Atomic uint64_t given_up;      /* survivor's steps that waited in vain */
};

/* Process. What a role works with. */
struct actor {
	enum role role;
	struct shared *shared;
	struct sh_heap *heap;
	struct board *board;
	sh_off *words; /* its own */
	uint64_t random;
	void *peer;
	int (*peer_put)(void *peer, uint64_t key, const void *value, size_t size);
	int (*peer_lock)(void *peer, unsigned wait_ms);
	void (*peer_unlock)(void *peer);
	uint64_t (*peer_alloc)(void *peer, size_t size);
	int (*peer_free)(void *peer, uint64_t block);
};

/* One step; false when it waited in vain. */
typedef bool step_fn(struct actor *actor);

static void expect(int error, const char *call)
{
	if (error != 0)
		die("%s: %s", call, sh_strerror(error));
}

/* --- steps ------------------------------------------------------------------------------------ */

static void replace_in_transaction(struct actor *actor, sh_off *word, size_t size)
{
	struct sh_txn *txn;

	expect(sh_txn_begin(actor->heap, 0, &txn), "sh_txn_begin");
	if (*word != 0)
		expect(sh_txn_free(txn, *word, 0), "sh_txn_free");
	sh_off block = sh_txn_alloc(txn, size, 0);

	if (block == 0)
		die("sh_txn_alloc: %s", strerror(errno));
	expect(sh_txn_store(txn, word, block), "sh_txn_store");
	expect(sh_txn_commit(txn), "sh_txn_commit");
}

static bool mutex_step(struct actor *actor)
{
	uint64_t number = random_next(&actor->random);
	int error = sh_mutex_lock(actor->heap, &actor->board->mutex);

	if (error != SH_EOWNERDIED)
		expect(error, "sh_mutex_lock");
	replace_in_transaction(actor, &actor->board->shared_words[random_below(number, WORDS)],
		random_size(number, 16, 1024));
	expect(sh_mutex_unlock(actor->heap, &actor->board->mutex), "sh_mutex_unlock");
	return true;
}

static bool internal_step(struct actor *actor)
{
	uint64_t number = random_next(&actor->random);
	sh_off *word = &actor->words[random_below(number, WORDS)];

	expect(sh_free_from(actor->heap, word), "sh_free_from");
	if (sh_alloc_to(actor->heap, word, random_size(number, 4096, 32768), 0) == 0)
		die("sh_alloc_to: %s", strerror(errno));
	return true;
}

static bool lmdb_step(struct actor *actor)
{
	static const char value[VALUE_BYTES];
	int error = actor->peer_put(actor->peer, random_below(random_next(&actor->random), 1000),
		value, sizeof(value));

	if (error != 0)
		die("LMDB: error %d", error);
	return true;
}

static bool boost_step(struct actor *actor)
{
	size_t size = random_size(random_next(&actor->random), 16, 1024);
	uint64_t block;

	if (actor->peer_lock(actor->peer, BOOST_WAIT_MS) != 0)
		return false;
	block = actor->peer_alloc(actor->peer, size);
	if (block != 0)
		actor->peer_free(actor->peer, block);
	actor->peer_unlock(actor->peer);
	return true;
}

/* --- roles ------------------------------------------------------------------------------------ */

static void note_step(struct shared *shared, uint64_t start, uint64_t end)
{
	uint64_t killed = atomic_load(&shared->killed_ns);

	if (killed == 0 || end < killed)
		return;
	if (end - start > atomic_load(&shared->longest_ns))
		atomic_store(&shared->longest_ns, end - start);
}

static _Noreturn void survive(struct actor *actor, step_fn *step)
{
	struct shared *shared = actor->shared;

	for (;;) {
		uint64_t start = now_ns();

		atomic_store(&shared->step_start_ns, start);
		if (!step(actor))
			atomic_fetch_add(&shared->given_up, 1);
		note_step(shared, start, now_ns());
		atomic_fetch_add(&shared->steps[SURVIVOR], 1);
	}
}

static _Noreturn void work_until_killed(struct actor *actor, step_fn *step)
{
	for (;;) {
		step(actor);
		atomic_fetch_add(&actor->shared->steps[VICTIM], 1);
	}
}

static void read_all_pages(const struct actor *actor)
{
	const struct shared *shared = actor->shared;

	for (uint64_t i = 0; i < shared->ballast_count; i++) {
		volatile const char *bytes = sh_ptr(actor->heap, shared->ballast[i]);

		for (size_t at = 0; at < BALLAST_BYTES; at += KERNEL_PAGE_BYTES)
			(void)bytes[at];
	}
}

/* --- a kind of heap: how to make it, open it, and what a step is ------------------------------ */

struct kind {
	const char *name;
	const char *module; /* NULL: spanheap */
	step_fn *step;
};

static const struct kind kinds[] = {
	{ "mutex", NULL, mutex_step },
	{ "internal", NULL, internal_step },
	{ "LMDB", "lmdb", lmdb_step },
	{ "Boost", "boost", boost_step },
};

static void open_actor(struct actor *actor, const struct kind *kind, const char *path)
{
	void *module;

	if (kind->module == NULL) {
		expect(sh_open(path, 0, NULL, &actor->heap), path);
		/* The parent has it open, too: to its child, sh_open() gave the handle that is there,
		 * and looked for nobody. */
		expect(sh_reap(actor->heap, NULL), "sh_reap");
		actor->board = sh_ptr(actor->heap, actor->shared->board);
		actor->words = actor->role == SURVIVOR
			? actor->board->survivor_words
			: actor->board->victim_words[actor->shared->victims % SETS];
		read_all_pages(actor);
		return;
	}
	module = peer_load(kind->module);
	actor->peer = peer_open_file(module, path, 0);
	if (strcmp(kind->module, "lmdb") == 0) {
		allocator_find(module, "peer_put", &actor->peer_put);
		return;
	}
	allocator_find(module, "peer_alloc", &actor->peer_alloc);
	allocator_find(module, "peer_free", &actor->peer_free);
	allocator_find(module, "peer_lock", &actor->peer_lock);
	allocator_find(module, "peer_unlock", &actor->peer_unlock);
}

/* Starts a process in a role, and waits for its first steps. */
static pid_t start_actor(struct shared *shared, const struct kind *kind, const char *path,
	enum role role)
{
	uint64_t before = atomic_load(&shared->steps[role]);
	pid_t child;

	shared->victims += role == VICTIM;
	child = fork_mortal();
	if (child == 0) {
		struct actor actor = { .role = role, .shared = shared, .random = SEED + role };

		open_actor(&actor, kind, path);
		if (role == SURVIVOR)
			survive(&actor, kind->step);
		work_until_killed(&actor, kind->step);
	}
	while (atomic_load(&shared->steps[role]) < before + 10) {
		if (waitpid(child, NULL, WNOHANG) != 0)
			die("a process of %s ended by itself", kind->name);
		usleep(200);
	}
	if (role == SURVIVOR)
		shared->survivor = child;
	return child;
}

static void stop_actor(pid_t child)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* Waits until the survivor has ended a step that began after the window, or for five seconds.
 * Returns its longest step. */
static uint64_t wait_for_survivor(struct shared *shared)
{
	uint64_t window_end = now_ns() + WINDOW_NS;

	usleep(WINDOW_NS / 1000);
	while (atomic_load(&shared->step_start_ns) < window_end && now_ns() < window_end + HANG_NS)
		usleep(200);
	if (atomic_load(&shared->step_start_ns) < window_end)
		return HANG_NS;
	return atomic_load(&shared->longest_ns);
}

/* One death, or a window without one. Returns the survivor's longest step. */
static uint64_t one_death(struct shared *shared, const struct kind *kind, const char *path,
	uint64_t *random, bool dies)
{
	pid_t victim = start_actor(shared, kind, path, VICTIM);
	uint64_t longest;

	usleep((useconds_t)(1000 + random_below(random_next(random), 4000)));
	atomic_store(&shared->longest_ns, 0);
	atomic_store(&shared->killed_ns, now_ns());
	if (dies)
		stop_actor(victim);
	longest = wait_for_survivor(shared);
	atomic_store(&shared->killed_ns, 0);
	if (!dies)
		stop_actor(victim);
	return longest;
}

/* --- filling ---------------------------------------------------------------------------------- */

/* The heap is held open by the caller: its end is not a death that the others must look at. */
static struct sh_heap *make_heap(struct shared *shared, const char *path, uint64_t bytes)
{
	struct sh_heap *heap;

	expect(sh_open(path, SH_CREATE | SH_EXCL, NULL, &heap), path);
	shared->board = sh_alloc_ex(heap, sizeof(struct board), 0, SH_ZERO);
	shared->ballast_count = bytes / BALLAST_BYTES;
	for (uint64_t i = 0; i < shared->ballast_count; i++) {
		shared->ballast[i] = sh_alloc(heap, BALLAST_BYTES);
		if (shared->ballast[i] == 0)
			die("the heap could not be filled: %s", strerror(errno));
	}
	return heap;
}

static void fill_store(const char *path, uint64_t bytes)
{
	void *module = peer_load("lmdb");
	/* Half of the map stays free for the copies of pages. */
	void *peer = peer_open_file(module, path, bytes * 2);
	static const char value[VALUE_BYTES];
	int (*put_many)(void *peer, uint64_t count, const void *value, size_t size);
	void (*close)(void *peer);

	allocator_find(module, "peer_put_many", &put_many);
	allocator_find(module, "peer_close", &close);
	if (put_many(peer, bytes / (VALUE_BYTES + 100), value, sizeof(value)) != 0)
		die("LMDB could not be filled");
	close(peer);
}

static void make_segment(const char *path)
{
	void *module = peer_load("boost");
	void *peer = peer_open_file(module, path, MIB);
	void (*close)(void *peer);

	allocator_find(module, "peer_close", &close);
	close(peer);
}

/* --- the table -------------------------------------------------------------------------------- */

static void print_row(struct table *table, const char *label, double *longest_us, unsigned deaths,
	unsigned hung)
{
	table_cell(table, "%s", label);
	table_cell(table, "%u", deaths);
	table_number(table, quantile(longest_us, deaths, 0.5) / 1e3);
	table_number(table, quantile(longest_us, deaths, 0.99) / 1e3);
	table_number(table, quantile(longest_us, deaths, 1) / 1e3);
	table_cell(table, "%u", hung);
}

static void measure_row(struct table *table, struct shared *shared, const struct kind *kind,
	const char *path, const char *size, unsigned deaths, bool dies)
{
	static double longest_us[DEATHS_MAX];
	char label[128];
	uint64_t random = SEED;
	unsigned hung = 0;
	pid_t survivor = start_actor(shared, kind, path, SURVIVOR);

	for (unsigned i = 0; i < deaths; i++) {
		uint64_t longest = one_death(shared, kind, path, &random, dies);

		hung += longest >= HANG_NS;
		longest_us[i] = (double)longest / 1e3;
	}
	stop_actor(survivor);
	snprintf(label, sizeof(label), "%s, %s%s", kind->name, size, dies ? "" : ", nobody dies");
	print_row(table, label, longest_us, deaths, hung);
}

static void measure_spanheap(struct table *table, struct shared *shared, const char *folder,
	uint64_t bytes, unsigned deaths)
{
	char path[PATH_BYTES];
	char size[64];
	struct sh_heap *heap;

	heap_path(folder, path);
	heap_remove(folder);
	heap = make_heap(shared, path, bytes);
	snprintf(size, sizeof(size), "%llu MiB, %s", (unsigned long long)(bytes / MIB),
		file_system_name(folder));
	for (size_t k = 0; k < 2; k++) {
		measure_row(table, shared, &kinds[k], path, size, deaths, false);
		measure_row(table, shared, &kinds[k], path, size, deaths, true);
	}
	heap_remove(folder);
	expect(sh_close(heap), "sh_close");
}

static void remove_peer(const char *path)
{
	char lock[PATH_BYTES + 8];

	unlink(path);
	snprintf(lock, sizeof(lock), "%s-lock", path);
	unlink(lock);
}

static void measure_lmdb(struct table *table, struct shared *shared, const char *folder,
	uint64_t bytes, unsigned deaths)
{
	char path[PATH_BYTES];
	char size[64];

	snprintf(path, sizeof(path), "%s/peer", folder);
	remove_peer(path);
	fill_store(path, bytes);
	snprintf(size, sizeof(size), "%llu MiB, %s", (unsigned long long)(bytes / MIB),
		file_system_name(folder));
	measure_row(table, shared, &kinds[2], path, size, deaths, false);
	measure_row(table, shared, &kinds[2], path, size, deaths, true);
	remove_peer(path);
}

/* A mutex whose holder died stays locked for ever: each death has a file of its own, and what is
 * counted is how many of them left the survivor waiting. */
static void measure_boost(struct table *table, struct shared *shared, const char *folder,
	unsigned deaths)
{
	static double longest_us[DEATHS_MAX];
	char path[PATH_BYTES];
	uint64_t random = SEED;
	unsigned hung = 0;

	snprintf(path, sizeof(path), "%s/peer", folder);
	for (unsigned i = 0; i < deaths; i++) {
		remove_peer(path);
		make_segment(path);
		pid_t survivor = start_actor(shared, &kinds[3], path, SURVIVOR);
		uint64_t before = atomic_load(&shared->given_up);

		longest_us[i] = (double)one_death(shared, &kinds[3], path, &random, true) / 1e3;
		/* At its own mutex, or at the segment's, which knows no limit. */
		hung += atomic_load(&shared->given_up) != before || longest_us[i] * 1e3 >= HANG_NS;
		stop_actor(survivor);
	}
	remove_peer(path);
	print_row(table, "Boost, waits for 200 ms at most", longest_us, deaths, hung);
}

/* All heaps of spanheap. The largest takes long for each victim to read. */
static void measure_sizes(struct table *table, struct shared *shared, const struct options *options,
	unsigned deaths)
{
	for (unsigned f = 0; f < options->folder_count; f++)
		measure_spanheap(table, shared, options->folders[f], 64 * MIB, deaths);
	if (options->quick)
		return;
	measure_spanheap(table, shared, options->folders[0], GIB, deaths);
	measure_spanheap(table, shared, options->folders[0], 8 * GIB, deaths / 2);
}

int main(int argc, char **argv)
{
	struct options options = options_parse(argc, argv);
	const char *folder = options.folders[0];
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	unsigned deaths = options.repetitions * (options.quick ? 4 : 20);
	bool lmdb = subjects_have("lmdb", "liblmdb-dev");
	bool boost = subjects_have("boost", "libboost-dev");

	if (shared == MAP_FAILED)
		die("no shared memory: %s", strerror(errno));
	if (deaths > DEATHS_MAX)
		deaths = DEATHS_MAX;
	struct table table = table_begin("Longest step of a survivor after a death, ms",
		(const char *[]){ "steps, heap", "deaths", "p50", "p99", "max", "hung", NULL });

	measure_sizes(&table, shared, &options, deaths);
	if (lmdb)
		measure_lmdb(&table, shared, folder, 64 * MIB, deaths);
	if (lmdb && !options.quick)
		measure_lmdb(&table, shared, folder, GIB, deaths);
	if (boost)
		measure_boost(&table, shared, folder, deaths < 20 ? deaths : 20);
	table_end(&table);
	return 0;
}
