/* storelog.h -- what a program under storelog says to it, and what it leaves in its log
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * For the tool, the program that it watches, and the reader of the log: plain types only.
 *
 * The program names ranges of its memory, and files by path: where it maps one of these to store into it, there
 * is a range until it is unmapped. Each store of each of its threads into a range becomes a record, in program
 * order, with the bytes that stand there afterwards. Valgrind runs one thread at a time, so the order of
 * the records is the order of all stores. What system calls do to a named file stands between, and marks of the
 * program do. */
#ifndef STORELOG_H
#define STORELOG_H

#define STORELOG_RANGES 16
#define STORELOG_FILES 4
#define STORELOG_PATH_BYTES 512

/* The longest store is one of 64 bytes; what a system call stores is cut into pieces. */
#define STORELOG_BYTES 64

enum storelog_kind {
	STORELOG_STORE = 1,
	STORELOG_MARK = 2,
	STORELOG_LENGTH = 3,  /* the file was made so long */
	STORELOG_RENAMED = 4, /* the file took the place of another one */
};

/* File. A record; `bytes` bytes follow, padded with zeros to a multiple of 8. */
struct storelog_record {
	unsigned char kind;   /* enum storelog_kind */
	unsigned char file;   /* as the program named it */
	unsigned short bytes; /* store: how many */
	unsigned int thread;  /* valgrind's number of it */
	/* store: into the file, from its start; mark: what the program said; length: in bytes; renamed: the
	 * number of the other one */
	unsigned long long where;
	/* store: address of the instruction, 0: a system call; length, renamed: the file's inode */
	unsigned long long code;
};

/* Client requests: STORELOG_RANGE(address, bytes, file, offset in the file), STORELOG_SAY(number),
 * STORELOG_FILE(path, file). */
#define STORELOG_FIRST_LETTER 'S'
#define STORELOG_SECOND_LETTER 'L'
#define STORELOG_REQUEST_RANGE 0
#define STORELOG_REQUEST_SAY 1
#define STORELOG_REQUEST_FILE 2

#endif
