# sanitize.cmake -- applies SPANHEAP_SANITIZE to every target that is declared after it
# SPDX-License-Identifier: BSD-3-Clause

string(REPLACE ";" "," sanitizers "${SPANHEAP_SANITIZE}")
if(sanitizers MATCHES "thread" AND sanitizers MATCHES "address")
	message(FATAL_ERROR
		"SPANHEAP_SANITIZE=${sanitizers}: the thread and address sanitizers exclude each other; "
		"make two builds.")
endif()
if(sanitizers)
	add_compile_options(-fsanitize=${sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer)
	add_link_options(-fsanitize=${sanitizers})
endif()
