/* helper.c -- a second thread, which works when it is told to
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/crashlog/scenario/helper.h"

#include "stress/crashlog/scenario/must.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

enum helper_end { GOES_ON, ENDS, DIES };

/* Process. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_t thread;
static void (*next_job)(void);
static enum helper_end end_after;

static void *work(void *unused)
{
	enum helper_end end = GOES_ON;

	(void)unused;
	while (end == GOES_ON) {
		pthread_mutex_lock(&lock);
		while (next_job == NULL)
			pthread_cond_wait(&changed, &lock);
		pthread_mutex_unlock(&lock);
		next_job();
		pthread_mutex_lock(&lock);
		next_job = NULL;
		end = end_after;
		pthread_cond_signal(&changed);
		pthread_mutex_unlock(&lock);
	}
	/* The thread's destructors do not run: to the library it is a thread that was killed. */
	if (end == DIES)
		syscall(SYS_exit, 0);
	return NULL;
}

void helper_start(void)
{
	end_after = GOES_ON;
	MUST(pthread_create(&thread, NULL, work, NULL) == 0);
}

static void do_and(enum helper_end end, void (*job)(void))
{
	pthread_mutex_lock(&lock);
	end_after = end;
	next_job = job;
	pthread_cond_signal(&changed);
	while (next_job != NULL)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

void helper_do(void (*job)(void))
{
	do_and(GOES_ON, job);
}

void helper_end_after(void (*job)(void))
{
	do_and(ENDS, job);
	MUST(pthread_join(thread, NULL) == 0);
}

void helper_die_after(void (*job)(void))
{
	do_and(DIES, job);
	MUST(pthread_join(thread, NULL) == 0);
}
