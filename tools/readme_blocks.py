#!/usr/bin/env python3
"""Runs the command blocks of documents, so that what we tell newcomers to type keeps working.

  tools/readme_blocks.py FILE.md...          runs every block that starts with ```sh run, or ```sh case …
  tools/readme_blocks.py --list FILE.md...   only shows them

The blocks of one file run in order in one shell, which ends at the first command that fails. They start at the root of
the repository with build/ in PATH, as README says a reader should. A block ```text output behind a block states lines
that the block before it must have printed ('...' stands for any text).

A block ```sh case NAME KIND[:FAULT] TIME stands by itself: it runs in a copy of the real case NAME of
ATTESTRY_SHARED/vectors. A checkout that has no vectors gets a simulated case of that kind, fault and time instead, and
`attestry verify` trusts its root or issuer.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^```(\S*)\s*(.*)$")


def blocks(text):
    """-> [(line number, 'run', 'output' or 'case …', text)]"""
    found, kind, start, lines = [], None, 0, []
    for number, line in enumerate(text.splitlines(), 1):
        fence = FENCE.match(line.strip())
        if kind is None and fence:
            wanted = {("sh", "run"): "run", ("text", "output"): "output"}
            kind, start, lines = wanted.get((fence.group(1), fence.group(2).strip()), "other"), number, []
            if fence.group(1) == "sh" and fence.group(2).startswith("case "):
                kind = fence.group(2).strip()
        elif kind is not None and line.strip() == "```":
            if kind != "other":
                found.append((start, kind, "\n".join(lines)))
            kind = None
        elif kind is not None:
            lines.append(line)
    if kind is not None:
        raise ValueError(f"line {start}: the block has no end")
    return found


def missing_lines(expected, printed):
    """Lines of `expected` that `printed` does not have; "..." in them stands for any text."""
    missing = []
    for line in filter(None, map(str.strip, expected.splitlines())):
        pattern = ".*".join(re.escape(part.strip()) for part in line.split("..."))
        if line != "..." and not re.search(pattern, printed):
            missing.append(line)
    return missing


def make_case(about, folder):
    """Fills the folder with the case's evidence -> flags that `attestry verify` needs to believe it."""
    name, kind, at = about.split()[1:]
    real = pathlib.Path(os.environ.get("ATTESTRY_SHARED", ROOT.parent / "shared"), "vectors", name)
    if real.is_dir():
        shutil.copytree(real, folder, ignore=shutil.ignore_patterns("case.json"))
        return []
    kind, _, fault = kind.partition(":")
    forge = [
        ROOT / "build" / "attestry",
        "forge",
        "--kind",
        kind,
        "--fault",
        fault or "none",
        "--at",
        at,
        "--out",
        folder,
    ]
    subprocess.run(forge, check=True, stdout=subprocess.DEVNULL)
    case = json.loads((folder / "case.json").read_text())
    (folder / "case.json").unlink()
    if "expected_issuer" in case:
        issuer = case["expected_issuer"]
        return ["--issuer", issuer, "--jwks", f"{issuer}={folder / 'jwks.json'}"]
    return ["--trust", str(folder / "root.pem")]


def run_case(path, line, about, text):
    """One block in a folder of its own -> what it printed."""
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place, "case")
        flags = make_case(about, folder)
        program = pathlib.Path(place, "bin", "attestry")
        program.parent.mkdir()
        flags = " ".join(flags)
        build = ROOT / "build" / "attestry"
        program.write_text(f"""#!/bin/sh\n[ "$1" != verify ] || set -- "$@" {flags}\nexec '{build}' "$@"\n""")
        program.chmod(0o755)
        environment = dict(os.environ, PATH=f"{program.parent}:{os.environ['PATH']}", TERM="dumb")
        command = ["bash", "-c", f"set -euo pipefail\nexec 2>&1\n{text}"]
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise AssertionError(f"{path}:{line}: a command of this block failed\n{done.stdout[-4000:]}")
    return done.stdout


def run_document(path, work):
    """-> number of blocks that ran; raises AssertionError with what went wrong."""
    script, outputs, ran = ["set -euo pipefail"], [], 0
    for line, kind, text in blocks(path.read_text(encoding="utf-8")):
        if kind == "output":
            if ran == 0:
                raise AssertionError(f"{path}:{line}: output without a block before it")
            outputs.append((line, ran, text))
            continue
        ran += 1
        if kind == "run":
            script.append(f"exec >'{work}/{ran}.out' 2>&1; echo '{line}' >'{work}/at'\n{text}")
        else:
            pathlib.Path(work, f"{ran}.out").write_text(run_case(path, line, kind, text))
    if ran == 0:
        return 0
    environment = dict(os.environ, PATH=f"{ROOT / 'build'}:{os.environ['PATH']}", TERM="dumb")
    result = subprocess.run(
        ["bash", "-c", "\n".join(script)], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, check=False
    )
    if result.returncode != 0:
        at = pathlib.Path(work, "at").read_text().strip()
        tail = "".join(p.read_text(errors="replace")[-4000:] for p in sorted(pathlib.Path(work).glob("*.out")))
        raise AssertionError(f"{path}:{at}: a command of this block failed\n{tail}")
    for line, number, text in outputs:
        missing = missing_lines(text, pathlib.Path(work, f"{number}.out").read_text(errors="replace"))
        if missing:
            raise AssertionError(f"{path}:{line}: not printed any more: {missing}")
    return ran


def main():
    files = [pathlib.Path(a) for a in sys.argv[1:] if a != "--list"]
    failed = 0
    for path in files:
        if not path.exists():
            continue
        if "--list" in sys.argv:
            for line, kind, text in blocks(path.read_text(encoding="utf-8")):
                print(f"--- {path}:{line} ({kind})\n{text}")
            continue
        with tempfile.TemporaryDirectory() as work:
            try:
                print(f"{path}: {run_document(path, work)} blocks ran", flush=True)
            except AssertionError as error:
                failed += 1
                print(error)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
