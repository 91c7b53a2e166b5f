# library.cmake -- libspanheap.so and libspanheap.a, both from the same objects
# SPDX-License-Identifier: BSD-3-Clause

add_library(spanheap_core OBJECT ${core_sources})
target_link_libraries(spanheap_core PUBLIC spanheap_internals)

set(symbol_map ${PROJECT_SOURCE_DIR}/cmake/spanheap.map)
add_library(spanheap SHARED $<TARGET_OBJECTS:spanheap_core>)
set_target_properties(spanheap PROPERTIES
	VERSION ${PROJECT_VERSION}
	SOVERSION ${PROJECT_VERSION_MAJOR}
	LINKER_LANGUAGE C
	LINK_DEPENDS ${symbol_map})
# nodelete: a thread that ends after dlclose() still runs the destructor that returns its slot.
target_link_options(spanheap PRIVATE
	LINKER:--version-script=${symbol_map} LINKER:-z,nodelete)
if(NOT SPANHEAP_SANITIZE)
	# With sanitizers it is the executable that brings their functions.
	target_link_options(spanheap PRIVATE LINKER:-z,defs)
endif()
target_include_directories(spanheap PUBLIC
	$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
	$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(spanheap PRIVATE Threads::Threads)

# One relocatable object whose hidden symbols are local: the archive defines sh_* and no more.
set(whole_object ${CMAKE_CURRENT_BINARY_DIR}/spanheap.o)
add_custom_command(
	OUTPUT ${whole_object}
	COMMAND ${CMAKE_LINKER} -r -o ${whole_object} $<TARGET_OBJECTS:spanheap_core>
	COMMAND ${CMAKE_OBJCOPY} --localize-hidden ${whole_object}
	DEPENDS spanheap_core $<TARGET_OBJECTS:spanheap_core>
	COMMENT "Joining the objects of libspanheap.a"
	COMMAND_EXPAND_LISTS VERBATIM)
add_library(spanheap_static STATIC ${whole_object})
set_source_files_properties(${whole_object} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
set_target_properties(spanheap_static PROPERTIES OUTPUT_NAME spanheap LINKER_LANGUAGE C)
target_include_directories(spanheap_static INTERFACE
	$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
	$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(spanheap_static INTERFACE Threads::Threads)
