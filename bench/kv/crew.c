/* crew.c -- workers that are started together and measured together
 * SPDX-License-Identifier: BSD-3-Clause */
#include "crew.h"

#include <pthread.h>
#include <sys/mman.h>

/* Shared mapping. */
struct crew {
	pthread_barrier_t
		barrier; /* of all workers: nobody begins before everybody has opened the store */
	_Atomic bool stop;
	_Atomic unsigned begun;
	_Atomic uint64_t inserted;
	_Atomic uint64_t processor_ns; /* of the processes that have ended their work */
	struct tally tallies[WORKERS_MAX];
};

/* Process. What a thread needs to know. */
struct member {
	struct crew *crew;
	const struct subject *subject;
	const struct task *task;
	void *store;
	unsigned index;
	uint64_t processor_ns; /* of the process when this one began */
};

struct extent task_extent(const struct task *task)
{
	uint64_t entries = task->numbers->entries;

	return (struct extent){ entries, entries * (KEY_BYTES + task->value_bytes) };
}

static struct crew *crew_make(const struct task *task)
{
	struct crew *crew = mmap(NULL, sizeof(*crew), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_barrierattr_t attributes;

	if (crew == MAP_FAILED)
		die("no shared memory: %s", strerror(errno));
	pthread_barrierattr_init(&attributes);
	pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&crew->barrier, &attributes, task->writers + task->readers);
	pthread_barrierattr_destroy(&attributes);
	atomic_store(&crew->inserted, task->numbers->entries);
	return crew;
}

static void *member_run(void *argument)
{
	struct member *member = argument;
	struct crew *crew = member->crew;
	const struct engine *engine = member->subject->engine;
	const struct task *task = member->task;
	bool writes = member->index < task->writers;
	struct worker worker = {
		.engine = engine,
		.session = engine->calls->session_open(member->store),
		.task = task,
		.tally = &crew->tallies[member->index],
		.stop = &crew->stop,
		.inserted = &crew->inserted,
		.index = member->index,
		.writes = writes,
		.operations = writes || task->writers == 0 ? task->operations : UINT64_MAX,
		.random = scatter(SEED + member->index),
		.draw = member->index * (DRAWS / WORKERS_MAX),
	};

	worker_warm_up(&worker);
	pthread_barrier_wait(&crew->barrier);
	atomic_fetch_add(&crew->begun, 1);
	member->processor_ns = process_cpu_ns();
	worker_run(&worker);
	engine->calls->session_close(worker.session);
	return NULL;
}

/* Works as workers `first` and the `count - 1` that follow, the first of them in this thread. Returns
 * the processor time that the process had taken when they began. */
static uint64_t run_members(const struct member *template, unsigned first, unsigned count)
{
	struct member members[WORKERS_MAX];
	pthread_t threads[WORKERS_MAX];

	members[0] = *template;
	members[0].index = first;
	for (unsigned i = 1; i < count; i++) {
		members[i] = *template;
		members[i].index = first + i;
		if (pthread_create(&threads[i], NULL, member_run, &members[i]) != 0)
			die("no thread could be started");
	}
	member_run(&members[0]);
	for (unsigned i = 1; i < count; i++)
		pthread_join(threads[i], NULL);
	return members[0].processor_ns;
}

static void process_run(const struct member *template, unsigned first, unsigned count)
{
	struct member member = *template;
	const struct engine *engine = member.subject->engine;
	struct extent extent = task_extent(member.task);
	uint64_t start;

	member.store = engine->calls->open(engine, member.subject->folder, &extent);
	start = run_members(&member, first, count);
	atomic_fetch_add(&member.crew->processor_ns, process_cpu_ns() - start);
	engine->calls->close(member.store);
}

static void wait_for_children(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		int status;

		if (wait(&status) < 0 || status != 0)
			die("a worker ended with status %d", status);
	}
}

/* Lets the workers work for the task's seconds. */
static void stop_in_time(struct crew *crew, const struct task *task)
{
	while (atomic_load(&crew->begun) < task->writers + task->readers) {
		siginfo_t dead = { .si_pid = 0 };

		if (waitid(P_ALL, 0, &dead, WEXITED | WNOHANG | WNOWAIT) == 0 && dead.si_pid != 0)
			return; /* wait_for_children() says it */
		usleep(1000);
	}
	usleep((useconds_t)(task->seconds * 1e6));
	atomic_store(&crew->stop, true);
}

void store_make(const struct subject *subject, const struct extent *extent)
{
	const struct engine *engine = subject->engine;
	pid_t child = fork_mortal();

	if (child == 0) {
		engine->calls->close(engine->calls->open(engine, subject->folder, extent));
		_exit(0);
	}
	wait_for_children(1);
}

struct result crew_run(const struct subject *subject, const struct task *task)
{
	unsigned workers = task->writers + task->readers;
	unsigned processes = subject->engine->one_process ? 1 : workers;
	struct crew *crew = crew_make(task);
	struct member template = { .crew = crew, .subject = subject, .task = task };
	struct result result;

	for (unsigned p = 0; p < processes; p++) {
		if (fork_mortal() != 0)
			continue;
		process_run(&template, p, workers / processes);
		_exit(0);
	}
	if (task->operations == UINT64_MAX)
		stop_in_time(crew, task);
	wait_for_children(processes);
	result = result_of(crew->tallies, workers, atomic_load(&crew->processor_ns));
	result.disk_mib = (double)folder_bytes(subject->folder) / (double)MIB;
	munmap(crew, sizeof(*crew));
	return result;
}
