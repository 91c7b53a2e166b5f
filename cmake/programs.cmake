# programs.cmake -- the tool, the stress programs, the benchmarks and the examples
# SPDX-License-Identifier: BSD-3-Clause

# Declares BUILD/`folder`/`name`.
function(spanheap_program target folder name)
	add_executable(${target} ${ARGN})
	set_target_properties(${target} PROPERTIES
		OUTPUT_NAME ${name}
		RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/${folder})
endfunction()

file(GLOB tool_sources CONFIGURE_DEPENDS tools/*.c)
if(tool_sources)
	spanheap_program(spanheap_tool tools spanheap ${tool_sources})
	target_link_libraries(spanheap_tool PRIVATE spanheap_core)
endif()

# An archive: each stress program takes what it uses.
file(GLOB common_sources CONFIGURE_DEPENDS stress/common/*.c)
add_library(stress_common STATIC ${common_sources})
target_link_libraries(stress_common PRIVATE spanheap_internals)

# Built always: it has tests.
include(cmake/kv.cmake)

file(GLOB stress_sources CONFIGURE_DEPENDS stress/*.c)
foreach(source IN LISTS stress_sources)
	cmake_path(GET source STEM name)
	# kill_stress.c goes with the files of stress/kill/, rcu_torture.c with those of stress/rcu/,
	# fuzz_replay.c with those of stress/fuzz/, kv_storm.c with those of stress/kv/, and the others with
	# those of a folder of their name.
	string(REGEX REPLACE "_(stress|torture|replay|storm)$" "" folder ${name})
	file(GLOB parts CONFIGURE_DEPENDS stress/${folder}/*.c)
	spanheap_program(stress_${name} stress ${name} ${source} ${parts})
	# Those of the store use the library as it is installed, as the store does.
	if(name MATCHES "^kv_")
		target_include_directories(stress_${name} PRIVATE ${PROJECT_SOURCE_DIR})
		target_link_libraries(stress_${name} PRIVATE stress_common spankv spanheap_flags)
	else()
		target_link_libraries(stress_${name} PRIVATE spanheap_core stress_common)
	endif()
endforeach()
if(TARGET stress_killk)
	target_sources(stress_killk PRIVATE stress/crashlog/log.c stress/crashlog/read_file.c)
endif()
if(TARGET stress_fuzz_replay)
	target_compile_definitions(stress_fuzz_replay PRIVATE
		FUZZ_CORPUS="${PROJECT_SOURCE_DIR}/stress/fuzz/corpus")
endif()

# stress/faults.c stands between the library and what it calls (stress/faults/call.c).
set(fault_calls
	access asprintf calloc close fallocate fchmod fchown fcntl free fstat fstatfs fsync ftruncate
	getrlimit ioctl link linkat lseek lstat madvise malloc mmap mprotect msync munmap open pread
	pthread_atfork pthread_attr_init pthread_create pthread_key_create pthread_mutex_init
	pthread_mutexattr_init pthread_setspecific pwrite read realpath rename sem_wait stat strdup
	strndup syscall unlink)
if(TARGET stress_faults)
	list(TRANSFORM fault_calls PREPEND "LINKER:--wrap=")
	target_link_options(stress_faults PRIVATE ${fault_calls})
	# Its undefined symbols are what must be accounted for.
	add_dependencies(stress_faults spanheap_static)
	target_compile_definitions(stress_faults PRIVATE
		FAULTS_LIBRARY="$<TARGET_FILE:spanheap_static>" $<$<BOOL:${URCU_FOUND}>:FAULTS_URCU>)
	target_include_directories(stress_faults SYSTEM PRIVATE ${URCU_INCLUDE_DIRS})
endif()

if(TARGET stress_crashlog)
	include(cmake/crashlog.cmake)
endif()

if(NOT SPANHEAP_PROGRAMS)
	return()
endif()

file(GLOB bench_sources CONFIGURE_DEPENDS bench/*.c)
list(FILTER bench_sources EXCLUDE REGEX "/peer_[a-z]*\\.c$")
foreach(source IN LISTS bench_sources)
	cmake_path(GET source STEM name)
	spanheap_program(bench_${name} bench ${name} ${source})
	# They measure functions that no user calls, and count what no user sees.
	if(name MATCHES "^(page_index|deferred)$")
		target_link_libraries(bench_${name} PRIVATE spanheap_core)
	else()
		target_link_libraries(bench_${name} PRIVATE spanheap spanheap_flags ${CMAKE_DL_LIBS})
	endif()
endforeach()

# bench/read measures these flavors beside ours, and says so when they are not installed.
find_library(URCU_MEMB_LIBRARY urcu-memb)
find_library(URCU_BP_LIBRARY urcu-bp)
find_library(URCU_QSBR_LIBRARY urcu-qsbr)
find_path(URCU_INCLUDE_DIR urcu/urcu-memb.h)
if(TARGET bench_read AND URCU_MEMB_LIBRARY AND URCU_BP_LIBRARY AND URCU_QSBR_LIBRARY AND
	URCU_INCLUDE_DIR)
	target_compile_definitions(bench_read PRIVATE BENCH_URCU)
	target_include_directories(bench_read SYSTEM PRIVATE ${URCU_INCLUDE_DIR})
	target_link_libraries(bench_read PRIVATE
		${URCU_MEMB_LIBRARY} ${URCU_BP_LIBRARY} ${URCU_QSBR_LIBRARY})
endif()

# Declares BUILD/bench/peer_`name`.so, a wrapper that the benchmarks load.
function(spanheap_peer name source)
	add_library(bench_peer_${name} MODULE ${source})
	set_target_properties(bench_peer_${name} PROPERTIES
		PREFIX ""
		OUTPUT_NAME peer_${name}
		LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bench)
	target_link_libraries(bench_peer_${name} PRIVATE ${ARGN})
endfunction()

# A peer that is not installed is left out, and the benchmarks say so.
find_library(PMEMOBJ_LIBRARY pmemobj)
find_library(LMDB_LIBRARY lmdb)
find_path(BOOST_INCLUDE_DIR boost/interprocess/managed_mapped_file.hpp)
if(PMEMOBJ_LIBRARY)
	spanheap_peer(pmemobj bench/peer_pmemobj.c spanheap_flags ${PMEMOBJ_LIBRARY})
endif()
if(LMDB_LIBRARY)
	spanheap_peer(lmdb bench/peer_lmdb.c spanheap_flags ${LMDB_LIBRARY})
endif()
include(CheckLanguage)
check_language(CXX)
if(BOOST_INCLUDE_DIR AND CMAKE_CXX_COMPILER)
	enable_language(CXX)
	# g++ defines _GNU_SOURCE by itself, with another value than spanheap_flags.
	spanheap_peer(boost bench/peer_boost.cpp Threads::Threads)
	set_target_properties(bench_peer_boost PROPERTIES
		CXX_STANDARD 17
		CXX_STANDARD_REQUIRED ON)
	target_compile_options(bench_peer_boost PRIVATE
		-Wall -Wextra $<$<BOOL:${SPANHEAP_WERROR}>:-Werror>)
	target_include_directories(bench_peer_boost SYSTEM PRIVATE ${BOOST_INCLUDE_DIR})
endif()

file(GLOB example_sources CONFIGURE_DEPENDS examples/*/*.c)
list(FILTER example_sources EXCLUDE REGEX "/examples/kv/")
set(example_names "")
foreach(source IN LISTS example_sources)
	cmake_path(GET source PARENT_PATH folder)
	cmake_path(GET folder FILENAME name)
	list(APPEND example_names ${name})
	list(APPEND example_${name}_sources ${source})
endforeach()
list(REMOVE_DUPLICATES example_names)
foreach(name IN LISTS example_names)
	spanheap_program(example_${name} examples ${name} ${example_${name}_sources})
	target_link_libraries(example_${name} PRIVATE spanheap spanheap_flags)
endforeach()

include(cmake/bench_kv.cmake)
