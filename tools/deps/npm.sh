#!/usr/bin/env bash
# Unpacks the npm packages of tools/deps.lock (group npm) into a folder, each under its own name.
#   tools/deps/npm.sh [NAME...]       all of the group, or those named
# The folder is .cache/npm (ATTESTRY_NPM names another). Packages are only fetched, checked against their SHA-256 and
# unpacked: no script of theirs is run, and nothing that they depend on comes along; what is needed is in the lock.
# Nothing happens when they are there. ATTESTRY_DOWNLOADS as in fetch.sh.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
downloads=${ATTESTRY_DOWNLOADS:-$root/.cache/downloads}
folder=${ATTESTRY_NPM:-$root/.cache/npm}

if [ $# -eq 0 ]; then mapfile -t names < <(awk '$1 == "npm" { print $2 }' "$root/tools/deps.lock"); else names=("$@"); fi
mkdir -p "$downloads" "$folder"
exec 9>"$folder/.lock"
flock 9  # two that start at once must not unpack over each other

for name in "${names[@]}"; do
  read -r version sha < <(awk -v name="$name" '$1 == "npm" && $2 == name { print $3, $4 }' "$root/tools/deps.lock") ||
    { echo "npm.sh: tools/deps.lock has no npm package '$name'" >&2; exit 2; }
  stamp=$folder/$name/.unpacked
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$sha" ] && continue

  file=${name#@}
  archive=$downloads/${file//\//-}-$version.tgz  # as `npm pack` names it
  is_good() { [ -f "$archive" ] && echo "$sha  $archive" | sha256sum --check --status; }
  if ! is_good; then
    echo "==> fetching $name $version (npm)" >&2
    node=$("$root/tools/deps/node.sh")
    "$node" "$("$root/tools/deps/node.sh" npm)" pack --silent --ignore-scripts --pack-destination "$downloads" "$name@$version" >/dev/null
    is_good || { echo "npm.sh: $archive is not the file with SHA-256 $sha" >&2; exit 1; }
  fi
  rm -rf "${folder:?}/$name"
  mkdir -p "$folder/$name"
  tar xzf "$archive" -C "$folder/$name" --strip-components=1 --no-same-owner
  echo "$sha" >"$stamp"
done
