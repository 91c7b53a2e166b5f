# bench_kv.cmake -- BUILD/bench/kv, with those engines that are installed
# SPDX-License-Identifier: BSD-3-Clause
#
# spankv is the engine of examples/kv. What is missing is left out, and the benchmark says so.

find_library(SQLITE_LIBRARY sqlite3)
find_path(SQLITE_INCLUDE_DIR sqlite3.h)
find_library(ROCKSDB_LIBRARY rocksdb)
find_path(ROCKSDB_INCLUDE_DIR rocksdb/c.h)

file(GLOB kv_sources CONFIGURE_DEPENDS bench/kv/*.c)
list(FILTER kv_sources EXCLUDE REGEX "/(lmdb|sqlite|rocksdb)\\.c$")
spanheap_program(bench_kv bench kv ${kv_sources})
target_include_directories(bench_kv PRIVATE ${PROJECT_SOURCE_DIR}/bench)
target_link_libraries(bench_kv PRIVATE spankv spanheap_flags m)

if(LMDB_LIBRARY)
	target_sources(bench_kv PRIVATE bench/kv/lmdb.c)
	target_compile_definitions(bench_kv PRIVATE KV_LMDB)
	target_link_libraries(bench_kv PRIVATE ${LMDB_LIBRARY})
endif()
if(SQLITE_LIBRARY AND SQLITE_INCLUDE_DIR)
	target_sources(bench_kv PRIVATE bench/kv/sqlite.c)
	target_compile_definitions(bench_kv PRIVATE KV_SQLITE)
	target_include_directories(bench_kv SYSTEM PRIVATE ${SQLITE_INCLUDE_DIR})
	target_link_libraries(bench_kv PRIVATE ${SQLITE_LIBRARY})
endif()
if(ROCKSDB_LIBRARY AND ROCKSDB_INCLUDE_DIR)
	# Its C interface does not tell the version.
	set(rocksdb_version "unknown")
	if(PKG_CONFIG_FOUND)
		pkg_check_modules(ROCKSDB QUIET rocksdb)
		if(ROCKSDB_FOUND)
			set(rocksdb_version ${ROCKSDB_VERSION})
		endif()
	endif()
	target_sources(bench_kv PRIVATE bench/kv/rocksdb.c)
	target_compile_definitions(bench_kv PRIVATE KV_ROCKSDB KV_ROCKSDB_VERSION="${rocksdb_version}")
	target_include_directories(bench_kv SYSTEM PRIVATE ${ROCKSDB_INCLUDE_DIR})
	target_link_libraries(bench_kv PRIVATE ${ROCKSDB_LIBRARY})
endif()
