/* symbol.h -- names of places in this program's code
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MODEL_SYMBOL_H
#define MODEL_SYMBOL_H

#include <stddef.h>

/* Process. "function (file:line)", with " < caller (file:line)" for each function that this one was
 * inlined into. */
struct symbol {
	char text[160];
};

/* Of return addresses in the main program: names the calls they return from. Needs addr2line;
 * without it the text is the offset in the program. */
void symbol_resolve(const void *const *addresses, size_t count, struct symbol *symbols);

#endif
