#!/usr/bin/env bash
# For maintainers: resolves packages with everything that they need and prints the lines for tools/deps.lock.
#   tools/deps/lock.sh GROUP 'pytest>=8' ...
set -euo pipefail
group=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
/usr/bin/python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check --dry-run --ignore-installed --only-binary :all: \
  --report "$work/report.json" "$@"
"$work/venv/bin/python" - "$group" "$work/report.json" <<'PY'
import json, sys
group, report = sys.argv[1], json.load(open(sys.argv[2]))
for item in sorted(report["install"], key=lambda i: i["metadata"]["name"].lower()):
    meta, archive = item["metadata"], item["download_info"]["archive_info"]
    print(f"{group}  {meta['name'].lower()}  {meta['version']}  {archive['hashes']['sha256']}")
PY
