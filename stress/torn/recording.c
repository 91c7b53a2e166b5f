/* recording.c -- what each page of a heap file was at many moments of its life
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/torn/recording.h"

#include "stress/torn/give_up.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLAB_PAGES 1024u

static char zeros[DISK_PAGE];

bool page_is_zero(const char *page)
{
	return page == NULL || memcmp(page, zeros, DISK_PAGE) == 0;
}

bool pages_equal(const char *a, const char *b)
{
	if (a == b)
		return true;
	return memcmp(a == NULL ? zeros : a, b == NULL ? zeros : b, DISK_PAGE) == 0;
}

static void *must(void *memory)
{
	if (memory == NULL)
		give_up("no memory");
	return memory;
}

static char *keep(struct recording *recording, const char *content)
{
	char *page;

	if (recording->slabs == 0 || recording->slab_used == SLAB_PAGES) {
		recording->slab = must(realloc(recording->slab,
			(recording->slabs + 1) * sizeof(*recording->slab)));
		recording->slab[recording->slabs++] = must(malloc(SLAB_PAGES * DISK_PAGE));
		recording->slab_used = 0;
	}
	page = (char *)recording->slab[recording->slabs - 1] + recording->slab_used++ * DISK_PAGE;
	memcpy(page, content, DISK_PAGE);
	return page;
}

/* Versions that did not change since the moment before are shared with it. */
static void take_page(struct recording *recording, struct moment *moment, uint64_t page,
	const char *now)
{
	const char *then = recording->count == 0
		? NULL
		: moment_page(recording->moment[recording->count - 1], page);

	if (then != NULL && memcmp(now, then, DISK_PAGE) == 0)
		moment->page[page] = then;
	else
		moment->page[page] = page_is_zero(now) ? NULL : keep(recording, now);
}

static void take_file(struct recording *recording, struct moment *moment, int fd)
{
	static char content[256 * DISK_PAGE];
	struct stat status;
	off_t at = 0;

	if (fstat(fd, &status) != 0)
		give_up("fstat");
	moment->pages = ((uint64_t)status.st_size + DISK_PAGE - 1) / DISK_PAGE;
	moment->page = must(calloc(moment->pages + 1, sizeof(*moment->page)));
	while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
		ssize_t got = pread(fd, content, sizeof(content), at);

		for (ssize_t i = 0; i < got; i += (ssize_t)DISK_PAGE)
			take_page(recording, moment, (uint64_t)(at + i) / DISK_PAGE, content + i);
		if (got <= 0)
			break;
		at += got;
	}
}

static void take_control(struct moment *moment, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	moment->control = pread(fd, moment->control_page, DISK_PAGE, 0) > 0;
	close(fd);
}

static void moment_free(struct moment *moment)
{
	free(moment->page);
	free(moment);
}

struct moment *recording_take(struct recording *recording, int fd, const char *control,
	enum moment_state state)
{
	struct moment *moment = must(calloc(1, sizeof(*moment)));

	if (recording->count == MOMENTS_MOST)
		moment_free(recording->moment[--recording->count]);
	moment->state = state;
	if (fd >= 0)
		take_file(recording, moment, fd);
	take_control(moment, control);
	if (moment->pages > recording->most_pages)
		recording->most_pages = moment->pages;
	recording->moment[recording->count++] = moment;
	return moment;
}

unsigned recording_floor(const struct recording *recording, uint64_t page, unsigned moment)
{
	for (unsigned i = moment; i-- > 0;)
		if (recording->moment[i]->synced_from <= page &&
			page < recording->moment[i]->synced_end)
			return i;
	return 0;
}

void recording_free(struct recording *recording)
{
	for (unsigned i = 0; i < recording->count; i++)
		moment_free(recording->moment[i]);
	for (unsigned i = 0; i < recording->slabs; i++)
		free(recording->slab[i]);
	free(recording->slab);
	memset(recording, 0, sizeof(*recording));
}
