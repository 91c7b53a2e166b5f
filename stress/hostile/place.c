/* place.c -- file systems to put a heap on
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/hostile/place.h"

#include "stress/hostile/case.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

static char place[640];
static unsigned places;

void own_mounts(void)
{
	need_root();
	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		skip("no mount namespace: %s", strerror(errno));
}

const char *place_plain(void)
{
	snprintf(place, sizeof(place), "%s/place%u", folder, places++);
	EXPECT_EQUAL(mkdir(place, 0755), 0);
	return place;
}

const char *place_tmpfs(unsigned mebibytes)
{
	char options[32];

	place_plain();
	snprintf(options, sizeof(options), "size=%um", mebibytes);
	if (mount("none", place, "tmpfs", 0, options) != 0)
		skip("cannot mount tmpfs: %s", strerror(errno));
	return place;
}

const char *place_image(const char *type, unsigned mebibytes)
{
	char image[700];

	if (command("command -v mkfs.%s", type) != 0)
		skip("mkfs.%s is not installed", type);
	place_plain();
	snprintf(image, sizeof(image), "%s.image", place);
	EXPECT_EQUAL(command("truncate -s %uM %s", mebibytes, image), 0);
	if (command("mkfs.%s -q %s", type, image) != 0)
		skip("mkfs.%s does not make %u MiB", type, mebibytes);
	/* mount(8) gives the loop device back when it is unmounted. */
	if (command("mount -o loop %s %s", image, place) != 0)
		skip("cannot mount an image of %s: no loop device, or no such file system", type);
	chmod(place, 0755);
	return place;
}

const char *place_overlay(void)
{
	static const char *const parts[] = { "lower", "upper", "work", "merged" };
	char options[4096];
	char name[700];

	place_plain();
	for (unsigned i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "%s/%s", place, parts[i]);
		EXPECT_EQUAL(mkdir(name, 0755), 0);
	}
	snprintf(options, sizeof(options), "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work",
		place, place, place);
	if (mount("overlay", name, "overlay", 0, options) != 0)
		skip("cannot mount overlayfs: %s", strerror(errno));
	memcpy(place, name, strlen(name) + 1);
	return place;
}
