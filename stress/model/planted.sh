#!/bin/sh
# planted.sh -- does the model checker find bugs? Plants one at a time, and tells which it found
# SPDX-License-Identifier: BSD-3-Clause
#
#	stress/model/planted.sh BUILD_ROOT [PLANT...]
#
# Copies the sources into BUILD_ROOT, breaks one rule of the copy as stress/model/planted.list says,
# builds the checker and runs it on the operations that must show it. Without names: every plant. A
# plant whose old text does not occur exactly once is an error: the code has moved on, and the list
# must follow it. BUILD_ROOT/logs/PLANT.log keeps what the checker printed. The last line is
# "N passed, N failed".
set -eu

# A plant that is not found within this time counts as not found.
limit_seconds=${PLANTED_LIMIT_SECONDS:-300}

die()
{
	echo "planted.sh: $*" >&2
	exit 2
}

[ $# -ge 1 ] || die "usage: stress/model/planted.sh BUILD_ROOT [PLANT...]"
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../.." && pwd)
mkdir -p "$1"
work=$(CDPATH='' cd -- "$1" && pwd)
shift
list=$here/planted.list
tree=$work/tree
logs=$work/logs

copy_sources()
{
	mkdir -p "$tree" "$logs"
	for part in CMakeLists.txt CMakePresets.json cmake shm heap recovery api include stress; do
		rm -rf "${tree:?}/$part"
		cp -R "$root/$part" "$tree/$part"
	done
}

# Warnings are no errors: a plant may leave a function without a caller.
configure()
{
	(cd "$tree" && cmake --preset model -DSPANHEAP_WERROR=OFF) >"$logs/build.log" 2>&1 ||
		die "cmake --preset model fails; see $logs/build.log"
}

build()
{
	(cd "$tree" && cmake --build build/model -j 2 --target model_checker) \
		>"$logs/build.log" 2>&1
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

# The files that a plant edits, each once: an edit may name another one than `file`.
files()
{
	awk -v plant="$1" '
		$1 == "plant:" { here = $2 == plant }
		here && $1 == "file:" { file = $2 }
		here && $1 == "<<<" { print (NF > 1 ? $2 : file) }' "$list" | sort -u
}

# Prints one of the plant's files with each of its old texts there replaced.
edited()
{
	awk -v plant="$1" -v file="$2" -v list="$list" -v usual="$(field "$1" file)" '
		function occurrences(text, part, count, at) {
			for (count = 0; part != "" && (at = index(text, part)) > 0; count++)
				text = substr(text, at + length(part))
			return count
		}
		BEGIN {
			while ((getline line < list) > 0) {
				if (line ~ /^plant: /)
					here = line == "plant: " plant
				else if (!here)
					continue
				else if (line == "<<<" || line ~ /^<<< [^ ]*$/)
					into = (line == "<<<" ? usual : substr(line, 5)) == file &&
						++edits ? "old" : ""
				else if (line == "===" && into == "old")
					into = "new"
				else if (line == ">>>")
					into = ""
				else if (into == "old")
					old[edits] = old[edits] (old[edits] == "" ? "" : "\n") line
				else if (into == "new")
					new[edits] = new[edits] (new[edits] == "" ? "" : "\n") line
			}
		}
		{ text = text $0 "\n" }
		END {
			for (i = 1; i <= edits; i++) {
				count = occurrences(text, old[i])
				if (count != 1) {
					printf "old text %d occurs %d times, not once:\n%s", i, count,
						old[i] >"/dev/stderr"
					exit 1
				}
				at = index(text, old[i])
				text = substr(text, 1, at - 1) new[i] \
					substr(text, at + length(old[i]))
			}
			if (edits == 0)
				exit 1
			printf "%s", text
		}' "$root/$2"
}

# Says what the checker says of a scenario that it found broken: "VERDICT#STATES#SECONDS".
verdict()
{
	sed -n 's/^.*, [0-9]* deaths: \(.*\); \([0-9]*\) states, [0-9]* tr.* passes, \([0-9.]*\) s, .*$/\1#\2#\3/p' \
		"$1" | grep -v -e '^complete#' -e '^limit reached, ' | head -n 1
}

# Row of the table. The plant is in the tree, and built.
try()
{
	plant=$1
	first=$(field "$plant" first)
	second=$(field "$plant" second)
	deaths=$(field "$plant" deaths)
	expect=$(field "$plant" expect)
	timeout "$limit_seconds" "$tree/build/model/stress/model_checker" -j 1 \
		${deaths:+-d "$deaths"} "$first" "$second" >"$logs/$plant.log" 2>&1 || :
	found=$(verdict "$logs/$plant.log")
	if [ -z "$found" ]; then
		row "$plant" "$first | $second" - - "NOT FOUND"
		return 1
	fi
	said=${found%%#*}
	counts=${found#*#}
	if ! printf '%s\n' "$said" | grep -q -E -e "$expect"; then
		row "$plant" "$first | $second" "${counts%#*}" "${counts#*#}" "found as: $said"
		return 1
	fi
	row "$plant" "$first | $second" "${counts%#*}" "${counts#*#}" "$said"
}

row()
{
	printf '%-34s %-58s %9s %8s  %s\n' "$@"
}

# Plants into each of the plant's files.
put_in()
{
	for file in $(files "$1"); do
		edited "$1" "$file" >"$tree/$file.new" 2>"$logs/$1.log" || {
			rm -f "$tree/$file.new"
			return 1
		}
		mv "$tree/$file.new" "$tree/$file"
	done
}

# Puts them back, not with their old time: make must see that they changed.
take_out()
{
	for file in $(files "$1"); do
		cp "$root/$file" "$tree/$file"
	done
}

# Plants, builds, tries, and takes it out again.
gate()
{
	plant=$1
	status=0
	if ! put_in "$plant"; then
		row "$plant" "$file" - - "CANNOT BE PLANTED: $(head -n 1 "$logs/$plant.log")"
		status=1
	elif build; then
		try "$plant" || status=1
	else
		row "$plant" "$file" - - "DOES NOT BUILD: see $logs/$plant.build.log"
		cp "$logs/build.log" "$logs/$plant.build.log"
		status=1
	fi
	take_out "$plant"
	return $status
}

copy_sources
configure
[ $# -gt 0 ] || {
	# shellcheck disable=SC2046 # names hold no spaces
	set -- $(names)
}
passed=0
failed=0
row plant operations states seconds found
for plant in "$@"; do
	[ -n "$(field "$plant" file)" ] || die "no plant is called $plant; see $list"
	if gate "$plant"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
