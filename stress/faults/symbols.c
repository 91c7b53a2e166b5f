/* symbols.c -- every function that the library calls is wrapped, or there is a reason
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/faults/symbols.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* The names of a line, and why they are not wrapped; NULL: they are. */
static const struct {
	const char *why;
	const char *names;
} accounts[] = {
	{ NULL,
		" access asprintf calloc close fallocate fchmod fchown fcntl fstat fstatfs fsync "
		"ftruncate getrlimit ioctl link linkat lseek lstat madvise malloc mmap mprotect "
		"msync "
		"munmap open pread pthread_atfork pthread_attr_init pthread_create "
		"pthread_key_create "
		"pthread_mutex_init pthread_mutexattr_init pthread_setspecific pwrite read "
		"realpath "
		"rename sem_wait stat strdup strndup syscall unlink " },
	{ "wrapped to count what is not freed", " free " },
	{ "cannot fail",
		" bcmp clock_gettime geteuid getpid getresgid getresuid gettid memchr memcmp "
		"memcpy "
		"memmove "
		"memset pthread_attr_destroy pthread_cond_broadcast pthread_mutex_destroy "
		"pthread_mutexattr_destroy pthread_once pthread_self sigaddset sigemptyset "
		"sigfillset "
		"sigismember snprintf strcmp strerror_r strlen strnlen strrchr vsnprintf " },
	{ "fails for wrong arguments only",
		" pthread_attr_setstacksize pthread_cond_init pthread_cond_wait pthread_join "
		"pthread_mutex_lock pthread_mutex_trylock pthread_mutex_unlock "
		"pthread_mutexattr_setpshared pthread_mutexattr_setrobust pthread_sigmask sem_init "
		"sem_post sigpending sysconf usleep " },
	{ "EINTR is its only error here, and leads to another round", " sigtimedwait " },
	{ "when it fails, the library aborts and says so: not before the kernel has any randomness",
		" getrandom " },
	{ "ends the process", " __assert_fail abort " },
	{ "text for who aborts", " fprintf stderr " },
	{ "the compiler's",
		" _GLOBAL_OFFSET_TABLE_ __errno_location __tls_get_addr __stack_chk_fail " },
};

static bool is_of_sanitizer(const char *name)
{
	return strncmp(name, "__asan_", 7) == 0 || strncmp(name, "__ubsan_", 8) == 0 ||
		strncmp(name, "__tsan_", 7) == 0 || strncmp(name, "__sanitizer_", 12) == 0;
}

static bool is_accounted_for(const char *name)
{
	char word[256];

	snprintf(word, sizeof(word), " %s ", name);
	for (unsigned i = 0; i < sizeof(accounts) / sizeof(accounts[0]); i++)
		if (strstr(accounts[i].names, word) != NULL)
			return true;
	return is_of_sanitizer(name);
}

void symbols_check(struct verdict *verdict)
{
	FILE *list = popen("nm -u '" FAULTS_LIBRARY "' 2>/dev/null", "r");
	unsigned count = 0;
	char line[300];

	while (list != NULL && fgets(line, sizeof(line), list) != NULL) {
		char name[200];

		if (sscanf(line, " U %199s", name) != 1)
			continue;
		count++;
		if (is_accounted_for(name)) {
			verdict->passed++;
			continue;
		}
		verdict->failed++;
		printf("BAD the library calls %s, which is neither wrapped nor accounted for\n"
		       "    repeat: --scenario symbols\n",
			name);
	}
	if (list != NULL)
		pclose(list);
	if (count > 0) {
		printf("symbols: %u that the library does not define are wrapped or accounted "
		       "for\n",
			count);
		return;
	}
	printf("SKIPPED symbols: nm finds none in %s\n", FAULTS_LIBRARY);
	verdict->skipped++;
}
