/* names.c -- which operations a command line means
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/common/names.h"

#include <string.h>

bool name_is_meant(const struct names *names, unsigned operation, const char *part)
{
	if (part == NULL)
		return true;
	for (unsigned i = 0; i < names->count; i++)
		if (strcmp(names->of(i), part) == 0)
			return i == operation;
	return strstr(names->of(operation), part) != NULL;
}

bool name_pair_is_meant(const struct names *names, unsigned i, unsigned j, const char *first,
	const char *second)
{
	return (name_is_meant(names, i, first) && name_is_meant(names, j, second)) ||
		(name_is_meant(names, j, first) && name_is_meant(names, i, second));
}
