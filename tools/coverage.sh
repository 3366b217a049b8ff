#!/usr/bin/env bash
# Line coverage of the unit tests: a summary per room here, every line in build/coverage/report/index.html.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cmake --preset coverage --log-level=WARNING >/dev/null
cmake --build build/coverage ${ATTESTRY_JOBS:+-j "$ATTESTRY_JOBS"}
find build/coverage -name '*.gcda' -delete
ctest --test-dir build/coverage --no-tests=error --output-on-failure --progress -j "$(nproc)"
mkdir -p build/coverage/report
gcovr --root . --filter 'src/' --exclude '.*_test\.cpp' --exclude-unreachable-branches --gcov-ignore-parse-errors \
  -j "$(nproc)" --html-details build/coverage/report/index.html --csv build/coverage/report/lines.csv build/coverage >/dev/null
awk -F, 'NR > 1 { split($1, part, "/"); total[part[2]] += $2; covered[part[2]] += $3 }
  END { for (room in total) printf "  %-14s %6d of %6d lines  %5.1f %%\n", room, covered[room], total[room], 100 * covered[room] / total[room] }' \
  build/coverage/report/lines.csv | sort
echo "details: build/coverage/report/index.html"
