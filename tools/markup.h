/* markup.h -- text in a document of HTML or SVG
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_TOOL_MARKUP_H
#define SPANHEAP_TOOL_MARKUP_H

#include <stdio.h>

/* Writes text so that it is shown as it is, between tags and in attributes. Control characters, and bytes that
 * are not UTF-8, become U+FFFD. */
void markup_text(FILE *out, const char *text);

#endif
