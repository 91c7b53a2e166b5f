/* linear.h -- is there an order in which all calls could have happened at one moment each?
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KV_STRESS_LINEAR_H
#define KV_STRESS_LINEAR_H

#include "stress/kv/history.h"

#include <stddef.h>

enum linear { LINEAR, NOT_LINEAR, LINEAR_UNDECIDED };

/* Decides it exactly for the calls to one key, which holds nothing before: each call takes effect at one moment
 * between its begin and its end, or, without an end, perhaps. *at is the call at whose end no order is left.
 * Undecided when there are too many orders, or no memory. */
enum linear linear_decide(const struct event *const *events, size_t count, size_t *at);

#endif
