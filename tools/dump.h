/* dump.h -- the parts of spanheap dump
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_DUMP_H
#define SPANHEAP_DUMP_H

#include "tools/look.h"
#include "tools/view.h"

/* Stack. One run of the verb. */
struct dump {
	const struct heap *heap;
	const struct arguments *arguments;
	bool in_use;
	struct thread *reader; /* in whose sections spans are looked at; NULL: without */
	uint64_t head; /* the span that --offset asks for; 0: there is none; ANY: no such filter */
	struct printer printer;
};

/* Each prints one table or two. False: not enough memory. */
bool dump_arenas(struct dump *dump);
void dump_chunks(struct dump *dump);
void dump_spans(struct dump *dump);
void dump_blocks(struct dump *dump);
void dump_logs(struct dump *dump);

#endif
