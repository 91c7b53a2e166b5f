#!/bin/sh
# run.sh -- runs the benchmarks: all of them, or those named
# SPDX-License-Identifier: BSD-3-Clause
set -eu
export LC_ALL=C

benchmarks='allocate instructions reopen'
repetitions=${REPETITIONS:-7}
short_run=10000
long_run=110000

usage()
{
	cat <<END
usage: run.sh BUILD_DIR [NAME...]

The benchmarks are: $benchmarks. Heap files stand in /dev/shm and, unless that is a tmpfs as
well, in TMPDIR (default /tmp).

environment: REPETITIONS (default 7)
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
		echo "$disk is a tmpfs, too: nothing is measured on disk; set TMPDIR to change that"
	else
		folders="$folders $(mktemp -d "$disk/spanheap_bench.XXXXXX")"
	fi
}

program()
{
	[ -x "$build/bench/$1" ] || die "$build/bench/$1 is not there; build it first: ./dev build"
	echo "$build/bench/$1"
}

describe_machine()
{
	model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
	kernel=$(uname -r)
	echo "machine: $(nproc) cores (${model:-$(uname -m)}), Linux ${kernel%%-*}"
	echo "load at the start: $(cut -d ' ' -f 1-3 /proc/loadavg)"
}

run_allocate()
{
	path=$(program allocate)
	# shellcheck disable=SC2086 # a list of words
	"$path" --repetitions "$repetitions" $folders
}

run_reopen()
{
	path=$(program reopen)
	# shellcheck disable=SC2086 # a list of words
	"$path" --repetitions "$repetitions" $folders
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
	echo "$what $more $less" |
		awk -v runs="$((long_run - short_run))" '{ printf "%-36s %6.1f\n", $1, ($2 - $3) / runs }'
}

run_instructions()
{
	command -v valgrind >/dev/null || die "valgrind is needed; ./dev deps installs it"
	echo "instructions, pairs of allocation and free of 64 B; pairs with the benchmark's own loop"
	per_pair spanheap:sh_alloc spanheap sh_alloc
	per_pair spanheap:sh_free spanheap sh_free
	per_pair spanheap:pair spanheap
	per_pair mimalloc:pair mimalloc
	per_pair glibc:pair glibc
}

if [ $# -eq 0 ] || [ "$1" = -h ] || [ "$1" = --help ]; then
	usage
	[ $# -gt 0 ]
	exit
fi
build=$1
shift
# shellcheck disable=SC2086 # a list of words
[ $# -gt 0 ] || set -- $benchmarks
for name in "$@"; do
	case " $benchmarks " in
	*" $name "*) ;;
	*) die "there is no benchmark '$name'; they are: $benchmarks" ;;
	esac
done

folders=''
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
make_folders
describe_machine
for name in "$@"; do
	echo
	echo "== $name"
	"run_$name"
done
