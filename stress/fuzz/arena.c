/* arena.c -- the memory in which a target's heap lies: as long as a file, guarded behind its end
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/fuzz/arena.h"

#include "heap/deferred.h"
#include "heap/manual.h"
#include "heap/object.h"
#include "heap/pages.h"
#include "heap/root.h"
#include "heap/span.h"
#include "heap/transaction.h"
#include "stress/common/chance.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define RESERVED_BYTES (UINT64_C(1) << 41)

struct fuzz_heap fuzz_heap;

/* Process. Memory files with the valid heaps, and how long each is. */
static int base_fd[FUZZ_BASES + 1];
static uint64_t base_bytes[FUZZ_BASES + 1];
static uint64_t base_count;
static uint64_t writable_end;

void fuzz_fail(const char *format, ...)
{
	char text[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	fprintf(stderr, "fuzz: %s\n", text);
	abort();
}

/* --- the system ---------------------------------------------------------------------------- */

static void maybe_die(void)
{
	if (fuzz_heap.death_in != 0 && --fuzz_heap.death_in == 0)
		longjmp(fuzz_heap.death, 1);
}

static bool is_alive(void *context, uint64_t tag)
{
	const struct heap *heap = &fuzz_heap.image.heap;

	(void)context;
	maybe_die();
	return tag_plausible(tag, heap->thread_slots) &&
		atomic_load(&heap->thread_slot[tag_slot(tag)].owner) == tag;
}

static bool process_is_alive(void *context, uint32_t process)
{
	(void)context;
	maybe_die();
	return process == 0;
}

static uint64_t page_up(uint64_t bytes)
{
	return (bytes + 4095) & ~UINT64_C(4095);
}

static void protect(uint64_t bytes, int protection)
{
	if (bytes != 0 && mprotect(fuzz_heap.image.base, bytes, protection) != 0)
		fuzz_fail("mprotect");
}

/* The file grows, as fallocate(2) has it. */
static int back_heap(void *context, uint64_t offset, uint64_t bytes)
{
	(void)context;
	maybe_die();
	if (offset > FUZZ_MAX_BYTES || bytes > FUZZ_MAX_BYTES - offset)
		return ENOSPC;
	if (offset + bytes > writable_end) {
		writable_end = page_up(offset + bytes);
		protect(writable_end, PROT_READ | PROT_WRITE);
	}
	return 0;
}

static int back_control(void *context, uint64_t offset, uint64_t bytes)
{
	(void)context;
	maybe_die();
	return offset <= fuzz_heap.image.control_bytes &&
			bytes <= fuzz_heap.image.control_bytes - offset
		? 0
		: ENOSPC;
}

static int zero_heap(void *context, uint64_t offset, uint64_t bytes)
{
	(void)context;
	maybe_die();
	if (offset > writable_end)
		return 0;
	memset(fuzz_heap.image.base + offset, 0,
		bytes < writable_end - offset ? bytes : writable_end - offset);
	return 0;
}

/* Nobody else runs: whoever waits would wait for ever. */
static void futex_wait(void *context, const uint32_t *word, uint32_t expected, uint64_t limit_ns)
{
	static unsigned waits;

	(void)context;
	(void)word;
	(void)expected;
	(void)limit_ns;
	maybe_die();
	if (++waits > 100000)
		fuzz_fail("waits for nobody, again and again");
}

static void futex_wake(void *context, const uint32_t *word, int count)
{
	(void)context;
	(void)word;
	(void)count;
	maybe_die();
}

static uint64_t now_ns(void *context)
{
	static uint64_t time;

	(void)context;
	maybe_die();
	return time += 1000;
}

static const struct system fuzz_system = {
	.alive = is_alive,
	.process_alive = process_is_alive,
	.futex_wait = futex_wait,
	.futex_wake = futex_wake,
	.now_ns = now_ns,
	.back_heap = back_heap,
	.back_control = back_control,
	.zero_heap = zero_heap,
};

/* --- opening ------------------------------------------------------------------------------- */

static void reserve(void)
{
	struct image *image = &fuzz_heap.image;

	if (image->base != NULL)
		return;
	image->base = mmap(NULL, RESERVED_BYTES, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	image->control_bytes = heap_control_bytes(FUZZ_MAX_BYTES, FUZZ_PROCESSES, FUZZ_THREADS + 1);
	image->control = mmap(NULL, RESERVED_BYTES, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (image->base == MAP_FAILED || image->control == MAP_FAILED ||
		mprotect(image->control, image->control_bytes, PROT_READ | PROT_WRITE) != 0)
		fuzz_fail("no address space");
}

static void place(uint64_t which)
{
	struct image *image = &fuzz_heap.image;

	reserve();
	if (mmap(image->base, FUZZ_MAX_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, base_fd[which], 0) != image->base)
		fuzz_fail("mmap");
	image->bytes = base_bytes[which];
	writable_end = FUZZ_MAX_BYTES;
	fuzz_heap.death_in = 0;
}

void fuzz_cut(uint64_t pages)
{
	fuzz_heap.image.bytes = pages * 4096 < FUZZ_MAX_BYTES ? pages * 4096 : FUZZ_MAX_BYTES;
}

/* Behind the file's end there is nothing. */
static void guard(void)
{
	struct image *image = &fuzz_heap.image;

	writable_end = image->bytes;
	if (image->bytes < FUZZ_MAX_BYTES &&
		mprotect(image->base + image->bytes, FUZZ_MAX_BYTES - image->bytes, PROT_NONE) != 0)
		fuzz_fail("mprotect");
}

void fuzz_protect(bool read_only)
{
	guard();
	protect(fuzz_heap.image.bytes, read_only ? PROT_READ : PROT_READ | PROT_WRITE);
}

static void forget_control(void)
{
	struct image *image = &fuzz_heap.image;

	if (madvise(image->control, image->control_bytes, MADV_DONTNEED) != 0)
		fuzz_fail("madvise");
}

int fuzz_open(bool trusts, unsigned threads)
{
	struct image *image = &fuzz_heap.image;
	int error;

	image->bytes = writable_end > image->bytes ? writable_end : image->bytes;
	forget_control();
	memset(&image->heap, 0, sizeof(image->heap));
	memset(&image->recovery, 0, sizeof(image->recovery));
	image->recovery.trusts = trusts;
	error = image_open(image, &fuzz_system);
	for (unsigned slot = 0; error == 0 && slot < threads; slot++)
		image_attach_thread(image, &fuzz_heap.threads[slot], slot);
	return error;
}

void fuzz_view(struct heap *heap, const struct superblock *superblock)
{
	*heap = (struct heap){
		.base = fuzz_heap.image.base,
		.max_bytes = superblock->max_bytes,
		.incarnation = superblock->incarnation,
		.process_slots = superblock->process_slot_count,
		.thread_slots = superblock->thread_slot_count,
		.system = fuzz_system,
	};
	heap_view_init(heap);
}

/* --- valid heaps --------------------------------------------------------------------------- */

static uint64_t allocate(struct thread *thread, uint64_t bytes)
{
	int error = 0;
	uint64_t head;

	if (size_is_small(bytes))
		return object_allocate(thread,
			span_class_make(size_class_of(bytes), bytes % 3 == 0), &error);
	head = span_prepare_large(thread, bytes, SPAN_LARGE, false, &error);
	if (head != 0)
		span_commit_large(thread, head);
	return page_offset(head);
}

/* Blocks of many sizes by two threads, some of them freed in all ways. */
static void make_blocks(struct chance *chance, unsigned count)
{
	uint64_t blocks[64] = { 0 };

	for (unsigned i = 0; i < count; i++) {
		struct thread *thread = &fuzz_heap.threads[i & 1];
		uint64_t *block = &blocks[chance_below(chance, 64)];
		uint64_t limit = chance_once_in(chance, 8) ? 12 * PAGE_BYTES : 300;

		if (*block != 0 && chance_once_in(chance, 4))
			deferred_free(thread, *block);
		else if (*block != 0)
			object_free(&fuzz_heap.threads[chance_below(chance, 2)], *block);
		*block = allocate(thread, 1 + chance_below(chance, limit));
	}
}

static void make_runs(struct chance *chance)
{
	int error;

	for (unsigned i = 0; i < 6; i++) {
		uint64_t npages = 2 + chance_below(chance, 20);
		uint64_t page =
			manual_allocate(&fuzz_heap.threads[0], npages, i == 3 ? RUN_IO : 0, &error);

		if (page != 0 && i % 2 == 1)
			manual_free(&fuzz_heap.threads[1], page + 1, npages - 1);
	}
}

static void make_roots(struct chance *chance)
{
	uint64_t name[ROOT_NAME_BYTES / 8];
	char text[16];

	for (unsigned i = 0; i < 5; i++) {
		snprintf(text, sizeof(text), "root%u", i);
		if (root_name(text, name))
			root_set(&fuzz_heap.threads[0], name,
				allocate(&fuzz_heap.threads[0], 10 + chance_below(chance, 90)));
	}
}

/* An open log, a long one, and one that died while it committed. */
static void make_logs(void)
{
	int error;

	for (unsigned i = 2; i < 5; i++) {
		struct transaction transaction;
		uint64_t words = allocate(&fuzz_heap.threads[i], 512);

		transaction_begin(&transaction, &fuzz_heap.threads[i]);
		for (unsigned k = 0; k < (i == 3 ? 90u : 6u); k++) {
			uint64_t off =
				transaction_allocate(&transaction, 20 + 30 * k, false, &error);

			if (off != 0 && k % 3 == 0)
				transaction_free(&transaction, off);
		}
		transaction_add(&transaction, words, 64);
		transaction_store(&transaction, words + 128, i);
		transaction_free(&transaction, words);
		transaction_root(&transaction, "logged", words);
		if (i == 4)
			log_write(fuzz_heap.threads[i].log,
				(struct log_word){
					.state = LOG_COMMITTED,
					.count = log_read(fuzz_heap.threads[i].log).count,
				});
		free(transaction.index.slots);
	}
}

static void make_content(uint64_t which)
{
	struct chance chance = { which };

	if (which >= 1)
		make_blocks(&chance, which == 1 ? 20 : 200);
	if (which >= 2)
		make_runs(&chance);
	if (which >= 3)
		make_roots(&chance);
	if (which >= 4)
		make_logs();
	/* A run of more than one arena, where there are two, or else a large one. */
	if (which == 5)
		allocate(&fuzz_heap.threads[1],
			PAGE_SHIFT < 13 ? ARENA_BYTES + 5 * PAGE_BYTES : 2 * CHUNK_BYTES);
	if (which == 2)
		for (unsigned i = 0; i < FUZZ_THREADS; i++) {
			object_give_back(&fuzz_heap.threads[i]);
			pages_give_back(&fuzz_heap.threads[i]);
		}
}

static void keep(uint64_t which, int fd)
{
	const char *base = fuzz_heap.image.base;

	base_bytes[which] = fuzz_heap.image.bytes;
	for (uint64_t at = 0; at < FUZZ_MAX_BYTES; at += 4096) {
		static const char zeros[4096];

		if (memcmp(base + at, zeros, sizeof(zeros)) == 0)
			continue;
		if (pwrite(fd, base + at, 4096, (off_t)at) != 4096)
			fuzz_fail("a memory file cannot be written");
		if (at + 4096 > base_bytes[which])
			base_bytes[which] = at + 4096;
	}
}

/* Ends at a chunk, as files do. */
static uint64_t length_of(const struct heap *heap)
{
	uint64_t end = heap_header_bytes(FUZZ_MAX_BYTES, FUZZ_THREADS + 1);

	for (uint64_t arena = 0; arena < heap_arena_count(heap); arena++) {
		uint64_t word = arena_word(heap, arena);
		uint64_t chunk = arena_word_ordinary(word)
			? word
			: arena * ARENA_CHUNKS + arena_word_chunks(word);

		if (chunk * CHUNK_BYTES > end)
			end = chunk * CHUNK_BYTES;
	}
	return end;
}

static void make_base(uint64_t which)
{
	int fd = memfd_create("base", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)FUZZ_MAX_BYTES) != 0)
		fuzz_fail("no memory file");
	base_fd[which] = fd;
	base_bytes[which] = page_up(heap_header_bytes(FUZZ_MAX_BYTES, FUZZ_THREADS + 1));
	place(which);
	image_format(fuzz_heap.image.base, FUZZ_MAX_BYTES, FUZZ_PROCESSES, FUZZ_THREADS + 1);
	if (which == FUZZ_BASES) {
		keep(which, fd);
		return;
	}
	if (fuzz_open(true, FUZZ_THREADS) != 0)
		fuzz_fail("a new heap cannot be opened");
	make_content(which);
	fuzz_heap.image.bytes = length_of(&fuzz_heap.image.heap);
	keep(which, fd);
}

static void make_bases(void)
{
	while (base_count <= FUZZ_BASES)
		make_base(base_count++);
}

void fuzz_place(unsigned base)
{
	make_bases();
	place(base % FUZZ_BASES);
}

void fuzz_place_empty(void)
{
	make_bases();
	place(FUZZ_BASES);
}
