/* tool.c -- what a victim says to the tool that logs its stores (stress/crashlog/tool/)
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/killk/tool.h"

#include <stddef.h>

#define TOOL_FOLDER "crashlog_tool"
#define TOOL_FILE TOOL_FOLDER "/storelog-amd64-linux"
#define NAME_BYTES 64u

#define TUNABLES_OF_COPIES                              \
	"glibc.cpu.x86_rep_movsb_threshold=1000000000:" \
	"glibc.cpu.x86_rep_stosb_threshold=1000000000"

const char tool_tunables_of_copies[] = TUNABLES_OF_COPIES;
const char tool_tunables[] =
	"glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ,-AVX512CD:" TUNABLES_OF_COPIES;

#ifdef KILLK_TOOL

#include "stress/crashlog/snapshot.h"
#include "stress/crashlog/tool/storelog.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <valgrind/valgrind.h>

/* A path beside this program. */
static const char *beside(const char *name, char path[PATH_MAX])
{
	ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - NAME_BYTES);

	while (length > 0 && path[length - 1] != '/')
		length--;
	snprintf(path + (length > 0 ? length : 0), NAME_BYTES, "%s", name);
	return path;
}

const char *tool_missing(void)
{
	char path[PATH_MAX];

	if (access(beside(TOOL_FILE, path), X_OK) != 0)
		return "the valgrind tool was not built";
	return system("valgrind --version >/dev/null 2>&1") == 0 ? NULL
								 : "valgrind is not installed";
}

_Noreturn void tool_exec(const char *log, char *const program[])
{
	char folder[PATH_MAX];
	char option[PATH_MAX];
	const char *arguments[16] = { "valgrind", "-q", "--tool=storelog", option };

	snprintf(option, sizeof(option), "--log=%s", log);
	for (size_t i = 0; program[i] != NULL && i < 10; i++)
		arguments[4 + i] = program[i];
	setenv("VALGRIND_LIB", beside(TOOL_FOLDER, folder), 1);
	execvp("valgrind", (char *const *)(uintptr_t)arguments);
	_exit(127);
}

static unsigned request(unsigned which)
{
	return (unsigned)VG_USERREQ_TOOL_BASE(STORELOG_FIRST_LETTER, STORELOG_SECOND_LETTER) +
		which;
}

static void say(uint64_t mark)
{
	VALGRIND_DO_CLIENT_REQUEST_STMT(request(STORELOG_REQUEST_SAY), mark, 0, 0, 0, 0);
}

void tool_start(const char *path)
{
	say(MARK_START);
	VALGRIND_DO_CLIENT_REQUEST_STMT(request(STORELOG_REQUEST_FILE), path, FILE_HEAP, 0, 0, 0);
}

void tool_begin(uint32_t number)
{
	say(MARK_BEGIN(number));
}

void tool_end(uint32_t number)
{
	say(MARK_END(number));
	say(MARK_STOP);
}

#else

#include <unistd.h>

const char *tool_missing(void)
{
	return "this build has no valgrind tool: valgrind's static libraries and headers were not "
	       "there, or it has sanitizers or small geometry, or this is not x86-64";
}

_Noreturn void tool_exec(const char *log, char *const program[])
{
	(void)log;
	(void)program;
	_exit(127);
}

void tool_start(const char *path)
{
	(void)path;
}

void tool_begin(uint32_t number)
{
	(void)number;
}

void tool_end(uint32_t number)
{
	(void)number;
}

#endif
