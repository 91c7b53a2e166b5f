#!/bin/sh
# planted.sh -- does fuzz_replay find bugs within its time? Leaves out one check of bounds at a time
# SPDX-License-Identifier: BSD-3-Clause
#
#	stress/fuzz/planted.sh BUILD_ROOT [PLANT...]
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
export PLANTED_LIST="$here/planted.list" PLANTED_PRESET=small-dev PLANTED_PROGRAM=fuzz_replay \
	PLANTED_ARGUMENTS='--seconds 8'
exec "$here/../torn/planted.sh" "$@"
