#!/usr/bin/env bash
# The WebAssembly build judged on cases: the shared vectors when they are there, else our own forged cases and the real
# evidence of public packages. Node is the machine's when it is new enough, else the one of PyPI.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
node=$(tools/deps/node.sh)
vectors=${ATTESTRY_SHARED:-../shared}/vectors
folders=()
if [ -d "$vectors" ]; then
  for set in tdx sgx snp nitro maa synthetic/tdx synthetic/sgx synthetic/snp synthetic/nitro; do folders+=("$vectors/$set"); done
else
  folders=("$(tools/deps/samples.py)")
  [ -d tests/data ] && folders+=(tests/data)
fi
# V8 of node 20 compiles a module that runs often anew beside it, and on a busy machine crashes of that.
exec "$node" --no-warnings --no-wasm-tier-up tools/wasm/run.mjs "${folders[@]}"
