# timed.sh -- for scripts that run the programs of a table (stress/common/totals.h)
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh

# run_timed OUTPUT PROGRAM [ARGUMENT...] -- OUTPUT is what the program printed, and behind that a line with the seconds
# that it took. Its status is the program's.
run_timed()
{
	timed_output=$1
	shift
	timed_begun=$(date +%s)
	timed_status=0
	"$@" >"$timed_output" 2>&1 || timed_status=$?
	echo "totals: took $(($(date +%s) - timed_begun))" >>"$timed_output"
	return "$timed_status"
}

# The last line that the program itself printed.
timed_last_line()
{
	tail -n 2 "$1" | sed '$d'
}

# How long it took.
timed_seconds()
{
	sed -n '$s/totals: took //p' "$1"
}
