#!/bin/sh
# one.sh PRESET NAME -- runs a stress program, which is built, for ./dev stress, at the root of the repository
# SPDX-License-Identifier: BSD-3-Clause
#
# Leaves build/logs/stress.NAME, what it printed, and behind that how long it took, and "totals: status N" unless it
# passed.
set -u

. cmake/timed.sh
name=$2
program=build/$1/stress/$name
output=build/logs/stress.$name
case $name in
# One of two processors: something else runs beside them.
kv_checker | model_checker) set -- -j 1 ;;
*) set -- ;;
esac
run_timed "$output" "$program" "$@"
status=$?
seconds=$(timed_seconds "$output")
if [ "$status" -eq 0 ]; then
	echo "$name is done after $seconds s"
else
	echo "totals: status $status" >>"$output"
	echo "FAILED: $name, with status $status, after $seconds s; the end of $output:"
	tail -n 40 "$output" | sed 's/^/  | /'
fi
grep -h '^SKIPPED' "$output" || true
