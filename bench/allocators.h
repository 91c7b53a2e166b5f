/* allocators.h -- spanheap, mimalloc and the C library's malloc behind one interface
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * All three are found by name and called through one pointer each, as a call into a shared library
 * is. mimalloc is loaded, not linked: linked, it would take the place of malloc. */
#ifndef SPANHEAP_BENCH_ALLOCATORS_H
#define SPANHEAP_BENCH_ALLOCATORS_H

#include "common.h"

#include <dlfcn.h>
#include <spanheap.h>

#define MIMALLOC_LIBRARY "libmimalloc.so.2"

enum allocator_kind {
	ALLOCATOR_SPANHEAP,
	ALLOCATOR_MIMALLOC,
	ALLOCATOR_GLIBC,
};

/* Process. One allocator; passed by value, so that loops keep it in registers. The calls of the
 * other kind are NULL. */
struct allocator {
	enum allocator_kind kind;
	struct sh_heap *heap;
	sh_off (*heap_alloc)(struct sh_heap *heap, size_t size);
	int (*heap_free)(struct sh_heap *heap, sh_off off);
	void *(*alloc)(size_t size);
	void (*free)(void *block);
};

/* What names a block as long as it lives: an offset for spanheap, else an address. */
typedef uint64_t block_name;

static inline block_name block_allocate(struct allocator allocator, size_t size)
{
	block_name block = allocator.kind == ALLOCATOR_SPANHEAP
		? allocator.heap_alloc(allocator.heap, size)
		: (uintptr_t)allocator.alloc(size);

	if (__builtin_expect(block == 0, 0))
		die("no block of %zu bytes: %s", size, strerror(errno));
	return block;
}

/* Writes the first word of a block. */
static inline void block_touch(struct allocator allocator, block_name block)
{
	volatile uint64_t *first = allocator.kind == ALLOCATOR_SPANHEAP
		? sh_ptr(allocator.heap, block)
		: (void *)(uintptr_t)block;

	*first = block;
}

static inline void block_free(struct allocator allocator, block_name block)
{
	if (allocator.kind != ALLOCATOR_SPANHEAP) {
		allocator.free((void *)(uintptr_t)block);
		return;
	}
	int error = allocator.heap_free(allocator.heap, block);

	if (__builtin_expect(error != 0, 0))
		die("sh_free: %s", sh_strerror(error));
}

/* Allocates a block, touches it and frees it. */
static inline void block_pair(struct allocator allocator, size_t size)
{
	block_name block = block_allocate(allocator, size);

	block_touch(allocator, block);
	block_free(allocator, block);
}

/* Copies the address of a function into a pointer of any function type. */
static inline void allocator_find(void *library, const char *name, void *pointer)
{
	void *address = dlsym(library, name);

	if (address == NULL)
		die("%s", dlerror());
	memcpy(pointer, &address, sizeof(address));
}

/* A new heap; `max_bytes` of 0 is the library's default. */
static inline struct allocator allocator_spanheap(const char *path, uint64_t max_bytes)
{
	struct sh_options options = SH_OPTIONS_INIT;
	struct allocator allocator = { .kind = ALLOCATOR_SPANHEAP };
	int error;

	options.max_size = max_bytes;
	error = sh_open(path, SH_CREATE | SH_EXCL, &options, &allocator.heap);
	if (error != 0)
		die("%s: %s", path, sh_strerror(error));
	allocator_find(RTLD_DEFAULT, "sh_alloc", &allocator.heap_alloc);
	allocator_find(RTLD_DEFAULT, "sh_free", &allocator.heap_free);
	return allocator;
}

static inline struct allocator allocator_mimalloc(void)
{
	struct allocator allocator = { .kind = ALLOCATOR_MIMALLOC };
	void *library = dlopen(MIMALLOC_LIBRARY, RTLD_NOW | RTLD_LOCAL);

	if (library == NULL)
		die("%s; install libmimalloc2.0", dlerror());
	allocator_find(library, "mi_malloc", &allocator.alloc);
	allocator_find(library, "mi_free", &allocator.free);
	return allocator;
}

static inline struct allocator allocator_glibc(void)
{
	struct allocator allocator = { .kind = ALLOCATOR_GLIBC };

	allocator_find(RTLD_DEFAULT, "malloc", &allocator.alloc);
	allocator_find(RTLD_DEFAULT, "free", &allocator.free);
	return allocator;
}

#endif
