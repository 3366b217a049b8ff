#!/usr/bin/env bash
# Functional tests: pytest drives the built program from outside.   tools/functional.sh [PYTEST ARGUMENTS]
# Without arguments all of them, three files at a time (ATTESTRY_FILES_AT_ONCE): they wait more than they compute.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if ! compgen -G 'tests/functional/test_*.py' >/dev/null; then
  echo "functional tests: none in this tree"
  exit 0
fi
tools/deps/venv.sh build/venv test
tools/deps/npm.sh
echo "==> functional tests"
if [ -d "${ATTESTRY_SHARED:-../shared}/vectors" ]; then
  echo "    evidence: ${ATTESTRY_SHARED:-../shared}/vectors, public packages and our own forged cases"
else
  echo "    evidence: public packages (tools/deps/samples.py) and our own forged cases"
fi
export ATTESTRY=${ATTESTRY:-$PWD/build/attestry}
[ $# -gt 0 ] || set -- -n "${ATTESTRY_FILES_AT_ONCE:-3}" --dist loadfile --durations 25
exec build/venv/bin/python -m pytest "$@"
