/* device.c -- device I/O that is under way when its process dies
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/hostile/scenarios.h"

#include <spanheap.h>

void run_device_read_in_flight(void)
{
	skip("this version has no page runs for device I/O (SH_IO)");
}
