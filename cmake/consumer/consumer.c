/* consumer.c -- the smallest user of the installed library: opens nothing, prints its version; the inline
 * functions want the library's thread-local words
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <spanheap.h>
#include <stdio.h>

int main(void)
{
	struct sh_heap *heap = NULL;

	if (sh_open("/", 0, NULL, &heap) == 0)
		return sh_read_lock(heap) + 1;
	return printf("%s\n", sh_version()) < 0;
}
