/* reopen.c -- time to open a heap whose only process was killed
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * One process fills a new heap and is killed. Then, as many times as there are repetitions, another
 * one opens it, is timed, counts the blocks afterwards and is killed in its turn. What the file holds
 * is still in the page cache. */
#define _GNU_SOURCE
#include "peer.h"
#include "subjects.h"

#include <sys/syscall.h>

struct content {
	const char *name;
	uint64_t blocks;
	size_t min_bytes;
	size_t max_bytes;
};

/* Blocks of 64 B lie in spans of one page; the others in spans of one page to several. */
static const struct content contents[] = {
	{ "10^5 of 64 B", 100000, 64, 64 },
	{ "10^6 of 64 B", 1000000, 64, 64 },
	{ "10^7 of 64 B", 10000000, 64, 64 },
	{ "10^5 of 16 B to 1 KiB", 100000, 16, 1024 },
	{ "10^6 of 16 B to 1 KiB", 1000000, 16, 1024 },
	{ "10^7 of 16 B to 1 KiB", 10000000, 16, 1024 },
};

/* What one opening found; times in nanoseconds. */
struct result {
	uint64_t open_ns;     /* sh_open(), with sync and recovery */
	uint64_t sync_ns;     /* in it, msync(2) */
	uint64_t recovery_ns; /* in it, as sh_recovery_report() says */
	uint64_t first_ns;    /* the first allocation, afterwards */
};

/* Process. Time in msync(2) and fsync(2). */
static uint64_t sync_ns;

/* These stand before the C library's for the shared library, too: so the wait for the disk is told
 * apart. */
__attribute__((visibility("default"))) int msync(void *address, size_t bytes, int flags)
{
	uint64_t start = now_ns();
	int status = (int)syscall(SYS_msync, address, bytes, flags);

	sync_ns += now_ns() - start;
	return status;
}

__attribute__((visibility("default"))) int fsync(int fd)
{
	uint64_t start = now_ns();
	int status = (int)syscall(SYS_fsync, fd);

	sync_ns += now_ns() - start;
	return status;
}

/* What a child process is told. */
struct task {
	const char *path;
	const struct content *content;
	unsigned opened; /* how often the heap was opened before */
	const char *module;
};

static struct sh_heap *open_heap(const char *path, unsigned flags)
{
	struct sh_heap *heap;
	int error = sh_open(path, flags, NULL, &heap);

	if (error != 0)
		die("%s: %s", path, sh_strerror(error));
	return heap;
}

/* --- the process that fills the heap ---------------------------------------------------------- */

/* Returns how many bytes the blocks can hold. */
static uint64_t fill(struct sh_heap *heap, const struct content *content)
{
	uint64_t state = SEED;
	uint64_t bytes = 0;

	for (uint64_t i = 0; i < content->blocks; i++) {
		size_t size =
			random_size(random_next(&state), content->min_bytes, content->max_bytes);
		sh_off block = sh_alloc(heap, size);

		if (block == 0)
			die("no block of %zu bytes: %s", size, strerror(errno));
		memset(sh_ptr(heap, block), 1, size);
		bytes += sh_usable_size(heap, block);
	}
	return bytes;
}

static void be_filler(const struct task *task, int fd)
{
	uint64_t bytes = fill(open_heap(task->path, SH_CREATE | SH_EXCL), task->content);

	result_send(fd, &bytes, sizeof(bytes));
}

/* --- the processes that open ------------------------------------------------------------------ */

static int count_block(const struct sh_block *block, void *argument)
{
	(void)block;
	++*(uint64_t *)argument;
	return 0;
}

/* The heap must hold what it held, and the blocks that were timed. */
static void check_count(struct sh_heap *heap, const struct task *task)
{
	uint64_t count = 0;
	int error = sh_walk(heap, count_block, &count);

	if (error != 0)
		die("sh_walk: %s", sh_strerror(error));
	if (count != task->content->blocks + task->opened + 1)
		die("%s: %llu blocks were found", task->content->name, (unsigned long long)count);
}

static void be_opener(const struct task *task, int fd)
{
	struct result result;
	uint64_t start;
	uint64_t opened;

	sync_ns = 0;
	start = now_ns();
	struct sh_heap *heap = open_heap(task->path, 0);

	opened = now_ns();
	if (sh_alloc(heap, 64) == 0)
		die("the first allocation: %s", strerror(errno));
	result.first_ns = now_ns() - opened;
	result.open_ns = opened - start;
	result.sync_ns = sync_ns;
	sh_recovery_report(heap, NULL, &result.recovery_ns);
	check_count(heap, task);
	result_send(fd, &result, sizeof(result));
}

/* --- peers ------------------------------------------------------------------------------------ */

#define PEER_BLOCKS UINT64_C(1000000)

static void be_peer_filler(const struct task *task, int fd)
{
	void *module = peer_load(task->module);
	void *peer = peer_open_file(module, task->path, GIB / 2);
	static const char value[64];
	uint64_t done = 1;

	if (strcmp(task->module, "lmdb") == 0) {
		int (*put_many)(void *peer, uint64_t count, const void *value, size_t size);

		allocator_find(module, "peer_put_many", &put_many);
		if (put_many(peer, PEER_BLOCKS, value, sizeof(value)) != 0)
			die("LMDB could not be filled");
	} else {
		uint64_t (*alloc)(void *peer, size_t size);

		allocator_find(module, "peer_alloc", &alloc);
		for (uint64_t i = 0; i < PEER_BLOCKS; i++)
			if (alloc(peer, 64) == 0)
				die("%s: no block of 64 bytes", task->module);
	}
	result_send(fd, &done, sizeof(done));
}

static void be_peer_opener(const struct task *task, int fd)
{
	void *module = peer_load(task->module);
	bool is_lmdb = strcmp(task->module, "lmdb") == 0;
	uint64_t (*alloc)(void *peer, size_t size) = NULL;
	int (*put)(void *peer, uint64_t key, const void *value, size_t size) = NULL;
	static const char value[64];
	struct result result = { 0 };
	uint64_t start;
	uint64_t opened;

	if (is_lmdb)
		allocator_find(module, "peer_put", &put);
	else
		allocator_find(module, "peer_alloc", &alloc);
	start = now_ns();
	void *peer = peer_open_file(module, task->path, 0);

	opened = now_ns();
	if (is_lmdb ? put(peer, PEER_BLOCKS + task->opened, value, sizeof(value)) != 0
		    : alloc(peer, 64) == 0)
		die("%s: the first allocation failed", task->module);
	result.first_ns = now_ns() - opened;
	result.open_ns = opened - start;
	result_send(fd, &result, sizeof(result));
}

/* --- the process that waits for them ---------------------------------------------------------- */

typedef void child_fn(const struct task *task, int fd);

/* Runs a process until it has sent its result, and kills it. */
static void run_child(child_fn *run, const struct task *task, void *result, size_t bytes)
{
	int fd;
	pid_t child = fork_with_pipe(&fd);

	if (child == 0) {
		run(task, fd);
		for (;;)
			pause();
	}
	result_receive(fd, result, bytes);
	close(fd);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* Process. What the repetitions found. */
struct findings {
	double open_ms[REPETITIONS_MAX];
	double sync_ms[REPETITIONS_MAX];
	double recovery_ms[REPETITIONS_MAX];
	double first_us[REPETITIONS_MAX];
	double ready_ms[REPETITIONS_MAX];
};

static void note_result(struct findings *findings, unsigned r, const struct result *result)
{
	findings->open_ms[r] = (double)result->open_ns / 1e6;
	findings->sync_ms[r] = (double)result->sync_ns / 1e6;
	findings->recovery_ms[r] = (double)result->recovery_ns / 1e6;
	findings->first_us[r] = (double)result->first_ns / 1e3;
	findings->ready_ms[r] =
		(double)(result->open_ns - result->sync_ns + result->first_ns) / 1e6;
}

/* One opener after the other. */
static void measure_openers(child_fn *open, struct task *task, struct findings *findings,
	unsigned repetitions)
{
	struct result result;

	for (unsigned r = 0; r < repetitions; r++) {
		task->opened = r;
		run_child(open, task, &result, sizeof(result));
		note_result(findings, r, &result);
	}
}

static void measure_row(struct table *table, const char *folder, const struct content *content,
	unsigned repetitions)
{
	static struct findings findings;
	char path[PATH_BYTES];
	struct task task = { .path = path, .content = content };
	uint64_t bytes = 0;

	heap_path(folder, path);
	heap_remove(folder);
	run_child(be_filler, &task, &bytes, sizeof(bytes));
	measure_openers(be_opener, &task, &findings, repetitions);
	heap_remove(folder);
	table_cell(table, "%s, %s", file_system_name(folder), content->name);
	table_cell(table, "%.1f", (double)bytes / (double)MIB);
	table_median(table, findings.open_ms, repetitions);
	/* Only the first opener finds pages that were not written out. */
	table_number(table, quantile(findings.sync_ms, repetitions, 1));
	table_median(table, findings.recovery_ms, repetitions);
	table_median(table, findings.first_us, repetitions);
	double ready = table_median(table, findings.ready_ms, repetitions);

	/* What opening costs at any size hides what a small heap costs. */
	if (bytes < GIB / 4)
		table_nothing(table);
	else
		table_number(table, ready / ((double)bytes / (double)GIB));
}

static void measure_peer(struct table *table, const char *folder, const char *module,
	const char *label, unsigned repetitions)
{
	static struct findings findings;
	char path[PATH_BYTES];
	struct task task = { .path = path, .module = module };
	uint64_t done;

	snprintf(path, sizeof(path), "%s/peer", folder);
	run_child(be_peer_filler, &task, &done, sizeof(done));
	measure_openers(be_peer_opener, &task, &findings, repetitions);
	unlink(path);
	snprintf(path, sizeof(path), "%s/peer-lock", folder);
	unlink(path);
	table_cell(table, "%s, %s", file_system_name(folder), label);
	table_median(table, findings.open_ms, repetitions);
	table_median(table, findings.first_us, repetitions);
}

static void spanheap_table(const struct options *options)
{
	struct table table = table_begin("Open after SIGKILL of everybody",
		(const char *[]){ "file, blocks", "MiB in use", "open ms", "sync ms", "recover ms",
			"first µs", "ready ms", "ready ms/GiB", NULL });

	for (unsigned f = 0; f < options->folder_count; f++)
		for (size_t c = 0; c < LENGTH_OF(contents); c++)
			if (!options->quick || contents[c].blocks <= 1000000)
				measure_row(&table, options->folders[f], &contents[c],
					options->repetitions);
	table_end(&table);
}

static void peers_table(const struct options *options)
{
	const char *folder = options->folders[0];
	bool boost = subjects_have("boost", "libboost-dev");
	bool pmemobj = subjects_have("pmemobj", "libpmemobj-dev");
	bool lmdb = subjects_have("lmdb", "liblmdb-dev");
	struct table table = table_begin("The same of peers, 10^6 blocks or records of 64 B",
		(const char *[]){ "file, peer", "open ms", "first µs", NULL });

	if (boost)
		measure_peer(&table, folder, "boost", "Boost", options->repetitions);
	if (pmemobj)
		measure_peer(&table, folder, "pmemobj", "libpmemobj", options->repetitions);
	if (lmdb)
		measure_peer(&table, folder, "lmdb", "LMDB", options->repetitions);
	table_end(&table);
}

int main(int argc, char **argv)
{
	struct options options = options_parse(argc, argv);

	spanheap_table(&options);
	peers_table(&options);
	return 0;
}
