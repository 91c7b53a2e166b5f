/* place.h -- file systems to put a heap on
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Mounted below the scenario's folder, in its own mount namespace: gone with its processes. */
#ifndef HOSTILE_PLACE_H
#define HOSTILE_PLACE_H

#include <stdbool.h>

/* Gives the process and its children mounts of their own. Skips when the machine forbids it. */
void own_mounts(void);

/* Each mounts a file system of so many MiB and returns its path (static until the next call). They
 * skip when the tool or the file system is not there. */
const char *place_tmpfs(unsigned mebibytes);
const char *place_image(const char *type, unsigned mebibytes);
const char *place_overlay(void);

/* A folder on the disk. */
const char *place_plain(void);

#endif
