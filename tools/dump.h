/* dump.h -- the parts of spanheap dump
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_DUMP_H
#define SPANHEAP_DUMP_H

#include "heap/span.h"
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

/* Stack. A span as it was at one moment; others may be changing it. */
struct span_look {
	uint64_t head;
	uint64_t hot;
	struct span_record record;
	const struct size_class *size_class; /* NULL: not a span of objects */
	bool plausible;
	uint64_t used;                 /* live blocks */
	uint64_t live[SPAN_MAX_WORDS]; /* these, of objects */
};

/* Looks at the span or run of this head, in a section. False: it is gone. */
bool dump_look(const struct dump *dump, uint64_t head, struct span_look *look);

/* Each prints one table or two. False: not enough memory. */
bool dump_arenas(struct dump *dump);
void dump_chunks(struct dump *dump);
void dump_spans(struct dump *dump);
void dump_blocks(struct dump *dump);
void dump_logs(struct dump *dump);

#endif
