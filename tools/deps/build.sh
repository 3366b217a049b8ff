#!/usr/bin/env bash
# Builds what Debian does not package into .deps (ATTESTRY_DEPS chooses another folder).
#   tools/deps/build.sh         AWS-LC for this machine:     .deps/include, .deps/lib/libawslc.a
#                               and blst with c-kzg:         .deps/include, .deps/lib/libkzg.a (kzg.sh)
#   tools/deps/build.sh wasm    AWS-LC for WebAssembly:      .deps/wasm/include, .deps/wasm/lib/libawslc.a
#
# Why the symbols are renamed: libcurl brings the system's OpenSSL into the same process, and both libraries define the
# same names. Every global symbol of AWS-LC gets a prefix in the archive, and AWS-LC's own hook for that purpose, the
# header boringssl_prefix_symbols.h, maps the names in our sources. docs/dependencies.md says why two libraries.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
variant=${1:-native}
deps=${ATTESTRY_DEPS:-$root/.deps}
prefix=attlc_

case $variant in
  native) out=$deps; "$root/tools/deps/kzg.sh" ;;
  wasm) out=$deps/wasm ;;
  *) echo "usage: build.sh [native|wasm]" >&2; exit 2 ;;
esac

# The number changes when this script builds something else from the same archive.
stamp_text="awslc 1 $variant $(awk '$1 == "source" && $2 == "awscrt" { print $3, $4 }' "$root/tools/deps.lock")"
stamp=$out/awslc.stamp
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$stamp_text" ] && exit 0

start=$SECONDS
archive=$("$root/tools/deps/fetch.sh" awscrt)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "==> building AWS-LC ($variant; about a minute)"
mkdir "$work/source"
# Only AWS-LC is wanted of the archive; its test vectors alone are larger than its code.
tar xzf "$archive" -C "$work/source" --strip-components=3 --wildcards '*/crt/aws-lc/*' --exclude='*/crypto_test_data*'

options=(-DCMAKE_BUILD_TYPE=Release -DDISABLE_GO=ON -DDISABLE_PERL=ON -DBUILD_TESTING=OFF -DBUILD_TOOL=OFF -DBUILD_LIBSSL=OFF)
if [ "$variant" = wasm ]; then
  options+=(-DCMAKE_TOOLCHAIN_FILE="$root/cmake/wasm.cmake" -DOPENSSL_NO_ASM=ON)
fi
run_logged() { "$@" >"$work/log" 2>&1 || { tail -40 "$work/log" >&2; echo "build.sh: $1 failed" >&2; exit 1; }; }
run_logged cmake -S "$work/source" -B "$work/build" -G Ninja "${options[@]}"
run_logged ninja -C "$work/build" ${ATTESTRY_JOBS:+-j "$ATTESTRY_JOBS"} crypto

library=$work/build/crypto/libcrypto.a
headers=$work/source/include/openssl
if [ "$variant" = native ]; then
  nm --extern-only --defined-only "$library" 2>/dev/null | awk 'NF == 3 { print $3 }' | sort -u >"$work/symbols"
  awk -v p=$prefix '{ print $1, p $1 }' "$work/symbols" >"$work/renames"
  objcopy --redefine-syms="$work/renames" "$library" "$work/renamed.a"
  library=$work/renamed.a
  { echo '#pragma once'
    awk -v p=$prefix '/^[A-Za-z_][A-Za-z0-9_]*$/ { print "#define " $1 " " p $1 }' "$work/symbols"
  } >"$headers/boringssl_prefix_symbols.h"
fi

# Into place in one go, and the stamp last: a build that was interrupted starts again.
mkdir -p "$out/include" "$out/lib"
rm -rf "$out/include/openssl" "$stamp"
cp -r "$headers" "$out/include/openssl"
cp "$library" "$out/lib/libawslc.a"
cp "$work/source/LICENSE" "$out/awslc.LICENSE"
echo "$stamp_text" >"$stamp"
echo "==> AWS-LC ($variant) built in $((SECONDS - start)) s"
