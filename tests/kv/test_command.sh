#!/bin/sh
# test_command.sh KV -- what kv(1) prints, how it exits, and that LMDB's tools read what it writes
# SPDX-License-Identifier: BSD-3-Clause
set -u
kv=$1
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place" || exit 1
failed=0

# expect WHAT STATUS TEXT COMMAND... -- its status, and its standard output
expect()
{
	what=$1 status=$2 text=$3
	shift 3
	output=$("$@" 2>stderr)
	result=$?
	if [ "$result" -ne "$status" ] || [ "$output" != "$text" ]; then
		echo "$what: status $result, not $status; printed \"$output\", not \"$text\"" >&2
		cat stderr >&2
		failed=1
	fi
}

# complains TEXT -- the last command said so
complains()
{
	grep -qF -e "$1" stderr || {
		echo "$what: standard error does not say \"$1\":" >&2
		cat stderr >&2
		failed=1
	}
}

tab=$(printf '\t')

expect 'put' 0 '' "$kv" put store b 2
expect 'put' 0 '' "$kv" put store a 1
expect 'put from standard input' 0 '' sh -c "printf 'from input' | \"$kv\" put store c"
expect 'get' 0 '1' "$kv" get store a
expect 'get of standard input' 0 'from input' "$kv" get store c
expect 'get of nothing' 2 '' "$kv" get store no
complains 'KV_ENOTFOUND'
expect 'put -n of what is there' 1 '' "$kv" put -n store a 9
complains 'KV_EEXIST'
expect 'scan' 0 "a${tab}1
b${tab}2
c${tab}from input" "$kv" scan store
expect 'scan from' 0 "b${tab}2
c${tab}from input" "$kv" scan store aa
expect 'scan -r -l' 0 "b${tab}2" "$kv" scan -r -l 1 store bb
expect 'scan -x' 0 "61${tab}31" "$kv" scan -x -l 1 store
expect 'del' 0 '' "$kv" del store c
expect 'del of nothing' 2 '' "$kv" del store c
expect 'put -x' 0 '' "$kv" put -x -t 'other table' store 00ff5c0a 01
expect 'put -x of no bytes' 1 '' "$kv" put -x store 0 00
complains 'hexadecimal'
expect 'another table' 0 "00ff5c0a${tab}01" "$kv" scan -x -t 'other table' store
expect 'no table' 1 '' "$kv" scan -t nobody store
complains 'KV_ENOTFOUND'
expect 'dump' 0 'VERSION=3
format=print
type=btree
mapsize=1052672
maxreaders=126
HEADER=END
 a
 1
 b
 2
DATA=END' "$kv" dump -p store
expect 'check' 0 '0 problems' "$kv" check store
expect 'no file' 1 '' "$kv" get nobody a
complains 'nobody'
echo 'no heap' >text
expect 'no heap' 1 '' "$kv" get text a
complains 'SH_EBADHEAP'
expect 'no verb' 1 '' "$kv" frobnicate store
complains 'usage:'

# --- text in and out

for format in '' -p; do
	# shellcheck disable=SC2086 # no word, or one
	"$kv" dump -a $format store >text
	rm -f copy copy-shm
	expect "load of dump -a $format" 0 '' sh -c "\"$kv\" load copy <text"
	# shellcheck disable=SC2086
	"$kv" dump -a $format copy | cmp - text || failed=1
done
expect 'load of half a text' 1 '' sh -c "head -n 9 text | \"$kv\" load half"
complains 'line 10'
expect 'load of no text' 1 '' sh -c "echo hello | \"$kv\" load half"
complains 'line 1'

if command -v mdb_load >/dev/null 2>&1; then
	mkdir folder
	"$kv" dump store | mdb_load folder || failed=1
	"$kv" dump -t 'other table' store | mdb_load folder -s 'other table' || failed=1
	rm -f copy copy-shm
	mdb_dump -s 'other table' folder | "$kv" load copy || failed=1
	expect 'through mdb_dump' 0 "00ff5c0a${tab}01" "$kv" scan -x -t 'other table' copy
	mkdir large
	seq 1 50000 | awk '{ printf " key%07d\n value %d\n", $1, $1 * 7 }' >entries
	{
		printf 'VERSION=3\nformat=print\ntype=btree\nmapsize=104857600\nHEADER=END\n'
		cat entries
		echo DATA=END
	} | mdb_load large || failed=1
	for format in '' -p; do
		rm -f many many-shm
		# shellcheck disable=SC2086
		mdb_dump $format large | "$kv" load many || failed=1
		"$kv" dump -p many | grep '^ ' | cmp - entries || failed=1
		expect 'check of many' 0 '0 problems' "$kv" check many
	done
else
	echo 'SKIPPED: mdb_load(1) and mdb_dump(1) are not installed (Debian: lmdb-utils)'
fi

[ "$failed" -eq 0 ] && echo 'kv(1): all as expected'
exit "$failed"
