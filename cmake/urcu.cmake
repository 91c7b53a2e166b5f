# urcu.cmake -- flavors of liburcu, where its headers are
# SPDX-License-Identifier: BSD-3-Clause
#
# Takes api/urcu.c from core_sources when they are not. Nothing is linked with liburcu but its test.

set(urcu_source ${PROJECT_SOURCE_DIR}/api/urcu.c)
find_package(PkgConfig)
if(PKG_CONFIG_FOUND)
	pkg_check_modules(URCU liburcu)
endif()

# The model checker explores shared memory, and there is none in it.
if(SPANHEAP_MODEL OR NOT URCU_FOUND)
	list(REMOVE_ITEM core_sources ${urcu_source})
	if(NOT URCU_FOUND)
		message(STATUS
			"No liburcu (Debian: liburcu-dev): built without sh_rcu_flavor() and <spanheap_urcu.h>.")
	endif()
	return()
endif()

include(CheckStructHasMember)
set(CMAKE_REQUIRED_INCLUDES ${URCU_INCLUDE_DIRS})
check_struct_has_member("struct rcu_flavor_struct" update_start_poll_synchronize_rcu
	"stdbool.h;urcu/flavor.h" SPANHEAP_URCU_POLL LANGUAGE C)
unset(CMAKE_REQUIRED_INCLUDES)
set_source_files_properties(${urcu_source} PROPERTIES
	INCLUDE_DIRECTORIES "${URCU_INCLUDE_DIRS}"
	COMPILE_DEFINITIONS "$<$<BOOL:${SPANHEAP_URCU_POLL}>:SPANHEAP_URCU_POLL>")
