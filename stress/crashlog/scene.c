/* scene.c -- a run of the scenario under the tool, and what it left
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/crashlog/scene.h"

#include "stress/common/stepper.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOOL_FOLDER "crashlog_tool"
#define TOOL_FILE TOOL_FOLDER "/storelog-amd64-linux"
#define SCENARIO_FILE "crashlog_scenario"
#define OUTPUT_FILE "output"
/* Copies in vectors instead of byte by byte, of which nothing is to be learnt. */
#define TUNABLES                                                                          \
	"glibc.cpu.x86_rep_movsb_threshold=1000000000:glibc.cpu.x86_rep_stosb_threshold=" \
	"1000000000"

/* A path beside this program. */
static const char *beside(const char *name, char path[PATH_MAX])
{
	ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 64);

	while (length > 0 && path[length - 1] != '/')
		length--;
	snprintf(path + (length > 0 ? length : 0), 64, "%s", name);
	return path;
}

const char *scene_missing(void)
{
	char path[PATH_MAX];

	if (!stepper_works())
		return "this is not x86-64";
	if (access(beside(TOOL_FILE, path), X_OK) != 0 ||
		access(beside(SCENARIO_FILE, path), X_OK) != 0)
		return "this build has no valgrind tool: valgrind's static libraries and headers "
		       "were "
		       "not there, or it has sanitizers or small geometry";
	return system("valgrind --version >/dev/null 2>&1") == 0 ? NULL
								 : "valgrind is not installed";
}

/* In the child. */
_Noreturn static void exec_scenario(const struct scene *scene, const struct options *options)
{
	char tool[PATH_MAX];
	char program[PATH_MAX];
	char log[600];
	char output[600];
	char seed[32];
	char count[32];
	int fd;

	snprintf(log, sizeof(log), "--log=%s/%s", scene->folder, LOG_FILE);
	snprintf(output, sizeof(output), "%s/%s", scene->folder, OUTPUT_FILE);
	snprintf(seed, sizeof(seed), "%" PRIu64, options->seed);
	snprintf(count, sizeof(count), "%u", options->random_operations);
	fd = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd >= 0) {
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
	}
	setenv("VALGRIND_LIB", beside(TOOL_FOLDER, tool), 1);
	setenv("GLIBC_TUNABLES", TUNABLES, 1);
	execlp("valgrind", "valgrind", "-q", "--tool=storelog", log, beside(SCENARIO_FILE, program),
		scene->folder, scene->state, seed, count, (char *)NULL);
	_exit(127);
}

static bool run_scenario(const struct scene *scene, const struct options *options)
{
	char command[640];
	int status = -1;
	pid_t child = fork();

	if (child == 0)
		exec_scenario(scene, options);
	if (child > 0 && waitpid(child, &status, 0) == child && status == 0)
		return true;
	printf("the scenario failed, status %d; it said:\n", status);
	fflush(stdout);
	snprintf(command, sizeof(command), "cat %s/%s", scene->folder, OUTPUT_FILE);
	return system(command) != 0 && false;
}

bool scene_make(struct scene *scene, const struct options *options, const char *folder,
	const char *state)
{
	char path[600];

	memset(scene, 0, sizeof(*scene));
	scene->state = state;
	snprintf(scene->folder, sizeof(scene->folder), "%s/crashlog-XXXXXX", folder);
	if (mkdtemp(scene->folder) == NULL) {
		perror(scene->folder);
		exit(2);
	}
	if (!run_scenario(scene, options))
		return false;
	snprintf(path, sizeof(path), "%s/%s", scene->folder, LOG_FILE);
	if (!store_log_read(&scene->log, path))
		return false;
	snprintf(path, sizeof(path), "%s/%s", scene->folder, MODEL_FILE);
	if (!expected_read(&scene->expected, path))
		return false;
	snprintf(path, sizeof(path), "%s/%s", scene->folder, LAST_FILE);
	scene->last = strdup(path);
	replay_open(&scene->replay, scene->folder);
	return scene->last != NULL && scene->expected.count == scene->log.operation_count;
}

void scene_rewind(struct scene *scene)
{
	replay_close(&scene->replay);
	replay_open(&scene->replay, scene->folder);
}

void scene_remove(struct scene *scene)
{
	static const char *const names[] = { HEAP_FILE, CONTROL_FILE, BASE_FILE, BASE_CONTROL_FILE,
		LAST_FILE, MODEL_FILE, LOG_FILE, OUTPUT_FILE };
	char path[600];

	if (scene->replay.files[FILE_HEAP].now != NULL)
		replay_close(&scene->replay);
	store_log_free(&scene->log);
	expected_free(&scene->expected);
	free(scene->last);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", scene->folder, names[i]);
		unlink(path);
	}
	rmdir(scene->folder);
}
