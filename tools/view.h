/* view.h -- a heap file as a read-only verb sees it
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The file may hold any bytes, and others may be changing it. So what says how far one may look
 * (arena count, frontiers) is compared with the length of the file, cut down where it lies, and
 * pinned down in the private mapping. From then on every function of heap/ and recovery/ that asks
 * page_is_data() first stays inside the mapping. */
#ifndef SPANHEAP_VIEW_H
#define SPANHEAP_VIEW_H

#include "heap/heap.h"
#include "tools/file.h"
#include "tools/print.h"
#include "tools/problems.h"
#include "tools/reader.h"
#include "tools/tool.h"

#include <stdbool.h>

enum heap_state {
	STATE_IN_USE,      /* somebody is attached */
	STATE_CLEAN,       /* nobody is, and the last one closed it */
	STATE_RECOVERABLE, /* all died, and the control file proves that nothing else happened (P2) */
	STATE_TORN,        /* not clean, and no such proof (P3) */
};

/* What one of the superblock's two places holds. */
enum copy_state {
	COPY_CURRENT,
	COPY_OLDER, /* whole: a death came between the two writes */
	COPY_DAMAGED,
};

/* Process. Everything but the span records, bits, logs and roots stands still. */
struct view {
	struct input input;
	struct superblock superblock;
	enum copy_state copies[2];
	enum heap_state state;
	const char *reason;    /* why it is in that state, for people */
	uint64_t stamp;        /* of the running words */
	struct heap heap;      /* truth only: control is NULL */
	struct reader reader;  /* of a verb that asked for it */
	struct problems wrong; /* with the directory; what it leads to beyond is not looked at */
};

/* Opens a view. Complains when it cannot, and then *view needs no closing: STATUS_ERROR,
 * STATUS_DAMAGED (no whole superblock). */
enum status view_open(struct view *view, const char *path);
void view_close(struct view *view);

/* The same for a verb that looks at spans: if the heap is in use and `arguments` do not say otherwise, it has a
 * slot for read sections from then on. */
enum status view_open_to_look(struct view *view, const struct arguments *arguments);

/* For a verb whose look number `looks` at the spans found damage: whether it is to look again, because the heap is in use
 * and may have changed under its eyes. Then the view was opened anew, and *status is what view_open_to_look() returned. */
bool view_look_again(struct view *view, const struct arguments *arguments, unsigned looks,
	enum status *status);

/* Whether somebody is using the heap, or did since the view was opened. */
bool view_moves(const struct view *view);

/* What the state and the directory alone amount to. */
enum status view_status(const struct view *view);

/* Prints state, reason, whether it is in use, and what stood in the way of read sections. */
void view_print_state(const struct view *view, struct printer *printer);

#endif
