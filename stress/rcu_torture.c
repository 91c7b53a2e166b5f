/* rcu_torture.c -- read sections and grace periods of processes that are killed and stopped
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Updaters replace a few objects and spoil what they replaced after sh_synchronize(); readers look whether
 * they ever find it spoiled. Then one rule of the protocol after the other is left out: a test that does
 * not fail then would show nothing. */
#define _GNU_SOURCE
#include "stress/common/verdict.h"
#include "stress/rcu/delay.h"
#include "stress/rcu/fault.h"
#include "stress/rcu/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct shared *shared;

static const char usage[] =
	"usage: rcu_torture [--seed N] [--seconds N] [--folder PATH] [--control NAME]\n"
	"  --seed N        decides what is done (the environment's SH_SEED; else random)\n"
	"  --seconds N     how long it tortures, half of that with each barrier (30)\n"
	"  --folder PATH   where the heaps are made (/dev/shm, else /tmp)\n"
	"  --control NAME  no torture, only this control, which must fail:";

static _Noreturn void give_up(void)
{
	fputs(usage, stderr);
	for (enum fault fault = FAULT_NONE + 1; fault < FAULTS; fault++)
		fprintf(stderr, " %s", fault_name(fault));
	fputc('\n', stderr);
	exit(2);
}

static uint64_t number_of(const char *text)
{
	char *end;
	uint64_t number = strtoull(text, &end, 0);

	if (end == text || *end != '\0') {
		fprintf(stderr, "rcu_torture: '%s' is no number\n", text);
		give_up();
	}
	return number;
}

static enum fault fault_of(const char *name)
{
	enum fault fault = FAULT_NONE + 1;

	while (fault < FAULTS && strcmp(fault_name(fault), name) != 0)
		fault++;
	if (fault == FAULTS)
		give_up();
	return fault;
}

static enum fault read_options(struct run_options *options, int argc, char **argv)
{
	enum fault control = FAULT_NONE;

	for (int i = 1; i < argc; i += 2) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (strcmp(argv[i], "--seed") == 0)
			options->seed = number_of(value);
		else if (strcmp(argv[i], "--seconds") == 0)
			options->seconds = number_of(value);
		else if (strcmp(argv[i], "--folder") == 0)
			options->folder = value;
		else if (strcmp(argv[i], "--control") == 0)
			control = fault_of(value);
		else
			give_up();
	}
	return control;
}

static struct run_options default_options(void)
{
	const char *seed = getenv("SH_SEED");

	return (struct run_options){
		.seed = seed != NULL ? number_of(seed) : now_ns() ^ (uint64_t)getpid() << 40,
		.seconds = 30,
		.folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
	};
}

static void make_shared(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		0);
	if (shared == MAP_FAILED) {
		perror("rcu_torture: mmap");
		exit(2);
	}
}

static void run_all(struct run_options options)
{
	uint64_t seconds = options.seconds;

	options.seconds = (seconds + 1) / 2;
	run_torture(&options, SH_BARRIER_AUTO);
	options.seconds = seconds / 2;
	run_torture(&options, SH_BARRIER_READER);
	for (enum fault fault = FAULT_NONE + 1; fault < FAULTS; fault++)
		run_control(&options, fault);
}

int main(int argc, char **argv)
{
	struct run_options options = default_options();
	enum fault control = read_options(&options, argc, argv);

	make_shared();
	printf("seed %llu; to repeat: rcu_torture --seed %llu\n", (unsigned long long)options.seed,
		(unsigned long long)options.seed);
	if (control != FAULT_NONE)
		run_control(&options, control);
	else
		run_all(options);
	return verdict_print() == 0 ? 0 : 1;
}
