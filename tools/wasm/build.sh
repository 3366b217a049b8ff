#!/usr/bin/env bash
# Compiles base, crypto and attestation for WebAssembly and links tools/wasm/verify_main.cpp with them:
# build/wasm/verify.wasm. Needs the packages of the group wasm and `tools/deps/build.sh wasm`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
cmake -S tools/wasm -B build/wasm -G Ninja -DCMAKE_TOOLCHAIN_FILE="$PWD/cmake/wasm.cmake" -DCMAKE_BUILD_TYPE=Release \
  -DATTESTRY_DEPS="${ATTESTRY_DEPS:-$PWD/.deps}" --log-level=WARNING >/dev/null
cmake --build build/wasm ${ATTESTRY_JOBS:+-j "$ATTESTRY_JOBS"}
echo "build/wasm/verify.wasm: $(stat -c %s build/wasm/verify.wasm) bytes"
