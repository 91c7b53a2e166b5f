/* main.c -- runs the tests of examples/kv
 * SPDX-License-Identifier: BSD-3-Clause */
#include <CUnit/Basic.h>

int test_table_register(void);
int test_store_register(void);

int main(void)
{
	if (CU_initialize_registry() != CUE_SUCCESS || test_table_register() != CUE_SUCCESS ||
		test_store_register() != CUE_SUCCESS)
		return 2;
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	return CU_get_number_of_failures() == 0 ? 0 : 1;
}
