#!/usr/bin/env bash
# Makes (or completes) a virtual environment with the packages of the given groups of tools/deps.lock, by hash.
#   tools/deps/venv.sh FOLDER GROUP...
# Nothing happens when the folder already has exactly these. ATTESTRY_DOWNLOADS as in fetch.sh.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
venv=$1
shift
downloads=${ATTESTRY_DOWNLOADS:-$root/.cache/downloads}

wanted=$(for group in "$@"; do
  awk -v group="$group" '$1 == group {
      n = split($4, sha, ","); line = $2 "==" $3
      for (i = 1; i <= n; i++) line = line " --hash=sha256:" sha[i]
      print line }' "$root/tools/deps.lock"
done | sort -u)
[ -n "$wanted" ] || { echo "venv.sh: tools/deps.lock has no packages for: $*" >&2; exit 2; }
[ -f "$venv/locked.txt" ] && [ "$(cat "$venv/locked.txt")" = "$wanted" ] && exit 0

# The distribution's interpreter, whatever else a developer has first in PATH: the pinned files are made for it.
python=/usr/bin/python3
[ -x "$python" ] || python=python3
echo "==> installing the Python packages for: $*"
rm -rf "$venv"
"$python" -m venv "$venv"
mkdir -p "$downloads"
echo "$wanted" >"$venv/wanted.txt"
pip=("$venv/bin/python" -m pip --disable-pip-version-check)
# First from the download folder alone, so that a complete folder needs no network.
if ! "${pip[@]}" install -q --no-deps --no-index --find-links "$downloads" --require-hashes -r "$venv/wanted.txt" 2>/dev/null; then
  "${pip[@]}" download -q --no-deps --only-binary :all: --require-hashes -r "$venv/wanted.txt" -d "$downloads"
  "${pip[@]}" install -q --no-deps --no-index --find-links "$downloads" --require-hashes -r "$venv/wanted.txt"
fi
mv "$venv/wanted.txt" "$venv/locked.txt"
