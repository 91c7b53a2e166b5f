#!/bin/sh
# test_install.sh CMAKE BUILD_DIR CC LIBDIR -- installs, then builds and runs a consumer, four ways
# SPDX-License-Identifier: BSD-3-Clause
set -eu
cmake=$1 build=$2 cc=$3 libdir=$4
source=$(CDPATH='' cd -- "$(dirname -- "$0")/consumer" && pwd)

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
prefix=$place/prefix

"$cmake" --install "$build" --prefix "$prefix"
PKG_CONFIG_PATH=$prefix/$libdir/pkgconfig
LD_LIBRARY_PATH=$prefix/$libdir
export PKG_CONFIG_PATH LD_LIBRARY_PATH
version=$(pkg-config --modversion spanheap)

# A consumer prints the version of the library that it runs with.
expect_version()
{
	if [ "$("$1")" != "$version" ]; then
		echo "$1 does not report version $version, which spanheap.pc states." >&2
		exit 1
	fi
}

# shellcheck disable=SC2046 # pkg-config's answer is a list of words
"$cc" "$source/consumer.c" -o "$place/by_pkgconfig" $(pkg-config --cflags --libs spanheap)
# shellcheck disable=SC2046
"$cc" "$source/consumer.c" -o "$place/by_pkgconfig_static" $(pkg-config --cflags spanheap) \
	"$prefix/$libdir/libspanheap.a" $(pkg-config --static --libs-only-other spanheap)
"$cmake" -S "$source" -B "$place/build" -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$prefix" \
	-DSPANHEAP_VERSION="$version"
"$cmake" --build "$place/build"

expect_version "$place/by_pkgconfig"
expect_version "$place/by_pkgconfig_static"
expect_version "$place/build/by_package"
expect_version "$place/build/by_package_static"
