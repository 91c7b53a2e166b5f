/* stat.h -- the statistics of a view, once or again and again
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_TOOL_STAT_H
#define SPANHEAP_TOOL_STAT_H

#include "recovery/stats.h"
#include "tools/view.h"

/* Opens a view and counts what it holds. As view_open(). */
enum status stat_open(struct view *view, struct sh_stats *stats, const struct arguments *arguments);

void stat_print(const struct view *view, const struct sh_stats *stats, struct printer *printer);

/* What `check` would say, as far as counting tells. */
enum status stat_status(const struct view *view, const struct sh_stats *stats);

/* spanheap stat --watch. */
enum status stat_watch(const struct arguments *arguments);

#endif
