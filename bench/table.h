/* table.h -- results as a table: aligned text for the eye and Markdown for the README
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Rows appear on standard output as they are measured. The same cells go, as Markdown, to the end of
 * the file that the environment variable BENCH_MARKDOWN names. */
#ifndef SPANHEAP_BENCH_TABLE_H
#define SPANHEAP_BENCH_TABLE_H

#include "common.h"

#define TABLE_COLUMNS_MAX 16u
#define TABLE_CELL_BYTES 96u
#define TABLE_FIRST_WIDTH 36
#define TABLE_MIN_WIDTH 8

/* Process. A table that is being printed. */
struct table {
	unsigned columns;
	unsigned next; /* column of the next cell */
	int widths[TABLE_COLUMNS_MAX];
	FILE *markdown; /* NULL: none is wanted */
};

/* Characters of a text in UTF-8. */
static inline int text_width(const char *text)
{
	int width = 0;

	for (; *text != '\0'; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

/* Prints a text in a field: the first column begins at the left, the others end at the right. */
static inline void table_pad(const struct table *table, const char *text)
{
	int blanks = table->widths[table->next] - text_width(text);

	if (table->next == 0)
		printf("%s%*s", text, blanks > 0 ? blanks : 0, "");
	else
		printf("  %*s%s", blanks > 0 ? blanks : 0, "", text);
}

/* Prints the next cell of the row; the last one ends it. */
__attribute__((format(printf, 2, 3))) static inline void table_cell(struct table *table,
	const char *format, ...)
{
	char text[TABLE_CELL_BYTES];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	table_pad(table, text);
	if (table->markdown != NULL)
		fprintf(table->markdown, "| %s ", text);
	if (++table->next < table->columns)
		return;
	table->next = 0;
	putchar('\n');
	fflush(stdout);
	if (table->markdown != NULL) {
		fputs("|\n", table->markdown);
		fflush(table->markdown);
	}
}

static inline FILE *markdown_open(void)
{
	const char *path = getenv("BENCH_MARKDOWN");
	FILE *file;

	if (path == NULL || path[0] == '\0')
		return NULL;
	file = fopen(path, "ae");
	if (file == NULL)
		die("%s: %s", path, strerror(errno));
	return file;
}

/* Begins a table: its title and the heads of its columns, the last of them NULL. */
static inline struct table table_begin(const char *title, const char *const *heads)
{
	struct table table = { .markdown = markdown_open() };

	while (heads[table.columns] != NULL) {
		int width = text_width(heads[table.columns]);
		int least = table.columns == 0 ? TABLE_FIRST_WIDTH : TABLE_MIN_WIDTH;

		if (table.columns == TABLE_COLUMNS_MAX)
			die("%s: a table has at most %u columns", title, TABLE_COLUMNS_MAX);
		table.widths[table.columns++] = width > least ? width : least;
	}
	printf("\n%s\n", title);
	if (table.markdown != NULL)
		fprintf(table.markdown, "\n### %s\n\n", title);
	for (const char *const *head = heads; *head != NULL; head++)
		table_cell(&table, "%s", *head);
	if (table.markdown != NULL) {
		for (unsigned c = 0; c < table.columns; c++)
			fputs(c == 0 ? "|---" : "|---:", table.markdown);
		fputs("|\n", table.markdown);
	}
	return table;
}

static inline void table_end(struct table *table)
{
	if (table->markdown != NULL)
		fclose(table->markdown);
}

/* Prints a line of text; not between table_begin() and table_end(). */
__attribute__((format(printf, 1, 2))) static inline void note(const char *format, ...)
{
	FILE *markdown = markdown_open();
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	printf("%s\n", text);
	fflush(stdout);
	if (markdown != NULL) {
		fprintf(markdown, "\n%s\n", text);
		fclose(markdown);
	}
}

/* How many digits behind the point leave about three that mean something. */
static inline int digits_of(double value)
{
	return value < 10 ? 2 : value < 100 ? 1 : 0;
}

static inline void table_number(struct table *table, double value)
{
	table_cell(table, "%.*f", digits_of(value), value);
}

static inline void table_nothing(struct table *table)
{
	table_cell(table, "-");
}

/* A cell with the median of the values and, of several, half the distance of their quartiles. Returns the median,
 * sorts the values. */
static inline double table_median(struct table *table, double *values, unsigned count)
{
	double median = quantile(values, count, 0.5);
	double spread = quantile(values, count, 0.75) - quantile(values, count, 0.25);

	if (count < 2)
		table_number(table, median);
	else
		table_cell(table, "%.*f ±%.0f%%", digits_of(median), median,
			median > 0 ? 50 * spread / median : 0);
	return median;
}

#endif
