/* crashlog.c -- every crash image of every operation, recovered and judged
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/crashlog/run.h"

int main(int argc, char **argv)
{
	(void)argc;
	return dev_main(argv[1], (unsigned)atoi(argv[2]));
}
