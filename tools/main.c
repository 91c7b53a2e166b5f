/* main.c -- spanheap(1): looks into heap files, recovers them
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "tools/tool.h"

#include <errno.h>
#include <getopt.h>
#include <spanheap.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROGRAM "spanheap"

/* --- complaints ---------------------------------------------------------------------------- */

void complain(const char *path, const char *format, ...)
{
	va_list arguments;

	fputs(PROGRAM ": ", stderr);
	if (path != NULL)
		fprintf(stderr, "%s: ", path);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

enum status complain_of(const char *path, int error)
{
	switch (error) {
	case ENOTSUP:
		complain(path, "not a regular file; a heap is one");
		return STATUS_ERROR;
	case SH_ETORN:
		complain(path, "%s; '" PROGRAM " recover --salvage' does that", sh_strerror(error));
		return STATUS_DAMAGED;
	case SH_EBADHEAP:
		complain(path, "%s", sh_strerror(error));
		return STATUS_DAMAGED;
	default:
		complain(path, "%s", sh_strerror(error));
		return STATUS_ERROR;
	}
}

/* --- verbs --------------------------------------------------------------------------------- */

/* Above every character. */
enum option_code {
	OPTION_ARENA = 256,
	OPTION_CLASS,
	OPTION_OFFSET,
	OPTION_BLOCKS,
	OPTION_SALVAGE,
	OPTION_WATCH,
	OPTION_NO_SLOT,
	OPTION_HTML,
	OPTION_JSON,
};

#define ACCEPTS(option) (1u << ((option)-OPTION_ARENA))
#define FILTERS (ACCEPTS(OPTION_ARENA) | ACCEPTS(OPTION_CLASS) | ACCEPTS(OPTION_OFFSET))

/* Of verbs that look at spans. */
#define NO_SLOT_DETAILS                                                                    \
	"A heap in use is looked at in read sections, which takes a slot in its control\n" \
	"file, if one is to be had.\n"                                                     \
	"  --no-slot       without; spans that others free meanwhile may be shown twice\n" \
	"                  or not at all\n"

struct verb {
	const char *name;
	const char *summary;
	const char *details;
	enum status (*run)(const struct arguments *arguments);
	unsigned accepts;
};

static const struct verb verbs[] = {
	{
		.name = "info",
		.summary = "superblock, geometry, sizes, state, roots",
		.details =
			"Reads only. Says whether the heap is in use, clean, to be recovered, or "
			"torn.\n",
		.run = info_run,
	},
	{
		.name = "dump",
		.summary = "arenas, page bitmaps, spans, logs, and blocks on request",
		.details =
			"Reads only. Filters for spans and blocks; all that are given must hold:\n"
			"  --arena N       of arena N\n"
			"  --class BYTES   of the size class that serves blocks of BYTES; large\n"
			"                  blocks when no class does\n"
			"  --offset OFF    the span that covers this byte of the file\n"
			"  --blocks        list every live block, too\n" NO_SLOT_DETAILS,
		.run = dump_run,
		.accepts = FILTERS | ACCEPTS(OPTION_BLOCKS) | ACCEPTS(OPTION_NO_SLOT),
	},
	{
		.name = "stat",
		.summary = "usage by size class, fragmentation, what metadata costs",
		.details = "Reads only; of a heap in use, span by span as it is right then.\n"
			   "  --watch [SECONDS]  again and again, every second unless told "
			   "otherwise, until\n"
			   "                  interrupted or the file is gone: a line each, with "
			   "what\n"
			   "                  changed per second; with --json an object per "
			   "line\n" NO_SLOT_DETAILS,
		.run = stat_run,
		.accepts = ACCEPTS(OPTION_WATCH) | ACCEPTS(OPTION_NO_SLOT),
	},
	{
		.name = "procs",
		.summary = "processes and threads, the dead, sections, transactions, locks",
		.details = "Reads only; wants the control file to be readable. What goes on "
			   "meanwhile is\n"
			   "shown as it was when each row was read.\n",
		.run = procs_run,
	},
	{
		.name = "map",
		.summary = "a picture of the heap's pages, as SVG on standard output",
		.details = "Reads only. A cell shows a power of two of pages, so that all of them "
			   "fit.\n"
			   "  --html          a page that explains the picture that is in it\n"
			   "  --arena N       only arena N\n"
			   "  --offset OFF    the pages around this byte of the file, each in a "
			   "cell\n" NO_SLOT_DETAILS,
		.run = map_run,
		.accepts = ACCEPTS(OPTION_ARENA) | ACCEPTS(OPTION_OFFSET) | ACCEPTS(OPTION_HTML) |
			ACCEPTS(OPTION_NO_SLOT),
	},
	{
		.name = "check",
		.summary = "every problem with its offset; tries recovery on a private copy",
		.details =
			"Reads only. In use: looks several times, and reports what is wrong every "
			"time.\nNot clean and not in use: also says what recovery would "
			"do.\n" NO_SLOT_DETAILS,
		.run = check_run,
		.accepts = ACCEPTS(OPTION_NO_SLOT),
	},
	{
		.name = "reap",
		.summary = "write: clean up after dead processes of a heap in use",
		.details = "Attaches, cleans up after the dead, prints what was done, detaches.\n",
		.run = reap_run,
	},
	{
		.name = "recover",
		.summary = "write: recover a heap that nobody uses, and close it cleanly",
		.details =
			"Opens, prints what the recovery did, closes.\n"
			"  --salvage       open a torn heap, too: what does not fit is set aside\n",
		.run = recover_run,
		.accepts = ACCEPTS(OPTION_SALVAGE),
	},
};

#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < VERB_COUNT; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static void print_usage(FILE *out)
{
	fputs("usage: " PROGRAM " VERB [OPTION...] FILE\n", out);
	for (size_t i = 0; i < VERB_COUNT; i++)
		fprintf(out, "  %-10s%s\n", verbs[i].name, verbs[i].summary);
	fputs("  --json    one JSON document on standard output\n"
	      "  -h        help; behind a verb: about that verb\n"
	      "  --version\n"
	      "exit status: 0 fine, 1 usage or I/O error, 2 not clean (recovery will put it "
	      "right),\n"
	      "3 damaged or torn\n",
		out);
}

static void print_help(const struct verb *verb)
{
	printf("usage: " PROGRAM " %s [OPTION...] FILE\n%s.\n%s"
	       "  --json          one JSON document on standard output\n"
	       "  -h              this\n",
		verb->name, verb->summary, verb->details);
}

/* --- the command line ---------------------------------------------------------------------- */

static const struct option long_options[] = {
	{ "arena", required_argument, NULL, OPTION_ARENA },
	{ "class", required_argument, NULL, OPTION_CLASS },
	{ "offset", required_argument, NULL, OPTION_OFFSET },
	{ "blocks", no_argument, NULL, OPTION_BLOCKS },
	{ "salvage", no_argument, NULL, OPTION_SALVAGE },
	{ "watch", optional_argument, NULL, OPTION_WATCH },
	{ "no-slot", no_argument, NULL, OPTION_NO_SLOT },
	{ "html", no_argument, NULL, OPTION_HTML },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/* A decimal or 0x hexadecimal number. */
static bool parse_number(const char *name, const char *text, uint64_t *number)
{
	char *end;

	errno = 0;
	*number = strtoull(text, &end, 0);
	if (errno == 0 && end != text && *end == '\0' && text[0] != '-' && *number != ANY)
		return true;
	complain(NULL, "--%s wants a number, decimal or 0x..., not '%s'", name, text);
	return false;
}

static bool parse_seconds(const char *text, double *seconds)
{
	char *end;

	*seconds = strtod(text, &end);
	return end != text && *end == '\0' && *seconds >= 0.01 && *seconds <= 86400;
}

/* The seconds may stand behind an equals sign, or behind a space with FILE after them. */
static bool take_watch(struct arguments *arguments, int argc, char **argv)
{
	double seconds;

	arguments->watch_seconds = 1;
	if (optarg == NULL && optind + 1 < argc && parse_seconds(argv[optind], &seconds)) {
		arguments->watch_seconds = seconds;
		optind++;
	}
	if (optarg == NULL || parse_seconds(optarg, &arguments->watch_seconds))
		return true;
	complain(NULL, "--watch wants seconds, from 0.01 to 86400, not '%s'", optarg);
	return false;
}

static bool take_option(struct arguments *arguments, int option)
{
	switch (option) {
	case OPTION_ARENA:
		return parse_number("arena", optarg, &arguments->arena);
	case OPTION_CLASS:
		return parse_number("class", optarg, &arguments->class_bytes);
	case OPTION_OFFSET:
		return parse_number("offset", optarg, &arguments->offset);
	case OPTION_BLOCKS:
		arguments->blocks = true;
		return true;
	case OPTION_SALVAGE:
		arguments->salvage = true;
		return true;
	case OPTION_NO_SLOT:
		arguments->no_slot = true;
		return true;
	case OPTION_HTML:
		arguments->html = true;
		return true;
	default:
		arguments->json = true;
		return true;
	}
}

static bool accepted(const struct verb *verb, int option)
{
	return option == OPTION_JSON ||
		(option >= OPTION_ARENA && (verb->accepts & ACCEPTS(option)) != 0);
}

static enum status refuse(const struct verb *verb, const char *text)
{
	complain(NULL, "%s: %s; see '" PROGRAM " %s -h'", verb->name, text, verb->name);
	return STATUS_ERROR;
}

static enum status run_verb(const struct verb *verb, int argc, char **argv)
{
	struct arguments arguments = { .arena = ANY, .class_bytes = ANY, .offset = ANY };
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		if (option == 'h') {
			print_help(verb);
			return STATUS_FINE;
		}
		if (!accepted(verb, option))
			return refuse(verb, "no such option, or its number is missing");
		if (!(option == OPTION_WATCH ? take_watch(&arguments, argc, argv)
					     : take_option(&arguments, option)))
			return STATUS_ERROR;
	}
	if (optind + 1 != argc)
		return refuse(verb, "one FILE is wanted");
	arguments.path = argv[optind];
	return verb->run(&arguments);
}

static enum status dispatch(int argc, char **argv)
{
	const struct verb *verb;

	if (argc < 2) {
		print_usage(stderr);
		return STATUS_ERROR;
	}
	if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0) {
		print_usage(stdout);
		return STATUS_FINE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf(PROGRAM " %s\n", sh_version());
		return STATUS_FINE;
	}
	verb = find_verb(argv[1]);
	if (verb == NULL) {
		complain(NULL, "there is no verb '%s'; see '" PROGRAM " -h'", argv[1]);
		return STATUS_ERROR;
	}
	return run_verb(verb, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	enum status status = dispatch(argc, argv);

	if (fflush(stdout) != 0 || ferror(stdout)) {
		complain(NULL, "standard output: %s", strerror(errno));
		return STATUS_ERROR;
	}
	return (int)status;
}
