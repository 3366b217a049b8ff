#!/usr/bin/env bash
# Every lint. `make check` runs this; `make check-all` runs it with --all.
#   tools/check.sh [--all] [--fix]
# --all   clang-tidy on every source file, not only on those that differ from ATTESTRY_BASE (default: where this branch
#         left origin/main, or the last commit when it has not left it)
# --fix   repairs what can be repaired (format) and stops
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
all=no fix=no
for argument in "$@"; do
  case $argument in
    --all) all=yes ;;
    --fix) fix=yes ;;
    *) echo "usage: check.sh [--all] [--fix]" >&2; exit 2 ;;
  esac
done
jobs=${ATTESTRY_JOBS:-$(nproc)}

# What git knows or would add: build folders and caches stay out.
files() { git ls-files --cached --others --exclude-standard -- "$@" | while read -r file; do [ -f "$file" ] && echo "$file"; done; }
sources() { files 'src/*.h' 'src/*.cpp' 'src/*.def' 'tests/*.h' 'tests/*.cpp' 'fuzz/*.h' 'fuzz/*.cpp' 'bench/*.h' 'bench/*.cpp' 'tools/*.cpp'; }
code() { sources | grep -v '\.def$'; }

if [ $fix = yes ]; then
  code | xargs -r -P "$jobs" -n 16 clang-format-19 -i
  if [ -x build/check-venv/bin/ruff ]; then files '*.py' | xargs -r build/check-venv/bin/ruff check -q --fix; fi
  exit 0
fi

failed=()
step() {
  local name=$1 start=$SECONDS
  shift
  if "$@"; then printf '  ok    %-60s %3d s\n' "$name" $((SECONDS - start)); else
    printf '  FAIL  %-60s %3d s\n' "$name" $((SECONDS - start))
    failed+=("$name")
  fi
}
# Prints the lines that the command finds, and fails if there are any.
none() { { "$@" || true; } | { ! sed 's/^/        /' | grep .; }; }

format() { code | xargs -r -P "$jobs" -n 16 clang-format-19 --dry-run -Werror 2>&1 | sed -n '/error:/p' | sed -n 1,20p; }
long_files() { sources | xargs -r wc -l | awk '$2 != "total" && $1 > 800 { print $2 ": " $1 " lines; split it by meaning (at most 800)" }'; }
# The words are put together here so that this file does not find itself.
unfinished() { files | grep -vE '^(LICENSE|fuzz/corpus/|tests/data/)' | xargs -r grep -nIE '\b(TO''DO|FIX''ME|XX''X)\b'; }
machine_paths() { files | grep -vE '^(fuzz/corpus|tests/data)/' | xargs -r grep -nIE '(^|[^A-Za-z0-9_.-])/(wo''rk|ho''me/[a-z]+|ro''ot)/'; }
# Pages of docs/ that comments and messages name.
lost_pages() {
  { sources; files 'src/*.py' 'tests/*.py' 'tools/*.py' 'tools/*.sh' 'bench/*.py'; } | xargs -r grep -noIE 'docs/[A-Za-z0-9_./-]+\.(md|json)' |
    while IFS=: read -r file line page; do [ -e "$page" ] || echo "$file:$line: there is no $page"; done
}
# One file sees either AWS-LC (crypto) or the system's OpenSSL (net), never both: check_layers keeps <openssl/…> to these
# two rooms, and here neither may see the other's through a header, nor link the other's library.
two_cryptos() {
  files 'src/net/*' | xargs -r grep -nE '#include "crypto/internal/'
  files 'src/crypto/*' | xargs -r grep -nE '#include "net/'
  files 'src/*.h' | grep -v /internal/ | xargs -r grep -nE '#include <openssl/'
  grep -nE '^set\(ATTESTRY_EXTERNAL_[a-z]+ .*attestry_awslc.*OpenSSL|^set\(ATTESTRY_EXTERNAL_[a-z]+ .*OpenSSL.*attestry_awslc' cmake/dependencies.cmake
}
headers_alone() {
  cmake --preset dev >build/check-configure.log 2>&1 || { tail -20 build/check-configure.log; return 1; }
  cmake --build build --target all_verify_interface_header_sets ${ATTESTRY_JOBS:+-j "$ATTESTRY_JOBS"} >build/check-headers.log 2>&1 ||
    { grep -E 'error|FAILED' build/check-headers.log | sed -n 1,30p; return 1; }
}
base() {
  if [ -n "${ATTESTRY_BASE:-}" ]; then echo "$ATTESTRY_BASE"; return; fi
  local left
  left=$(git merge-base HEAD origin/main 2>/dev/null || true)
  if [ -n "$left" ] && [ "$left" != "$(git rev-parse HEAD)" ]; then echo "$left"; else
    git rev-parse -q --verify HEAD~1 || git rev-parse HEAD # a shallow clone has nothing to compare with
  fi
}
# Source files to look at: for a changed header, the source file of the same name stands for it.
tidy_files() {
  if [ $all = yes ]; then files 'src/*.cpp'; return; fi
  { git diff --name-only --diff-filter=d "$(base)" -- src; git ls-files --others --exclude-standard -- src; } |
    sed -nE 's/\.(h|cpp)$/.cpp/p' | sort -u | while read -r file; do [ -f "$file" ] && echo "$file"; done
}
tidy() {
  cmake --preset clang >build/check-configure.log 2>&1 || { tail -20 build/check-configure.log; return 1; }
  local list
  list=$(tidy_files)
  [ -n "$list" ] || return 0
  echo "        clang-tidy: $(wc -l <<<"$list") files"
  xargs -P "$jobs" -n 1 clang-tidy-19 -p build/clang --quiet <<<"$list" >build/check-tidy.log 2>build/check-tidy.err && return 0
  grep -E '(error|warning):' build/check-tidy.log build/check-tidy.err -h | sort -u | sed -n 1,60p | sed 's/^/        /'
  return 1
}
scripts() {
  local bad=0
  files '*.sh' .ci/run | xargs -r shellcheck -x || bad=1
  build/check-venv/bin/ruff check -q --output-format concise . || bad=1
  build/check-venv/bin/python -m unittest discover -q -s tests/tools -p '*_test.py' >build/check-unittest.log 2>&1 ||
    { cat build/check-unittest.log; bad=1; }
  return $bad
}
contract_artifacts() { tools/deps/npm.sh && "$(tools/deps/node.sh)" contracts/compile.mjs --check; }
presets() { cmake --list-presets >/dev/null; }

mkdir -p build
step "format (make fix repairs)" none format
step "rooms and includes (tools/check_layers.py)" python3 tools/check_layers.py
step "AWS-LC and OpenSSL apart" none two_cryptos
step "no file over 800 lines" none long_files
step "nothing left unfinished" none unfinished
step "no paths of one machine" none machine_paths
step "pages of docs/ that are named are there" none lost_pages
step "scripts: shellcheck, ruff, tests of the tools" scripts
step "contracts compile to contracts/artifacts" contract_artifacts
step "presets" presets
step "headers compile alone" headers_alone
if [ $all = yes ]; then step "clang-tidy, every file" tidy; else step "clang-tidy, what changed" tidy; fi

if [ ${#failed[@]} -gt 0 ]; then echo "check: ${#failed[@]} failed: $(IFS=,; echo "${failed[*]}")"; exit 1; fi
echo "check: all passed"
