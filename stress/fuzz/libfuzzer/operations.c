/* operations.c -- fuzz_operations: libFuzzer plays calls, each store of which can be the last
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The library is compiled as for the model checker (stress/model/hook.h): whatever it stores to the heap file
 * or the control file is announced first, and may be where everybody dies. */
#include "stress/fuzz/arena.h"
#include "stress/fuzz/operation_target.h"
#include "stress/model/hook.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t stores_left;

static bool is_shared(const void *address)
{
	const struct image *image = &fuzz_heap.image;
	const char *at = address;

	return (at >= image->base && at < image->base + FUZZ_MAX_BYTES) ||
		(at >= image->control && at < image->control + image->control_bytes);
}

static void on_access(void *address, size_t bytes, enum hook_kind kind, const void *caller)
{
	(void)bytes;
	(void)caller;
	if (stores_left != 0 && kind != HOOK_LOAD && is_shared(address) && --stores_left == 0)
		longjmp(fuzz_heap.death, 1);
}

static bool watches(const void *address, enum hook_kind kind)
{
	return kind != HOOK_LOAD && is_shared(address);
}

static const struct hook_client client = { .on_access = on_access, .watches = watches };

static void arm_stores(uint64_t count)
{
	stores_left = count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	hook_client = &client;
	operation_set_deaths(arm_stores);
	operation_target(data, size);
	return 0;
}
