# tests.cmake -- what ctest runs
# SPDX-License-Identifier: BSD-3-Clause

file(GLOB test_sources CONFIGURE_DEPENDS tests/*.c)
if(test_sources AND TARGET spanheap_core)
	find_package(PkgConfig REQUIRED)
	pkg_check_modules(CUNIT IMPORTED_TARGET cunit)
	if(NOT CUNIT_FOUND)
		message(FATAL_ERROR
			"The tests need CUnit (Debian: libcunit1-dev): run ./dev deps, or configure with "
			"-DBUILD_TESTING=OFF.")
	endif()
	pkg_check_modules(URCU_CDS IMPORTED_TARGET liburcu-cds)
	if(NOT URCU_FOUND OR NOT URCU_CDS_FOUND)
		list(REMOVE_ITEM test_sources ${PROJECT_SOURCE_DIR}/tests/test_urcu.c)
	endif()
	add_executable(unit_tests ${test_sources})
	if(URCU_FOUND AND URCU_CDS_FOUND)
		target_link_libraries(unit_tests PRIVATE PkgConfig::URCU_CDS)
		target_compile_definitions(unit_tests PRIVATE TEST_URCU)
	endif()
	set_target_properties(unit_tests PROPERTIES
		RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
	target_link_libraries(unit_tests PRIVATE spanheap_core PkgConfig::CUNIT)
	# These have one thread: there is nothing in them for the thread sanitizer.
	if(SPANHEAP_SANITIZE MATCHES "thread")
		set(test_files -tool -recover -check -page_index -size_class)
	endif()
	add_test(NAME unit_tests COMMAND unit_tests ${test_files})
	# die_after_fork: test processes that fork start threads in the child, too.
	set(test_environment
		UBSAN_OPTIONS=print_stacktrace=1
		TSAN_OPTIONS=die_after_fork=0)
	if(TARGET spanheap_tool)
		list(APPEND test_environment SPANHEAP_TOOL=$<TARGET_FILE:spanheap_tool>)
		add_dependencies(unit_tests spanheap_tool)
	endif()
	set_tests_properties(unit_tests PROPERTIES ENVIRONMENT "${test_environment}")
endif()

file(GLOB kv_test_sources CONFIGURE_DEPENDS tests/kv/*.c)
if(kv_test_sources AND TARGET spankv)
	add_executable(kv_tests ${kv_test_sources})
	set_target_properties(kv_tests PROPERTIES
		RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
	target_include_directories(kv_tests PRIVATE ${PROJECT_SOURCE_DIR})
	target_link_libraries(kv_tests PRIVATE spankv spanheap_flags PkgConfig::CUNIT)
	# As of the unit tests: the command has one thread, and its TiB of addresses does not always fit.
	if(SPANHEAP_SANITIZE STREQUAL "thread")
		add_test(NAME kv_tests COMMAND kv_tests threads)
	else()
		add_test(NAME kv_tests COMMAND kv_tests)
		add_test(NAME kv_command
			COMMAND ${PROJECT_SOURCE_DIR}/tests/kv/test_command.sh $<TARGET_FILE:example_kv>)
		set_tests_properties(kv_command PROPERTIES ENVIRONMENT "UBSAN_OPTIONS=print_stacktrace=1")
	endif()
	set_tests_properties(kv_tests PROPERTIES ENVIRONMENT
		"UBSAN_OPTIONS=print_stacktrace=1;TSAN_OPTIONS=die_after_fork=0")
endif()

# Each public header compiles alone, in the oldest C and C++ that are promised.
include(CheckLanguage)
check_language(CXX)
if(NOT CMAKE_CXX_COMPILER)
	message(WARNING "No C++ compiler was found: the tests header_*_cxx17 are not run.")
endif()
set(header_flags
	-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -I ${PROJECT_SOURCE_DIR}/include
	-fsyntax-only)
file(GLOB headers CONFIGURE_DEPENDS include/*.h)
foreach(header IN LISTS headers)
	cmake_path(GET header STEM name)
	add_test(NAME header_${name}_c11
		COMMAND ${CMAKE_C_COMPILER} -std=c11 ${header_flags} -include ${header} -x c /dev/null)
	add_test(NAME header_${name}_cxx17
		COMMAND ${CMAKE_CXX_COMPILER} -std=c++17 ${header_flags} -include ${header} -x c++ /dev/null)
	if(NOT CMAKE_CXX_COMPILER)
		set_tests_properties(header_${name}_cxx17 PROPERTIES DISABLED ON)
	endif()
endforeach()

if(TARGET spanheap)
	add_test(NAME exported_symbols
		COMMAND ${PROJECT_SOURCE_DIR}/cmake/test_symbols.sh ${CMAKE_NM}
			$<TARGET_FILE:spanheap> $<TARGET_FILE:spanheap_static>)
	# A consumer is built without this build's sanitizers, so their library does not link there.
	if(NOT SPANHEAP_SANITIZE)
		add_test(NAME install
			COMMAND ${PROJECT_SOURCE_DIR}/cmake/test_install.sh ${CMAKE_COMMAND}
				${PROJECT_BINARY_DIR} ${CMAKE_C_COMPILER} ${CMAKE_INSTALL_LIBDIR})
	endif()
endif()
