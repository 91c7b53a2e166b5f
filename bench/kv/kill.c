/* kill.c -- what the death of processes costs those who come after them, and those who live
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Two writers put random keys without a pause, one put to a transaction; each has keys of its own. Into
 * every value goes the number of the put, and when a put has returned, the writer notes it in shared
 * memory: what was acknowledged can be looked for after the death. */
#include "kill.h"

#include "crew.h"
#include "table.h"

#include <math.h>
#include <pthread.h>
#include <sys/mman.h>

#define WRITERS 2u
#define DEATHS_MAX 1000u
#define FIRST_PUTS 100u
#define WINDOW_NS UINT64_C(30000000)
#define HANG_NS UINT64_C(5000000000)

/* What a writer has done. */
struct notebook {
	_Alignas(128) _Atomic uint64_t number; /* whose key the last put was about */
	_Atomic uint64_t puts; /* acknowledged; the last one's value begins with it */
	_Atomic uint64_t step_start_ns;
};

/* Shared mapping. */
struct shared {
	struct notebook notebooks[WRITERS];
	_Atomic uint64_t killed_ns; /* 0: nobody was killed */
	_Atomic uint64_t
		next_ns; /* from the kill to the end of the first put that ended after it */
	_Atomic uint64_t longest_ns; /* of the puts that ended after it */
};

/* What all of one subject's processes are told. */
struct scene {
	struct shared *shared;
	const struct subject *subject;
	const struct numbers *numbers;
	uint64_t value_bytes;
	struct extent extent;
	bool warm; /* writers look at everything before they begin */
};

/* Process. A writer, or a thread that is one. */
struct writer {
	const struct scene *scene;
	void *store;
	unsigned index;
	uint64_t random;
};

static struct shared *shared_make(void)
{
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (shared == MAP_FAILED)
		die("no shared memory: %s", strerror(errno));
	return shared;
}

static struct scene scene_make(const struct numbers *numbers, uint64_t value_bytes, bool warm)
{
	return (struct scene){
		.shared = shared_make(),
		.numbers = numbers,
		.value_bytes = value_bytes,
		.extent = { numbers->entries, numbers->entries * (KEY_BYTES + value_bytes) },
		.warm = warm,
	};
}

static void *scene_open(const struct scene *scene)
{
	const struct engine *engine = scene->subject->engine;

	return engine->calls->open(engine, scene->subject->folder, &scene->extent);
}

/* --- writers ---------------------------------------------------------------------------------- */

static void note_step(struct shared *shared, uint64_t start, uint64_t end)
{
	uint64_t killed = atomic_load(&shared->killed_ns);

	if (killed == 0 || end < killed)
		return;
	if (atomic_load(&shared->next_ns) == 0)
		atomic_store(&shared->next_ns, end - killed + 1);
	if (end - start > atomic_load(&shared->longest_ns))
		atomic_store(&shared->longest_ns, end - start);
}

static void put_next(struct writer *writer, void *session, char *value)
{
	const struct scene *scene = writer->scene;
	struct notebook *notebook = &scene->shared->notebooks[writer->index];
	uint64_t number = random_below(random_next(&writer->random), scene->numbers->entries);
	uint64_t puts = atomic_load(&notebook->puts) + 1;
	char key[KEY_BYTES];

	/* The keys of writer 0 are even, those of writer 1 odd. */
	number = (number & ~UINT64_C(1)) + writer->index;
	if (number >= scene->numbers->entries)
		number -= WRITERS;
	key_make(key, number);
	memcpy(value, &puts, sizeof(puts));
	scene->subject->engine->calls->put(session, &(struct bytes){ key, KEY_BYTES },
		&(struct bytes){ value, scene->value_bytes }, false);
	atomic_store(&notebook->number, number);
	atomic_store(&notebook->puts, puts);
}

/* Writes until it is killed. Writer 0 is the one that survives. */
static void *write_on(void *argument)
{
	struct writer *writer = argument;
	const struct scene *scene = writer->scene;
	const struct engine_calls *calls = scene->subject->engine->calls;
	struct notebook *notebook = &scene->shared->notebooks[writer->index];
	void *session = calls->session_open(writer->store);
	char value[VALUE_BYTES_MAX];
	struct look look = { 0 };

	memcpy(value, scene->numbers->pool, scene->value_bytes);
	if (scene->warm)
		calls->scan(session, NULL, false, UINT64_MAX, &look);
	for (;;) {
		uint64_t start = now_ns();

		atomic_store(&notebook->step_start_ns, start);
		put_next(writer, session, value);
		if (writer->index == 0)
			note_step(scene->shared, start, now_ns());
	}
	return NULL;
}

/* Starts the writers `first` to `first + count - 1` in one process. */
static pid_t start_process(const struct scene *scene, unsigned first, unsigned count, uint64_t seed)
{
	struct writer writers[WRITERS];
	pthread_t thread;
	pid_t child = fork_mortal();

	if (child != 0)
		return child;
	writers[0] = (struct writer){ scene, scene_open(scene), first, scatter(seed + first) };
	if (count == WRITERS) {
		writers[1] = writers[0];
		writers[1].index = first + 1;
		if (pthread_create(&thread, NULL, write_on, &writers[1]) != 0)
			die("no thread could be started");
	}
	write_on(&writers[0]);
	_exit(1);
}

/* Waits until a writer has done some puts more. */
static void wait_for_puts(const struct scene *scene, unsigned index, pid_t child)
{
	_Atomic uint64_t *puts = &scene->shared->notebooks[index].puts;
	uint64_t before = atomic_load(puts);

	while (atomic_load(puts) < before + FIRST_PUTS) {
		if (waitpid(child, NULL, WNOHANG) != 0)
			die("a writer of %s ended by itself", scene->subject->engine->name);
		usleep(200);
	}
}

/* --- everybody dies --------------------------------------------------------------------------- */

/* Of one opener after the deaths. */
struct opening {
	double open_ms;
	double get_ms; /* from the beginning to the end of the first get */
	double put_ms; /* and of the first put */
	double lost;   /* writers whose last acknowledged put is not there */
};

static void write_until_killed(const struct scene *scene, uint64_t *random)
{
	unsigned processes = scene->subject->engine->one_process ? 1 : WRITERS;
	pid_t children[WRITERS];

	for (unsigned p = 0; p < processes; p++)
		children[p] = start_process(scene, p, WRITERS / processes, *random);
	for (unsigned w = 0; w < WRITERS; w++)
		wait_for_puts(scene, w, children[w % processes]);
	usleep((useconds_t)(20000 + random_below(random_next(random), 100000)));
	for (unsigned p = 0; p < processes; p++)
		kill(children[p], SIGKILL);
	for (unsigned p = 0; p < processes; p++)
		waitpid(children[p], NULL, 0);
}

/* Whether a writer's last acknowledged put is there. It may have been killed between the put and its
 * note, or between the two parts of the note. */
static bool is_there(const struct scene *scene, void *session, unsigned index)
{
	const struct engine_calls *calls = scene->subject->engine->calls;
	const struct notebook *notebook = &scene->shared->notebooks[index];
	uint64_t puts = atomic_load(&notebook->puts);
	struct look look = { 0 };
	char key[KEY_BYTES];
	bool found;

	key_make(key, atomic_load(&notebook->number));
	calls->read_begin(session, 1);
	found = calls->get(session, &(struct bytes){ key, KEY_BYTES }, &look);
	calls->read_end(session);
	return found && (look.first == puts || look.first == puts + 1);
}

static struct opening open_once(const struct scene *scene)
{
	const struct engine_calls *calls = scene->subject->engine->calls;
	struct writer writer = { .scene = scene, .random = SEED };
	struct opening opening = { 0 };
	char value[VALUE_BYTES_MAX];
	uint64_t start = now_ns();
	void *session;

	writer.store = scene_open(scene);
	opening.open_ms = (double)(now_ns() - start) / 1e6;
	session = calls->session_open(writer.store);
	opening.lost = !is_there(scene, session, 0);
	opening.get_ms = (double)(now_ns() - start) / 1e6;
	opening.lost += !is_there(scene, session, 1);
	memcpy(value, scene->numbers->pool, scene->value_bytes);
	start = now_ns();
	put_next(&writer, session, value);
	opening.put_ms = opening.get_ms + (double)(now_ns() - start) / 1e6;
	calls->session_close(session);
	calls->close(writer.store);
	return opening;
}

static struct opening open_in_child(const struct scene *scene)
{
	struct opening opening;
	int fd;
	pid_t child = fork_with_pipe(&fd);

	if (child == 0) {
		opening = open_once(scene);
		result_send(fd, &opening, sizeof(opening));
		_exit(0);
	}
	result_receive(fd, &opening, sizeof(opening));
	close(fd);
	waitpid(child, NULL, 0);
	return opening;
}

/* A row of openings. Returns the median of opening. */
static double openings_row(struct table *table, const struct scene *scene, unsigned deaths)
{
	static double open_ms[DEATHS_MAX];
	static double get_ms[DEATHS_MAX];
	static double put_ms[DEATHS_MAX];
	uint64_t random = SEED;
	unsigned lost = 0;
	double median;

	for (unsigned d = 0; d < deaths; d++) {
		struct opening opening;

		write_until_killed(scene, &random);
		opening = open_in_child(scene);
		open_ms[d] = opening.open_ms;
		get_ms[d] = opening.get_ms;
		put_ms[d] = opening.put_ms;
		lost += (unsigned)opening.lost;
	}
	table_cell(table, "%s%s", scene->subject->label,
		scene->subject->engine->one_process ? ", THREADS" : "");
	table_cell(table, "%u", deaths);
	median = table_median(table, open_ms, deaths);
	table_number(table, open_ms[deaths - 1]);
	table_median(table, get_ms, deaths);
	table_median(table, put_ms, deaths);
	table_number(table, put_ms[deaths - 1]);
	table_cell(table, "%u of %u", lost, deaths * WRITERS);
	return median;
}

static unsigned deaths_of(const struct settings *settings)
{
	return settings->deaths < DEATHS_MAX ? settings->deaths : DEATHS_MAX;
}

double kill_everybody(const struct settings *settings, const struct subjects *subjects,
	const struct numbers *numbers, uint64_t value_bytes)
{
	static const char *const heads[] = { "engine", "deaths", "open ms", "max", "first get",
		"first put", "max", "lost writes", NULL };
	struct scene scene = scene_make(numbers, value_bytes, false);
	double own = NAN;
	char title[160];

	snprintf(title, sizeof(title),
		"open: after the death of two writers and so of everybody; %llu entries of %u + "
		"%llu "
		"bytes",
		(unsigned long long)numbers->entries, KEY_BYTES, (unsigned long long)value_bytes);
	struct table table = table_begin(title, heads);

	for (unsigned s = 0; s < subjects->count; s++) {
		double median;

		scene.subject = &subjects->of[s];
		plan_fill(scene.subject, numbers, value_bytes, FILLED);
		median = openings_row(&table, &scene, deaths_of(settings));
		if (s == subjects_own(subjects))
			own = median;
		subject_remove(scene.subject);
	}
	table_end(&table);
	munmap(scene.shared, sizeof(*scene.shared));
	return own;
}

/* --- one of two dies -------------------------------------------------------------------------- */

struct death {
	double next_us;
	double longest_us;
};

/* Waits until the survivor has ended a put that began after the window. False: it hangs. */
static bool survivor_goes_on(const struct shared *shared)
{
	const struct notebook *notebook = &shared->notebooks[0];
	uint64_t window_end = now_ns() + WINDOW_NS;

	usleep(WINDOW_NS / 1000);
	while (atomic_load(&notebook->step_start_ns) < window_end) {
		if (now_ns() > window_end + HANG_NS)
			return false;
		usleep(200);
	}
	return true;
}

/* A death, or a window in which nobody dies. False: the survivor hangs. */
static bool one_death(const struct scene *scene, uint64_t *random, bool dies, struct death *death)
{
	struct shared *shared = scene->shared;
	pid_t victim = start_process(scene, 1, 1, random_next(random));
	bool goes_on;

	wait_for_puts(scene, 1, victim);
	usleep((useconds_t)(1000 + random_below(random_next(random), 4000)));
	atomic_store(&shared->next_ns, 0);
	atomic_store(&shared->longest_ns, 0);
	atomic_store(&shared->killed_ns, now_ns());
	if (dies) {
		kill(victim, SIGKILL);
		waitpid(victim, NULL, 0);
	}
	goes_on = survivor_goes_on(shared);
	death->next_us = (double)atomic_load(&shared->next_ns) / 1e3;
	death->longest_us = (double)atomic_load(&shared->longest_ns) / 1e3;
	atomic_store(&shared->killed_ns, 0);
	if (!dies) {
		kill(victim, SIGKILL);
		waitpid(victim, NULL, 0);
	}
	return goes_on;
}

static void deaths_row(struct table *table, const struct scene *scene, unsigned deaths, bool dies)
{
	static double next_us[DEATHS_MAX];
	static double longest_us[DEATHS_MAX];
	uint64_t random = SEED;
	unsigned hung = 0;
	pid_t survivor = start_process(scene, 0, 1, SEED);

	wait_for_puts(scene, 0, survivor);
	for (unsigned d = 0; d < deaths; d++) {
		struct death death;

		hung += !one_death(scene, &random, dies, &death);
		next_us[d] = death.next_us;
		longest_us[d] = death.longest_us;
	}
	kill(survivor, SIGKILL);
	waitpid(survivor, NULL, 0);
	table_cell(table, "%s%s", scene->subject->label, dies ? "" : ", nobody dies");
	table_cell(table, "%u", dies ? deaths : 0);
	table_number(table, quantile(next_us, deaths, 0.5));
	table_number(table, quantile(next_us, deaths, 0.99));
	table_number(table, quantile(next_us, deaths, 1));
	table_number(table, quantile(longest_us, deaths, 0.5));
	table_number(table, quantile(longest_us, deaths, 0.99));
	table_number(table, quantile(longest_us, deaths, 1));
	table_cell(table, "%u", hung);
}

static void one_process_row(struct table *table, const struct subject *subject)
{
	table_cell(table, "%s: ONE PROCESS ONLY", subject->label);
	for (unsigned c = 1; c < table->columns; c++)
		table_nothing(table);
}

void kill_one_writer(const struct settings *settings, const struct subjects *subjects,
	const struct numbers *numbers, uint64_t value_bytes)
{
	static const char *const heads[] = { "engine", "deaths", "next µs", "p99", "max",
		"longest µs", "p99", "max", "hung", NULL };
	struct scene scene = scene_make(numbers, value_bytes, true);
	char title[192];

	snprintf(title, sizeof(title),
		"death: from a writer's SIGKILL to the other's next write, and its longest within "
		"30 ms; "
		"%llu entries of %u + %llu bytes",
		(unsigned long long)numbers->entries, KEY_BYTES, (unsigned long long)value_bytes);
	struct table table = table_begin(title, heads);

	for (unsigned s = 0; s < subjects->count; s++) {
		scene.subject = &subjects->of[s];
		if (scene.subject->engine->one_process) {
			one_process_row(&table, scene.subject);
			continue;
		}
		plan_fill(scene.subject, numbers, value_bytes, FILLED);
		deaths_row(&table, &scene, deaths_of(settings), false);
		deaths_row(&table, &scene, deaths_of(settings), true);
		subject_remove(scene.subject);
	}
	table_end(&table);
	munmap(scene.shared, sizeof(*scene.shared));
}
