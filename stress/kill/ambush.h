/* ambush.h -- waits until a process is where few would die by chance
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KILL_AMBUSH_H
#define KILL_AMBUSH_H

#include "stress/kill/shared.h"

/* Whether there is anything in which too few died until now. */
bool ambush_wanted(void);

/* Watches the workers until one would leave something that was left too seldom, or is in a call in which too few died.
 * Returns which is, or was a moment ago: it goes on, and a kill that comes at once hits that or what follows; WORKERS after
 * a while. `heap`: a handle of its heap; nothing is called on it, only looked at. */
unsigned ambush(const struct sh_heap *heap);

#endif
