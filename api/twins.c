/* twins.c -- exported twins of what spanheap.h inlines, and the version
 * SPDX-License-Identifier: BSD-3-Clause */
#include <spanheap.h>

#define TEXT_OF(number) #number
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

const char *sh_version(void)
{
	return VERSION_TEXT(SH_VERSION_MAJOR, SH_VERSION_MINOR, SH_VERSION_PATCH);
}

void sh_reader_lock_function(struct sh_reader *reader)
{
	sh_reader_lock(reader);
}

void sh_reader_unlock_function(struct sh_reader *reader)
{
	sh_reader_unlock(reader);
}

void *sh_ptr_function(const struct sh_heap *heap, sh_off off)
{
	return sh_ptr(heap, off);
}

sh_off sh_offset_function(const struct sh_heap *heap, const void *ptr)
{
	return sh_offset(heap, ptr);
}

char *sh_base_function(const struct sh_heap *heap)
{
	return sh_base(heap);
}
