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

/* Names the mappings of both files in `folder` to the tool, copies the files, and lets logging begin. */
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

#endif
