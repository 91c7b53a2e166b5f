#!/bin/sh
# run.sh -- runs the benchmarks: all of them, or those named
# SPDX-License-Identifier: BSD-3-Clause
set -eu
export LC_ALL=C
# jemalloc is loaded into running programs, and needs room for its thread-local memory.
export GLIBC_TUNABLES=glibc.rtld.optional_static_tls=16384
# libpmemobj flushes cache lines, as on persistent memory, instead of calling msync(2).
export PMEM_IS_PMEM_FORCE=1

benchmarks='allocate replace threads exchange queue transaction reopen growth space death'
benchmarks="$benchmarks read deferred page_index instructions"
repetitions=${REPETITIONS:-5}
quick=${QUICK:+--quick}
short_run=10000
long_run=110000

usage()
{
	cat <<END
usage: run.sh BUILD_DIR [NAME...]
       run.sh BUILD_DIR kv [OPTION...]

The benchmarks are: $benchmarks.
kv, which compares key-value stores, is run alone: its tables go to BUILD_DIR/../bench/kv.md, and its
pictures beside them; kv --help tells its options.
Heap files stand in /dev/shm and, unless that is a tmpfs as well, in TMPDIR (default /tmp).
The tables are printed, and written as Markdown to BUILD_DIR/../bench/tables.md.

environment:
  REPETITIONS   of each measurement (5)
  QUICK=1       a look in few minutes: smaller, with large heaps left out
END
}

die()
{
	echo "run.sh: $*" >&2
	exit 1
}

clean_up()
{
	# shellcheck disable=SC2086 # a list of words
	rm -rf $folders
}

# Makes the folders of the heap files; no blanks in their names.
make_folders()
{
	folders=$(mktemp -d /dev/shm/spanheap_bench.XXXXXX)
	disk=${TMPDIR:-/tmp}
	case $disk in
	*[[:space:]]*) die "TMPDIR must have no blanks" ;;
	esac
	if [ "$(stat -f -c %T "$disk")" = tmpfs ]; then
		say "$disk is a tmpfs, too: nothing is measured on disk; set TMPDIR to change that"
	else
		folders="$folders $(mktemp -d "$disk/spanheap_bench.XXXXXX")"
	fi
}

program()
{
	[ -x "$build/bench/$1" ] || die "$build/bench/$1 is not there; build it first: ./dev build"
	echo "$build/bench/$1"
}

# Prints a line, and adds it to the tables.
say()
{
	echo "$*"
	printf '%s\n\n' "$*" >>"$BENCH_MARKDOWN"
}

load()
{
	cut -d ' ' -f 1-3 /proc/loadavg
}

# kv is told how many, and says so.
medians()
{
	[ "$names" = kv ] ||
		echo "Medians of $repetitions repetitions, ± half the distance of the quartiles."
}

describe_machine()
{
	model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
	memory=$(awk '$1 == "MemTotal:" { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)
	kernel=$(uname -r)
	say "Measured on $(date +%Y-%m-%d): $(nproc) cores (${model:-$(uname -m)}), $memory," \
		"Linux ${kernel%%-*}; load at the start: $(load)." \
		"$(medians)${quick:+ QUICK: not to be quoted.}"
}

# The pictures of the README are made by whole runs only.
picture()
{
	if [ -n "$quick" ]; then
		echo "$tables/queue.svg"
	else
		echo "$here/queue.svg"
	fi
}

run_program()
{
	path=$(program "$1")
	# shellcheck disable=SC2086 # lists of words
	"$path" --repetitions "$repetitions" $quick --tool "$build/tools/spanheap" \
		--svg "$(picture)" $folders
}

# collected ALLOCATOR COUNT [FUNCTION]: instructions of a run, or of a function and its callees.
collected()
{
	path=$(program instructions)
	folder=${folders%% *}
	rm -f "$folder/heap" "$folder/heap-shm"
	valgrind --tool=callgrind --callgrind-out-file=/dev/null ${3:+--toggle-collect="$3"} \
		"$path" "$1" "$2" "$folder" 2>&1 |
		sed -n 's/^.*Collected : *\([0-9]*\).*$/\1/p'
}

# per_pair WHAT ALLOCATOR [FUNCTION]
per_pair()
{
	what=$1
	shift
	more=$(collected "$1" "$long_run" ${2:+"$2"})
	less=$(collected "$1" "$short_run" ${2:+"$2"})
	if [ -z "$more" ] || [ -z "$less" ]; then
		die "valgrind did not count $what"
	fi
	count=$(echo "$more $less" |
		awk -v runs="$((long_run - short_run))" '{ printf "%.1f", ($1 - $2) / runs }')
	printf '%-36s  %8s\n' "$what" "$count"
	printf '| %s | %s |\n' "$what" "$count" >>"$BENCH_MARKDOWN"
}

run_instructions()
{
	command -v valgrind >/dev/null || die "valgrind is needed; ./dev deps installs it"
	say "Instructions of a pair of allocation and free of 64 B; pairs with the benchmark's own loop"
	printf '| function | instructions |\n|---|---:|\n' >>"$BENCH_MARKDOWN"
	per_pair 'sh_alloc()' spanheap sh_alloc
	per_pair 'sh_free()' spanheap sh_free
	per_pair 'spanheap, pair' spanheap
	per_pair 'mimalloc, pair' mimalloc
	per_pair 'jemalloc, pair' jemalloc
	per_pair 'glibc, pair' glibc
}

# Of two options with the same name the last one counts.
run_kv()
{
	path=$(program kv)
	# shellcheck disable=SC2086 # a list of words
	"$path" --pictures "$tables/kv" \
		${quick:+--entries 20000 --value 100 --seconds 0.1 --deaths 3 --repetitions 1} \
		${quick:+--writers 1,2 --readers 0,1} \
		${REPETITIONS:+--repetitions "$REPETITIONS"} "$@" $folders
}

check_names()
{
	for name in $names; do
		case " $benchmarks " in
		*" $name "*) ;;
		*) die "there is no benchmark '$name'; they are: $benchmarks, and kv" ;;
		esac
	done
}

run_benchmark()
{
	echo
	echo "== $1"
	printf '\n## %s\n\n' "$1" >>"$BENCH_MARKDOWN"
	begun=$(date +%s)
	# A subshell: what ends one benchmark does not end the others.
	case $1 in
	instructions) (run_instructions) || failed="$failed $1" ;;
	*) (run_program "$1") || failed="$failed $1" ;;
	esac
	say ''
	say "($(($(date +%s) - begun)) s; load now: $(load))"
}

if [ $# -eq 0 ] || [ "$1" = -h ] || [ "$1" = --help ]; then
	usage
	[ $# -gt 0 ]
	exit
fi
build=$1
shift
if [ "${1:-}" = kv ]; then
	shift
	names=kv
	case " $* " in
	*' --help '*) exec "$(program kv)" --help ;;
	esac
else
	names=${*:-$benchmarks}
	check_names
fi

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
tables=$(dirname -- "$build")/bench
mkdir -p "$tables"
if [ "$names" = kv ]; then
	export BENCH_MARKDOWN="$tables/kv.md"
else
	export BENCH_MARKDOWN="$tables/tables.md"
fi
: >"$BENCH_MARKDOWN"
failed=''
folders=''
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
make_folders
describe_machine
if [ "$names" = kv ]; then
	run_kv "$@" || failed=' kv'
	say "(load now: $(load))"
else
	for name in $names; do
		run_benchmark "$name"
	done
fi
[ -z "$failed" ] || {
	say "FAILED:$failed"
	exit 1
}
