/* image.h -- a heap file that somebody finds: pages of several moments
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef TORN_IMAGE_H
#define TORN_IMAGE_H

#include "heap/heap_layout.h"
#include "stress/torn/recording.h"

#define IMAGE_SCRATCH 4096u

/* Process. */
struct image {
	uint64_t pages;
	uint64_t capacity;
	bool other_boot;            /* the machine was restarted since: see image_reboot() */
	const char **page;          /* NULL: zeros */
	char (*scratch)[DISK_PAGE]; /* pages that are of no moment */
	unsigned scratch_used;
	bool control;        /* a control file lies beside it ... */
	bool control_is_its; /* ... and names this file and itself: neither is a copy */
	_Alignas(8) char control_page[DISK_PAGE];
};

void image_init(struct image *image, uint64_t pages);
void image_free(struct image *image);

/* An empty one of so many pages. */
void image_begin(struct image *image, uint64_t pages);

/* A page of its own with that content (NULL: zeros); NULL when there are too many. */
char *image_scratch(struct image *image, const char *content);

/* Makes every superblock in it, and the control file, those of another boot. From then on it is no recorded
 * moment. */
void image_reboot(struct image *image);

/* Whether it is that moment, as far as anybody uses it. */
bool image_is(const struct image *image, const struct moment *moment);

/* Whether nothing contradicts that this is a clean file: both copies of the superblock and the one at the end
 * are of one closing, and no arena was opened later. */
bool image_marks_agree(const struct image *image);

/* Whether the control file beside it is of the same run, boot and stamp. */
bool image_control_agrees(const struct image *image);

/* Where the parts of the recorded heaps are, as their superblocks tell: all have the same sizes. Pages of the
 * disk. */
void image_learn_sizes(const struct recording *recording);
uint64_t superblock_b_page(void);
uint64_t arena_header_page(void);

/* Writes both files; whatever was there is gone, and the inode of the heap file stays. */
void image_write(const struct image *image, const char *path);

/* Whether both files are as they were written. */
bool image_unchanged(const struct image *image, const char *path);

#endif
