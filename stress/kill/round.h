/* round.h -- comparing the whole heap with the model while nobody works
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KILL_ROUND_H
#define KILL_ROUND_H

#include "stress/kill/shared.h"

/* Brings the seats of the dead in order, then compares every live block, every content, word, sum and
 * root with the model, and has sh_check() look. Every living worker is parked, or there is none. */
void round_run(struct sh_heap *heap);

/* sh_check(), counted or complained about under `check`. */
void round_check(struct sh_heap *heap, enum check check);

#endif
