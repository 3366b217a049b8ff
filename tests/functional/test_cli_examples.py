"""The --help of every command of the key services and of the threshold root shows how that command is called."""

import re

import pytest
from harness import attestry

GROUPS = ("keymanager", "keystore", "secret", "node")


def described(path):
    """Help of a command, its subcommands, and what is behind "Example"."""
    done = attestry(*path, "--help")
    assert done.code == 0, done
    listed = re.search(r"^Subcommands:\n((?:  .*\n?)+)", done.out, re.MULTILINE)
    below = [line.split()[0] for line in listed[1].splitlines() if re.match(r"  \S", line)] if listed else []
    usage, _, examples = done.out.partition("\nExample")
    return usage, below, examples


def every_command(path):
    usage, below, examples = described(path)
    yield path, usage, below, examples
    for name in below:
        yield from every_command([*path, name])


def calls(path, examples):
    """The example's calls of that command, each in one line without its comment."""
    lines = re.sub(r"\\\n\s*", "", examples).splitlines()
    wanted = rf"(?:^|\| )attestry {' '.join(path)}(?= |$)"
    return [line.split("   # ")[0] for line in lines if re.search(wanted, line.strip())]


@pytest.mark.parametrize("group", GROUPS)
def test_examples_are_of_the_command_itself_and_right(group):
    seen = 0
    for path, usage, below, examples in every_command([group]):
        if below and path != ["keystore"]:
            continue
        if path == ["node", "run"]:  # takes what the server takes
            usage += attestry("serve", "--help").out
        found = calls(path, examples)
        assert found, f"no example of {path}"
        required = re.findall(r"^  (?:-\w,)?(--[\w-]+)[^\n]* REQUIRED", usage, re.MULTILINE)
        for call in found:
            for flag in re.findall(r"(?<= )--[\w-]+", call):
                if flag != "--with":
                    assert re.search(rf"(?m)^  (?:\S*,)?{flag}\b", usage), (call, flag)
            missing = [flag for flag in required if flag not in call]
            assert not missing, (call, missing)
        seen += 1
    assert seen > 5


def test_examples_say_where_a_server_is_asked():
    for path in (["node", "status"], ["keystore", "backup"], ["secret", "put"]):
        assert "ATTESTRY_SERVER" in described(path)[2], path


def test_examples_a_group_alone_names_its_commands():
    done = attestry("keymanager", "allow")
    assert done.code == 2 and "mrtd, mrenclave, machine, tcb" in done.err, done
    assert "attestry keymanager allow --help" in done.err
