#!/bin/sh
# test_lane.sh LANE -- builds and tests one lane of ./dev test, at the root of the repository
# SPDX-License-Identifier: BSD-3-Clause
#
# Leaves build/logs/LANE.log, all that the lane printed, and build/logs/LANE.count: a line
# "PASSED FAILED SKIPPED what" for each thing that was counted, and "seconds N" at the end. Of a program there is also
# build/logs/LANE.PROGRAM, what it printed, and behind that how long it took.
set -u

. cmake/timed.sh
lane=$1
logs=build/logs
counts=$logs/$lane.count
jobs=2
test_limit_seconds=600
program_limit_seconds=1800

# record PASSED FAILED SKIPPED WHAT
record()
{
	printf '%s\n' "$*" >>"$counts"
}

build_preset()
{
	if ! { cmake --preset "$1" && cmake --build --preset "$1" -j "$jobs"; }; then
		record 0 1 0 "does not build; repeat: cmake --build --preset $1"
		return 1
	fi
}

# The number in an attribute of the JUnit report's <testsuite> element.
suite_number()
{
	tr '\n\t' '  ' <"$1" | sed -n "s/.*<testsuite [^>]* $2=\"\([0-9]*\)\".*/\1/p"
}

# The names of the tests whose status in the JUnit report matches.
tests_with_status()
{
	sed -nE "s/.*<testcase name=\"([^\"]*)\".* status=\"($2)\".*/\1/p" "$1" | paste -sd '|'
}

run_ctest()
{
	report=$PWD/$logs/$lane.xml
	rm -f "$report"
	ctest --preset "$1" --timeout "$test_limit_seconds" --output-junit "$report"
	status=$?
	if [ ! -s "$report" ]; then
		record 0 1 0 "ctest ended with status $status and left no report"
		return
	fi
	tests=$(suite_number "$report" tests)
	failed=$(suite_number "$report" failures)
	skipped=$(($(suite_number "$report" skipped) + $(suite_number "$report" disabled)))
	record $((tests - failed - skipped)) 0 0 "ctest --preset $1"
	if [ "$failed" -gt 0 ]; then
		record 0 "$failed" 0 "ctest --preset $1 -R '^($(tests_with_status "$report" fail))\$'"
	elif [ "$status" -ne 0 ]; then
		record 0 1 0 "ctest ended with status $status"
	fi
	if [ "$skipped" -gt 0 ]; then
		record 0 0 "$skipped" "ctest did not run $(tests_with_status "$report" 'notrun|disabled')"
	elif [ "$tests" -eq 0 ]; then
		record 0 0 1 "ctest found no test"
	fi
}

# run_counted PROGRAM [ARGUMENT...] -- the program closes with "N passed, N failed": records that
run_counted()
{
	if [ ! -x "$1" ]; then
		record 0 0 1 "$1 was not built: its sources are not there"
		return
	fi
	output=$logs/$lane.$(basename "$1")
	run_timed "$output" timeout -k 10 "$program_limit_seconds" "$@"
	status=$?
	sed '$d' "$output"
	count=$(timed_last_line "$output" |
		sed -nE 's/^([0-9]+) passed, ([0-9]+) failed(, ([0-9]+) skipped)?$/\1 \2 0\4/p')
	if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
		record 0 1 0 "$* was stopped after $program_limit_seconds s"
	elif [ -z "$count" ]; then
		record 0 1 0 "$* did not close with \"N passed, N failed\"; its status is $status"
	else
		record "$count" "$*"
		case $count in
		*' 0 '*) [ "$status" -eq 0 ] || record 0 1 0 "$* ended with status $status" ;;
		esac
	fi
}

have()
{
	[ -e "$1" ]
}

ctest_lane()
{
	if ! have tests/*.c; then
		record 0 0 1 "tests/ holds no source: no unit test ran"
	fi
	build_preset "$1" || return
	run_ctest "$1"
	case $1 in
	dev | small-dev) run_counted "build/$1/stress/fuzz_replay" --seconds 8 ;;
	esac
}

model_lane()
{
	if ! have stress/model/*.c; then
		record 0 0 1 "stress/model/ holds no source: nothing was model-checked"
		return
	fi
	build_preset model || return
	run_counted build/model/stress/explorer_tests
	run_counted build/model/stress/model_checker -q
	run_counted build/model/stress/kv_checker -q
}

kill_lane()
{
	if ! have stress/kill_stress.c; then
		record 0 0 1 "stress/kill_stress.c is not there: no process was killed"
		return
	fi
	build_preset gcc || return
	run_counted build/gcc/stress/kill_stress --inside 2000
	run_counted build/gcc/stress/rcu_torture --seconds 12
	run_counted build/gcc/examples/readmostly --seconds 8
	# The control: wrong values must be found when writers do not wait for readers.
	run_counted build/gcc/examples/readmostly --seconds 8 --careless
	run_counted build/gcc/stress/kv_storm --seconds 10
	run_counted build/gcc/stress/killk --quick
	run_counted build/gcc/stress/faults --quick
	# These have one process that works at a time: two go beside each other.
	{
		run_counted build/gcc/stress/crashlog --quick
		run_counted build/gcc/stress/torn --quick
	} &
	run_counted build/gcc/stress/kv_death --quick
	run_counted build/gcc/stress/kv_steps --quick
	wait
}

run_lane()
{
	case $lane in
	gcc | clang | debug | dev | tsan | small | small-dev) ctest_lane "$lane" ;;
	model | kill) "${lane}_lane" ;;
	*) record 0 1 0 "there is no lane of this name" ;;
	esac
}

mkdir -p "$logs"
: >"$counts"
begun=$(date +%s)
run_lane >"$logs/$lane.log" 2>&1 </dev/null
seconds=$(($(date +%s) - begun))
record seconds "$seconds"
echo "lane $lane is done after $seconds s"
