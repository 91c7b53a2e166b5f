/* tool_runner.c -- runs the built tool, and makes heap files for it
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "tests/tool_runner.h"

#include "recovery/superblock.h"

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUN_LIMIT_SECONDS 60
#define ARGUMENTS_LIMIT 10

/* --- running ------------------------------------------------------------------------------- */

static const char *tool_path(void)
{
	static char path[PATH_MAX];
	const char *given = getenv("SPANHEAP_TOOL");
	ssize_t length;

	if (given != NULL)
		return given;
	length = readlink("/proc/self/exe", path, sizeof(path) - 1);
	if (length > 0)
		path[length] = '\0';
	for (int i = 0; i < 2 && strrchr(path, '/') != NULL; i++)
		*strrchr(path, '/') = '\0';
	strncat(path, "/tools/spanheap", sizeof(path) - strlen(path) - 1);
	return path;
}

static char *read_all(int fd)
{
	struct stat status;
	char *text;

	if (fstat(fd, &status) != 0)
		abort();
	text = calloc(1, (size_t)status.st_size + 1);
	if (text == NULL || pread(fd, text, (size_t)status.st_size, 0) != status.st_size)
		abort();
	close(fd);
	return text;
}

static void become_tool(const char *const *arguments, int out, int err)
{
	const char *argv[ARGUMENTS_LIMIT] = { "spanheap" };

	for (unsigned i = 0; i + 2 < ARGUMENTS_LIMIT && arguments[i] != NULL; i++)
		argv[i + 1] = arguments[i];
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	/* Goes on behind exec: a tool that hangs is killed, and that is a failure. */
	alarm(RUN_LIMIT_SECONDS);
	execv(tool_path(), (char *const *)(uintptr_t)argv);
	dprintf(STDERR_FILENO, "%s: cannot be run; set SPANHEAP_TOOL to the built tool\n",
		tool_path());
	_exit(127);
}

pid_t start_tool(int out, int err, const char *const *arguments)
{
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child == 0)
		become_tool(arguments, out, err);
	if (child < 0)
		abort();
	return child;
}

int wait_for_tool(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) != child)
		abort();
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

struct run run_tool(const char *const *arguments)
{
	int out = memfd_create("out", MFD_CLOEXEC);
	int err = memfd_create("err", MFD_CLOEXEC);
	struct run run = { .status = wait_for_tool(start_tool(out, err, arguments)) };

	run.out = read_all(out);
	run.err = read_all(err);
	return run;
}

void run_free(struct run *run)
{
	free(run->out);
	free(run->err);
}

void run_expect(int status, const char *const *arguments)
{
	struct run run = run_tool(arguments);

	CU_ASSERT_EQUAL(run.status, status);
	if (run.status != status) {
		printf("\n    spanheap");
		for (; *arguments != NULL; arguments++)
			printf(" %s", *arguments);
		printf(": status %d, expected %d\n%.2000s%.1000s\n", run.status, status, run.out,
			run.err);
	}
	run_free(&run);
}

/* --- JSON ---------------------------------------------------------------------------------- */

static bool skip_value(const char **at);

static void skip_space(const char **at)
{
	while (isspace((unsigned char)**at))
		++*at;
}

static bool skip_char(const char **at, char wanted)
{
	skip_space(at);
	if (**at != wanted)
		return false;
	++*at;
	return true;
}

static bool skip_word(const char **at, const char *word)
{
	if (strncmp(*at, word, strlen(word)) != 0)
		return false;
	*at += strlen(word);
	return true;
}

static bool skip_escape(const char **at)
{
	if (**at != 'u')
		return *(*at)++ != '\0';
	++*at;
	for (int i = 0; i < 4; i++)
		if (!isxdigit((unsigned char)*(*at)++))
			return false;
	return true;
}

static bool skip_text(const char **at)
{
	if (!skip_char(at, '"'))
		return false;
	while (**at != '"') {
		if ((unsigned char)**at < 0x20)
			return false;
		if (*(*at)++ == '\\' && !skip_escape(at))
			return false;
	}
	++*at;
	return true;
}

static bool skip_number(const char **at)
{
	const char *start;

	if (**at == '-')
		++*at;
	start = *at;
	while (isdigit((unsigned char)**at))
		++*at;
	return *at != start;
}

static bool skip_list(const char **at, char last, bool with_keys)
{
	++*at;
	if (skip_char(at, last))
		return true;
	do {
		skip_space(at);
		if (with_keys && (!skip_text(at) || !skip_char(at, ':')))
			return false;
		if (!skip_value(at))
			return false;
	} while (skip_char(at, ','));
	return skip_char(at, last);
}

static bool skip_value(const char **at)
{
	skip_space(at);
	switch (**at) {
	case '{':
		return skip_list(at, '}', true);
	case '[':
		return skip_list(at, ']', false);
	case '"':
		return skip_text(at);
	default:
		return skip_word(at, "true") || skip_word(at, "false") || skip_word(at, "null") ||
			skip_number(at);
	}
}

bool json_valid(const char *text)
{
	const char *at = text;

	if (!skip_char(&at, '{'))
		return false;
	at = text;
	if (!skip_value(&at))
		return false;
	skip_space(&at);
	return *at == '\0';
}

uint64_t count_text(const char *text, const char *wanted)
{
	uint64_t count = 0;

	for (; (text = strstr(text, wanted)) != NULL; text += strlen(wanted))
		count++;
	return count;
}

uint64_t json_number_of(const char *text, const char *key)
{
	char wanted[64];
	const char *at;

	snprintf(wanted, sizeof(wanted), "\"%s\": ", key);
	at = strstr(text, wanted);
	return at == NULL || !isdigit((unsigned char)at[strlen(wanted)])
		? UINT64_MAX
		: strtoull(at + strlen(wanted), NULL, 10);
}

/* --- heap files ---------------------------------------------------------------------------- */

char runner_path[PATH_MAX];
char runner_shm_path[PATH_MAX];
static char directory[PATH_MAX - 16];

int runner_enter(void)
{
	const char *parent = getenv("TMPDIR");

	snprintf(directory, sizeof(directory), "%s/spanheap-tool-XXXXXX",
		parent != NULL && parent[0] != '\0' ? parent : "/tmp");
	if (mkdtemp(directory) == NULL)
		return -1;
	snprintf(runner_path, sizeof(runner_path), "%s/heap", directory);
	snprintf(runner_shm_path, sizeof(runner_shm_path), "%s/heap-shm", directory);
	return 0;
}

int runner_leave(void)
{
	unlink(runner_path);
	unlink(runner_shm_path);
	return rmdir(directory);
}

/* One past the last byte that growth backed. */
static uint64_t image_end(const struct heap *heap)
{
	uint64_t end = heap_header_bytes(heap->max_bytes, heap->thread_slots);

	for (uint64_t arena = 0; arena < heap_arena_count(heap); arena++) {
		uint64_t head = arena_zone(heap, arena) + ARENA_HEAD_BYTES;
		uint64_t frontier = arena_frontier(heap, arena);
		uint64_t continued = arena_word_chunks(arena_word(heap, arena));

		if (continued != 0) {
			end = arena * ARENA_BYTES + continued * CHUNK_BYTES;
			continue;
		}
		end = head > end ? head : end;
		if (frontier > arena_first_chunk(heap, arena) && frontier * CHUNK_BYTES > end)
			end = frontier * CHUNK_BYTES;
	}
	return end;
}

static bool all_zero(const char *bytes, uint64_t count)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, count - 1) == 0;
}

static void write_sparse(const char *base, uint64_t end)
{
	const uint64_t step = 4096;
	int fd = open(runner_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)end) != 0)
		abort();
	for (uint64_t offset = 0; offset < end; offset += step) {
		uint64_t bytes = end - offset < step ? end - offset : step;

		if (!all_zero(base + offset, bytes) &&
			pwrite(fd, base + offset, bytes, (off_t)offset) != (ssize_t)bytes)
			abort();
	}
	close(fd);
}

static uint64_t inode_of(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 ? (uint64_t)status.st_ino : 0;
}

static void write_control(const struct fixture *f, const struct superblock *superblock)
{
	struct control_header header = { .magic = CONTROL_MAGIC };
	int fd = open(runner_shm_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	memcpy(header.heap_id, superblock->heap_id, sizeof(header.heap_id));
	memcpy(header.nonce, superblock->nonce, sizeof(header.nonce));
	memcpy(header.boot_id, superblock->boot_id, sizeof(header.boot_id));
	header.heap_inode = inode_of(runner_path);
	header.control_inode = inode_of(runner_shm_path);
	atomic_store(&header.stamp, atomic_load(&f->heap->running->stamp));
	if (fd < 0 || write(fd, &header, sizeof(header)) != (ssize_t)sizeof(header))
		abort();
	close(fd);
}

uint64_t write_image(struct fixture *f, enum left_behind left)
{
	uint64_t end = image_end(f->heap);
	struct superblock superblock;
	int copies;

	if (superblock_read(f->image.base, f->image.bytes, &superblock, &copies) != 0)
		abort();
	superblock.clean = left == LEFT_CLEAN ? 1 : 0;
	superblock_random(superblock.nonce, sizeof(superblock.nonce));
	superblock_boot_id(superblock.boot_id);
	superblock_write(f->image.base, &superblock);
	write_sparse(f->image.base, end);
	unlink(runner_shm_path);
	if (left == LEFT_RECOVERABLE)
		write_control(f, &superblock);
	return end;
}
