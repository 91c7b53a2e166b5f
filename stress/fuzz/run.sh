#!/bin/sh
# run.sh -- both fuzzers for a while
# SPDX-License-Identifier: BSD-3-Clause
#
#	stress/fuzz/run.sh SECONDS [FOLDER]
#
# Each runs for half of the time, or at the same time where there are two processors. FOLDER (build/fuzz/found)
# keeps the inputs that led somewhere new, from one run to the next, and those that ended a fuzzer: replay one by
# build/fuzz/stress/fuzz_image FILE, or fuzz_operations. The last line is "N passed, N failed".
set -eu

[ $# -ge 1 ] || {
	echo "usage: stress/fuzz/run.sh SECONDS [FOLDER]" >&2
	exit 2
}
seconds=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../.." && pwd)
cd "$root"
found=${2:-build/fuzz/found}

skip()
{
	echo "SKIPPED fuzz_image, fuzz_operations: $1"
	echo "0 passed, 0 failed, 2 skipped"
	exit 0
}

command -v clang >/dev/null 2>&1 || skip "there is no clang"
mkdir -p build
if ! { cmake --preset fuzz && cmake --build --preset fuzz -j 2; } >build/fuzz.log 2>&1; then
	tail -n 40 build/fuzz.log
	echo "FAILED  preset fuzz does not build; see build/fuzz.log"
	echo "0 passed, 1 failed"
	exit 1
fi
[ -x build/fuzz/stress/fuzz_image ] || skip "clang has no libFuzzer (Debian: libclang-rt-dev)"

# fuzz NAME LENGTH FOR -- runs one fuzzer
fuzz()
{
	mkdir -p "$found/$1"
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
		"build/fuzz/stress/fuzz_$1" -max_total_time="$3" -timeout=20 -max_len="$2" \
		-rss_limit_mb=3000 -artifact_prefix="$found/$1-" -print_final_stats=1 \
		"$found/$1" "stress/fuzz/corpus/$1" >"$found/$1.log" 2>&1
}

tell()
{
	units=$(sed -n 's/^stat::number_of_executed_units: *//p' "$found/$1.log")
	if [ "$2" -eq 0 ]; then
		echo "ok      fuzz_$1: ${units:-0} inputs, $(find "$found/$1" -type f | wc -l) kept"
	else
		echo "FAILED  fuzz_$1: the end of $found/$1.log:"
		grep -E 'fuzz:|ERROR|SUMMARY|runtime error|Test unit written' "$found/$1.log" |
			sed 's/^/        /'
	fi
}

mkdir -p "$found"
one=0
two=0
if [ "$(nproc)" -ge 2 ]; then
	fuzz image 770 "$seconds" &
	image=$!
	fuzz operations 360 "$seconds" || two=$?
	wait "$image" || one=$?
else
	fuzz image 770 $((seconds / 2)) || one=$?
	fuzz operations 360 $((seconds / 2)) || two=$?
fi
tell image "$one"
tell operations "$two"
bad=$(((one != 0) + (two != 0)))
echo "$((2 - bad)) passed, $bad failed"
[ "$bad" -eq 0 ]
