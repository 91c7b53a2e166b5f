/* keeper.c -- a descriptor that the application cannot close
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "shm/keeper.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STACK_BYTES (64u << 10)
#define UNSHARE_TABLE 2u /* CLOSE_RANGE_UNSHARE, which older headers lack */

/* Process. `isolated` is written before `ready` is posted. */
struct keeper {
	pthread_t thread;
	sem_t ready;
	sem_t end;
	int fd;
	bool isolated;
};

/* Leaves the descriptor alone in a table of the calling thread's own. */
static bool isolate(int fd)
{
#ifdef SYS_close_range
	unsigned number = (unsigned)fd;

	if (syscall(SYS_close_range, number + 1, ~0u, UNSHARE_TABLE) != 0)
		return false;
	if (number != 0)
		syscall(SYS_close_range, 0u, number - 1, 0u);
	return true;
#else
	(void)fd;
	return false;
#endif
}

static void wait_for(sem_t *semaphore)
{
	while (sem_wait(semaphore) != 0 && errno == EINTR)
		;
}

static void *keep(void *argument)
{
	struct keeper *keeper = argument;

	keeper->isolated = isolate(keeper->fd);
	sem_post(&keeper->ready);
	if (!keeper->isolated)
		return NULL;
	wait_for(&keeper->end);
	close(keeper->fd);
	return NULL;
}

/* No signal of the application's is handled by the thread. */
static int create_thread(struct keeper *keeper)
{
	pthread_attr_t attributes;
	sigset_t all;
	sigset_t before;
	int error = pthread_attr_init(&attributes);

	if (error != 0)
		return error;
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	error = pthread_create(&keeper->thread, &attributes, keep, keeper);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return error;
}

struct keeper *keeper_start(int fd)
{
	struct keeper *keeper = calloc(1, sizeof(*keeper));

	if (keeper == NULL)
		return NULL;
	keeper->fd = fd;
	sem_init(&keeper->ready, 0, 0);
	sem_init(&keeper->end, 0, 0);
	if (create_thread(keeper) != 0) {
		free(keeper);
		return NULL;
	}
	wait_for(&keeper->ready);
	if (!keeper->isolated) {
		pthread_join(keeper->thread, NULL);
		free(keeper);
		return NULL;
	}
	close(fd);
	return keeper;
}

void keeper_stop(struct keeper *keeper)
{
	sem_post(&keeper->end);
	pthread_join(keeper->thread, NULL);
	free(keeper);
}

void keeper_forget(struct keeper *keeper)
{
	free(keeper);
}
