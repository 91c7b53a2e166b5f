/* cgroup.c -- a control group of the scenario's own
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/hostile/cgroup.h"

#include "stress/hostile/case.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOT "/sys/fs/cgroup"

static char group[640];

static bool write_text(const char *file, const char *text)
{
	char name[700];
	int fd;
	bool done;

	snprintf(name, sizeof(name), "%s/%s", group, file);
	fd = open(name, O_WRONLY | O_CLOEXEC);
	done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return done;
}

static bool make_at(const char *parent, const char *file, const char *text)
{
	snprintf(group, sizeof(group), "%s%s", parent, strrchr(folder, '/'));
	if (mkdir(group, 0755) != 0)
		return false;
	if (write_text(file, text))
		return true;
	rmdir(group);
	return false;
}

void cgroup_make(const struct cgroup_limit *limit)
{
	char parent[64];

	need_root();
	snprintf(parent, sizeof(parent), ROOT "/%s", limit->controller);
	if (!make_at(parent, limit->file, limit->text) &&
		!make_at(ROOT, limit->unified_file, limit->unified_text))
		skip("no %s controller of cgroups that may be used", limit->controller);
}

void cgroup_join(void)
{
	char pid[32];

	snprintf(pid, sizeof(pid), "%d", getpid());
	EXPECT(write_text("cgroup.procs", pid));
}

void cgroup_remove(const char *of_folder)
{
	static const char *const parents[] = { ROOT "/memory", ROOT "/blkio", ROOT };
	char name[640];

	for (unsigned i = 0; i < sizeof(parents) / sizeof(parents[0]); i++) {
		snprintf(name, sizeof(name), "%s%s", parents[i], strrchr(of_folder, '/'));
		rmdir(name);
	}
}
