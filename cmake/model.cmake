# model.cmake -- the model checker: the library's own code, with a hook before each memory access
# SPDX-License-Identifier: BSD-3-Clause
#
# The library is compiled for the thread sanitizer but never linked with its runtime: stress/model
# supplies the __tsan_* functions, and in __wrap_memcpy, __wrap_memmove and __wrap_memset what those
# three calls do. The linker wraps them in the whole program; __real_memcpy and so on reach libc's.
# The operations that the checker tries and the toys that the explorer's tests try have hooks, too.

if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
	message(FATAL_ERROR
		"The model checker needs clang: ${CMAKE_C_COMPILER_ID} inlines some stores without a hook. "
		"Use: cmake --preset model")
endif()
if(SPANHEAP_SANITIZE)
	message(FATAL_ERROR "The model checker takes the sanitizers' place: unset SPANHEAP_SANITIZE.")
endif()

target_compile_definitions(spanheap_internals INTERFACE SH_GEOMETRY_SMALL SH_ASSERTIONS=1)
# Counterexamples name places in the code by addr2line, which finds all inlined calls in DWARF 4 only.
add_compile_options(-gdwarf-4)

file(GLOB model_sources CONFIGURE_DEPENDS stress/model/*.c)
file(GLOB explorer_test_sources CONFIGURE_DEPENDS stress/model/test_*.c)
file(GLOB toy_sources CONFIGURE_DEPENDS stress/model/toy_*.c)
file(GLOB operation_sources CONFIGURE_DEPENDS stress/model/operations.c)
list(REMOVE_ITEM model_sources ${explorer_test_sources} ${toy_sources} ${operation_sources})
if(model_sources)
	list(APPEND model_sources stress/common/names.c)
endif()

# Between the checker's own files only: what a hook sees is as it was.
include(CheckIPOSupported)
check_ipo_supported(RESULT model_optimizes_between_files OUTPUT model_why_not LANGUAGES C)
set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ${model_optimizes_between_files})

# Declares BUILD/stress/`name` from objects without hooks and, in `hooked`, sources with them.
function(spanheap_model_program name hooked)
	add_executable(${name} ${ARGN})
	set_target_properties(${name} PROPERTIES
		RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/stress)
	target_link_options(${name} PRIVATE
		LINKER:--wrap=memcpy LINKER:--wrap=memmove LINKER:--wrap=memset)
	target_link_libraries(${name} PRIVATE spanheap_internals)
	if(hooked)
		add_library(${name}_hooked OBJECT ${hooked})
		target_compile_options(${name}_hooked PRIVATE ${SPANHEAP_HOOK_FLAGS})
		target_link_libraries(${name}_hooked PRIVATE spanheap_internals)
		set_target_properties(${name}_hooked PROPERTIES INTERPROCEDURAL_OPTIMIZATION OFF)
		target_link_libraries(${name} PRIVATE ${name}_hooked)
	endif()
	add_test(NAME ${name} COMMAND ${name})
endfunction()

enable_testing()
if(NOT model_sources)
	return()
endif()
add_library(model_objects OBJECT ${model_sources})
target_link_libraries(model_objects PRIVATE spanheap_internals)
if(core_sources)
	spanheap_model_program(model_checker "${core_sources};${operation_sources}"
		$<TARGET_OBJECTS:model_objects>)
endif()
# An archive, of which the other programs pull the explorer and leave what they do not need.
add_library(model_explorer STATIC $<TARGET_OBJECTS:model_objects>)
set_target_properties(model_explorer PROPERTIES LINKER_LANGUAGE C)
if(explorer_test_sources)
	spanheap_model_program(explorer_tests "${toy_sources}" ${explorer_test_sources})
	target_link_libraries(explorer_tests PRIVATE model_explorer)
endif()

# The store of examples/kv, small, over the library without its public calls: calls.c has those that it makes. What
# a process allocates is part of the state: arena.c has that, and what would compare memory past the hooks.
file(GLOB kv_sources CONFIGURE_DEPENDS examples/kv/*.c)
file(GLOB kv_model_sources CONFIGURE_DEPENDS stress/kv_model/*.c)
set(kv_hooked_sources ${core_sources})
list(FILTER kv_hooked_sources EXCLUDE REGEX "/api/")
list(APPEND kv_hooked_sources ${kv_sources}
	stress/kv_model/arena.c stress/kv_model/calls.c stress/kv_model/operations.c)
list(FILTER kv_model_sources EXCLUDE REGEX "/(arena|calls|operations)\\.c$")
if(kv_model_sources)
	spanheap_model_program(kv_checker "${kv_hooked_sources}" ${kv_model_sources} api/error.c)
	target_link_libraries(kv_checker PRIVATE model_explorer)
	target_compile_definitions(kv_checker PRIVATE KV_GEOMETRY_SMALL)
	target_include_directories(kv_checker PRIVATE examples/kv)
	target_compile_definitions(kv_checker_hooked PRIVATE KV_GEOMETRY_SMALL)
	target_include_directories(kv_checker_hooked PRIVATE examples/kv)
	set_property(SOURCE ${kv_sources} APPEND PROPERTY COMPILE_DEFINITIONS
		malloc=arena_malloc calloc=arena_calloc realloc=arena_realloc free=arena_free
		memcmp=arena_compare)
endif()
