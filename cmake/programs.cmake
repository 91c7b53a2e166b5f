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

file(GLOB stress_sources CONFIGURE_DEPENDS stress/*.c)
foreach(source IN LISTS stress_sources)
	cmake_path(GET source STEM name)
	# kill_stress.c goes with the files of stress/kill/, hostile.c with those of stress/hostile/.
	string(REGEX REPLACE "_stress$" "" folder ${name})
	file(GLOB parts CONFIGURE_DEPENDS stress/${folder}/*.c)
	spanheap_program(stress_${name} stress ${name} ${source} ${parts})
	target_link_libraries(stress_${name} PRIVATE spanheap_core)
endforeach()

if(NOT SPANHEAP_PROGRAMS)
	return()
endif()

file(GLOB bench_sources CONFIGURE_DEPENDS bench/*.c)
foreach(source IN LISTS bench_sources)
	cmake_path(GET source STEM name)
	spanheap_program(bench_${name} bench ${name} ${source})
	target_link_libraries(bench_${name} PRIVATE spanheap spanheap_flags)
endforeach()

file(GLOB example_sources CONFIGURE_DEPENDS examples/*/*.c)
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
