/* delay.h -- time, and delays where somebody must not come in between
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef RCU_DELAY_H
#define RCU_DELAY_H

#include "stress/common/chance.h"
#include "stress/common/clock.h"

/* At a point where somebody else must not come in between: mostly no delay at all, now and then one of
 * nanoseconds to half a millisecond, or the processor is given up. */
void chance_window(struct chance *chance);

#endif
