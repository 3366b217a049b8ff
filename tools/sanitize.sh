#!/usr/bin/env bash
# Unit tests of a sanitizer preset.   tools/sanitize.sh asan|tsan|fuzz
# The preset fuzz is asan plus libFuzzer's counters: CI uses it for both purposes and so compiles the rooms once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
preset=$1
cmake --preset "$preset" --log-level=WARNING >/dev/null
cmake --build "build/$preset" ${ATTESTRY_JOBS:+-j "$ATTESTRY_JOBS"}
export UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1
export ASAN_SYMBOLIZER_PATH=/usr/bin/llvm-symbolizer-19
ctest --test-dir "build/$preset" --no-tests=error --output-on-failure --progress -j "$(nproc)"
