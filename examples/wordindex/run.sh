#!/bin/sh
# run.sh -- the demo: builds an index of words while its builders are killed, then proves it right
# SPDX-License-Identifier: BSD-3-Clause
set -eu
export LC_ALL=C

usage()
{
	cat <<END
usage: run.sh BUILD_DIR [--keep] [--seed N] [--seconds N] [TEXT...]

Indexes the words of the TEXTs (default: those in /usr/share/common-licenses) in a heap that four
processes share, while they are killed; then compares the index with what tr, sort, uniq and grep
say. Exits with 0 only if everything holds.

  --keep       leave the heap file behind and say where it is
  --seed N     of the random moments (they still depend on the machine)
  --seconds N  give up when the wanted deaths have not been seen after so long; default 150
END
}

die()
{
	echo "run.sh: $*" >&2
	exit 1
}

# Prints the first name that is a program, or else finds it anywhere in the build directory.
find_program()
{
	name=$1
	shift
	for candidate in "$@"; do
		if [ -f "$candidate" ] && [ -x "$candidate" ]; then
			echo "$candidate"
			return
		fi
	done
	found=$(find "$build" -type f -name "$name" -perm -u+x | head -n 1)
	[ -n "$found" ] || die "no program $name in $build; build it first: ./dev build"
	echo "$found"
}

# Each text once, under the name that symbolic links lead to.
default_texts()
{
	for name in /usr/share/common-licenses/*; do
		[ ! -f "$name" ] || readlink -f "$name"
	done | sort -u
}

has_room()
{
	needed_kib=65536
	[ -d "$1" ] && [ -w "$1" ] &&
		[ "$(df -Pk "$1" | awk 'NR == 2 { print $4 }')" -ge "$needed_kib" ]
}

# A disk would make every page that is written cost more, and prove no more.
choose_folder()
{
	if has_room /dev/shm; then
		mktemp -d /dev/shm/wordindex.XXXXXX
	else
		mktemp -d "${TMPDIR:-/tmp}/wordindex.XXXXXX"
	fi
}

clean_up()
{
	[ -n "$keep" ] || rm -rf "$folder"
}

# What the index should say, by tools that know nothing of it. The line feed after each text parts
# the last word of one from the first of the next.
reference_counts()
{
	for text in "$@"; do
		cat -- "$text"
		echo
	done | tr -cs '[:alpha:]' '\n' | tr '[:upper:]' '[:lower:]' | sed '/^$/d' | sort | uniq -c |
		awk -v passes="$passes" '{ printf "%.0f %s\n", $1 * passes, $2 }' | sort
}

reference_postings()
{
	number=0
	for text in "$@"; do
		number=$((number + 1))
		grep -ano '[[:alpha:]][[:alpha:]]*' <"$text" | sed "s/^/$number:/"
	done | tr '[:upper:]' '[:lower:]' | sort | uniq -c |
		awk -v passes="$passes" '{ printf "%.0f %s\n", $1 * passes, $2 }' | sort
}

# Compares two sorted files; shows the first differences.
compare()
{
	what=$1
	expected=$2
	found=$3
	if ! cmp -s "$expected" "$found"; then
		echo "  NOT ok: $what (< expected, > in the index)" >&2
		diff "$expected" "$found" | head -n 10 >&2
		die "the index is wrong"
	fi
	[ -s "$expected" ] || die "there was nothing to compare: $what"
	echo "  ok: $what ($(wc -l <"$expected") lines compared)"
}

check_heap()
{
	status=0
	"$spanheap" check "$heap" >"$folder/check" 2>&1 || status=$?
	if [ "$status" -ne 0 ]; then
		cat "$folder/check" >&2
		die "spanheap check: exit status $status"
	fi
	echo "  ok: spanheap check finds no fault in the heap"
}

check_index()
{
	passes=$("$wordindex" passes "$heap")
	echo "The finished index against other tools, each text $passes times"

	reference_counts "$@" >"$folder/counts.expected"
	"$wordindex" counts "$heap" >"$folder/counts.unsorted"
	sort "$folder/counts.unsorted" >"$folder/counts"
	compare "counts are those of tr | sort | uniq -c" "$folder/counts.expected" "$folder/counts"

	reference_postings "$@" >"$folder/postings.expected"
	"$wordindex" postings "$heap" >"$folder/postings.unsorted"
	sort "$folder/postings.unsorted" >"$folder/postings"
	compare "postings are the lines that grep finds" "$folder/postings.expected" \
		"$folder/postings"
}

if [ $# -eq 0 ] || [ "$1" = -h ] || [ "$1" = --help ]; then
	usage
	[ $# -gt 0 ]
	exit
fi
build=$1
shift
keep=''
seed=0
seconds=150
while [ $# -gt 0 ]; do
	case $1 in
	--keep) keep=yes ;;
	--seed | --seconds)
		[ $# -gt 1 ] || die "$1 needs a number"
		if [ "$1" = --seed ]; then seed=$2; else seconds=$2; fi
		shift
		;;
	--help | -h)
		usage
		exit
		;;
	--)
		shift
		break
		;;
	-*) die "$1: no such option; ./run.sh --help lists them" ;;
	*) break ;;
	esac
	shift
done

wordindex=$(find_program wordindex "$build/examples/wordindex")
spanheap=$(find_program spanheap "$build/spanheap" "$build/tools/spanheap")
if [ $# -eq 0 ]; then
	# shellcheck disable=SC2046 # a list of names without blanks
	set -- $(default_texts)
	[ $# -gt 0 ] || die "no texts in /usr/share/common-licenses; name some"
fi

folder=$(choose_folder)
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
heap=$folder/heap

echo "spanheap demo: an index of words whose builders are killed all the time"
"$wordindex" run "$heap" "$seed" "$seconds" "$@" || die "the run failed"
echo
check_heap
check_index "$@"
echo
echo "Everything holds."
if [ -n "$keep" ]; then
	echo "Kept: $heap; look at it with $spanheap info $heap"
fi
