/* settings.c -- what the benchmark is told
 * SPDX-License-Identifier: BSD-3-Clause */
#include "settings.h"

#include "numbers.h"
#include "plan.h"
#include "workload.h"

/* usleep(3) takes that many. */
#define SECONDS_MAX 1000

static void usage(void)
{
	puts("usage: kv [OPTION VALUE]... FOLDER...\n"
	     "\n"
	     "Compares key-value stores; the reference is lmdb-nosync, on tmpfs if a FOLDER is "
	     "there.\n"
	     "\n"
	     "  --engines LIST      NAME: in all folders; NAME@tmpfs, NAME@ext4, NAME@disk: there "
	     "only\n"
	     "  --workloads LIST    names, or the sets db, ycsb, grid, churn, open, death (all)\n"
	     "  --entries LIST      of the store (1000000)\n"
	     "  --value LIST        bytes of a value (100,1024)\n"
	     "  --operations N      entries that a run is about, at most (as many as there are)\n"
	     "  --seconds N         of a run by time: ycsb, grid, readwhilewriting (2)\n"
	     "  --repetitions N     (3)\n"
	     "  --writers LIST      processes of the grid (1,2,4)\n"
	     "  --readers LIST      processes of the grid (0,1,2,4)\n"
	     "  --clients N         processes of ycsb (1)\n"
	     "  --deaths N          of open and death (20)\n"
	     "  --pictures PREFIX   draws PREFIX-*.svg");
}

/* Reads numbers up to 10^9; 0 is one of them when it is `allowed`. */
static struct list list_argument(const char *option, const char *text, bool zero_allowed)
{
	struct list list = { .count = 0 };

	for (;;) {
		char *end;
		unsigned long number = strtoul(text, &end, 10);

		if (end == text || number > 1000000000 || (number == 0 && !zero_allowed) ||
			(*end != ',' && *end != '\0'))
			die("%s needs numbers, separated by commas", option);
		if (list.count == LIST_MAX)
			die("%s takes at most %u numbers", option, LIST_MAX);
		list.of[list.count++] = (unsigned)number;
		if (*end == '\0')
			return list;
		text = end + 1;
	}
}

static bool take_list(struct settings *settings, const char *option, const char *value)
{
	if (strcmp(option, "--entries") == 0)
		settings->entries = list_argument(option, value, false);
	else if (strcmp(option, "--value") == 0)
		settings->value_bytes = list_argument(option, value, false);
	else if (strcmp(option, "--writers") == 0)
		settings->writers = list_argument(option, value, true);
	else if (strcmp(option, "--readers") == 0)
		settings->readers = list_argument(option, value, true);
	else
		return false;
	return true;
}

static bool take_number(struct settings *settings, const char *option, const char *value)
{
	const struct {
		const char *option;
		unsigned *number;
	} numbers[] = {
		{ "--operations", &settings->operations },
		{ "--repetitions", &settings->repetitions },
		{ "--clients", &settings->clients },
		{ "--deaths", &settings->deaths },
	};

	for (size_t i = 0; i < LENGTH_OF(numbers); i++) {
		if (strcmp(option, numbers[i].option) != 0)
			continue;
		*numbers[i].number = number_argument(option, value);
		return true;
	}
	return false;
}

static double seconds_argument(const char *option, const char *text)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end != '\0' || !(seconds > 0 && seconds < SECONDS_MAX))
		die("%s needs a number above 0 and below %d", option, SECONDS_MAX);
	return seconds;
}

static void take_option(struct settings *settings, const char *option, const char *value)
{
	if (value == NULL)
		die("%s needs a value", option);
	if (take_list(settings, option, value) || take_number(settings, option, value))
		return;
	if (strcmp(option, "--engines") == 0)
		settings->engines = value;
	else if (strcmp(option, "--seconds") == 0)
		settings->seconds = seconds_argument(option, value);
	else if (strcmp(option, "--workloads") == 0)
		settings->workloads = value;
	else if (strcmp(option, "--pictures") == 0)
		settings->pictures = value;
	else
		die("%s: no such option; --help tells them", option);
}

static bool is_known(const char *name, size_t length)
{
	static const char *const tests[] = { "grid", "open", "death" };
	const struct workload *workload;

	for (size_t t = 0; t < LENGTH_OF(tests); t++)
		if (strlen(tests[t]) == length && strncmp(tests[t], name, length) == 0)
			return true;
	for (unsigned w = 0; (workload = workload_number(w)) != NULL; w++)
		if ((strlen(workload->name) == length &&
			    strncmp(workload->name, name, length) == 0) ||
			(strlen(workload->set) == length &&
				strncmp(workload->set, name, length) == 0))
			return true;
	return false;
}

static void check(const struct settings *settings)
{
	if (settings->folder_count == 0)
		die("a FOLDER for the stores is needed; --help tells more");
	if (settings->repetitions > PLAN_REPETITIONS_MAX)
		die("at most %u repetitions", PLAN_REPETITIONS_MAX);
	for (unsigned v = 0; v < settings->value_bytes.count; v++)
		if (settings->value_bytes.of[v] < 8 ||
			settings->value_bytes.of[v] > VALUE_BYTES_MAX / 2)
			die("a value has 8 to %u bytes", (unsigned)VALUE_BYTES_MAX / 2);
	for (const char *name = settings->workloads; name != NULL && *name != '\0';) {
		size_t length = strcspn(name, ",");

		if (!is_known(name, length))
			die("there is no workload '%.*s'", (int)length, name);
		name += length + (name[length] == ',');
	}
}

struct settings settings_parse(int argc, char **argv)
{
	struct settings settings = {
		.entries = { { 1000000 }, 1 },
		.value_bytes = { { 100, 1024 }, 2 },
		.writers = { { 1, 2, 4 }, 3 },
		.readers = { { 0, 1, 2, 4 }, 4 },
		.seconds = 2,
		.repetitions = 3,
		.deaths = 20,
		.clients = 1,
	};

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			usage();
			exit(0);
		}
		if (argv[i][0] == '-') {
			take_option(&settings, argv[i], argv[i + 1]);
			i++;
		} else if (settings.folder_count == FOLDERS_MAX) {
			die("at most %u folders", FOLDERS_MAX);
		} else {
			settings.folders[settings.folder_count++] = argv[i];
		}
	}
	check(&settings);
	return settings;
}

bool settings_want(const struct settings *settings, const char *name, const char *set)
{
	size_t length;

	if (settings->workloads == NULL)
		return true;
	for (const char *next = settings->workloads; *next != '\0';
		next += length + (next[length] == ',')) {
		length = strcspn(next, ",");
		if ((strlen(name) == length && strncmp(next, name, length) == 0) ||
			(strlen(set) == length && strncmp(next, set, length) == 0))
			return true;
	}
	return false;
}
