/* device.c -- device I/O that is under way when its process dies
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A process reads from a slow disk (one with a limit of bytes per second), with O_DIRECT, into pages
 * of the heap, and is killed before the disk answers. The answer lands all the same. */
#define _GNU_SOURCE
#include "stress/hostile/scenarios.h"

#include <spanheap.h>

#ifdef SH_IO

#include "stress/hostile/cgroup.h"
#include "stress/hostile/place.h"
#include "stress/hostile/work.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define RUN_BYTES (512u << 10)
#define PAGE 8192u
#define BYTES_PER_SECOND "262144"
#define ON_DISK 0xee
#define BEFORE 0x11
#define PATIENCE_US UINT64_C(15000000)

static char path[700];
static char source[720];

/* --- a slow disk --------------------------------------------------------------------------- */

static void make_source(void)
{
	snprintf(source, sizeof(source), "%s/source", place_image("ext4", 48));
	EXPECT_EQUAL(command("head -c %u /dev/zero | tr '\\000' '\\356' > %s && sync %s", RUN_BYTES,
			     source, source),
		0);
}

static void make_it_slow(void)
{
	struct stat status;
	char text[64];
	char unified[64];
	struct cgroup_limit limit = { "blkio", "blkio.throttle.read_bps_device", text, "io.max",
		unified };

	EXPECT_EQUAL(stat(source, &status), 0);
	snprintf(text, sizeof(text), "%u:%u " BYTES_PER_SECOND, major(status.st_dev),
		minor(status.st_dev));
	snprintf(unified, sizeof(unified), "%u:%u rbps=" BYTES_PER_SECOND, major(status.st_dev),
		minor(status.st_dev));
	cgroup_make(&limit);
}

/* --- asking it ----------------------------------------------------------------------------- */

static void submit_aio(int fd, void *to)
{
	static struct iocb request;
	struct iocb *requests[] = { &request };
	aio_context_t context = 0;

	if (syscall(SYS_io_setup, 1, &context) != 0)
		skip("no asynchronous I/O: %s", strerror(errno));
	request = (struct iocb){
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)fd,
		.aio_buf = (uint64_t)(uintptr_t)to,
		.aio_nbytes = RUN_BYTES,
	};
	EXPECT_EQUAL(syscall(SYS_io_submit, context, 1, requests), 1);
}

static void *map_ring(int ring, size_t bytes, off_t offset)
{
	void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring, offset);

	EXPECT(base != MAP_FAILED);
	return base;
}

static void submit_uring(int fd, void *to)
{
	struct io_uring_params parameters = { .flags = 0 };
	struct io_uring_sqe *entry;
	int ring = (int)syscall(SYS_io_uring_setup, 4, &parameters);
	char *queue;

	if (ring < 0)
		skip("no io_uring: %s", strerror(errno));
	queue = map_ring(ring, parameters.sq_off.array + parameters.sq_entries * sizeof(unsigned),
		(off_t)IORING_OFF_SQ_RING);
	entry = map_ring(ring, parameters.sq_entries * sizeof(*entry), (off_t)IORING_OFF_SQES);
	*entry = (struct io_uring_sqe){
		.opcode = IORING_OP_READ,
		.fd = fd,
		.addr = (uint64_t)(uintptr_t)to,
		.len = RUN_BYTES,
	};
	*(unsigned *)(void *)(queue + parameters.sq_off.array) = 0;
	*(_Atomic unsigned *)(void *)(queue + parameters.sq_off.tail) = 1;
	EXPECT_EQUAL(syscall(SYS_io_uring_enter, ring, 1, 0, 0, NULL, 0), 1);
}

static void ask_and_wait(void *submit)
{
	struct sh_heap *heap = open_heap(path, 0);
	sh_off run = sh_pages_alloc(heap, RUN_BYTES / PAGE, SH_IO);
	int fd = open(source, O_RDONLY | O_DIRECT | O_CLOEXEC);

	if (fd < 0)
		skip("no direct I/O: %s", strerror(errno));
	EXPECT(run != 0);
	memset(sh_ptr(heap, run), BEFORE, RUN_BYTES);
	cgroup_join();
	(*(void (**)(int, void *))submit)(fd, sh_ptr(heap, run));
	atomic_store(&board->value[0], run);
	reach(1, 1);
	pause();
}

/* --- what is left -------------------------------------------------------------------------- */

static int find_run(const struct sh_pages *pages, void *argument)
{
	return pages->off == *(const sh_off *)argument && pages->npages == RUN_BYTES / PAGE &&
		(pages->flags & SH_IO) != 0;
}

static bool is_listed(struct sh_heap *heap, sh_off run)
{
	return sh_pages_walk(heap, find_run, &run) == SH_ESTOPPED;
}

static bool holds(struct sh_heap *heap, sh_off run, unsigned char byte)
{
	const unsigned char *bytes = sh_ptr(heap, run);

	return bytes[0] == byte && memcmp(bytes, bytes + 1, RUN_BYTES - 1) == 0;
}

/* Whoever wants memory gets other pages; their content stays. */
static void use_other_pages(struct sh_heap *heap, sh_off run)
{
	for (unsigned i = 0; i < 64; i++) {
		sh_off other = sh_pages_alloc(heap, RUN_BYTES / PAGE, 0);

		EXPECT(other != 0);
		EXPECT(other + RUN_BYTES <= run || run + RUN_BYTES <= other);
	}
	work(heap, 1, 200);
}

static void wait_for_death(struct sh_heap *heap)
{
	struct sh_reap_report report = { .processes = 0 };
	uint64_t end_us = now_us() + PATIENCE_US;

	while (report.processes == 0) {
		EXPECT(now_us() < end_us);
		EXPECT_EQUAL(sh_reap(heap, &report), 0);
		usleep(200);
	}
}

/* A restart of the heap, while the disk still works on it. */
static struct sh_heap *restart(struct sh_heap *heap, sh_off run)
{
	close_heap(heap);
	heap = open_heap(path, 0);
	EXPECT(is_listed(heap, run));
	return heap;
}

static void read_in_flight(void (*submit)(int fd, void *to))
{
	struct sh_heap *heap;
	uint64_t killed_us;
	double reaped_ms;
	pid_t reader;
	sh_off run;

	own_mounts();
	snprintf(path, sizeof(path), "%s", path_in(place_plain()));
	make_source();
	make_it_slow();
	heap = new_heap(path);
	reader = start(ask_and_wait, &submit);
	wait_for(1, 1);
	run = atomic_load(&board->value[0]);
	if (!holds(heap, run, BEFORE))
		skip("the disk could not be made slow");
	killed_us = now_us();
	kill(reader, SIGKILL);
	wait_for_death(heap);
	reaped_ms = (double)(now_us() - killed_us) / 1000;
	EXPECT(is_listed(heap, run));
	use_other_pages(heap, run);
	heap = restart(heap, run);
	while (!holds(heap, run, ON_DISK)) {
		EXPECT(now_us() - killed_us < PATIENCE_US);
		usleep(200);
	}
	tell("reaped after %.0f ms, the read landed after %.0f ms, in the run, which was still "
	     "allocated and listed; then it was freed",
		reaped_ms, (double)(now_us() - killed_us) / 1000);
	EXPECT_EQUAL(finish(reader), SIGKILL);
	EXPECT_EQUAL(sh_pages_free(heap, run, RUN_BYTES / PAGE), 0);
	EXPECT(!is_listed(heap, run));
	check_heap_content(heap);
	close_heap(heap);
	EXPECT(is_clean(path));
}

void run_device_read_aio(void)
{
	read_in_flight(submit_aio);
}

void run_device_read_uring(void)
{
	read_in_flight(submit_uring);
}

#else

void run_device_read_aio(void)
{
	skip("this version has no page runs for device I/O (SH_IO)");
}

void run_device_read_uring(void)
{
	skip("this version has no page runs for device I/O (SH_IO)");
}

#endif
