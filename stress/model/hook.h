/* hook.h -- every access to memory of code compiled with -fsanitize=thread, shown to one client
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * hook.c stands in for the thread sanitizer's runtime: the compiler calls it before each load and
 * store and instead of each atomic operation. memcpy, memmove and memset come in through the
 * linker's --wrap. The flags are in README.md. */
#ifndef MODEL_HOOK_H
#define MODEL_HOOK_H

#include <stdbool.h>
#include <stddef.h>

enum hook_kind {
	HOOK_LOAD,
	HOOK_STORE,
	HOOK_UPDATE, /* atomic load and store in one; a compare-and-swap that may fail, too */
};

struct hook_client {
	/* Called before the access takes place, on the stack of whoever makes it. caller is the
	 * return address of the hook. */
	void (*on_access)(void *address, size_t bytes, enum hook_kind kind, const void *caller);
	/* Whether copies to or from here are to be taken apart into accesses of at most 8 bytes. */
	bool (*watches)(const void *address, enum hook_kind kind);
	bool sees_loads; /* else on_access() is not called for loads, and copies from are whole */
};

/* NULL, as at the start of the program: accesses take place unseen. Process. */
extern const struct hook_client *hook_client;

#endif
