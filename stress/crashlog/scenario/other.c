/* other.c -- another process, which has the heap open, or is killed in the middle of something
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/crashlog/scenario/other.h"

#include "stress/crashlog/scenario/coming.h"
#include "stress/crashlog/scenario/must.h"

#include <inttypes.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define SMALL 48u
#define LARGE 50000u

/* Process. */
static const char *program_path;
static const char *heap_folder;
static pid_t attending;

void other_prepare(const char *program, const char *folder)
{
	program_path = program;
	heap_folder = folder;
}

/* The tool does not follow it: it runs by itself. Its standard output is the pipe. */
static pid_t start(const char *role, sh_off block, sh_off word, int out)
{
	char block_text[32];
	char word_text[32];
	pid_t child;

	snprintf(block_text, sizeof(block_text), "%" PRIu64, block);
	snprintf(word_text, sizeof(word_text), "%" PRIu64, word);
	child = fork();
	if (child == 0) {
		dup2(out, STDOUT_FILENO);
		execl(program_path, program_path, heap_folder, role, block_text, word_text,
			(char *)NULL);
		_exit(127);
	}
	MUST(child > 0);
	return child;
}

void other_attend(void)
{
	int ends[2];
	char byte;

	MUST(pipe(ends) == 0);
	attending = start(OTHER_ATTENDS, 0, 0, ends[1]);
	close(ends[1]);
	MUST(read(ends[0], &byte, 1) == 1);
	close(ends[0]);
}

void other_leave(void)
{
	MUST(kill(attending, SIGKILL) == 0 && waitpid(attending, NULL, 0) == attending);
}

void other_die(sh_off block, sh_off word)
{
	int status;
	pid_t child = start(OTHER_DIES, block, word, STDOUT_FILENO);

	MUST(waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
		WTERMSIG(status) == SIGKILL);
}

/* --- in that process ----------------------------------------------------------------------- */

static void die_in_transaction(struct sh_heap *heap, sh_off block, sh_off word)
{
	struct sh_txn *txn;
	sh_off off;

	MUST(sh_txn_begin(heap, 0, &txn) == 0);
	off = sh_txn_alloc(txn, SMALL, 0);
	MUST(off != 0 && sh_txn_alloc(txn, LARGE, 0) != 0);
	MUST(sh_txn_store(txn, sh_ptr(heap, word), off) == 0);
	MUST(sh_txn_write(txn, sh_ptr(heap, word + sizeof(off)), &off, sizeof(off)) == 0);
	MUST(sh_txn_free(txn, block, 0) == 0);
	raise(SIGKILL);
}

_Noreturn void other_main(const char *role, sh_off block, sh_off word)
{
	struct sh_heap *heap;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	heap = coming_open();
	if (role[0] == OTHER_DIES[0])
		die_in_transaction(heap, block, word);
	/* It has a thread slot, as one that works. */
	MUST(sh_free(heap, sh_alloc(heap, SMALL)) == 0);
	MUST(write(STDOUT_FILENO, "", 1) == 1);
	for (;;)
		pause();
}
