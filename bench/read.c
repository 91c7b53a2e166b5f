/* read.c -- what a read section costs its reader, and how long a grace period takes
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Sections: one thread begins a section, loads one word and ends the section; nobody waits for it.
 * liburcu's flavors, which work inside one process only, are compiled into the loop as its header
 * allows (_LGPL_SOURCE). All rows are measured in one process, in turns.
 *
 * Grace periods: one process calls sh_synchronize() again and again while 1 to 8 others read. Readers
 * at 1 kHz sleep between two sections. Spinning readers, all on one processor and the waiter on
 * another, are in sections for a twentieth of their time. */
#define _GNU_SOURCE
#include "table.h"

#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <spanheap.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifdef BENCH_URCU
#define _LGPL_SOURCE
#define URCU_NO_COMPAT_IDENTIFIERS
#include <urcu/urcu-bp.h>
#include <urcu/urcu-memb.h>
#include <urcu/urcu-qsbr.h>
#endif

#define WORDS 8u
#define READERS_MAX 8u
#define SAMPLES_MAX 3000u
#define SAMPLING_NS UINT64_C(1000000000)
#define LOADS_INSIDE 50u
#define LOADS_OUTSIDE 950u

/* Process. What the rows read, and by what. */
static _Atomic uint64_t words[WORDS];
static struct sh_heap *heap_membarrier;
static struct sh_heap *heap_fences;
static struct sh_reader *reader_membarrier;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;

/* Loads one of the words. */
static inline uint64_t load(uint64_t number)
{
	return atomic_load_explicit(&words[number % WORDS], memory_order_acquire);
}

/* Keeps the compiler from leaving out what nobody looks at. */
static void use(uint64_t value)
{
	volatile uint64_t sink = value;

	(void)sink;
}

static struct sh_heap *heap_open(const char *folder, const char *name, unsigned barrier)
{
	struct sh_options options = SH_OPTIONS_INIT;
	char path[PATH_BYTES];
	struct sh_heap *heap;
	int error;

	options.barrier = barrier;
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	error = sh_open(path, SH_CREATE, &options, &heap);
	if (error != 0)
		die("%s: %s", path, sh_strerror(error));
	return heap;
}

/* Closes the heap if it is open, and removes its files. */
static void heap_end(struct sh_heap *heap, const char *folder, const char *name)
{
	char path[PATH_BYTES];
	int error = heap == NULL ? 0 : sh_close(heap);

	if (error != 0)
		die("sh_close: %s", sh_strerror(error));
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	unlink(path);
	snprintf(path, sizeof(path), "%s/%s-shm", folder, name);
	unlink(path);
}

/* --- sections --------------------------------------------------------------------------------- */

/* Defines a function that runs `count` sections with the object at hand, which may be of any type, and
 * returns the processor time of one. */
#define SECTION_LOOP(function, object, lock, unlock)          \
	static double function(uint64_t count)                \
	{                                                     \
		void *at = (object);                          \
		uint64_t sum = 0;                             \
		uint64_t start = cpu_ns();                    \
                                                              \
		(void)at;                                     \
		for (uint64_t i = 0; i < count; i++) {        \
			lock;                                 \
			sum += load(i);                       \
			unlock;                               \
		}                                             \
		uint64_t end = cpu_ns();                      \
                                                              \
		use(sum);                                     \
		return (double)(end - start) / (double)count; \
	}

SECTION_LOOP(load_alone, NULL, (void)0, (void)0)
SECTION_LOOP(by_membarrier, heap_membarrier, sh_read_lock(at), sh_read_unlock(at))
SECTION_LOOP(by_fences, heap_fences, sh_read_lock(at), sh_read_unlock(at))
SECTION_LOOP(by_reader, reader_membarrier, sh_reader_lock(at), sh_reader_unlock(at))
SECTION_LOOP(by_rwlock, &rwlock, pthread_rwlock_rdlock(at), pthread_rwlock_unlock(at))

static double nested(uint64_t count)
{
	double ns;

	sh_read_lock(heap_membarrier);
	ns = by_membarrier(count);
	sh_read_unlock(heap_membarrier);
	return ns;
}

#ifdef BENCH_URCU
SECTION_LOOP(by_memb, NULL, urcu_memb_read_lock(), urcu_memb_read_unlock())
#ifdef __clang_analyzer__
/* It does not see that a thread that is registered has a reader. */
#define by_bp by_memb
#else
SECTION_LOOP(by_bp, NULL, urcu_bp_read_lock(), urcu_bp_read_unlock())
#endif
SECTION_LOOP(by_qsbr, NULL, urcu_qsbr_read_lock(), urcu_qsbr_read_unlock())
SECTION_LOOP(by_qsbr_quiescent, NULL, urcu_qsbr_read_lock(),
	(urcu_qsbr_read_unlock(), urcu_qsbr_quiescent_state()))

static void urcu_enter(void)
{
	urcu_memb_register_thread();
	urcu_bp_register_thread();
	urcu_qsbr_register_thread();
}

static void urcu_leave(void)
{
	urcu_qsbr_unregister_thread();
	urcu_bp_unregister_thread();
	urcu_memb_unregister_thread();
}
#else
static void urcu_enter(void)
{
	note("SKIPPED: liburcu was not there when this was built (liburcu-dev)");
}

static void urcu_leave(void)
{
}
#endif

struct section_row {
	const char *name;
	double (*run)(uint64_t count);
	const char *goal; /* as a multiple of the first row's time */
};

/* The first one is what the others are compared with. */
static const struct section_row section_rows[] = {
#ifdef BENCH_URCU
	{ "urcu-memb, inlined", by_memb, "" },
	{ "urcu-bp, inlined", by_bp, "" },
	{ "urcu-qsbr, inlined: nothing", by_qsbr, "" },
	{ "urcu-qsbr, a quiescent state each", by_qsbr_quiescent, "" },
#endif
	{ "spanheap", by_membarrier, "1.5" },
	{ "spanheap, a section inside", nested, "" },
	{ "spanheap, sh_reader", by_reader, "" },
	{ "spanheap, SH_BARRIER_READER", by_fences, "" },
	{ "pthread_rwlock", by_rwlock, "" },
	{ "the load alone", load_alone, "" },
};

static void print_sections(double values[][REPETITIONS_MAX], unsigned repetitions)
{
	double first = 0;
	struct table table = table_begin("A section with one load in it, CPU ns",
		(const char *[]){ "reader", "ns", "/first", "goal", NULL });

	for (size_t i = 0; i < LENGTH_OF(section_rows); i++) {
		double median;

		table_cell(&table, "%s", section_rows[i].name);
		median = table_median(&table, values[i], repetitions);
		first = i == 0 ? median : first;
		table_number(&table, median / first);
		table_cell(&table, "%s", section_rows[i].goal);
	}
	table_end(&table);
}

static void measure_sections(const struct options *options)
{
	static double values[LENGTH_OF(section_rows)][REPETITIONS_MAX];
	uint64_t count = options->quick ? 1000000 : 10000000;
	const char *folder = options->folders[0];
	int error;

	heap_membarrier = heap_open(folder, "heap", SH_BARRIER_AUTO);
	heap_fences = heap_open(folder, "fences", SH_BARRIER_READER);
	error = sh_reader_open(heap_membarrier, &reader_membarrier);
	if (error != 0)
		die("sh_reader_open: %s", sh_strerror(error));
	urcu_enter();
	for (unsigned r = 0; r < options->repetitions; r++) {
		for (size_t i = 0; i < LENGTH_OF(section_rows); i++) {
			section_rows[i].run(count / 100);
			values[i][r] = section_rows[i].run(count);
		}
	}
	print_sections(values, options->repetitions);
	urcu_leave();
	sh_reader_close(reader_membarrier);
	heap_end(heap_membarrier, folder, "heap");
	heap_end(heap_fences, folder, "fences");
}

/* --- grace periods ---------------------------------------------------------------------------- */

/* Shared mapping. */
struct shared {
	_Atomic unsigned ready;
	_Atomic bool stop;
};

/* A way to read, and who reads. */
struct scene {
	const char *folder;
	unsigned barrier;
	unsigned readers;
	bool spinning;
	uint64_t samples;
};

/* Microseconds. */
struct latency {
	double p50;
	double p99;
	double max;
};

static void pin_to(unsigned processor)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(processor, &set);
	/* Fails where there is one processor: everybody shares that then. */
	(void)sched_setaffinity(0, sizeof(set), &set);
}

static uint64_t load_many(unsigned count)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < count; i++)
		sum += load(i);
	return sum;
}

static _Noreturn void read_until_stopped(const struct scene *scene, struct shared *shared)
{
	struct sh_heap *heap = heap_open(scene->folder, "heap", scene->barrier);
	uint64_t sum = 0;

	if (scene->spinning)
		pin_to(1);
	/* The first one claims a slot. */
	sh_read_lock(heap);
	sh_read_unlock(heap);
	atomic_fetch_add(&shared->ready, 1);
	while (!atomic_load_explicit(&shared->stop, memory_order_relaxed)) {
		sh_read_lock(heap);
		sum += load_many(LOADS_INSIDE);
		sh_read_unlock(heap);
		if (scene->spinning)
			sum += load_many(LOADS_OUTSIDE);
		else
			usleep(1000);
	}
	use(sum);
	_exit(sh_close(heap) == 0 ? 0 : 1);
}

static void start_readers(const struct scene *scene, struct shared *shared, pid_t *pids)
{
	fflush(stdout);
	for (unsigned i = 0; i < scene->readers; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			read_until_stopped(scene, shared);
		if (pids[i] < 0)
			die("fork: %s", strerror(errno));
	}
	while (atomic_load(&shared->ready) < scene->readers)
		usleep(100);
}

static void stop_readers(const struct scene *scene, struct shared *shared, const pid_t *pids)
{
	atomic_store(&shared->stop, true);
	for (unsigned i = 0; i < scene->readers; i++) {
		int status;

		if (waitpid(pids[i], &status, 0) != pids[i] || status != 0)
			die("a reader failed");
	}
}

static void wait_for_readers(struct sh_heap *heap)
{
	int error = sh_synchronize(heap);

	if (error != 0)
		die("sh_synchronize: %s", sh_strerror(error));
}

/* What a grace period by membarrier(2) takes at least. */
static void interrupt_readers(struct sh_heap *heap)
{
	(void)heap;
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) != 0)
		die("membarrier: %s", strerror(errno));
}

static struct latency sample(const struct scene *scene, struct sh_heap *heap,
	void (*call)(struct sh_heap *heap))
{
	static double us[SAMPLES_MAX];
	uint64_t limit = now_ns() + SAMPLING_NS;
	size_t count = 0;
	uint64_t end = 0;

	while (count < scene->samples && end < limit) {
		uint64_t start = now_ns();

		call(heap);
		end = now_ns();
		us[count++] = (double)(end - start) / 1e3;
	}
	return (struct latency){ quantile(us, count, 0.5), quantile(us, count, 0.99),
		quantile(us, count, 1) };
}

/* Runs a scene: its grace periods, and then membarrier(2) alone. */
static void run_scene(const struct scene *scene, struct latency results[2])
{
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct sh_heap *heap;
	pid_t pids[READERS_MAX];

	if (shared == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	heap = heap_open(scene->folder, "heap", scene->barrier);
	start_readers(scene, shared, pids);
	if (scene->spinning)
		pin_to(0);
	results[0] = sample(scene, heap, wait_for_readers);
	results[1] = sample(scene, heap, interrupt_readers);
	stop_readers(scene, shared, pids);
	munmap(shared, sizeof(*shared));
	heap_end(heap, scene->folder, "heap");
}

/* The same in a process of its own. */
static void run_scene_apart(const struct scene *scene, struct latency results[2])
{
	int ends[2];
	pid_t pid;

	fflush(stdout);
	if (pipe(ends) != 0)
		die("pipe: %s", strerror(errno));
	pid = fork();
	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (pid == 0) {
		run_scene(scene, results);
		result_send(ends[1], results, 2 * sizeof(results[0]));
		_exit(0);
	}
	close(ends[1]);
	result_receive(ends[0], results, 2 * sizeof(results[0]));
	close(ends[0]);
	waitpid(pid, NULL, 0);
}

enum column { BY_MEMBARRIER, MEMBARRIER_ALONE, BY_FENCES, COLUMNS };

/* Process. What the row that is running gave. */
static double p50_us[COLUMNS][REPETITIONS_MAX];
static double p99_us[COLUMNS][REPETITIONS_MAX];
static double max_us[COLUMNS][REPETITIONS_MAX];

static void keep(enum column column, unsigned repetition, const struct latency *latency)
{
	p50_us[column][repetition] = latency->p50;
	p99_us[column][repetition] = latency->p99;
	max_us[column][repetition] = latency->max;
}

static void run_grace_row(struct scene *scene, unsigned repetitions)
{
	struct latency results[2];

	for (unsigned r = 0; r < repetitions; r++) {
		scene->barrier = SH_BARRIER_AUTO;
		run_scene_apart(scene, results);
		keep(BY_MEMBARRIER, r, &results[0]);
		keep(MEMBARRIER_ALONE, r, &results[1]);
		scene->barrier = SH_BARRIER_READER;
		run_scene_apart(scene, results);
		keep(BY_FENCES, r, &results[0]);
	}
}

static void print_grace_row(struct table *table, const struct scene *scene, unsigned repetitions)
{
	table_cell(table, "%u %s, %s", scene->readers,
		scene->readers == 1 ? "process" : "processes",
		scene->spinning ? "spinning" : "1 kHz");
	for (enum column column = 0; column < COLUMNS; column++) {
		table_median(table, p50_us[column], repetitions);
		table_number(table, quantile(p99_us[column], repetitions, 0.5));
		if (column != MEMBARRIER_ALONE)
			table_number(table, quantile(max_us[column], repetitions, 0.5));
	}
}

static void measure_grace_periods(const struct options *options)
{
	unsigned repetitions = options->repetitions;
	struct scene scene = {
		.folder = options->folders[0],
		.samples = options->quick ? 300 : SAMPLES_MAX,
	};
	struct table table = table_begin("Grace periods while others read, µs",
		(const char *[]){ "readers", "p50", "p99", "max", "membarrier alone p50", "p99",
			"SH_BARRIER_READER p50", "p99", "max", NULL });

	for (unsigned spinning = 0; spinning < 2; spinning++) {
		scene.spinning = spinning != 0;
		for (scene.readers = 1; scene.readers <= READERS_MAX; scene.readers *= 2) {
			run_grace_row(&scene, repetitions);
			print_grace_row(&table, &scene, repetitions);
		}
	}
	table_end(&table);
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		note("There is one processor: spinning readers share it with who waits.");
}

int main(int argc, char **argv)
{
	struct options options = options_parse(argc, argv);

	if (strstr("sections", options.only) != NULL)
		measure_sections(&options);
	if (strstr("grace", options.only) != NULL)
		measure_grace_periods(&options);
	return 0;
}
