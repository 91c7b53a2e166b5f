/* recording.h -- what each page of a heap file was at many moments of its life
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A moment that ends with a sync says which pages the file system promised to have on the disk. */
#ifndef TORN_RECORDING_H
#define TORN_RECORDING_H

#include <stdbool.h>
#include <stdint.h>

/* What the kernel writes as a whole, or what a copier takes. */
#define DISK_PAGE UINT64_C(4096)
/* What a disk writes as a whole. */
#define SECTOR UINT64_C(512)

#define MOMENTS_MOST 96u

enum moment_state { MOMENT_ABSENT, MOMENT_CLEAN, MOMENT_IN_USE };

/* Process. The heap file, and the start of its control file, at one moment. Equal pointers are equal
 * pages; NULL is a page of zeros. */
struct moment {
	enum moment_state state;
	uint64_t pages; /* of the file */
	const char **page;
	bool control; /* there was a control file */
	_Alignas(8) char control_page[DISK_PAGE];
	uint64_t synced_from; /* pages that were synced then ... */
	uint64_t synced_end;  /* ... up to here; 0: none */
};

/* Process. */
struct recording {
	struct moment *moment[MOMENTS_MOST];
	unsigned count;
	uint64_t most_pages; /* of any moment */
	void **slab;
	unsigned slabs;
	uint64_t slab_used;
};

/* Adds the file as it is now, open on `fd` (FILE_NONE: not there). `control` is the path of the control
 * file. Full: the last moment is replaced. */
struct moment *recording_take(struct recording *recording, int fd, const char *control,
	enum moment_state state);

/* The page of a moment; NULL also behind the file's end. */
static inline const char *moment_page(const struct moment *moment, uint64_t page)
{
	return page < moment->pages ? moment->page[page] : (const char *)0;
}

/* The first of the moments whose version of the page a power failure just before the end of the sync of
 * `moment` may leave. */
unsigned recording_floor(const struct recording *recording, uint64_t page, unsigned moment);

bool pages_equal(const char *a, const char *b);

/* Whether a page is zeros; NULL is. */
bool page_is_zero(const char *page);

void recording_free(struct recording *recording);

#endif
