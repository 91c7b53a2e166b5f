# kv.cmake -- examples/kv: the library spankv, its command, its tests
# SPDX-License-Identifier: BSD-3-Clause

file(GLOB kv_sources CONFIGURE_DEPENDS examples/kv/*.c)
file(GLOB kv_command_sources CONFIGURE_DEPENDS examples/kv/command/*.c)

add_library(spankv SHARED ${kv_sources})
set_target_properties(spankv PROPERTIES
	VERSION ${PROJECT_VERSION}
	SOVERSION ${PROJECT_VERSION_MAJOR}
	LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/examples)
target_include_directories(spankv INTERFACE ${PROJECT_SOURCE_DIR}/examples/kv)
target_link_libraries(spankv PUBLIC spanheap PRIVATE spanheap_flags)

spanheap_program(example_kv examples kv ${kv_command_sources})
target_link_libraries(example_kv PRIVATE spankv spanheap_flags)

install(TARGETS spankv example_kv)
install(FILES examples/kv/kv.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES examples/kv/kv.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES examples/kv/spankv.3 DESTINATION ${CMAKE_INSTALL_MANDIR}/man3)
