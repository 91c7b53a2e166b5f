#!/bin/sh
# check_includes.sh [ROOT] -- dependencies run one way: api -> recovery -> heap -> shm
# SPDX-License-Identifier: BSD-3-Clause
#
# tools, tests and stress look inside and may include anything. Examples and benchmarks stand
# for users: of the project they see the installed headers only, beside headers of their own folder.
# bench/page_index.c and bench/deferred.c measure what no user can ask for alone.
set -eu
cd "${1:-.}"

# shellcheck disable=SC2016 # the dollars are awk's
for folder in shm heap recovery api include examples bench; do
	[ -d "$folder" ] && find "$folder" -name '*.[ch]'
done | sort | xargs -r awk '
BEGIN {
	allowed["shm"] = "^(shm/|heap/geometry\\.h$)"
	allowed["heap"] = "^(heap|shm)/|^spanheap[a-z_]*\\.h$"
	allowed["recovery"] = "^(recovery|heap|shm)/|^spanheap[a-z_]*\\.h$"
	allowed["api"] = "^(api|recovery|heap|shm)/|^spanheap[a-z_]*\\.h$"
	allowed["include"] = "^spanheap[a-z_]*\\.h$"
	allowed["examples"] = allowed["bench"] = "^(spanheap[a-z_]*\\.h|[^/]+)$"
}
/^[ \t]*#[ \t]*include[ \t]*["<]/ {
	quoted = /["]/
	name = $0
	sub(/^[^"<]*["<]/, "", name)
	sub(/[">].*/, "", name)
	if (!quoted && name !~ /^spanheap[a-z_]*\.h$/)
		next
	folder = FILENAME
	sub(/\/.*/, "", folder)
	if (FILENAME == "bench/page_index.c" && name ~ /^heap\//)
		next
	if (FILENAME == "bench/deferred.c" && name ~ /^(api|heap)\//)
		next
	if (name !~ allowed[folder]) {
		printf "%s:%d: %s/ may not include \"%s\"\n", FILENAME, FNR, folder, name
		wrong = 1
	}
}
END { exit wrong }'
