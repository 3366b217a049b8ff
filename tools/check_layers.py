#!/usr/bin/env python3
"""Refuses includes that the plan of the house does not allow.

  tools/check_layers.py [ROOT]

src/LAYERS names the rooms (folders of src/) and which rooms each may use. Beside that edge list three rules hold:
  - what lies in a folder `internal` belongs to its room alone;
  - headers of outside libraries are included only by the rooms in OUTSIDE below, and there only in .cpp files or in
    internal/, so that no public header drags a library along;
  - AWS-LC and the system's OpenSSL have headers of the same names: only crypto sees the first, only net the second.
The rooms in PURE build for WebAssembly: no exceptions, threads, streams, files, clocks or sockets.
"""

import pathlib
import re
import sys

# Outside headers (prefix of the include path): rooms that may include them.
OUTSIDE = {
    "openssl/": {"crypto", "net"},
    "boost/asio": {"net"},
    "boost/beast": {"net"},
    "boost/system": {"net"},
    "boost/json": {"base"},
    "curl/": {"net"},
    "prometheus/": {"net"},
    "secp256k1": {"curves"},
    "argon2.h": {"keys"},
    "sodium": {"curves"},
    "blst": {"curves"},
    "sqlite3": {"state"},
    "libpq": {"state"},
    "spdlog/": {"base"},
    "fmt/": {"base"},
    "CLI/": {"app"},
    "toml++/": {"app"},
    "sys/socket.h": {"net"},
    "netdb.h": {"net"},
}

PURE = ("base", "crypto", "attestation")
PURE_HEADERS = {"thread", "mutex", "shared_mutex", "condition_variable", "future", "iostream", "fstream", "filesystem"}
# Doors of the pure rooms to what the host gives: each is left out of, or replaced in, the WebAssembly build.
PURE_DOORS = {"base/mutex.h", "base/log.cpp", "base/clock.cpp"}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
EXCEPTION = re.compile(r"\b(throw|catch)\b(?!\()|\btry\s*\{")
TEXT = re.compile(r'//.*|"(?:\\.|[^"\\])*"|/\*.*?\*/')


def read_layers(text):
    """-> {room: set of rooms it may use}; raises ValueError for a plan that is not one-way."""
    layers = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.split("#", 1)[0].strip()
        if not line:
            continue
        room, colon, uses = line.partition(":")
        room, uses = room.strip(), uses.split()
        if not colon or not re.fullmatch(r"[a-z]+", room):
            raise ValueError(f"src/LAYERS:{number}: not 'room : rooms'")
        if room in layers:
            raise ValueError(f"src/LAYERS:{number}: {room} is listed twice")
        for used in uses:
            if used not in layers:
                raise ValueError(f"src/LAYERS:{number}: {room} uses {used}, which does not stand above it")
        layers[room] = set(uses)
    return layers


def check_file(name, text, layers):
    """name is the path below src/, such as 'net/internal/tls.cpp'. -> list of 'line: what is wrong'."""
    room = name.split("/")[0]
    hidden = "/internal/" in name or name.endswith(".cpp")
    test = name.endswith("_test.cpp") or "/testing/" in name
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            if room in PURE and not test and name not in PURE_DOORS and EXCEPTION.search(TEXT.sub("", line)):
                problems.append(f"{number}: {room} builds for WebAssembly, where there are no exceptions")
            continue
        quoted, path = match.group(1) == '"', match.group(2)
        other = path.split("/")[0]
        if quoted:
            if "/" not in path or other not in layers:
                problems.append(f'{number}: write includes as "room/file.h", not "{path}"')
            elif other != room and other not in layers[room]:
                problems.append(f"{number}: {room} may not use {other} (src/LAYERS)")
            elif other != room and "/internal/" in path:
                problems.append(f"{number}: {path} belongs to {other} alone")
            elif "/internal/" in path and not hidden:
                problems.append(f"{number}: a public header includes {path}")
            continue
        for prefix, rooms in OUTSIDE.items():
            if path.startswith(prefix):
                if room not in rooms:
                    problems.append(f"{number}: <{path}> belongs to {', '.join(sorted(rooms))}, not to {room}")
                elif not hidden and not test:
                    problems.append(f"{number}: <{path}> in a public header; move it to a .cpp or to internal/")
        if room in PURE and not test and name not in PURE_DOORS and path in PURE_HEADERS:
            problems.append(f"{number}: {room} builds for WebAssembly, which has no <{path}>")
    return problems


def check_tree(root):
    """-> list of 'src/path:line: what is wrong' for the whole tree below root/src."""
    source = root / "src"
    layers = read_layers((source / "LAYERS").read_text(encoding="utf-8"))
    problems = []
    for path in sorted(source.rglob("*")):
        if path.suffix not in (".h", ".cpp"):
            continue
        name = path.relative_to(source).as_posix()
        if name.split("/")[0] not in layers:
            problems.append(f"src/{name}: the folder {name.split('/')[0]} has no line in src/LAYERS")
            continue
        problems += [f"src/{name}:{p}" for p in check_file(name, path.read_text(encoding="utf-8"), layers)]
    return problems


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[1]
    try:
        problems = check_tree(root)
    except ValueError as error:
        problems = [str(error)]
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
