/* image.h -- a heap in plain memory: no files, no kernel
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * For the model checker, the fuzzer and tests: format, open, recover and check a heap whose two
 * files are buffers. Backing always succeeds inside the buffers and fails with ENOSPC outside, or
 * beyond a limit that the test sets. */
#ifndef SPANHEAP_IMAGE_H
#define SPANHEAP_IMAGE_H

#include "heap/heap.h"
#include "recovery/recover.h"

#include <spanheap.h>

/* Process. */
struct image {
	struct heap heap;
	char *base;
	uint64_t bytes; /* of the heap file's buffer; backing beyond it fails */
	char *control;
	uint64_t control_bytes;
	/* Makes bytes of the heap file's buffer zero; NULL: each word is looked at. For buffers with large holes. */
	void (*make_zero)(const struct image *image, uint64_t offset, uint64_t bytes);
	struct thread thread; /* what recovery worked with; its counts tell what it did */
	struct recovery recovery;
};

/* Writes the header of a new, clean heap. The buffer is zeroed and at least heap_header_bytes. */
void image_format(char *base, uint64_t max_bytes, uint32_t process_slots, uint32_t thread_slots);

/* Opens the heap in image->base/bytes with the control buffer, which the caller has zeroed: reads the
 * superblock, begins a new incarnation, recovers. image->heap.system may be replaced afterwards, or
 * before with `system` not NULL. 0, SH_EBADHEAP, SH_EVERSION, ENOMEM (buffers too small). For any
 * content of the heap buffer. */
int image_open(struct image *image, const struct system *system);

/* A thread on slot `slot`, confirmed as live. */
void image_attach_thread(struct image *image, struct thread *thread, uint32_t slot);

#endif
