#!/usr/bin/env bash
# CPU time per verification of other verifiers, on cases of `attestry forge`.
#   bench/peers/run.sh FOLDER      with the cases tdx (tdx-v4), snp (snp-genoa-v3), nitro and maa (maa-azurevm-snp) below it
# One JSON line per peer and case: {"peer","version","us","min_us","max_us","batch"}: microseconds of CPU for everything from raw
# bytes to the decision (median, least and most of nine batches). A peer that cannot be built or refuses its case is named
# on stderr, the others still run, and the exit code is 1. All peers are pinned by their lock files.
set -uo pipefail
if [ $# != 1 ] || [ ! -f "$1/tdx/quote.bin" ] || [ ! -f "$1/snp/report.bin" ]; then
  echo "usage: run.sh FOLDER (with tdx, snp, nitro, maa below it)" >&2
  exit 2
fi
cases=$(cd "$1" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$root/build/peers
mkdir -p "$build"

# The time at which a case is valid; now, if it does not say.
time_of() { date -d "$(sed -n 's/.*"verify_at": *"\([^"]*\)".*/\1/p' "$1/case.json" 2>/dev/null | grep . || echo now)" +%s; }

# The machine's Go, or the pinned one of PyPI: these modules need a newer Go than Debian 12 has.
new_enough() {
  local version
  version=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null) &&
    [ "$(printf 'go1.21\n%s\n' "$version" | sort -V | head -n 1)" = go1.21 ]
}

# Builds the program build/peers/NAME.
build_peer() {
  cd "$here/$1" || return
  if [ "$1" != go-guests ]; then
    nice -n 10 cargo build --release --locked --target-dir "$build/cargo" &&
      cp "$build/cargo/release/peer-$1" "$build/$1"
    return
  fi
  if ! new_enough; then
    "$root/tools/deps/venv.sh" "$build/venv" interop || return
    PATH=$build/venv/bin:$PATH
  fi
  export GOFLAGS=-mod=readonly GOTOOLCHAIN=local
  export GOCACHE=${GOCACHE:-$root/.cache/go-build} GOMODCACHE=${GOMODCACHE:-$root/.cache/go-mod}
  nice -n 10 go build -o "$build/go-guests" .
}

failed=0
run_peer() {  # program, then the cases that it takes
  local name=$1 case
  if ! (build_peer "$name") >"$build/$name.log" 2>&1; then
    echo "peer $name: does not build" >&2
    tail -n 20 "$build/$name.log" >&2
    failed=1
    return
  fi
  for case in "${@:2}"; do
    "$build/$name" "$cases/$case" "$(time_of "$cases/$case")" || { echo "peer $name: failed on $case" >&2; failed=1; }
  done
}
run_peer dcap-qvl tdx
run_peer go-guests tdx snp
run_peer platforms snp nitro maa
exit $failed
