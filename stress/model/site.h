/* site.h -- where a search spends its states: how often a process stopped before which access
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MODEL_SITE_H
#define MODEL_SITE_H

#include <stdio.h>

#include "stress/model/machine.h"

void site_reset(void);

/* A state in which the last to run stopped before the access; or before none. */
void site_note(const struct machine_access *access);

/* The busiest first. */
void site_print(FILE *file);

#endif
