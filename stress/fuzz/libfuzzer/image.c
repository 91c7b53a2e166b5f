/* image.c -- fuzz_image: libFuzzer plays images
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/fuzz/edits.h"
#include "stress/fuzz/image_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t limit);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t limit, unsigned seed);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	image_target(data, size);
	return 0;
}

/* Mostly by fields; now and then by bytes, which knows what comparisons wanted. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t limit, unsigned seed)
{
	struct chance chance = { seed };

	if (chance_once_in(&chance, 4))
		return LLVMFuzzerMutate(data, size, limit);
	size = edits_mutate(data, size, limit, &chance);
	while (chance_once_in(&chance, 3))
		size = edits_mutate(data, size, limit, &chance);
	return size;
}
