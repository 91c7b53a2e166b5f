/* image.c -- what identifies a content of the heap file
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/killk/image.h"

#include <stdlib.h>
#include <string.h>

static int compare_images(const void *left, const void *right)
{
	return memcmp(left, right, sizeof(struct image));
}

uint64_t images_distinct(struct image *images, uint64_t count)
{
	uint64_t kept = 0;

	qsort(images, count, sizeof(*images), compare_images);
	for (uint64_t i = 0; i < count; i++)
		if (i == 0 || !image_equal(images[i], images[kept - 1]))
			images[kept++] = images[i];
	return kept;
}

uint64_t images_missing(const struct image *images, uint64_t count, const struct image *among,
	uint64_t among_count)
{
	uint64_t missing = 0;

	for (uint64_t i = 0; i < count; i++)
		missing += among_count == 0 ||
			bsearch(&images[i], among, among_count, sizeof(*among), compare_images) ==
				NULL;
	return missing;
}
