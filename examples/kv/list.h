/* list.h -- lists that grow
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef KV_LIST_H
#define KV_LIST_H

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

/* The list, NULL at first, with room for `more` items behind `count` of them; *capacity is how many it has room
 * for, 0 at first. NULL: there is no memory, and the list is as it was. */
static inline void *list_with_room(void *list, size_t count, size_t more, size_t *capacity,
	size_t item_bytes)
{
	size_t wanted = *capacity == 0 ? 8 : *capacity;
	void *bigger;

	if (count + more <= *capacity)
		return list;
	while (wanted < count + more)
		wanted *= 2;
	bigger = realloc(list, wanted * item_bytes);
	if (bigger != NULL)
		*capacity = wanted;
	return bigger;
}

#endif
