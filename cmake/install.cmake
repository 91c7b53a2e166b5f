# install.cmake -- headers, libraries, tool, manual page, pkg-config file, CMake package
# SPDX-License-Identifier: BSD-3-Clause

include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/spanheap)
set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

install(FILES include/spanheap.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
if(URCU_FOUND)
	install(FILES include/spanheap_urcu.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
endif()
install(TARGETS spanheap spanheap_static EXPORT spanheapTargets)
if(TARGET spanheap_tool)
	install(TARGETS spanheap_tool)
endif()
file(GLOB manual_page CONFIGURE_DEPENDS tools/spanheap.1)
install(FILES ${manual_page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)

# Found relative to itself, so that the installed tree can be moved.
file(RELATIVE_PATH prefix_from_pkgconfig
	${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" prefix_from_pkgconfig ${prefix_from_pkgconfig})
configure_file(cmake/spanheap.pc.in spanheap.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/spanheap.pc DESTINATION ${pkgconfig_dir})

install(EXPORT spanheapTargets NAMESPACE spanheap:: DESTINATION ${package_dir})
configure_package_config_file(cmake/spanheapConfig.cmake.in spanheapConfig.cmake
	INSTALL_DESTINATION ${package_dir})
# 0.x promises no compatibility between minor versions.
write_basic_package_version_file(spanheapConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(
	FILES
		${CMAKE_CURRENT_BINARY_DIR}/spanheapConfig.cmake
		${CMAKE_CURRENT_BINARY_DIR}/spanheapConfigVersion.cmake
	DESTINATION ${package_dir})
