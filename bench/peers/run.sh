#!/usr/bin/env bash
# CPU time per verification of other verifiers, on one case of `attestry forge --kind tdx-v4`.
#   bench/peers/run.sh CASE_FOLDER
# One JSON line per peer: {"peer","version","us","min_us","max_us","batch"}: microseconds of CPU for everything from raw bytes
# to the decision (median, least and most of nine batches). A peer that cannot be built or refuses the case is named on
# stderr, the others still run, and the exit code is 1. Both peers are pinned by their lock files.
set -uo pipefail
if [ $# != 1 ] || [ ! -f "$1/quote.bin" ]; then
  echo "usage: run.sh CASE_FOLDER (quote.bin, collateral.json, root.pem, case.json)" >&2
  exit 2
fi
case=$(cd "$1" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$root/build/peers
mkdir -p "$build"

# The time at which the case is valid; now, if it does not say.
at=$(date -d "$(sed -n 's/.*"verify_at": *"\([^"]*\)".*/\1/p' "$case/case.json" 2>/dev/null | grep . || echo now)" +%s) || exit 2

# The machine's Go, or the pinned one of PyPI: go-tdx-guest needs a newer Go than Debian 12 has.
new_enough() {
  local version
  version=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null) &&
    [ "$(printf 'go1.21\n%s\n' "$version" | sort -V | head -n 1)" = go1.21 ]
}

# Builds the program build/peers/NAME.
build_peer() {
  cd "$here/$1" || return
  if [ "$1" = dcap-qvl ]; then
    nice -n 10 cargo build --release --locked --target-dir "$build/cargo" &&
      cp "$build/cargo/release/peer-dcap-qvl" "$build/dcap-qvl"
    return
  fi
  if ! new_enough; then
    "$root/tools/deps/venv.sh" "$build/venv" interop || return
    PATH=$build/venv/bin:$PATH
  fi
  export GOFLAGS=-mod=readonly GOTOOLCHAIN=local
  export GOCACHE=${GOCACHE:-$root/.cache/go-build} GOMODCACHE=${GOMODCACHE:-$root/.cache/go-mod}
  nice -n 10 go build -o "$build/go-tdx-guest" .
}

failed=0
for name in dcap-qvl go-tdx-guest; do
  if ! (build_peer $name) >"$build/$name.log" 2>&1; then
    echo "peer $name: does not build" >&2
    tail -n 20 "$build/$name.log" >&2
    failed=1
  elif ! "$build/$name" "$case" "$at"; then
    echo "peer $name: failed" >&2
    failed=1
  fi
done
exit $failed
