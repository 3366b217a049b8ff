#!/usr/bin/env bash
# Installs the Debian packages of the given groups (tools/packages.txt) that are not there yet.
#   tools/deps/install.sh GROUP...
# Quiet and quick when nothing is missing. Without root it uses sudo; on a system without apt it prints the list and stops.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null | awk '$1 == "installed" { print $2 }' || true)
is_installed() { grep -qxF -- "$1" <<<"$installed"; }

missing=()
for group in "$@"; do
  names=$(awk -v group="$group" '$1 == group { print $2 }' "$here/packages.txt")
  [ -n "$names" ] || { echo "install.sh: tools/packages.txt has no group '$group'" >&2; exit 2; }
  for alternatives in $names; do
    found=no
    for name in ${alternatives//|/ }; do is_installed "$name" && found=yes; done
    if [ $found = no ] && [[ " ${missing[*]-} " != *" $alternatives "* ]]; then missing+=("$alternatives"); fi
  done
done
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
  echo "attestry is built on Debian 12 or Ubuntu. This system has no apt-get; please install the equivalents of:" >&2
  printf '  %s\n' "${missing[@]}" >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "Run as root (there is no sudo): apt-get install ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi

start=$SECONDS
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# DEBIAN_FRONTEND is set behind sudo, which would drop it from the environment.
apt() { ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 "$@" >"$log" 2>&1 ||
  { cat "$log" >&2; echo "install.sh: apt-get $1 failed" >&2; exit 1; }; }

echo "==> reading the package lists"
apt update -q
names=()
for alternatives in "${missing[@]}"; do
  chosen=${alternatives%%|*}
  for name in ${alternatives//|/ }; do
    if apt-cache show --no-all-versions "$name" >/dev/null 2>&1; then chosen=$name; break; fi
  done
  names+=("$chosen")
done
echo "==> installing ${#names[@]} Debian packages (a minute or two): ${names[*]}"
apt install -q -y --no-install-recommends "${names[@]}"
echo "==> packages installed in $((SECONDS - start)) s"
