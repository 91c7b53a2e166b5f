/* operation.h -- one operation between two marks in the log, and what it must leave
 * SPDX-License-Identifier: BSD-3-Clause
 *
 *	operation_begin("alloc", 0);
 *	off = sh_alloc(heap, 48);
 *	operation_end();
 *	book_add(heap, off, 0);
 *	operation_done();
 *
 * Between begin and end nobody stores into the heap but the operation. */
#ifndef CRASHLOG_OPERATION_H
#define CRASHLOG_OPERATION_H

#include <spanheap.h>
#include <stdint.h>

/* The heap under test, and the folder of its files. */
extern struct sh_heap *heap;

/* Names both files in `folder` and their mappings to the tool, copies the files, and lets logging begin. */
void logging_start(const char *folder);
/* Copies the heap file: what the log must lead to. */
void logging_stop(void);

/* `flags`: OPERATION_... of snapshot.h. */
void operation_begin(const char *name, unsigned flags);
void operation_end(void);
/* The book shows what a death may leave, too. */
void operation_may_leave(void);
/* The book shows what is true from now on. */
void operation_done(void);

/* The directed operations, and `count` at random. */
void operations_directed(void);
void operations_random(uint64_t seed, unsigned count);
/* Content for them to meet: many blocks and runs, some of them freed. */
void operations_fill_heap(uint64_t seed);

/* A log of two extensions. */
void operations_with_longest_log(void);
/* Runs and blocks over several arenas, of a heap of 16 GiB. */
void operations_over_arenas(void);

/* sh_open() and sh_close(). The heap is closed, killed in the middle of a transaction, in use by another
 * process; and closed in this one, before as afterwards. */
void operations_on_closed(void);
void operations_on_killed(void);
void operations_beside_another(void);

#endif
