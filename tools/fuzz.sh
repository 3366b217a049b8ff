#!/usr/bin/env bash
# Builds the fuzz targets and runs them from their corpora.   tools/fuzz.sh [--target NAME] [SECONDS]
# SECONDS is the time for all of them together (default 300), shared out evenly; as many run at once as there are
# processors. What they find is kept in build/fuzz/found/NAME; an input that breaks a property is left as
# build/fuzz/crash-NAME-…, to be put into fuzz/corpus/NAME with the repair.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
only=
if [ "${1:-}" = --target ]; then only=$2; shift 2; fi
seconds=${1:-300}

targets=()
for source in fuzz/*.cpp; do
  [ -f "$source" ] || continue
  name=$(basename "$source" .cpp)
  if [ -z "$only" ] || [ "$only" = "$name" ]; then targets+=("$name"); fi
done
[ ${#targets[@]} -gt 0 ] || { echo "fuzz: no targets in this tree"; exit 0; }

cmake --preset fuzz --log-level=WARNING >/dev/null
cmake --build build/fuzz ${ATTESTRY_JOBS:+-j "$ATTESTRY_JOBS"} --target fuzzers

jobs=${ATTESTRY_JOBS:-$(nproc)}
each=$((seconds * jobs / ${#targets[@]}))
[ $each -ge 1 ] || each=1
echo "==> ${#targets[@]} fuzz targets, $jobs at a time, $each s each"
run_one() {
  local name=$1 each=$2 found=build/fuzz/found/$1 options=()
  mkdir -p "$found"
  [ -d "fuzz/corpus/$name" ] && options+=("fuzz/corpus/$name")
  [ -f "fuzz/corpus/$name.dict" ] && options+=("-dict=fuzz/corpus/$name.dict")
  if "build/fuzz/fuzz/fuzz_$name" -max_total_time="$each" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 \
    -artifact_prefix="build/fuzz/crash-$name-" "$found" ${options[@]+"${options[@]}"} >"build/fuzz/$name.log" 2>&1; then
    printf '    %-24s %s runs\n' "$name" "$(sed -n 's/^stat::number_of_executed_units: *//p' "build/fuzz/$name.log")"
  else
    printf '    %-24s FAILED\n' "$name"
    tail -60 "build/fuzz/$name.log"
    return 1
  fi
}
export -f run_one
printf '%s\n' "${targets[@]}" | xargs -P "$jobs" -I{} bash -c "run_one {} $each"
