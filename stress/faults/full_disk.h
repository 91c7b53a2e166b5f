/* full_disk.h -- disks of many sizes, each full at another place
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef FAULTS_FULL_DISK_H
#define FAULTS_FULL_DISK_H

#include "stress/faults/symbols.h"

#include <stdbool.h>

/* Wants root. One check for each size. */
void full_disk_run(bool quick, const char *parent, struct verdict *verdict);

#endif
