/* image.c -- a heap file that somebody finds: pages of several moments
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/torn/image.h"

#include "heap/heap.h"
#include "recovery/superblock.h"
#include "stress/torn/give_up.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char zeros[DISK_PAGE];

void image_init(struct image *image, uint64_t pages)
{
	memset(image, 0, sizeof(*image));
	image->capacity = pages;
	image->page = calloc(pages, sizeof(*image->page));
	image->scratch = calloc(IMAGE_SCRATCH, DISK_PAGE);
	if (image->page == NULL || image->scratch == NULL)
		give_up("no memory");
}

void image_free(struct image *image)
{
	free(image->page);
	free(image->scratch);
}

void image_begin(struct image *image, uint64_t pages)
{
	memset(image->page, 0, image->capacity * sizeof(*image->page));
	image->pages = pages < image->capacity ? pages : image->capacity;
	image->scratch_used = 0;
	image->other_boot = false;
	image->control = false;
	image->control_is_its = false;
}

char *image_scratch(struct image *image, const char *content)
{
	char *page;

	if (image->scratch_used == IMAGE_SCRATCH)
		return NULL;
	page = image->scratch[image->scratch_used++];
	memcpy(page, content == NULL ? zeros : content, DISK_PAGE);
	return page;
}

/* --- superblocks --------------------------------------------------------------------------- */

/* Process. A superblock of the recorded heaps, which all have the same sizes. */
static struct superblock sizes;

void image_learn_sizes(const struct recording *recording)
{
	for (unsigned i = 0; i < recording->count && sizes.max_bytes == 0; i++)
		if (moment_page(recording->moment[i], 0) != NULL)
			memcpy(&sizes, moment_page(recording->moment[i], 0), sizeof(sizes));
}

uint64_t superblock_b_page(void)
{
	return heap_superblock_b_offset(sizes.max_bytes, sizes.thread_slot_count) / DISK_PAGE;
}

uint64_t arena_header_page(void)
{
	return (heap_header_bytes(sizes.max_bytes, sizes.thread_slot_count) + DISK_PAGE - 1) /
		DISK_PAGE;
}

/* Reads the superblock at the start of a page; whether it is whole. */
static bool read_superblock(const char *page, struct superblock *superblock)
{
	struct superblock again;

	if (page == NULL)
		return false;
	memcpy(superblock, page, sizeof(*superblock));
	if (superblock->magic != SUPERBLOCK_MAGIC)
		return false;
	again = *superblock;
	again.sequence--;
	superblock_seal(&again);
	return again.checksum == superblock->checksum;
}

static void move_to_other_boot(char *boot_id)
{
	boot_id[0] ^= 1;
}

void image_reboot(struct image *image)
{
	struct control_header *header = (struct control_header *)(void *)image->control_page;
	struct superblock superblock;

	for (uint64_t i = 0; i < image->pages; i++) {
		char *page;

		if (!read_superblock(image->page[i], &superblock))
			continue;
		page = image_scratch(image, image->page[i]);
		if (page == NULL) {
			give_up("too many superblocks in an image");
			return;
		}
		move_to_other_boot(superblock.boot_id);
		superblock.sequence--;
		superblock_seal(&superblock);
		memcpy(page, &superblock, sizeof(superblock));
		image->page[i] = page;
	}
	if (image->control)
		move_to_other_boot(header->boot_id);
}

/* --- what it is ---------------------------------------------------------------------------- */

/* What a clean file says of its control file is of no account. */
static bool equal_but_for_place(const char *a, const char *b)
{
	static_assert(CONTROL_PLACE_OFFSET % DISK_PAGE + CONTROL_PLACE_BYTES == DISK_PAGE,
		"the place is the rest of its page");
	return memcmp(a == NULL ? zeros : a, b == NULL ? zeros : b,
		       DISK_PAGE - CONTROL_PLACE_BYTES) == 0;
}

/* A clean file ends with a copy of its superblock; nothing behind it is anybody's. */
static uint64_t end_page(const struct moment *moment)
{
	struct superblock superblock = { 0 };

	if (moment->state != MOMENT_CLEAN || moment_page(moment, 0) == NULL)
		return UINT64_MAX;
	memcpy(&superblock, moment_page(moment, 0), sizeof(superblock));
	return superblock.end_copy == 0 ? UINT64_MAX : superblock.end_copy / DISK_PAGE + 1;
}

bool image_is(const struct image *image, const struct moment *moment)
{
	uint64_t most = image->pages > moment->pages ? image->pages : moment->pages;
	uint64_t end = end_page(moment);

	if (most > end)
		most = end;

	for (uint64_t i = 0; i < most; i++) {
		const char *mine = i < image->pages ? image->page[i] : NULL;
		const char *its = moment_page(moment, i);

		if (pages_equal(mine, its))
			continue;
		if (i != CONTROL_PLACE_OFFSET / DISK_PAGE || !equal_but_for_place(mine, its))
			return false;
	}
	return true;
}

static const char *page_of(const struct image *image, uint64_t page)
{
	return page < image->pages ? image->page[page] : NULL;
}

/* Of an arena that is counted. */
static uint64_t arena_incarnation(const struct image *image)
{
	struct arena_header header = { 0 };
	struct running running = { 0 };
	const char *page = page_of(image, arena_header_page());
	const char *counts = page_of(image, SUPERBLOCK_STRIDE / DISK_PAGE);

	if (counts != NULL)
		memcpy(&running, counts, sizeof(running));
	if (page != NULL && running.arena_count != 0)
		memcpy(&header, page, sizeof(header));
	return header.incarnation;
}

bool image_marks_agree(const struct image *image)
{
	struct superblock a;
	struct superblock b;
	struct superblock end;

	if (!read_superblock(page_of(image, 0), &a) || a.clean != 1 ||
		!read_superblock(page_of(image, superblock_b_page()), &b) ||
		memcmp(&a, &b, sizeof(a)) != 0 || arena_incarnation(image) > a.incarnation)
		return false;
	return a.end_copy == 0 ||
		(read_superblock(page_of(image, a.end_copy / DISK_PAGE), &end) &&
			memcmp(&a, &end, sizeof(a)) == 0);
}

/* The newer one of the two copies. */
static bool newest(const struct image *image, struct superblock *superblock)
{
	struct superblock b;
	bool has_a = read_superblock(page_of(image, 0), superblock);
	bool has_b = read_superblock(page_of(image, superblock_b_page()), &b);

	if (has_b && (!has_a || b.sequence > superblock->sequence))
		*superblock = b;
	return has_a || has_b;
}

/* Whether the superblock is the only copy, of a closed file, with which the control file's run began. */
static bool only_began(const struct image *image, const struct superblock *superblock,
	const struct control_header *header)
{
	struct superblock a;
	struct superblock b;

	return superblock->clean == 1 &&
		memcmp(header->nonce_before, superblock->nonce, sizeof(header->nonce)) == 0 &&
		!(read_superblock(page_of(image, 0), &a) &&
			read_superblock(page_of(image, superblock_b_page()), &b) &&
			a.sequence == b.sequence);
}

bool image_control_agrees(const struct image *image)
{
	struct control_header header;
	struct superblock superblock;
	struct running running = { 0 };
	const char *page = page_of(image, SUPERBLOCK_STRIDE / DISK_PAGE);

	if (!image->control || !image->control_is_its || !newest(image, &superblock))
		return false;
	memcpy(&header, image->control_page, sizeof(header));
	if (page != NULL)
		memcpy(&running, page, sizeof(running));
	if (memcmp(header.nonce, superblock.nonce, sizeof(header.nonce)) != 0)
		return only_began(image, &superblock, &header) && header.stamp == running.stamp;
	return memcmp(header.boot_id, superblock.boot_id, BOOT_ID_BYTES) == 0 &&
		(header.stamp == running.stamp || header.stamp + 1 == running.stamp);
}

/* --- files --------------------------------------------------------------------------------- */

static void control_name(const char *path, char name[600])
{
	snprintf(name, 600, "%s-shm", path);
}

static void write_pages(const struct image *image, int fd)
{
	for (uint64_t i = 0; i < image->pages; i++)
		if (image->page[i] != NULL &&
			pwrite(fd, image->page[i], DISK_PAGE, (off_t)(i * DISK_PAGE)) !=
				(ssize_t)DISK_PAGE)
			give_up("an image cannot be written");
}

static void write_control(const struct image *image, const char *path, uint64_t heap_inode)
{
	struct control_header header;
	struct stat status;
	char name[600];
	int fd;

	control_name(path, name);
	unlink(name);
	if (!image->control)
		return;
	fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || fstat(fd, &status) != 0 ||
		pwrite(fd, image->control_page, DISK_PAGE, 0) != (ssize_t)DISK_PAGE)
		give_up("a control file cannot be written");
	memcpy(&header, image->control_page, sizeof(header));
	if (image->control_is_its) {
		header.heap_inode = heap_inode;
		header.control_inode = status.st_ino;
	}
	if (pwrite(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header) ||
		ftruncate(fd, (off_t)(header.control_bytes | DISK_PAGE)) != 0)
		give_up("a control file cannot be written");
	close(fd);
}

void image_write(const struct image *image, const char *path)
{
	struct stat status;
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || fstat(fd, &status) != 0)
		give_up("an image cannot be written");
	write_pages(image, fd);
	if (ftruncate(fd, (off_t)(image->pages * DISK_PAGE)) != 0)
		give_up("an image cannot be written");
	close(fd);
	write_control(image, path, status.st_ino);
}

/* What is no data reads as zeros. */
static bool same_content(const struct image *image, int fd)
{
	char *seen = calloc(image->pages + 1, 1);
	off_t at = 0;
	bool same = seen != NULL;

	while (same && (at = lseek(fd, at, SEEK_DATA)) >= 0) {
		uint64_t page = (uint64_t)at / DISK_PAGE;
		char content[DISK_PAGE] = { 0 };

		same = page < image->pages && pread(fd, content, DISK_PAGE, at) >= 0 &&
			pages_equal(content, image->page[page]);
		if (page < image->pages)
			seen[page] = 1;
		at += (off_t)DISK_PAGE;
	}
	for (uint64_t i = 0; same && i < image->pages; i++)
		same = seen[i] || page_is_zero(image->page[i]);
	free(seen);
	return same;
}

static bool heap_unchanged(const struct image *image, const char *path)
{
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool same = fd >= 0 && fstat(fd, &status) == 0 &&
		(uint64_t)status.st_size == image->pages * DISK_PAGE && same_content(image, fd);

	if (fd >= 0)
		close(fd);
	return same;
}

static bool control_unchanged(const struct image *image, const char *path)
{
	char name[600];
	char page[DISK_PAGE];
	int fd;
	bool same;

	control_name(path, name);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || !image->control) {
		if (fd >= 0)
			close(fd);
		return (fd >= 0) == image->control;
	}
	/* The inodes in it were written by image_write(). */
	same = pread(fd, page, DISK_PAGE, 0) == (ssize_t)DISK_PAGE &&
		memcmp(page, image->control_page, offsetof(struct control_header, heap_inode)) ==
			0 &&
		memcmp(page + offsetof(struct control_header, stamp),
			image->control_page + offsetof(struct control_header, stamp),
			DISK_PAGE - offsetof(struct control_header, stamp)) == 0;
	close(fd);
	return same;
}

bool image_unchanged(const struct image *image, const char *path)
{
	return heap_unchanged(image, path) && control_unchanged(image, path);
}
