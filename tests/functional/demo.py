"""What the demos have in common: steps that say what happens, show the command that one would type and what came out,
and are checked."""

import argparse
import contextlib
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import textwrap
import time

from harness import ATTESTRY, PATIENCE, clean_environment

WIDTH = 118


class Wrong(Exception):
    """Something was not as it should be."""


def require(condition, what):
    if not condition:
        raise Wrong(what)
    print(f"      ok  {what}")


def say(text):
    print(textwrap.fill(text, WIDTH, initial_indent="      ", subsequent_indent="      "))


def show_command(words, before="", after=""):
    """As one would type it: long ones over several lines, an option and its value together."""
    pieces = []
    for word in map(str, words):
        quoted = word if word.startswith('"$') else shlex.quote(word)
        if pieces and pieces[-1].startswith("--") and " " not in pieces[-1] and not word.startswith("--"):
            pieces[-1] += " " + quoted
        else:
            pieces.append(quoted)
    lines = [before + pieces[0]]
    for piece in pieces[1:]:
        if len(lines[-1]) + len(piece) > WIDTH - 12:
            lines.append(piece)
        else:
            lines[-1] += " " + piece
    print("      $ " + " \\\n          ".join(lines) + after)


def show_output(text, most=12):
    lines = [line for line in text.rstrip().splitlines() if line.strip()]
    for line in lines[:most]:
        print(f"        {line[: WIDTH - 8]}")
    if len(lines) > most > 1:
        print(f"        … {len(lines) - most} more lines")


class Demo:
    """Subclasses have STORY, their parts in order."""

    STORY = ()

    def __init__(self, folder):
        self.folder = folder
        self.number = 0
        self.environment = clean_environment()
        self.cleanup = contextlib.ExitStack()

    def step(self, title):
        self.number += 1
        print(f"\n{self.number:3}.  {title}", flush=True)

    def finish(self, words, code=0):
        """Runs a command of the program in the demo's folder to its end."""
        sys.stdout.flush()
        done = subprocess.run(
            [ATTESTRY, *map(str, words)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self.environment,
            cwd=self.folder,
            timeout=PATIENCE,
            check=False,
        )
        if done.returncode != code:
            raise Wrong(f"exit code {done.returncode} instead of {code}\n{done.stdout}{done.stderr}")
        return done

    def run(self, *words, code=0, most=12, quiet=False):
        """Shows and runs a command -> what it wrote on standard output."""
        show_command(["attestry", *words])
        done = self.finish(words, code)
        if not quiet:
            show_output(done.stdout + done.stderr, most)
        return done.stdout

    def path(self, name):
        return self.folder / name

    @staticmethod
    def end_server(server):
        if server.running:
            server.kill()

    def tell(self):
        with self.cleanup:
            for part in self.STORY:
                part(self)


def main(name, description, kind):
    """Tells the story of `kind`, a subclass of Demo; the exit code."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--folder", type=pathlib.Path, help="an empty folder for all files, which then stay")
    options = parser.parse_args()
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        if options.folder:
            folder = options.folder.resolve()
            folder.mkdir(parents=True, exist_ok=True)
            if os.listdir(folder):
                parser.error(f"{folder} is not empty")
        else:
            folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"{name}-")))
        demo = kind(folder)
        print(f"{description} The TEE is simulated; nothing of it is accepted elsewhere.")
        try:
            demo.tell()
        except (Wrong, AssertionError, OSError, subprocess.TimeoutExpired) as error:
            print(f"\n{name}: step {demo.number} went wrong: {error}", file=sys.stderr)
            return 1
    print(f"\n{name}: {demo.number} steps, all as they should be, {time.monotonic() - started:.0f} s")
    return 0
