/* logged.h -- the contents of the heap file that logged stores lead to
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KILLK_LOGGED_H
#define KILLK_LOGGED_H

#include "stress/killk/image.h"

#define NONE_DROPPED UINT64_MAX

/* A log, and the operation of it that is looked at. Process. */
struct logged;

/* NULL: the log is of no use. */
struct logged *logged_read(const char *path);
void logged_free(struct logged *logged);

/* Turns to an operation; logging of it began with a heap file of that content. False: it is not there. */
bool logged_find(struct logged *logged, uint32_t number, const char *content, uint64_t bytes);

/* How many stores it made to the heap file. */
uint64_t logged_stores(const struct logged *logged);

/* The distinct contents of the heap file: before its first store and after each, as if store number `dropped` of
 * these, counted from 0, had not been logged. Returns how many; *images is the caller's to free. */
uint64_t logged_images(struct logged *logged, uint64_t dropped, struct image **images);

/* Whether the store puts there what is there. */
bool logged_changes_nothing(struct logged *logged, uint64_t which);

#endif
