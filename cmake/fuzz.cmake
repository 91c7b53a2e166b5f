# fuzz.cmake -- the fuzzers: the library with libFuzzer's coverage, in small geometry
# SPDX-License-Identifier: BSD-3-Clause
#
# fuzz_image has address and undefined-behaviour sanitizers. fuzz_operations has the model checker's hooks before
# each store instead (cmake/model.cmake): everybody can die there.

include(CheckCSourceCompiles)
set(CMAKE_REQUIRED_FLAGS -fsanitize=fuzzer)
check_c_source_compiles("
	int LLVMFuzzerTestOneInput(const unsigned char *data, unsigned long size);
	int LLVMFuzzerTestOneInput(const unsigned char *data, unsigned long size)
	{ return data == 0 && size != 0; }" SPANHEAP_HAS_LIBFUZZER)
unset(CMAKE_REQUIRED_FLAGS)
if(NOT SPANHEAP_HAS_LIBFUZZER)
	message(WARNING "SKIPPED: ${CMAKE_C_COMPILER} has no libFuzzer; no fuzzer is built.")
	return()
endif()

target_compile_definitions(spanheap_internals INTERFACE SH_GEOMETRY_SMALL SH_ASSERTIONS=1)
file(GLOB fuzz_sources CONFIGURE_DEPENDS stress/fuzz/*.c)

# Declares BUILD/stress/`name` of `ARGN`, which is linked with libFuzzer.
function(spanheap_fuzzer name)
	add_executable(${name} ${ARGN})
	set_target_properties(${name} PROPERTIES
		RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/stress)
	target_link_libraries(${name} PRIVATE spanheap_internals)
endfunction()

spanheap_fuzzer(fuzz_image ${core_sources} ${fuzz_sources} stress/fuzz/libfuzzer/image.c)
target_compile_options(fuzz_image PRIVATE
	-O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
target_link_options(fuzz_image PRIVATE -fsanitize=fuzzer,address,undefined)

add_library(fuzz_hooked OBJECT ${core_sources})
target_compile_options(fuzz_hooked PRIVATE ${SPANHEAP_HOOK_FLAGS} -fsanitize=fuzzer-no-link)
target_link_libraries(fuzz_hooked PRIVATE spanheap_internals)
spanheap_fuzzer(fuzz_operations $<TARGET_OBJECTS:fuzz_hooked> ${fuzz_sources}
	stress/fuzz/libfuzzer/operations.c stress/model/hook.c)
target_link_options(fuzz_operations PRIVATE -fsanitize=fuzzer
	LINKER:--wrap=memcpy LINKER:--wrap=memmove LINKER:--wrap=memset)
