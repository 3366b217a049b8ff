"""attestry node ... --format json: one document on standard output, also where something was written to a file."""

import pytest
from harness import attestry
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

    holder = attestry("node", "holder-key", two.folder / "holder.key").out.strip()
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
