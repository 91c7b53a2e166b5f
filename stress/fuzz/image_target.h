/* image_target.h -- any bytes as a heap file: looked at, opened, used
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef FUZZ_IMAGE_TARGET_H
#define FUZZ_IMAGE_TARGET_H

#include <stddef.h>
#include <stdint.h>

/* Plays an input (stress/fuzz/edits.h). Returns when all promises held; else the program ends. */
void image_target(const uint8_t *data, size_t size);

#endif
