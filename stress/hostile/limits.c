/* limits.c -- what a system administrator may put around a process
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/hostile/cgroup.h"
#include "stress/hostile/place.h"
#include "stress/hostile/scenarios.h"
#include "stress/hostile/work.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CGROUP_MIB 48u
#define WANTED_MIB 128u

static char path[700];

static void make_heap(const char *place)
{
	snprintf(path, sizeof(path), "%s", path_in(place));
	close_heap(new_heap(path));
}

/* --- a memory cgroup ----------------------------------------------------------------------- */

static void make_cgroup(void)
{
	char bytes[32];
	struct cgroup_limit limit = { "memory", "memory.limit_in_bytes", bytes, "memory.max",
		bytes };

	snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)CGROUP_MIB << 20);
	cgroup_make(&limit);
}

static void grow_in_cgroup(void *unused)
{
	struct sh_heap *heap;
	uint64_t bytes = 0;

	(void)unused;
	cgroup_join();
	heap = open_heap(path, 0);
	reach(1, 1);
	while (bytes < (uint64_t)WANTED_MIB << 20) {
		sh_off block = sh_alloc(heap, 100000);

		if (block == 0)
			break;
		memset(sh_ptr(heap, block), 1, 100000);
		bytes += 100000;
		atomic_store(&board->value[0], bytes);
	}
	atomic_store(&board->value[1], (uint64_t)(bytes < (uint64_t)WANTED_MIB << 20 ? errno : 0));
	close_heap(heap);
}

static int grow_under_limit(void)
{
	struct sh_heap *heap = open_heap(path, 0);
	int status = finish(start(grow_in_cgroup, NULL));

	EXPECT_EQUAL(sh_reap(heap, NULL), 0);
	work(heap, 1, 50);
	check_heap_content(heap);
	close_heap(heap);
	check_file(path);
	return status;
}

void run_memory_cgroup_tmpfs(void)
{
	unsigned long long mebibytes;
	int status;

	own_mounts();
	make_cgroup();
	make_heap(place_tmpfs(256));
	status = grow_under_limit();
	mebibytes = (unsigned long long)(atomic_load(&board->value[0]) >> 20);
	EXPECT(mebibytes < WANTED_MIB);
	if (WIFSIGNALED(status)) {
		EXPECT_EQUAL(WTERMSIG(status), SIGKILL);
		tell("killed by the kernel after %llu of %u MiB, where others say ENOSPC (README: "
		     "limits); the heap was whole and went on outside",
			mebibytes, CGROUP_MIB);
	} else {
		EXPECT_EQUAL(status, 0);
		tell("after %llu of %u MiB: %s; the heap was whole and went on outside", mebibytes,
			CGROUP_MIB, strerror((int)atomic_load(&board->value[1])));
	}
}

void run_memory_cgroup_disk(void)
{
	make_cgroup();
	make_heap(place_plain());
	EXPECT_EQUAL(grow_under_limit(), 0);
	EXPECT_EQUAL(atomic_load(&board->value[1]), 0);
	tell("grew to %u MiB under a limit of %u MiB: pages of a file can leave memory", WANTED_MIB,
		CGROUP_MIB);
}

/* --- ulimit -------------------------------------------------------------------------------- */

static void set_limit(int which, rlim_t value)
{
	struct rlimit limit = { value, value };

	EXPECT_EQUAL(setrlimit((__rlimit_resource_t)which, &limit), 0);
}

static void open_in_little_space(void *unused)
{
	struct sh_options options = SH_OPTIONS_INIT;
	struct sh_heap *heap;
	char name[720];

	(void)unused;
	snprintf(name, sizeof(name), "%s-large", path);
	set_limit(RLIMIT_AS, (rlim_t)4 << 30);
	EXPECT_EQUAL(sh_open(name, SH_CREATE, &options, &heap), ENOMEM);
	heap = open_heap(path, 0);
	work(heap, 1, 50);
	close_heap(heap);
}

void run_address_space_limit(void)
{
	make_heap(place_plain());
	run(open_in_little_space, NULL);
	check_file(path);
	tell("4 GiB: a heap of the default 1 TiB: ENOMEM; one of 1 GiB works");
}

static void meet_file_size_limit(void *unused)
{
	struct sh_heap *heap = open_heap(path, 0);
	struct stat status;
	uint64_t bytes;
	char name[720];

	(void)unused;
	EXPECT_EQUAL(stat(path, &status), 0);
	set_limit(RLIMIT_FSIZE, (rlim_t)status.st_size + (6 << 20));
	EXPECT_EQUAL(fill(heap, &bytes), EFBIG);
	work(heap, 1, 50);
	check_heap_content(heap);
	close_heap(heap);
	snprintf(name, sizeof(name), "%s-other", path);
	set_limit(RLIMIT_FSIZE, 4096);
	EXPECT_EQUAL(try_open(name, SH_CREATE, &heap), EFBIG);
	EXPECT_EQUAL(access(name, F_OK), -1);
}

void run_file_size_limit(void)
{
	make_heap(place_plain());
	run(meet_file_size_limit, NULL);
	EXPECT_EQUAL(files_beside(path), 2);
	check_file(path);
	tell("EFBIG, no SIGXFSZ; what there was went on, and was marked clean");
}

static unsigned open_descriptors(void)
{
	DIR *entries = opendir("/proc/self/fd");
	unsigned count = 0;

	EXPECT(entries != NULL);
	while (readdir(entries) != NULL)
		count++;
	closedir(entries);
	return count;
}

static void open_with_few_descriptors(void *unused)
{
	unsigned before = open_descriptors();
	unsigned refused = 0;

	(void)unused;
	for (rlim_t limit = 3; limit < 40; limit++) {
		struct rlimit few = { limit, 4096 };
		struct rlimit many = { 1024, 4096 };
		struct sh_heap *heap;
		int error;

		EXPECT_EQUAL(setrlimit(RLIMIT_NOFILE, &few), 0);
		error = try_open(path, 0, &heap);
		if (error == 0) {
			work(heap, limit, 5);
			close_heap(heap);
		} else {
			EXPECT_EQUAL(error, EMFILE);
			refused++;
		}
		EXPECT_EQUAL(setrlimit(RLIMIT_NOFILE, &many), 0);
		EXPECT_EQUAL(open_descriptors(), before);
	}
	EXPECT(refused > 0 && refused < 30);
	atomic_store(&board->value[0], refused);
}

void run_descriptor_limit(void)
{
	make_heap(place_plain());
	run(open_with_few_descriptors, NULL);
	check_file(path);
	tell("limits of 3 to 39: EMFILE with the %llu lowest, no descriptor lost in any",
		(unsigned long long)atomic_load(&board->value[0]));
}
