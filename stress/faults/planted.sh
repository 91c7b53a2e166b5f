#!/bin/sh
# planted.sh -- does stress/faults find bugs? Plants one at a time, and tells which it found
# SPDX-License-Identifier: BSD-3-Clause
#
#	stress/faults/planted.sh BUILD_ROOT [PLANT...]
#
# Copies the sources into BUILD_ROOT, breaks the copy as stress/faults/planted.list says, builds the
# program and runs the scenario that must show it. Without names: every plant. BUILD_ROOT/logs/PLANT.log
# keeps what it printed. The last line is "N passed, N failed".
set -eu

limit_seconds=${PLANTED_LIMIT_SECONDS:-120}

die()
{
	echo "planted.sh: $*" >&2
	exit 2
}

[ $# -ge 1 ] || die "usage: stress/faults/planted.sh BUILD_ROOT [PLANT...]"
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../.." && pwd)
mkdir -p "$1"
work=$(CDPATH='' cd -- "$1" && pwd)
shift
list=$here/planted.list
tree=$work/tree
logs=$work/logs
program=$tree/build/gcc/stress/faults

copy_sources()
{
	mkdir -p "$tree" "$logs"
	for part in CMakeLists.txt CMakePresets.json cmake shm heap recovery api include tools; do
		rm -rf "${tree:?}/$part"
		cp -R "$root/$part" "$tree/$part"
	done
	rm -rf "$tree/stress"
	mkdir "$tree/stress"
	cp -R "$root/stress/faults.c" "$root/stress/faults" "$tree/stress"
}

# Warnings are no errors: a plant may leave something unused.
configure()
{
	(cd "$tree" && cmake --preset gcc -DSPANHEAP_WERROR=OFF -DBUILD_TESTING=OFF \
		-DSPANHEAP_PROGRAMS=OFF) >"$logs/build.log" 2>&1 ||
		die "cmake --preset gcc fails; see $logs/build.log"
}

build()
{
	(cd "$tree" && cmake --build build/gcc -j 2 --target stress_faults) >"$logs/build.log" 2>&1
}

names()
{
	awk '$1 == "plant:" { print $2 }' "$list"
}

# The value of `key` of a plant.
field()
{
	awk -v plant="$1" -v key="$2:" '
		$1 == "plant:" { here = $2 == plant }
		here && $1 == key { sub(/^[a-z]+: */, ""); print; exit }' "$list"
}

# Prints the plant's file with the old text, which occurs once, replaced by the new one.
edited()
{
	awk -v plant="$1" '
		FNR == NR {
			if (/^plant: /)
				here = $2 == plant
			else if (here && (/^<<<$/ || /^===$/ || /^>>>$/))
				part = $0
			else if (here && part == "<<<")
				old = old $0 "\n"
			else if (here && part == "===")
				new = new $0 "\n"
			next
		}
		{ text = text $0 "\n" }
		END {
			at = index(text, old)
			rest = substr(text, at + length(old))
			if (at == 0 || old == "" || index(rest, old) != 0)
				exit 1
			printf "%s%s%s", substr(text, 1, at - 1), new, rest
		}' "$list" "$root/$2"
}

row()
{
	printf '%-26s %-44s %s\n' "$@"
}

# Plants, builds, runs, and takes it out again.
gate()
{
	plant=$1
	file=$(field "$plant" file)
	arguments=$(field "$plant" run)
	log=$logs/$plant.log
	[ -n "$file" ] || die "no plant is called $plant; see $list"
	if ! edited "$plant" "$file" >"$tree/$file.new"; then
		rm -f "$tree/$file.new"
		row "$plant" "$arguments" "CANNOT BE PLANTED: its old text does not occur once"
		return 1
	fi
	mv "$tree/$file.new" "$tree/$file"
	if ! build; then
		cp "$logs/build.log" "$log"
		found=''
	else
		# shellcheck disable=SC2086 # a list of words
		timeout "$limit_seconds" "$program" $arguments >"$log" 2>&1 || :
		found=$(grep '^BAD' "$log" | grep -E -m 1 -e "$(field "$plant" expect)" || :)
	fi
	# Not with its old time: make must see that it changed.
	cp "$root/$file" "$tree/$file"
	row "$plant" "$arguments" "${found:-NOT FOUND: see $log}"
	[ -n "$found" ]
}

copy_sources
configure
[ $# -gt 0 ] || {
	# shellcheck disable=SC2046 # names hold no spaces
	set -- $(names)
}
passed=0
failed=0
row plant arguments found
for plant in "$@"; do
	if gate "$plant"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
