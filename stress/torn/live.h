/* live.h -- cp(1) while processes work, and its copies put back
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef TORN_LIVE_H
#define TORN_LIVE_H

#include <stdbool.h>
#include <stdint.h>

/* Makes copies for so many milliseconds, in `folder`; prints what came of them as a verdict. Whether all was well; if not, the
 * files stay there. */
bool live_copies(const char *folder, uint64_t seed, unsigned milliseconds);

#endif
