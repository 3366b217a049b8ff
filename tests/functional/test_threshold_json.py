"""attestry node ... --format json: one document on standard output, also where something was written to a file."""

import json
import shutil
import subprocess
import threading

import pytest
from harness import ATTESTRY, PATIENCE, attestry, clean_environment
from threshold import cluster


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("two")) as made:
        made.start_all(range(2))
        yield made


def test_threshold_json_of_what_is_written_and_joined(two):
    joined = two.command(1, "join", two.addresses[0], "--format", "json")
    assert joined.code == 0 and joined.json() == {"id": 1, "joined": two.addresses[0], "epoch": 0}, joined
    proposal = two.folder / "proposal.json"
    first = ("--threshold", "2", "--add", "0", "1")
    written = two.reshare(0, *first, "--out", proposal, "--format", "json")
    assert written.code == 0 and written.json() == {
        "proposal": str(proposal),
        "epoch": 1,
        "signatures": 1,
        "operators_needed": 1,
    }, written
    assert two.reshare(0, *first, "--format", "json").json()["epoch"] == 1
    unchanged = two.reshare(0, "--add", "1", "--format", "json")
    assert unchanged.code == 0 and unchanged.json() == {"state": "done", "epoch": 1, "changed": False}, unchanged

    key_file = two.folder / "holder.key"
    made = attestry("node", "holder-key", key_file, "--format", "json")
    holder = attestry("operator", "show", key_file).out.strip()
    assert made.code == 0 and made.json() == {"key": str(key_file), "holder": holder} and made.err == "", made
    listed, out = two.folder / "holders.list", two.folder / "node0.export"
    sign = ("holders", f"--holder=0:{holder}", "--key", two.key_file, "--out", listed, "--format", "json")
    signed = two.command(0, *sign)
    assert signed.code == 0 and signed.json() == {
        "list": str(listed),
        "number": 1,
        "signatures": 1,
        "holders": [{"node": 0, "holder": holder}],
    }, signed
    exported = two.command(0, "export", "--holders", listed, "--holder", holder, "--out", out, "--format", "json")
    wanted = {"export": str(out), "node": 0, "epoch": 1, "holder": holder}
    assert exported.code == 0 and exported.json() == wanted, exported

    # The node is lost; what takes its place says on standard output when it serves, and no more.
    two.kill(0)
    shutil.rmtree(two.home(0))
    two.init(0)
    given = ("node", "import", two.home(0), "--holder-key", key_file, "--format", "json", "--from")
    missing = attestry(*given, two.folder / "no.export")
    assert missing.code == 1 and missing.out == "" and "no.export" in missing.err, missing
    document, rest, told = served([*given, out], two.folder / "import.err")
    addresses = [document.pop(name) for name in ("server", "operators", "metrics")]
    assert all(address.startswith("http://127.0.0.1:") for address in addresses), addresses
    assert document == {"import": str(out), "node": 0, "epoch": 1}
    assert rest == "" and f"operators {addresses[1]}" in told, told
    two.start(0)


def served(command, errors):
    """The first line of standard output of a server, which is then told to end; what else stood there; its other output."""
    with open(errors, "w") as file:
        process = subprocess.Popen(
            [ATTESTRY, *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=file,
            env=clean_environment(),
            text=True,
        )
    late = threading.Timer(PATIENCE, process.kill)
    late.start()
    with process:
        first = process.stdout.readline()
        process.terminate()
        rest = process.stdout.read()
    late.cancel()
    assert process.returncode == 0 and first, (process.returncode, first, errors.read_text())
    return json.loads(first), rest, errors.read_text()


def test_threshold_json_of_a_nodes_folder(tmp_path):
    key = tmp_path / "operator.key"
    assert attestry("operator", "keygen", key).code == 0
    public = attestry("operator", "show", key).out.split()[0]
    init = ("node", "init", "--operator", public, "--format", "json")
    first = attestry(*init, tmp_path / "one", "--id", "3", "--simulated")
    assert (first.code, first.err) == (0, ""), first
    assert first.json() == {
        "settings": str(tmp_path / "one" / "node.toml"),
        "id": 3,
        "realm": "simulated",
        "seed": str(tmp_path / "one" / "data" / "forge.seed"),
    }
    real = attestry(*init, tmp_path / "two", "--id", "4", "--attestation", "http://127.0.0.1:8500")
    wanted = {"settings": str(tmp_path / "two" / "node.toml"), "id": 4, "realm": "production"}
    assert real.code == 0 and real.json() == wanted, real
    again = attestry(*init, tmp_path / "one", "--id", "3", "--simulated")
    assert again.code == 1 and again.out == "" and "exists already" in again.err, again
