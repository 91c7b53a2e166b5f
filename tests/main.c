/* main.c -- runs the unit tests: all of them, or the files named on the command line, or, named with
 * a minus, all but one
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Exit status: 0 all passed, 1 a test failed, 2 the command line or CUnit is at fault. */
#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

int test_blocks_register(void);
int test_check_register(void);
int test_damage_register(void);
int test_deaths_register(void);
int test_detached_register(void);
int test_fork_register(void);
int test_growth_register(void);
int test_handle_register(void);
int test_layout_register(void);
int test_limits_register(void);
int test_lock_register(void);
int test_manual_register(void);
int test_log_register(void);
int test_mutex_register(void);
int test_object_register(void);
int test_open_register(void);
int test_options_register(void);
int test_page_index_register(void);
int test_pages_register(void);
int test_parked_register(void);
int test_rcu_register(void);
int test_read_register(void);
int test_readonly_register(void);
int test_deferred_register(void);
int test_deferred_api_register(void);
int test_realloc_register(void);
int test_recover_register(void);
int test_looking_register(void);
int test_root_register(void);
int test_run_register(void);
int test_settle_register(void);
int test_runs_register(void);
int test_size_class_register(void);
int test_slot_register(void);
int test_span_register(void);
int test_stats_register(void);
int test_thread_slots_register(void);
int test_threads_register(void);
int test_timedlock_register(void);
int test_tool_register(void);
int test_tool_map_register(void);
int test_tool_procs_register(void);
int test_tool_sections_register(void);
int test_transaction_register(void);
int test_urcu_register(void);
int test_txn_register(void);

/* A file of tests: its suites are registered by one function. */
struct file {
	const char *name;
	int (*register_suites)(void);
};

static const struct file files[] = {
	{ "layout", test_layout_register },
	{ "size_class", test_size_class_register },
	{ "run", test_run_register },
	{ "lock", test_lock_register },
	{ "slot", test_slot_register },
	{ "rcu", test_rcu_register },
	{ "page_index", test_page_index_register },
	{ "pages", test_pages_register },
	{ "parked", test_parked_register },
	{ "growth", test_growth_register },
	{ "span", test_span_register },
	{ "manual", test_manual_register },
	{ "runs", test_runs_register },
	{ "object", test_object_register },
	{ "log", test_log_register },
	{ "root", test_root_register },
	{ "transaction", test_transaction_register },
	{ "deferred", test_deferred_register },
	{ "deferred_api", test_deferred_api_register },
	{ "settle", test_settle_register },
	{ "recover", test_recover_register },
	{ "check", test_check_register },
	{ "threads", test_threads_register },
	{ "handle", test_handle_register },
	{ "damage", test_damage_register },
	{ "deaths", test_deaths_register },
	{ "fork", test_fork_register },
	{ "thread_slots", test_thread_slots_register },
	{ "blocks", test_blocks_register },
	{ "txn", test_txn_register },
	{ "mutex", test_mutex_register },
	{ "looking", test_looking_register },
	{ "readonly", test_readonly_register },
	{ "limits", test_limits_register },
	{ "open", test_open_register },
	{ "options", test_options_register },
	{ "realloc", test_realloc_register },
	{ "timedlock", test_timedlock_register },
	{ "stats", test_stats_register },
	{ "detached", test_detached_register },
	{ "read", test_read_register },
#ifdef TEST_URCU
	{ "urcu", test_urcu_register },
#endif
	{ "tool", test_tool_register },
	{ "tool_procs", test_tool_procs_register },
	{ "tool_map", test_tool_map_register },
	{ "tool_sections", test_tool_sections_register },
};

#define FILE_COUNT (sizeof(files) / sizeof(files[0]))

static const struct file *find_file(const char *name)
{
	for (size_t i = 0; i < FILE_COUNT; i++)
		if (strcmp(files[i].name, name) == 0)
			return &files[i];
	return NULL;
}

static int usage(const char *program, const char *unknown)
{
	fprintf(stderr,
		"%s: no tests are called '%s'. Name one or more, or all but those with a dash "
		"before them, of:",
		program, unknown);
	for (size_t i = 0; i < FILE_COUNT; i++)
		fprintf(stderr, " %s", files[i].name);
	fprintf(stderr, "; or none, for all.\n");
	return 2;
}

/* Whether the command line names the file; with a dash before each name, those are left out. */
static bool is_wanted(const struct file *file, int count, char **names)
{
	bool left_out = count > 0 && names[0][0] == '-';

	for (int i = 0; i < count; i++)
		if (find_file(names[i] + left_out) == file)
			return !left_out;
	return count == 0 || left_out;
}

static int register_wanted(int count, char **names)
{
	for (size_t i = 0; i < FILE_COUNT; i++)
		if (is_wanted(&files[i], count, names) && files[i].register_suites() != 0)
			return -1;
	return 0;
}

int main(int argc, char **argv)
{
	bool failed;
	int error;

	for (int i = 1; i < argc; i++)
		if (find_file(argv[i] + (argv[1][0] == '-')) == NULL)
			return usage(argv[0], argv[i]);
	if (CU_initialize_registry() != CUE_SUCCESS)
		return 2;
	error = register_wanted(argc - 1, argv + 1);
	if (error != 0) {
		fprintf(stderr, "%s: CUnit: %s\n", argv[0], CU_get_error_msg());
		return 2;
	}
	CU_basic_set_mode(CU_BRM_VERBOSE);
	failed = CU_basic_run_tests() != CUE_SUCCESS || CU_get_number_of_failures() != 0 ||
		CU_get_number_of_suites_failed() != 0;
	CU_cleanup_registry();
	return failed ? 1 : 0;
}
