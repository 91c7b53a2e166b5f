/* text.h -- the texts to be indexed: lines, words, and a position in them
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A word is a longest row of the letters A-Z and a-z; every other byte separates. That is the
 * word of `tr -cs '[:alpha:]' '\n'` in the C locale, so that standard tools can check the index. */
#ifndef WORDINDEX_TEXT_H
#define WORDINDEX_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Process. One text, mapped for reading. */
struct text {
	const char *name;
	const char *bytes; /* NULL when the text is empty */
	size_t length;
};

/* Process. All texts of a run, in the order of the command line. */
struct texts {
	size_t count;
	struct text *text;
};

/* Heap file (inside struct progress) and stack. The place where reading goes on; all zero is the
 * beginning of the first text. */
struct text_position {
	uint64_t text;   /* from 0 */
	uint64_t offset; /* bytes */
	uint64_t line;   /* from 0 */
};

/* Stack. The part of the texts that one of `count` workers reads: the lines whose number modulo
 * `count` is `index`. No table of lines is needed to find it, so a replacement starts at once. */
struct text_share {
	unsigned index;
	unsigned count;
};

/* Stack. An occurrence of a word; `letters` points into the text and is not terminated. */
struct text_word {
	const char *letters;
	size_t length;
	uint64_t text; /* from 0 */
	uint64_t line; /* from 0 */
};

/* Maps the files. Ends the program with a message when one cannot be read. */
void texts_map(struct texts *texts, char *const *names, size_t count);

void texts_unmap(struct texts *texts);

/* Finds the next word of the share at or after *position, and moves *position behind it. False at
 * the end of the last text. */
bool texts_next_word(const struct texts *texts, struct text_share share,
	struct text_position *position, struct text_word *word);

uint64_t texts_count_words(const struct texts *texts, struct text_share share);

/* The small letter of a letter. */
static inline char letter_to_lower(char letter)
{
	return (char)(letter | 0x20);
}

#endif
