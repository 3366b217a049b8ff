"""A cluster that has lost too many disks, and its way back: docs/how-to/recover-a-threshold-cluster.md."""

import shutil

import pytest
from harness import Server, attestry
from threshold import APP, NODES, approve, cluster


@pytest.fixture
def five(tmp_path):
    with cluster(tmp_path) as made:
        made.generate(3, range(5))
        yield made


def holder(made, name):
    done = attestry("node", "holder-key", made.folder / f"{name}.key")
    assert done.code == 0, done
    return done.out.strip()


def sign(made, number, *holders):
    done = made.command(
        *(0, "holders", "--number", number, "--key", made.key_file, "--out", made.folder / f"list-{number}"),
        *(f"--holder={node}:{key}" for node, key in holders),
    )
    assert done.code == 0, done


def export(made, node, key, number=1, out=None):
    out = out or made.folder / f"node-{node}.export"
    return made.command(node, "export", "--holders", made.folder / f"list-{number}", "--holder", key, "--out", out)


def lose(made, *nodes):
    made.kill(*nodes)
    for node in nodes:
        shutil.rmtree(made.home(node))


def run_import(made, node, key):
    home = made.home(node)
    source = made.folder / f"node-{node}.export"
    arguments = ["node", "import", home, "--from", source, "--holder-key", made.folder / f"{key}.key"]
    return Server(arguments, home / "data")


def bring_back(made, node, key):
    made.init(node)
    server = made.nodes[node] = run_import(made, node, key)
    found = server.wait_for(r"^  server +(\S+), operators (\S+), metrics (\S+)/metrics")
    server.public, server.admin, server.metrics = found.groups()
    server.log_key = server.wait_for(r"^  log +(\S+)")[1]
    server.wait_for(r"^Serving until")
    # The others are there; what is missing is missing here.
    status = made.command(node, "status")
    assert "NOT APPROVED HERE" in status.out, status
    assert "First approve what is missing here" in status.out, status
    server.operator = approve(server, NODES)
    approve(server, APP, server.operator)


def test_lost_nodes_come_back_out_of_what_their_holders_have(five):
    first = five.key(0)
    keys = {node: holder(five, f"holder-{node}") for node in range(5)}
    sign(five, 1, *keys.items())
    for node, key in keys.items():
        done = export(five, node, key)
        assert done.code == 0, done
        assert f"node {node}, epoch 1" in done.out
    assert "node.export" in [leaf["type"] for leaf in five.nodes[2].leaves()]
    before = five.status(2)["signing_key"]

    lose(five, 2, 3, 4)
    status = five.command(0, "status")
    assert status.code == 3
    assert "QUORUM LOST: 2 of 5 answer, 3 are needed" in status.out, status
    lost = five.derive(0)
    assert lost.code == 3, "an outage is no denial"
    assert "too few nodes answer" in lost.err, lost
    assert "attestry node import" in lost.err

    bring_back(five, 2, "holder-2")
    assert five.status(2)["signing_key"] == before
    assert five.status(2)["holds_share"] is True
    assert five.key(0) == first, "three are enough"
    assert "node.import" in [leaf["type"] for leaf in five.nodes[2].leaves()]

    # It runs like any other from now on, and takes part in changes.
    assert five.nodes[2].terminate() == 0
    again = run_import(five, 2, "holder-2")
    assert again.end() != 0
    assert "restore into a new folder" in again.output
    five.start(2)
    done = five.reshare(0, "--remove", "3", "4", "--threshold", "2")
    assert done.code == 0, done
    assert five.key(2) == first


def test_only_holders_that_operators_approved_have_exports(five):
    good, other = holder(five, "good"), holder(five, "other")
    sign(five, 1, (1, good), (2, other))
    refused = export(five, 1, other)
    assert refused.code == 1
    assert "a holder that operators have approved" in refused.err, refused
    assert export(five, 1, good).code == 0
    again = export(five, 1, good)
    assert "exists already" in again.err, again
    sign(five, 2, (1, other))
    assert export(five, 1, other, 2, five.folder / "second").code == 0
    taken_out = export(five, 1, good, 1, five.folder / "third")
    assert "number 2 or later" in taken_out.err, taken_out
    arguments = ("--number", "2", "--key", five.key_file, "--out", five.folder / "again", f"--holder=1:{good}")
    same_number = five.command(1, "holders", *arguments)
    assert "3 or more" in same_number.err, same_number

    lose(five, 1)
    five.init(1)
    server = run_import(five, 1, "other")
    assert server.end() != 0
    assert "the private key of its holder" in server.output

    # What an export would be refused for is said before anybody signs it.
    def refused(*arguments):
        done = five.command(0, "holders", "--key", five.key_file, "--out", five.folder / "never", *arguments)
        assert done.code == 2, done
        return done.err

    assert "node 9" in refused("--holder", f"9:{good}")
    stranger = five.folder / "stranger.key"
    assert attestry("operator", "keygen", stranger).code == 0
    assert "node.operators" in refused("--holder", f"1:{good}", "--key", stranger)
    assert not (five.folder / "never").exists()

    taken = attestry("node", "holder-key", five.folder / "good.key")
    assert "exists already" in taken.err


def test_what_is_done_already_is_said_and_changes_nothing(five):
    again = five.reshare(0, "--add", "3")
    assert again.code == 0 and "nothing to change" in again.out, again
    assert five.status(0)["epoch"] == 1
    itself = five.command(0, "join", five.addresses[0])
    assert itself.code == 2 and "this node's own address" in itself.err, itself
    five.start(5)
    five.join(5, 0)
    assert five.addresses[0] in five.command(5, "status").out, "a candidate says where it joined"
    app = five.derive(0, "name:nobody-approved")
    assert app.code == 1 and "nodes 0" in app.err, app
