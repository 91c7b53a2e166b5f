/* instructions.c -- pairs of allocation and free, for a tool that counts instructions
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * usage: instructions spanheap|mimalloc|jemalloc|glibc COUNT FOLDER
 *
 * Of two runs that differ in COUNT only, the difference is due to the pairs: a free gives its bit to
 * the word that the next allocation takes it from, so none of them leaves the fast path. */
#define _GNU_SOURCE
#include "allocators.h"

#define BLOCK_BYTES 64u
/* valgrind has no room for the default address space. */
#define MAX_BYTES (UINT64_C(64) << 20)

static struct allocator start_allocator(const char *name, const char *folder)
{
	char path[PATH_BYTES];

	if (strcmp(name, "mimalloc") == 0)
		return allocator_mimalloc();
	if (strcmp(name, "jemalloc") == 0)
		return allocator_jemalloc();
	if (strcmp(name, "glibc") == 0)
		return allocator_glibc();
	if (strcmp(name, "spanheap") != 0)
		die("%s: no such allocator; say spanheap, mimalloc, jemalloc or glibc", name);
	heap_path(folder, path);
	return allocator_spanheap(path, MAX_BYTES);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		die("usage: instructions spanheap|mimalloc|jemalloc|glibc COUNT FOLDER");
	struct allocator allocator = start_allocator(argv[1], argv[3]);
	unsigned count = number_argument("COUNT", argv[2]);

	/* It lives on: a page that each free makes empty costs mimalloc more. */
	block_allocate(allocator, BLOCK_BYTES);
	for (unsigned i = 0; i < count; i++)
		block_pair(allocator, BLOCK_BYTES);
	return 0;
}
