/* rcu_torture.c -- read sections and grace periods of processes that are killed and stopped
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Updaters replace a few objects and spoil what they replaced after sh_synchronize(); readers look whether
 * they ever find it spoiled. Then one rule of the protocol after the other is left out: a test that does
 * not fail then would show nothing. */
#define _GNU_SOURCE
#include "stress/common/arguments.h"
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
	const char *control = NULL;
	const struct argument known[] = {
		{ .name = "--seed", .number = &options->seed },
		{ .name = "--seconds", .number = &options->seconds },
		{ .name = "--folder", .text = &options->folder },
		{ .name = "--control", .text = &control },
	};

	if (!arguments_read(argc, argv, known, sizeof(known) / sizeof(known[0])))
		give_up();
	return control == NULL ? FAULT_NONE : fault_of(control);
}

static struct run_options default_options(void)
{
	struct run_options options = { .seconds = 30, .folder = arguments_folder() };

	if (!arguments_seed(&options.seed))
		give_up();
	return options;
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
	struct totals totals = { .images = TOTALS_NONE, .states = TOTALS_NONE };

	options.seconds = (seconds + 1) / 2;
	run_torture(&options, SH_BARRIER_AUTO, &totals);
	options.seconds = seconds / 2;
	run_torture(&options, SH_BARRIER_READER, &totals);
	for (enum fault fault = FAULT_NONE + 1; fault < FAULTS; fault++)
		run_control(&options, fault);
	totals_print(&totals);
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
