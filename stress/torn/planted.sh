#!/bin/sh
# planted.sh -- does stress/torn find bugs? Leaves out one rule at a time, and tells which it missed
# SPDX-License-Identifier: BSD-3-Clause
#
#	stress/torn/planted.sh BUILD_ROOT [PLANT...]
#
# Copies the sources into BUILD_ROOT, replaces one line of the copy as planted.list says, builds the program
# and runs it. A plant whose line does not occur exactly once is an error: the code has moved on, and the
# list must follow it. BUILD_ROOT/logs/PLANT.log keeps what was printed. The last line is
# "N passed, N failed".
set -eu

# Of these another program's planted.sh says otherwise.
preset=${PLANTED_PRESET:-gcc}
program=${PLANTED_PROGRAM:-torn}
arguments=${PLANTED_ARGUMENTS:---images 1300 --folder .}

die()
{
	echo "planted.sh: $*" >&2
	exit 2
}

[ $# -ge 1 ] || die "usage: stress/torn/planted.sh BUILD_ROOT [PLANT...]"
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../.." && pwd)
mkdir -p "$1"
work=$(CDPATH='' cd -- "$1" && pwd)
shift
list=${PLANTED_LIST:-$here/planted.list}
tree=$work/tree
logs=$work/logs

copy_sources()
{
	mkdir -p "$tree" "$logs"
	for part in CMakeLists.txt CMakePresets.json cmake shm heap recovery api include stress tools tests; do
		rm -rf "${tree:?}/$part"
		cp -R "$root/$part" "$tree/$part"
	done
}

# Warnings are no errors: a plant may leave a function without a caller.
configure()
{
	(cd "$tree" && cmake --preset "$preset" -DSPANHEAP_WERROR=OFF -DSPANHEAP_PROGRAMS=OFF \
		-DBUILD_TESTING=OFF) \
		>"$logs/build.log" 2>&1 || die "cmake --preset $preset fails; see $logs/build.log"
}

build()
{
	(cd "$tree" && cmake --build "build/$preset" -j 2 --target "stress_$program") >"$logs/build.log" 2>&1
}

names()
{
	sed -n 's/^\([a-z-]*\) | .*/\1/p' "$list"
}

# Field number $2 of a plant.
field()
{
	sed -n "s/^$1 | //p" "$list" | sed 's/\\|/\a/g' | cut -d '|' -f "$2" |
		sed 's/\a/|/g; s/^ *//; s/ *$//'
}

# Prints the plant's file with its line replaced.
edited()
{
	old=$(field "$1" 2) new=$(field "$1" 3) awk '
		{
			line = $0
			gsub(/^[ \t]+|[ \t]+$/, "", line)
			if (line == ENVIRON["old"]) {
				print ENVIRON["new"]
				count++
			} else {
				print
			}
		}
		END {
			if (count != 1)
				exit 1
		}' "$root/$(field "$1" 1)"
}

# Plants, builds, runs, and takes it out again.
gate()
{
	file=$(field "$1" 1)
	status=0
	if ! edited "$1" >"$tree/$file"; then
		said="CANNOT BE PLANTED: its line does not occur once in $file"
		status=1
	elif ! build; then
		cp "$logs/build.log" "$logs/$1.build.log"
		said="DOES NOT BUILD: see $logs/$1.build.log"
		status=1
	else
		# shellcheck disable=SC2086 # a list of words
		(cd "$folder" && exec "$tree/build/$preset/stress/$program" --seed 1 $arguments) \
			>"$logs/$1.log" 2>&1 || status=$?
		said=$(sed -n 's/^FAILED  *//p' "$logs/$1.log" | head -n 1)
		# 2: the test itself could not go on.
		case $status in
		1) status=0 ;;
		*) said="NOT FOUND $said" status=1 ;;
		esac
	fi
	printf '%-20s %s\n' "$1" "$said"
	# Not with its old time: make must see that it changed.
	cp "$root/$file" "$tree/$file"
	rm -rf "${folder:?}"/*
	return $status
}

copy_sources
configure
[ $# -gt 0 ] || {
	# shellcheck disable=SC2046 # names hold no spaces
	set -- $(names)
}
folder=$(mktemp -d /dev/shm/spanheap-planted-XXXXXX)
trap 'rm -rf "$folder"' EXIT
passed=0
failed=0
for plant in "$@"; do
	[ -n "$(field "$plant" 1)" ] || die "no plant is called $plant; see $list"
	if gate "$plant"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
