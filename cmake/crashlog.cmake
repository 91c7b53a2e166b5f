# crashlog.cmake -- what stress/crashlog needs beside itself: a valgrind tool, and a program to run under it
# SPDX-License-Identifier: BSD-3-Clause
#
# The tool is linked against valgrind's own static libraries (Debian: valgrind), at the address where
# valgrind expects its tools. It is never installed. Where they are missing, crashlog says so and skips.

# The scenario speaks of pages of the size that is installed.
if(SPANHEAP_SANITIZE OR SPANHEAP_SMALL OR NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64)$")
	return()
endif()
find_path(VALGRIND_INCLUDE_DIR valgrind/pub_tool_tooliface.h)
find_library(VALGRIND_CORE_LIBRARY coregrind-amd64-linux PATH_SUFFIXES valgrind)
find_library(VALGRIND_VEX_LIBRARY vex-amd64-linux PATH_SUFFIXES valgrind)
find_library(VALGRIND_GCC_LIBRARY gcc-sup-amd64-linux PATH_SUFFIXES valgrind)
find_path(VALGRIND_LIBEXEC_DIR vgpreload_core-amd64-linux.so
	PATHS /usr/libexec/valgrind /usr/lib/valgrind /usr/lib/x86_64-linux-gnu/valgrind
	/usr/local/libexec/valgrind)
if(NOT VALGRIND_INCLUDE_DIR OR NOT VALGRIND_CORE_LIBRARY OR NOT VALGRIND_VEX_LIBRARY OR
	NOT VALGRIND_GCC_LIBRARY OR NOT VALGRIND_LIBEXEC_DIR)
	return()
endif()

# What VALGRIND_LIB points to.
set(crashlog_folder ${PROJECT_BINARY_DIR}/stress/crashlog_tool)
add_executable(crashlog_tool stress/crashlog/tool/storelog.c)
set_target_properties(crashlog_tool PROPERTIES
	OUTPUT_NAME storelog-amd64-linux
	POSITION_INDEPENDENT_CODE OFF
	RUNTIME_OUTPUT_DIRECTORY ${crashlog_folder})
target_include_directories(crashlog_tool PRIVATE ${PROJECT_SOURCE_DIR})
target_include_directories(crashlog_tool SYSTEM PRIVATE
	${VALGRIND_INCLUDE_DIR} ${VALGRIND_INCLUDE_DIR}/valgrind)
target_compile_definitions(crashlog_tool PRIVATE
	VGA_amd64=1 VGO_linux=1 VGP_amd64_linux=1 VGPV_amd64_linux_vanilla=1)
target_compile_options(crashlog_tool PRIVATE
	-Wall -Wextra -Wshadow $<$<BOOL:${SPANHEAP_WERROR}>:-Werror>
	-O2 -fno-pie -fno-stack-protector -fno-builtin -fno-strict-aliasing -fomit-frame-pointer)
target_link_options(crashlog_tool PRIVATE
	-static -nostdlib -nostartfiles -nodefaultlibs
	LINKER:-u,_start LINKER:-Ttext-segment=0x58000000 LINKER:--build-id=none)
target_link_libraries(crashlog_tool PRIVATE
	${VALGRIND_CORE_LIBRARY} ${VALGRIND_VEX_LIBRARY} ${VALGRIND_GCC_LIBRARY} gcc)
file(MAKE_DIRECTORY ${crashlog_folder})
foreach(name vgpreload_core-amd64-linux.so default.supp)
	file(CREATE_LINK ${VALGRIND_LIBEXEC_DIR}/${name} ${crashlog_folder}/${name} SYMBOLIC)
endforeach()

# The library as it is installed; at a fixed address, so that addresses in the log name places in the code.
file(GLOB crashlog_scenario_sources CONFIGURE_DEPENDS stress/crashlog/scenario/*.c)
spanheap_program(crashlog_scenario stress crashlog_scenario ${crashlog_scenario_sources})
target_include_directories(crashlog_scenario PRIVATE
	${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/include)
target_include_directories(crashlog_scenario SYSTEM PRIVATE ${VALGRIND_INCLUDE_DIR})
target_link_libraries(crashlog_scenario PRIVATE spanheap_static spanheap_flags)
# Valgrind 3.19 dies of the debugging information that clang writes.
target_link_options(crashlog_scenario PRIVATE
	-no-pie $<$<C_COMPILER_ID:Clang>:LINKER:--strip-debug>)

add_dependencies(stress_crashlog crashlog_tool crashlog_scenario)

# killk has its operations logged, too (stress/killk/agreement.h).
if(TARGET stress_killk)
	target_compile_definitions(stress_killk PRIVATE KILLK_TOOL)
	target_include_directories(stress_killk SYSTEM PRIVATE ${VALGRIND_INCLUDE_DIR})
	target_link_options(stress_killk PRIVATE
		$<$<C_COMPILER_ID:Clang>:LINKER:--strip-debug>)
	add_dependencies(stress_killk crashlog_tool)
endif()
