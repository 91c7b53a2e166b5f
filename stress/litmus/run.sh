#!/bin/sh
# run.sh [TRACE_MODEL OPTION...] -- searches all executions of the models, or shows a counterexample
# SPDX-License-Identifier: BSD-3-Clause
#
#	run.sh                              all models and all rules; ends with "N passed, N failed"
#	run.sh --long                       and those that take minutes and gigabytes
#	run.sh tso NO_BARRIER               how the rule's absence is seen, step by step
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
jobs=2

if ! command -v spin >/dev/null || ! command -v gcc >/dev/null; then
	echo "SKIPPED: the memory models of grace periods need spin and gcc (./dev deps)"
	exit 0
fi

# The options as spin takes them.
defined()
{
	for option in "$@"; do
		printf -- '-D%s ' "$option"
	done
}

# search FOLDER MODEL OPTION... -- leaves in FOLDER the program, its output and its trail
search()
{
	folder=$1
	model=$2
	shift 2
	mkdir -p "$folder"
	cd "$folder"
	# shellcheck disable=SC2046 # a list of words
	spin -a $(defined "$@") "$here/$model.pml" >spin.out 2>&1 &&
		gcc -w "$optimise" -DSAFETY -DCOLLAPSE -o pan pan.c &&
		./pan -m100000 >pan.out 2>&1
}

# What a search found: holds, fails, or why it is neither.
result_of()
{
	if [ ! -s "$1/pan.out" ]; then
		echo "does not compile: $(tail -n 1 "$1/spin.out")"
	elif grep -q 'assertion violated (seen==0)' "$1/pan.out"; then
		echo fails
	elif grep -q 'errors: 0$' "$1/pan.out" &&
		! grep -qE 'Search not completed|max search depth too small' "$1/pan.out"; then
		echo holds
	else
		echo "neither: $(grep -m 1 -E '^pan' "$1/pan.out")"
	fi
}

# check NUMBER EXPECTED MODEL OPTION...
check()
{
	number=$1
	expected=$2
	shift 2
	# Where there is a counterexample it is found at once, and compiling is what takes long.
	case $expected in
	holds) optimise=-O2 ;;
	*) optimise=-O0 ;;
	esac
	(search "$scratch/$number" "$@") || true
	found=$(result_of "$scratch/$number")
	states=$(sed -nE 's/^ *([0-9]+) states, stored.*/\1/p' "$scratch/$number/pan.out" 2>/dev/null) ||
		states=''
	verdict=FAILED
	[ "$found" != "$expected" ] || verdict=ok
	printf '%-8s%s: %s, %s states\n' "$verdict" "$*" "$found" "${states:-no}" >>"$scratch/results"
	rm -rf "${scratch:?}/$number"
}

show_counterexample()
{
	optimise=-O0
	model=$1
	(search "$scratch/one" "$@") || true
	cd "$scratch/one"
	cp "$here"/*.pml .
	shift
	if [ -e "$model.pml.trail" ]; then
		# shellcheck disable=SC2046 # a list of words
		spin -t $(defined "$@") "$model.pml" |
			sed -n 's/^ *\(thread\|\.\.\.\)/\1/p'
	fi
	result_of .
	names=$here/places.pml
	if grep -q '#define PLACES' "$here/$model.pml"; then
		names=$here/$model.pml
	fi
	sed -n 's|^#define \([A-Z]*\) \([0-9]\)\b.*|\2 is \1|p' "$names" |
		grep -vE 'THREADS|PLACES|MESSAGES' | paste -sd ' '
}

# run_lines NUMBER -- every jobs-th line of the list, from this one on
run_lines()
{
	sed -n "$1~${jobs}p" "$scratch/list" | while read -r line; do
		# shellcheck disable=SC2086 # a list of words
		check "$1" $line
	done
}

scratch=$(mktemp -d "${TMPDIR:-/tmp}/litmus.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM HUP

long=''
if [ "${1:-}" = --long ]; then
	long='holds deferred COPY
holds deferred COPY FENCES
holds deferred TWICE
holds deferred TWICE FENCES
fails deferred COPY EARLY_TAG'
elif [ $# -gt 0 ]; then
	show_counterexample "$@"
	exit
fi
grep . >"$scratch/list" <<END
holds weak
holds weak FENCES
holds weak C11
holds weak C11 FENCES
holds weak C11 COPY_BEGUN TAG_BY_ADDITION
holds weak C11 COPY_BEGUN FENCES
holds tso
holds tso FENCES
fails tso NO_BARRIER
fails tso EARLY_TAG
fails tso NO_TAG_FENCE
fails tso NO_ENROLMENT_FENCE
fails tso FENCES NO_READER_FENCE
fails weak NO_BARRIER
fails weak EARLY_TAG
fails weak NO_TAG_FENCE
fails weak NO_ENROLMENT_FENCE
fails weak COPY_BEGUN RELAXED_EPOCH
fails weak FENCES NO_READER_FENCE
fails weak C11 COPY_BEGUN
fails weak C11 COPY_BEGUN FENCES NO_BEGIN_FENCE
fails weak C11 COPY_BEGUN TAG_BY_ADDITION RELAXED_EPOCH
holds limbo NOTE
holds limbo LISTING
holds limbo COLLECT
holds limbo HAZARD
holds limbo C11 NOTE
holds limbo C11 LISTING
holds limbo C11 COLLECT
holds limbo C11 HAZARD
fails limbo NOTE NO_ORDER
fails limbo NOTE EARLY_LOOK
fails limbo LISTING NO_ORDER
fails limbo COLLECT RELAXED_FREED
fails limbo COLLECT LIMBO_FIRST
fails limbo HAZARD NO_HAZARD
fails limbo HAZARD RELAXED_HAZARD
fails limbo HAZARD LIMBO_FIRST
holds deferred COPY ALONE
holds deferred COPY ALONE FENCES
holds deferred TWICE ALONE
holds deferred TWICE ALONE FENCES
holds deferred C11 COPY
holds deferred C11 COPY FENCES
holds deferred C11 TWICE
holds deferred C11 TWICE FENCES
fails deferred COPY ALONE NO_BARRIER
fails deferred C11 COPY EARLY_TAG
fails deferred C11 COPY NO_TAG_FENCE
fails deferred TWICE ALONE NO_BARRIER
fails deferred TWICE NO_SECTION
fails deferred TWICE FREED_FIRST
fails deferred TWICE CLEARED_FIRST
$long
END
for number in $(seq "$jobs"); do
	run_lines "$number" &
done
wait
sort "$scratch/results"
passed=$(grep -c '^ok' "$scratch/results") || true
failed=$(grep -c '^FAILED' "$scratch/results") || true
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -eq "$(wc -l <"$scratch/list")" ]
