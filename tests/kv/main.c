/* main.c -- runs the tests of examples/kv: all, or with "threads" those of several threads
 * SPDX-License-Identifier: BSD-3-Clause */
#include <CUnit/Basic.h>
#include <stdbool.h>
#include <string.h>

int test_table_register(void);
int test_store_register(void);
int test_threads_register(void);

static bool register_all(bool threads_only)
{
	if (CU_initialize_registry() != CUE_SUCCESS || test_threads_register() != CUE_SUCCESS)
		return false;
	return threads_only ||
		(test_table_register() == CUE_SUCCESS && test_store_register() == CUE_SUCCESS);
}

int main(int argc, char **argv)
{
	if (!register_all(argc > 1 && strcmp(argv[1], "threads") == 0))
		return 2;
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	return CU_get_number_of_failures() == 0 ? 0 : 1;
}
