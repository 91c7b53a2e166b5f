#!/bin/sh
# test_symbols.sh NM SHARED STATIC -- both libraries define the same global symbols, sh_* alone
# SPDX-License-Identifier: BSD-3-Clause
set -eu
nm=$1 shared=$2 static=$3

# Lines of nm with three fields are symbols; of them the absolute ones name versions, not code.
defined()
{
	"$nm" --defined-only "$@" | awk 'NF == 3 && $2 != "A" { sub(/@.*/, "", $3); print $3 }' |
		sort -u
}

of_shared=$(defined -D "$shared")
of_static=$(defined -g "$static")

if [ -z "$of_shared" ]; then
	echo "$shared exports nothing: is SH_API on the functions of the public header?" >&2
	exit 1
fi
foreign=$(printf '%s\n%s\n' "$of_shared" "$of_static" | grep -v '^sh_' | sort -u) || true
if [ -n "$foreign" ]; then
	printf 'Global symbols that do not begin with sh_:\n%s\n' "$foreign" >&2
	exit 1
fi
if [ "$of_shared" != "$of_static" ]; then
	printf 'The libraries differ.\n-- shared:\n%s\n-- static:\n%s\n' "$of_shared" "$of_static" >&2
	exit 1
fi
