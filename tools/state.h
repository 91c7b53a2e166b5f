/* state.h -- is a heap file clean, recoverable or torn?
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The same questions as sh_open() asks, without its locks and without a change. */
#ifndef SPANHEAP_STATE_H
#define SPANHEAP_STATE_H

#include "tools/view.h"

/* Fills in view->state and view->reason. The directory was cut down to the file. */
void state_find(struct view *view, bool in_use);

/* "clean", "in use", ... */
const char *state_name(enum heap_state state);

#endif
