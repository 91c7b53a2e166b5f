/* allocators.h -- spanheap and its peers behind one interface
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * All are found by name and called through one pointer each, as a call into a shared library is.
 * mimalloc and jemalloc are loaded, not linked: linked, they would take the place of malloc. Boost
 * and libpmemobj are called through a wrapper (peer.h), one more call of some hundred instructions. */
#ifndef SPANHEAP_BENCH_ALLOCATORS_H
#define SPANHEAP_BENCH_ALLOCATORS_H

#include "common.h"

#include <dlfcn.h>
#include <spanheap.h>

#define MIMALLOC_LIBRARY "libmimalloc.so.2"
#define JEMALLOC_LIBRARY "libjemalloc.so.2"

enum allocator_kind {
	ALLOCATOR_SPANHEAP,
	ALLOCATOR_MIMALLOC,
	ALLOCATOR_JEMALLOC,
	ALLOCATOR_GLIBC,
	ALLOCATOR_BOOST,
	ALLOCATOR_PMEMOBJ_ATOMIC,
	ALLOCATOR_PMEMOBJ_TRANSACTION,
};

/* Process. One allocator; passed by value, so that loops keep it in registers. Those of a file have
 * a heap and name blocks by offsets from `base`; for the others both are NULL, and blocks are named
 * by their addresses. The calls of the other kind are NULL. */
struct allocator {
	void *heap; /* struct sh_heap, or what peer_open() returned */
	char *base;
	uint64_t (*heap_alloc)(void *heap, size_t size);
	int (*heap_free)(void *heap, uint64_t block);
	void *(*alloc)(size_t size);
	void (*free)(void *block);
	size_t (*usable_size)(void *block);
};

/* What names a block as long as it lives. */
typedef uint64_t block_name;

static inline block_name block_allocate(struct allocator allocator, size_t size)
{
	block_name block = allocator.heap != NULL ? allocator.heap_alloc(allocator.heap, size)
						  : (uintptr_t)allocator.alloc(size);

	if (__builtin_expect(block == 0, 0))
		die("no block of %zu bytes: %s", size, strerror(errno));
	return block;
}

static inline void *block_address(struct allocator allocator, block_name block)
{
	return allocator.base + block;
}

/* Writes the first word of a block. */
static inline void block_touch(struct allocator allocator, block_name block)
{
	*(volatile uint64_t *)block_address(allocator, block) = block;
}

static inline void block_free(struct allocator allocator, block_name block)
{
	if (allocator.heap == NULL) {
		allocator.free((void *)(uintptr_t)block);
		return;
	}
	int error = allocator.heap_free(allocator.heap, block);

	if (__builtin_expect(error != 0, 0))
		die("a free failed: %s", sh_strerror(error));
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

static inline struct allocator allocator_of_heap(struct sh_heap *heap)
{
	struct allocator allocator = { .heap = heap, .base = sh_base(heap) };

	/* Their first argument is another pointer, which is called the same way. */
	allocator_find(RTLD_DEFAULT, "sh_alloc", &allocator.heap_alloc);
	allocator_find(RTLD_DEFAULT, "sh_free", &allocator.heap_free);
	return allocator;
}

/* A new heap; `max_bytes` of 0 is the library's default. */
static inline struct allocator allocator_spanheap(const char *path, uint64_t max_bytes)
{
	struct sh_options options = SH_OPTIONS_INIT;
	struct sh_heap *heap;
	int error;

	options.max_size = max_bytes;
	error = sh_open(path, SH_CREATE | SH_EXCL, &options, &heap);
	if (error != 0)
		die("%s: %s", path, sh_strerror(error));
	return allocator_of_heap(heap);
}

/* `prefix` stands before the names of the functions. */
static inline struct allocator allocator_malloc(void *library, const char *prefix)
{
	struct allocator allocator = { 0 };
	char name[64];

	snprintf(name, sizeof(name), "%smalloc", prefix);
	allocator_find(library, name, &allocator.alloc);
	snprintf(name, sizeof(name), "%sfree", prefix);
	allocator_find(library, name, &allocator.free);
	snprintf(name, sizeof(name), "%smalloc_usable_size", prefix);
	allocator_find(library, name, &allocator.usable_size);
	return allocator;
}

static inline void *library_load(const char *name, const char *remedy)
{
	void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);

	if (library == NULL)
		die("%s; %s", dlerror(), remedy);
	return library;
}

static inline struct allocator allocator_mimalloc(void)
{
	return allocator_malloc(library_load(MIMALLOC_LIBRARY, "install libmimalloc2.0"), "mi_");
}

/* Its thread-local memory does not fit what a process has in store for libraries loaded later. */
static inline struct allocator allocator_jemalloc(void)
{
	return allocator_malloc(library_load(JEMALLOC_LIBRARY,
					"install libjemalloc2, and set "
					"GLIBC_TUNABLES=glibc.rtld.optional_static_tls=16384, as "
					"run.sh does"),
		"");
}

static inline struct allocator allocator_glibc(void)
{
	return allocator_malloc(RTLD_DEFAULT, "");
}

/* --- peers in modules ------------------------------------------------------------------------- */

/* The module stands beside the program. */
static inline void peer_path(const char *name, char path[PATH_BYTES])
{
	char program[PATH_BYTES / 2];
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);

	if (length < 0)
		die("/proc/self/exe: %s", strerror(errno));
	program[length] = '\0';
	*strrchr(program, '/') = '\0';
	snprintf(path, PATH_BYTES, "%s/peer_%s.so", program, name);
}

/* Whether it was built: that is, its library was there. */
static inline bool peer_exists(const char *name)
{
	char path[PATH_BYTES];

	peer_path(name, path);
	return access(path, R_OK) == 0;
}

static inline void *peer_load(const char *name)
{
	char path[PATH_BYTES];

	peer_path(name, path);
	return library_load(path, "build again after ./dev deps");
}

/* Opens a file by a module's peer_open(); `bytes` of 0: it is there already. */
static inline void *peer_open_file(void *module, const char *path, uint64_t bytes)
{
	void *(*open)(const char *path, uint64_t bytes);
	void *peer;

	allocator_find(module, "peer_open", &open);
	peer = open(path, bytes);
	if (peer == NULL)
		die("%s: %s", path, strerror(errno));
	return peer;
}

/* A new file with room for `bytes`. `transaction`: by the calls that are transactions. */
static inline struct allocator allocator_peer(const char *name, const char *path, uint64_t bytes,
	bool transaction)
{
	void *module = peer_load(name);
	struct allocator allocator = { .heap = peer_open_file(module, path, bytes) };
	char *(*base)(void *peer);

	allocator_find(module, "peer_base", &base);
	allocator.base = base(allocator.heap);
	allocator_find(module, transaction ? "peer_transaction_alloc" : "peer_alloc",
		&allocator.heap_alloc);
	allocator_find(module, transaction ? "peer_transaction_free" : "peer_free",
		&allocator.heap_free);
	return allocator;
}

#endif
