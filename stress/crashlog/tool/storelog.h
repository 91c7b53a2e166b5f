/* storelog.h -- what a program under storelog says to it, and what it leaves in its log
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * For the tool, the program that it watches, and the reader of the log: plain types only.
 *
 * The program names ranges of its memory. Each store of each of its threads into one of them becomes a
 * record, in program order, with the bytes that stand there afterwards. Valgrind runs one thread at a
 * time, so the order of the records is the order of all stores. Marks of the program stand between. */
#ifndef STORELOG_H
#define STORELOG_H

#define STORELOG_RANGES 16

/* The longest store is one of 64 bytes; what a system call stores is cut into pieces. */
#define STORELOG_BYTES 64

enum storelog_kind {
	STORELOG_STORE = 1,
	STORELOG_MARK = 2,
};

/* File. A record; `bytes` bytes follow, padded with zeros to a multiple of 8. */
struct storelog_record {
	unsigned char kind;   /* enum storelog_kind */
	unsigned char file;   /* store: as the program named the range */
	unsigned short bytes; /* store: how many */
	unsigned int thread;  /* valgrind's number of it */
	/* store: into the file, from its start; mark: what the program said */
	unsigned long long where;
	unsigned long long code; /* store: address of the instruction; 0: a system call */
};

/* Client requests: STORELOG_RANGE(address, bytes, file, offset in the file), STORELOG_SAY(number). */
#define STORELOG_FIRST_LETTER 'S'
#define STORELOG_SECOND_LETTER 'L'
#define STORELOG_REQUEST_RANGE 0
#define STORELOG_REQUEST_SAY 1

#endif
