#!/usr/bin/env python3
"""Runs the command blocks of documents, so that what we tell newcomers to type keeps working.

  tools/readme_blocks.py FILE.md...          runs every block that starts with ```sh run
  tools/readme_blocks.py --list FILE.md...   only shows them

The blocks of one file run in order in one shell, which ends at the first command that fails. They start at the root of
the repository with build/ in PATH, as README says a reader should. A block ```text output behind a block states lines
that the block before it must have printed ('...' stands for any text).
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^```(\S*)\s*(.*)$")


def blocks(text):
    """-> [(line number, 'run' or 'output', text)]"""
    found, kind, start, lines = [], None, 0, []
    for number, line in enumerate(text.splitlines(), 1):
        fence = FENCE.match(line.strip())
        if kind is None and fence:
            wanted = {("sh", "run"): "run", ("text", "output"): "output"}
            kind, start, lines = wanted.get((fence.group(1), fence.group(2).strip()), "other"), number, []
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


def run_document(path, work):
    """-> number of blocks that ran; raises AssertionError with what went wrong."""
    script, outputs, ran = ["set -euo pipefail"], [], 0
    for line, kind, text in blocks(path.read_text(encoding="utf-8")):
        if kind == "run":
            ran += 1
            script.append(f"exec >'{work}/{ran}.out' 2>&1; echo '{line}' >'{work}/at'\n{text}")
        elif ran == 0:
            raise AssertionError(f"{path}:{line}: output without a block before it")
        else:
            outputs.append((line, ran, text))
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
