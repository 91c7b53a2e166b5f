/* board.c -- what the processes of one case share, and what they expect
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/killk/board.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct board *board;

/* --- complaints ---------------------------------------------------------------------------- */

static void note(const char *place, const char *text)
{
	if (atomic_fetch_add(&board->complaints, 1) == 0)
		snprintf(board->text, TEXT_BYTES, "%s%s", place, text);
}

void complain(const char *format, ...)
{
	char text[TEXT_BYTES];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	note("", text);
}

_Noreturn void expect_failed(const char *place, const char *text)
{
	note(place, text);
	_exit(1);
}

void board_clear(void)
{
	atomic_store(&board->complaints, 0);
	atomic_store(&board->ready, 0);
	atomic_store(&board->order, 0);
	atomic_store(&board->watched, 0);
	atomic_store(&board->gone, 0);
	atomic_store(&board->returned, 0);
	atomic_store(&board->touched_count, 0);
	board->text[0] = '\0';
	board->unlocked = false;
	board->result = 0;
	board->subject = 0;
}

/* --- processes ----------------------------------------------------------------------------- */

pid_t start(void (*body)(void))
{
	pid_t child = fork();

	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		body();
		_exit(0);
	}
	return child;
}

int finish(pid_t child, int milliseconds)
{
	int status = -1;
	struct pollfd end = { .fd = (int)syscall(SYS_pidfd_open, child, 0), .events = POLLIN };
	bool ended = end.fd < 0 || poll(&end, 1, milliseconds) == 1;

	if (end.fd >= 0)
		close(end.fd);
	if (!ended)
		return -1;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* --- signposts ----------------------------------------------------------------------------- */

void post(_Atomic uint32_t *word, uint32_t value)
{
	atomic_store(word, value);
	syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

bool await(_Atomic uint32_t *word, uint32_t value, unsigned milliseconds)
{
	uint64_t end_ns = now_ns() + milliseconds * UINT64_C(1000000);
	uint32_t seen;

	while ((seen = atomic_load(word)) < value) {
		struct timespec limit = { .tv_nsec = 10000000 };

		if (now_ns() > end_ns)
			return false;
		syscall(SYS_futex, word, FUTEX_WAIT, seen, &limit, NULL, 0);
	}
	return true;
}
