#!/usr/bin/env bash
# Brings one source archive of tools/deps.lock into the download folder, checks its SHA-256 and prints its path.
#   tools/deps/fetch.sh NAME
# ATTESTRY_DOWNLOADS names the download folder (default .cache/downloads). An archive that lies there already is used
# without touching the network, so a copied folder is enough to build offline.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
downloads=${ATTESTRY_DOWNLOADS:-$root/.cache/downloads}
read -r version sha < <(awk -v name="$1" '$1 == "source" && $2 == name { print $3, $4 }' "$root/tools/deps.lock") ||
  { echo "fetch.sh: tools/deps.lock has no source '$1'" >&2; exit 2; }

mkdir -p "$downloads"
archive=$downloads/${1//-/_}-$version.tar.gz  # as source archives are named (PEP 625)
is_good() { [ -f "$archive" ] && echo "$sha  $archive" | sha256sum --check --status; }
if ! is_good; then
  echo "==> fetching $1 $version" >&2
  python=/usr/bin/python3
  [ -x "$python" ] || python=python3
  wanted=$(mktemp)
  trap 'rm -f "$wanted"' EXIT
  echo "$1==$version --hash=sha256:$sha" >"$wanted"
  pip=("$python" -m pip download -q --disable-pip-version-check --no-deps --require-hashes -r "$wanted" -d "$downloads")
  case $1 in
    # These would need a Rust compiler to tell their own name: tools/deps/backends answers for them.
    dcap-qvl) PYTHONPATH=$root/tools/deps/backends "${pip[@]}" --no-binary "$1" --no-build-isolation >&2 ;;
    *) "${pip[@]}" --no-binary :all: >&2 ;;
  esac
  is_good || { echo "fetch.sh: $archive is not the file with SHA-256 $sha" >&2; exit 1; }
fi
echo "$archive"
