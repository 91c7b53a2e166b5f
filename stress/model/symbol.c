/* symbol.c -- names of places in this program's code
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/model/symbol.h"

#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BATCH 128
#define LINE_BYTES 512

/* The first object listed is the main program; the distance between where it was linked to be and
 * where it is. */
static int take_load_bias(struct dl_phdr_info *info, size_t bytes, void *bias)
{
	(void)bytes;
	*(uintptr_t *)bias = info->dlpi_addr;
	return 1;
}

/* A return address less one lies in the call. */
static uintptr_t linked_address(const void *address)
{
	uintptr_t bias = 0;

	dl_iterate_phdr(take_load_bias, &bias);
	return (uintptr_t)address - bias - 1;
}

static FILE *open_addr2line(const void *const *addresses, size_t count)
{
	char command[128 + BATCH * 20];
	int length = snprintf(command, sizeof command,
		"addr2line -a -f -i -s -e /proc/%ld/exe 2>/dev/null", (long)getpid());

	for (size_t i = 0; i < count; i++)
		length += snprintf(command + length, sizeof command - (size_t)length, " 0x%jx",
			(uintmax_t)linked_address(addresses[i]));
	return popen(command, "r");
}

static void append(struct symbol *symbol, const char *before, const char *text, const char *after)
{
	size_t length = strlen(symbol->text);

	snprintf(symbol->text + length, sizeof symbol->text - length, "%s%s%s", before, text,
		after);
}

/* addr2line prints for each address a line with the address, then for each function that the place
 * lies in, innermost first, a line with its name and a line with file and line number. */
static void read_symbols(FILE *file, struct symbol *symbols, size_t count)
{
	char line[LINE_BYTES];
	size_t next = 0;
	struct symbol *symbol = NULL;
	bool is_name = true;

	while (fgets(line, sizeof line, file) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0x", 2) == 0) {
			symbol = next < count ? &symbols[next++] : NULL;
			is_name = true;
			continue;
		}
		if (symbol == NULL)
			return;
		if (is_name) {
			append(symbol, symbol->text[0] == '\0' ? "" : " < ", line, " ");
		} else {
			line[strcspn(line, " ")] = '\0';
			append(symbol, "(", line, ")");
		}
		is_name = !is_name;
	}
}

static void resolve_batch(const void *const *addresses, size_t count, struct symbol *symbols)
{
	FILE *file = open_addr2line(addresses, count);

	for (size_t i = 0; i < count; i++)
		symbols[i].text[0] = '\0';
	if (file != NULL) {
		read_symbols(file, symbols, count);
		pclose(file);
	}
	for (size_t i = 0; i < count; i++)
		if (symbols[i].text[0] == '\0' || symbols[i].text[0] == '?')
			snprintf(symbols[i].text, sizeof symbols[i].text, "code+0x%jx",
				(uintmax_t)linked_address(addresses[i]));
}

void symbol_resolve(const void *const *addresses, size_t count, struct symbol *symbols)
{
	for (size_t done = 0; done < count; done += BATCH) {
		size_t left = count - done;
		resolve_batch(addresses + done, left < BATCH ? left : BATCH, symbols + done);
	}
}
