/* text.c -- the texts to be indexed: lines, words, and a position in them
 * SPDX-License-Identifier: BSD-3-Clause */
#include "text.h"

#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void text_map(struct text *text, const char *name)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail("%s: %s", name, strerror(errno));
	struct stat status;
	if (fstat(fd, &status) != 0)
		fail("%s: %s", name, strerror(errno));
	if (!S_ISREG(status.st_mode))
		fail("%s: not a regular file; give texts by their names", name);

	*text = (struct text){ .name = name, .length = (size_t)status.st_size };
	if (text->length > 0) {
		void *bytes = mmap(NULL, text->length, PROT_READ, MAP_PRIVATE, fd, 0);
		if (bytes == MAP_FAILED)
			fail("%s: mmap: %s", name, strerror(errno));
		text->bytes = bytes;
	}
	close(fd);
}

void texts_map(struct texts *texts, char *const *names, size_t count)
{
	*texts = (struct texts){ .count = count, .text = calloc(count, sizeof(struct text)) };
	if (texts->text == NULL)
		fail("no memory for a table of %zu texts", count);
	for (size_t i = 0; i < count; i++)
		text_map(&texts->text[i], names[i]);
}

void texts_unmap(struct texts *texts)
{
	for (size_t i = 0; i < texts->count; i++)
		if (texts->text[i].bytes != NULL)
			munmap((void *)(uintptr_t)texts->text[i].bytes, texts->text[i].length);
	free(texts->text);
	*texts = (struct texts){ 0 };
}

/* By hand, because isalpha() follows the locale and this must not. */
static bool is_letter(char byte)
{
	char lower = letter_to_lower(byte);
	return lower >= 'a' && lower <= 'z';
}

static void line_skip(const struct text *text, struct text_position *position)
{
	const char *rest = text->bytes + position->offset;
	const char *newline = memchr(rest, '\n', text->length - position->offset);

	if (newline == NULL)
		position->offset = text->length;
	else
		position->offset += (uint64_t)(newline - rest) + 1;
	position->line++;
}

static void word_take(const struct text *text, struct text_position *position,
	struct text_word *word)
{
	size_t end = position->offset;
	while (end < text->length && is_letter(text->bytes[end]))
		end++;
	*word = (struct text_word){
		.letters = text->bytes + position->offset,
		.length = end - position->offset,
		.text = position->text,
		.line = position->line,
	};
	position->offset = end;
}

static bool text_next_word(const struct text *text, struct text_share share,
	struct text_position *position, struct text_word *word)
{
	while (position->offset < text->length) {
		if (position->line % share.count != share.index) {
			line_skip(text, position);
		} else if (is_letter(text->bytes[position->offset])) {
			word_take(text, position, word);
			return true;
		} else {
			position->line += text->bytes[position->offset] == '\n';
			position->offset++;
		}
	}
	return false;
}

bool texts_next_word(const struct texts *texts, struct text_share share,
	struct text_position *position, struct text_word *word)
{
	while (position->text < texts->count) {
		if (text_next_word(&texts->text[position->text], share, position, word))
			return true;
		*position = (struct text_position){ .text = position->text + 1 };
	}
	return false;
}

uint64_t texts_count_words(const struct texts *texts, struct text_share share)
{
	struct text_position position = { 0 };
	struct text_word word;
	uint64_t count = 0;

	while (texts_next_word(texts, share, &position, &word))
		count++;
	return count;
}
