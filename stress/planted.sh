#!/bin/sh
# planted.sh -- do the tests bite? Plants bugs one at a time, and tells which harness found which
# SPDX-License-Identifier: BSD-3-Clause
#
#	stress/planted.sh BUILD_ROOT [HARNESS...] [PLANT...]
#
# Breaks one rule at a time in a copy of the sources, as the lists stress/HARNESS/planted.list say, builds
# the harness and runs it. Without names: every plant of every list. A plant whose old text does not occur
# exactly once is an error: the code has moved on, and the list must follow it. BUILD_ROOT/logs/PLANT.log
# keeps what the harness printed. The last line is "N passed, N failed".
#
# Keys of a plant; what stands before the first plant of a list holds for all of them:
#	plant    its name
#	rule     the rule that is broken
#	file     where the edit is made
#	preset   of CMake, and target in it: what is built
#	run      the command, in the folder of the build
#	limit    seconds in which it must be found (300)
#	expect   what the harness says then, as an extended regular expression; it must fail besides
# Of the model checkers (target), instead of run:
#	first    the operations (operations.c of the list's folder) that must show it,
#	second   the second may be "alone" or "recovery"
#	deaths   at most so many; without it the checker's own limit
# Then the edits: old text, which occurs exactly once in the file, and new text, between lines of <<<, === and
# >>>. An edit of another file than `file` names it: "<<< FILE".
set -eu

jobs=2

die()
{
	echo "planted.sh: $*" >&2
	exit 2
}

[ $# -ge 1 ] || die "usage: stress/planted.sh BUILD_ROOT [HARNESS...] [PLANT...]"
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/.." && pwd)
mkdir -p "$1/logs"
work=$(CDPATH='' cd -- "$1" && pwd)
shift
logs=$work/logs
plants=$work/plants

# Every plant with its list in front: "LIST NAME".
awk '$1 == "plant:" { print FILENAME, $2 }' "$here"/*/planted.list >"$plants"

# --- lists -------------------------------------------------------------------------------------

list_of()
{
	awk -v plant="$1" '$2 == plant { print $1; exit }' "$plants"
}

harness_of()
{
	basename "$(dirname "$(list_of "$1")")"
}

# The value of `key` of a plant.
field()
{
	awk -v plant="$1" -v key="$2:" '
		$1 == "plant:" { any = 1; here = $2 == plant }
		(here || !any) && $1 == key { sub(/^[a-z]+: */, ""); value = $0 }
		END { if (value != "") print value }' "$(list_of "$1")"
}

# The files that a plant edits, each once.
files()
{
	awk -v plant="$1" '
		$1 == "plant:" { here = $2 == plant }
		here && $1 == "file:" { file = $2 }
		here && $1 == "<<<" { print (NF > 1 ? $2 : file) }' "$(list_of "$1")" | sort -u
}

# Prints one of the plant's files with each of its old texts there replaced.
edited()
{
	awk -v plant="$1" -v file="$2" -v list="$(list_of "$1")" -v usual="$(field "$1" file)" '
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

# --- one tree ----------------------------------------------------------------------------------

# Each job has a tree of its own: $tree.
copy_sources()
{
	mkdir -p "$tree"
	for part in CMakeLists.txt CMakePresets.json cmake shm heap recovery api include stress tests \
		tools bench examples; do
		rm -rf "${tree:?}/$part"
		[ ! -e "$root/$part" ] || cp -R "$root/$part" "$tree/$part"
	done
}

# Warnings are no errors: a plant may leave a function without a caller.
build()
{
	preset=$(field "$1" preset)
	(cd "$tree" && cmake --preset "$preset" -DSPANHEAP_WERROR=OFF &&
		cmake --build "build/$preset" -j "$jobs" --target "$(field "$1" target)") \
		>"$logs/$1.build.log" 2>&1
}

# Plants into each of the plant's files.
put_in()
{
	for file in $(files "$1"); do
		edited "$1" "$file" >"$tree/$file.new" 2>"$logs/$1.log" || {
			rm -f "$tree/$file.new"
			return 1
		}
		chmod --reference="$tree/$file" "$tree/$file.new"
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

# --- running -----------------------------------------------------------------------------------

row()
{
	printf '%-36s %-10s %8s  %s\n' "$@"
}

# What the model checker says of a scenario that it found broken.
model_verdict()
{
	sed -n 's/^.*, [0-9]* deaths: \(.*\); [0-9]* states, [0-9]* tr.*$/\1/p' "$1" |
		grep -v -x -e complete -e 'limit reached' | head -n 1
}

# What the harness says, if it is what is expected; else nothing.
said_of()
{
	if [ -n "$(field "$1" first)" ]; then
		model_verdict "$logs/$1.log" | grep -E -e "$(field "$1" expect)"
	else
		grep -m 1 -E -e "$(field "$1" expect)" "$logs/$1.log"
	fi
}

run()
{
	limit=$(field "$1" limit)
	deaths=$(field "$1" deaths)
	cd "$tree/build/$(field "$1" preset)"
	if [ -n "$(field "$1" first)" ]; then
		set -- "stress/$(field "$1" target)" -j 1 ${deaths:+-d "$deaths"} "$(field "$1" first)" \
			"$(field "$1" second)"
	else
		# Words as a shell reads them: names may have spaces.
		eval "set -- $(field "$1" run)"
	fi
	timeout -k 10 "${limit:-300}" "$@"
}

# Row of the table. The plant is in the tree, and built.
try()
{
	begun=$(date +%s)
	ended=0
	(run "$1") >"$logs/$1.log" 2>&1 || ended=$?
	seconds=$(($(date +%s) - begun))
	said=$(said_of "$1") || said=''
	if [ "$ended" -ne 0 ] && [ -n "$said" ]; then
		row "$1" "$(harness_of "$1")" "$seconds" "$said"
	elif [ "$ended" -eq 124 ] || [ "$ended" -eq 137 ]; then
		row "$1" "$(harness_of "$1")" "$seconds" "NOT FOUND within the limit"
		return 1
	else
		row "$1" "$(harness_of "$1")" "$seconds" "NOT FOUND: status $ended; see $logs/$1.log"
		return 1
	fi
}

# Plants, builds, tries, and takes it out again.
gate()
{
	status=0
	if ! put_in "$1"; then
		row "$1" "$(harness_of "$1")" - "CANNOT BE PLANTED: $(head -n 1 "$logs/$1.log")"
		status=1
	elif build "$1"; then
		try "$1" || status=1
	else
		row "$1" "$(harness_of "$1")" - "DOES NOT BUILD: see $logs/$1.build.log"
		status=1
	fi
	take_out "$1"
	return $status
}

# Every jobs-th of the names, from this one on; each result is a line of $work/result.JOB.
gate_some()
{
	tree=$work/tree.$1
	: >"$work/result.$1"
	copy_sources
	sed -n "$1~${jobs}p" "$work/wanted" | while read -r plant; do
		if gate "$plant"; then
			echo passed >>"$work/result.$1"
		else
			echo failed >>"$work/result.$1"
		fi
	done
}

# The plants that a name means: a harness's, or itself.
named()
{
	awk -v name="$1" -v list="$here/$1/planted.list" \
		'$1 == list || $2 == name { print $2; found = 1 } END { exit !found }' "$plants" ||
		die "'$1' is neither a harness with a planted.list nor a plant of one"
}

if [ $# -eq 0 ]; then
	awk '{ print $2 }' "$plants"
else
	for name in "$@"; do
		named "$name"
	done
fi >"$work/wanted"
row plant harness seconds found
for job in $(seq "$jobs"); do
	gate_some "$job" &
done
wait
passed=$(cat "$work"/result.* | grep -c passed) || true
failed=$(($(wc -l <"$work/wanted") - passed))
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
