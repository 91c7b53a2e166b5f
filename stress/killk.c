/* killk.c -- killed at every instruction: one call, single-stepped, and a real SIGKILL
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The production code, real processes, no model of anything. Of each operation one execution is recorded; then it
 * is made again and again from an equal heap and ends k instructions after its beginning, beside nobody, beside
 * a process that sleeps, and beside one that works. Or it is stopped there, and goes on later. */
#define _GNU_SOURCE
#include "stress/common/arguments.h"
#include "stress/common/single_step.h"
#include "stress/killk/agreement.h"
#include "stress/killk/campaign.h"
#include "stress/killk/tool.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
	"usage: killk [OPTION...]\n"
	"  --quick            fewer deaths\n"
	"  --every            one at every instruction, and a stop\n"
	"  --nth N            at each Nth of the instructions that change nothing (0: none)\n"
	"  --operation NAME   only this one: --list names them\n"
	"  --survivor NAME    none, idle, busy; or watch: the victim is stopped, and goes on\n"
	"  --step K           only K instructions after the beginning\n"
	"  --agree            only compare with the stores that crashlog's tool logs\n"
	"  --images FILE      appends the distinct contents of the heap file, as hashes\n"
	"  --seed N           decides what a busy survivor does (the environment's SH_SEED; else "
	"random)\n"
	"  --folder PATH      where the heaps are made (/dev/shm, else /tmp)\n"
	"  --workers N        so many at a time (2, or the processors that there are)\n"
	"  --list             prints the names of the operations\n";

static _Noreturn void give_up(void)
{
	fputs(usage, stderr);
	exit(2);
}

static uint64_t number_of(const char *text)
{
	char *end;
	uint64_t number = strtoull(text, &end, 0);

	if (end == text || *end != '\0') {
		fprintf(stderr, "killk: '%s' is no number\n", text);
		give_up();
	}
	return number;
}

static uint32_t operation_of(const char *name)
{
	for (uint32_t i = 0; i < operation_count; i++)
		if (strcmp(operations[i].name, name) == 0)
			return i;
	fprintf(stderr, "killk: there is no operation '%s'\n", name);
	give_up();
}

static uint32_t survivor_of(const char *name)
{
	for (uint32_t i = 0; i < SURVIVORS; i++)
		if (strcmp(survivor_name(i), name) == 0)
			return i;
	fprintf(stderr, "killk: there is no survivor '%s'\n", name);
	give_up();
}

static _Noreturn void list(void)
{
	for (uint32_t i = 0; i < operation_count; i++)
		puts(operations[i].name);
	exit(0);
}

static unsigned processors(void)
{
	cpu_set_t allowed;

	return sched_getaffinity(0, sizeof(allowed), &allowed) == 0 ? (unsigned)CPU_COUNT(&allowed)
								    : 1;
}

static struct campaign_options default_options(void)
{
	const char *seed = getenv("SH_SEED");

	return (struct campaign_options){
		.seed = seed != NULL ? number_of(seed)
				     : mix(now_ns() ^ (uint64_t)getpid() << 40) >> 32,
		.folder = arguments_folder(),
		.workers = processors() < 2 ? 1 : 2,
		.nth = 25,
		.nth_busy = 60,
		.loop_first = 128,
		.loop_nth = 32,
		.stops = 30,
		.operation = ALL,
		.survivor = ALL,
		.step = ANY_STEP,
	};
}

/* Options without a value. */
static bool read_switch(struct campaign_options *options, const char *name)
{
	if (strcmp(name, "--quick") == 0) {
		options->nth = 0;
		options->nth_busy = 0;
		options->loop_first = 6;
		options->loop_nth = 0;
		options->stops = 8;
	} else if (strcmp(name, "--every") == 0) {
		options->nth = 1;
		options->nth_busy = 1;
		options->loop_nth = 1;
	} else if (strcmp(name, "--agree") == 0) {
		options->only_agreement = true;
	} else if (strcmp(name, "--list") == 0) {
		list();
	} else {
		return false;
	}
	return true;
}

static void read_option(struct campaign_options *options, const char *name, const char *value)
{
	if (strcmp(name, "--nth") == 0)
		options->nth = options->nth_busy = (unsigned)number_of(value);
	else if (strcmp(name, "--operation") == 0)
		options->operation = operation_of(value);
	else if (strcmp(name, "--survivor") == 0)
		options->survivor = survivor_of(value);
	else if (strcmp(name, "--step") == 0)
		options->step = number_of(value);
	else if (strcmp(name, "--images") == 0)
		options->images = value;
	else if (strcmp(name, "--seed") == 0)
		options->seed = number_of(value);
	else if (strcmp(name, "--folder") == 0)
		options->folder = value;
	else if (strcmp(name, "--workers") == 0)
		options->workers = (unsigned)number_of(value);
	else
		give_up();
}

static struct campaign_options read_options(int argc, char **argv)
{
	struct campaign_options options = default_options();

	for (int i = 1; i < argc; i++) {
		if (read_switch(&options, argv[i]))
			continue;
		if (i + 1 == argc)
			give_up();
		read_option(&options, argv[i], argv[i + 1]);
		i++;
	}
	if (options.workers < 1 || options.workers > 64)
		give_up();
	return options;
}

/* The loader looks names up at their first use, else: thousands of instructions inside the operation. And libc copies
 * byte by byte on some processors, which is thousands more, of which nothing is to be learnt. */
static void set_environment(char **argv)
{
	if (getenv("LD_BIND_NOW") != NULL)
		return;
	setenv("LD_BIND_NOW", "1", 1);
	setenv("GLIBC_TUNABLES", tool_tunables_of_copies, 0);
	execv("/proc/self/exe", argv);
	perror("killk: /proc/self/exe");
	exit(2);
}

/* The processes that the agreement takes. */
static void be_other(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], AGREEMENT_LOGGED) == 0)
		exit(agreement_be_logged(argv[2], argv[3]));
	if (argc == 4 && strcmp(argv[1], AGREEMENT_COMPARES) == 0)
		exit(agreement_compare(argv[0], argv[2], argv[3]));
}

static bool is_compared(const struct campaign_options *options)
{
	return options->only_agreement || (options->survivor == ALL && options->step == ANY_STEP);
}

int main(int argc, char **argv)
{
	struct campaign_options options;
	unsigned failed = 0;
	unsigned passed = 0;
	const char *refusal;

	be_other(argc, argv);
	options = read_options(argc, argv);
	refusal = step_refusal();
	if (refusal != NULL) {
		printf("SKIPPED killk, nothing was killed: no process can be stepped here: %s\n",
			refusal);
		printf("0 passed, 0 failed, 1 skipped\n");
		return 0;
	}
	set_environment(argv);
	printf("seed %llu; to repeat: killk --seed %llu\n", (unsigned long long)options.seed,
		(unsigned long long)options.seed);
	if (!options.only_agreement)
		passed = campaign_run(&options, &failed);
	if (is_compared(&options))
		passed += agreement_run(&options, argv[0], &failed);
	printf("%u passed, %u failed\n", passed, failed);
	return failed != 0;
}
