"""Nodes of a threshold root that are lost, spoiled or of another mind: what works goes on, and what does not says so."""

import json
import time

import pytest
import thief
from harness import attestry
from near import base58, unbase58
from operators import Operator
from proxy import Proxy
from test_threshold_requests import Request
from threshold import APP, cluster

SEVEN = range(7)
DERIVATIONS = "/v1/threshold/derivations"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("seven")) as made:
        made.generate(4, SEVEN)
        made.first_key = made.key(0)
        yield made


@pytest.fixture
def seven(shared):
    yield shared
    shared.start_all([node for node in SEVEN if node not in shared.nodes])


def test_a_lost_quorum_is_said_and_nothing_is_lost(seven):
    seven.kill(3, 4, 5, 6)
    begun = time.monotonic()
    said = seven.command(0, "status")
    assert said.code == 3, "whoever watches it sees it"
    shown = json.loads(seven.command(0, "status", "--format", "json").out)
    assert shown["quorum_lost"] and shown["answering"] == 3, shown
    assert [seen["id"] for seen in shown["seen"] if not seen["answers"]] == [3, 4, 5, 6]
    assert "QUORUM LOST: 3 of 7 answer, 4 are needed" in said.out, said
    assert "works       keys that workloads and servers have" in said.out
    assert "Start the nodes that are away: with 4 disks nothing is lost" in said.out
    assert [line for line in said.out.splitlines() if "node 5" in line and "does not answer" in line], said
    done = seven.derive(1)
    assert done.code == 3, f"an outage is no denial: {done}"
    assert "too few nodes answer" in done.err and "without: 3 (does not answer)" in done.err, done
    assert "127.0.0.1" not in done.err, "where nodes are is nothing for strangers"
    change = seven.reshare(0)
    assert change.code == 3 and "nothing was changed" in change.err, change
    assert time.monotonic() - begun < 20
    seven.start(3)
    assert seven.key(0) == seven.first_key, "four are enough"
    seven.start_all([4, 5, 6])
    assert seven.keys() == dict.fromkeys(SEVEN, seven.first_key)
    assert "quorum      7 of 7 answer" in seven.command(2, "status").out


def spoil(folder, what):
    """Turns one bit of what the store holds under that name, wherever it lies."""
    spoiled = 0
    for file in folder.glob("store.db*"):
        content = bytearray(file.read_bytes())
        at = -1
        while (at := content.find(what, at + 1)) >= 0:
            content[at + len(what) + 40 + 50] ^= 1
            spoiled += 1
        file.write_bytes(content)
    assert spoiled


def test_a_spoiled_store_is_said_and_the_others_go_on(seven):
    data = seven.home(6) / "data"
    seven.nodes.pop(6).terminate()
    kept = {file.name: file.read_bytes() for file in data.iterdir()}
    spoil(data, thief.SHARES)
    server = seven.begin(6)
    code = seven.nodes.pop(6).end()
    assert code != 0, "it does not run with a share that it cannot read"
    assert "a sealed value does not open" in server.output, server.output
    assert seven.key(0) == seven.first_key
    for name, content in kept.items():
        (data / name).write_bytes(content)
    seven.start(6)
    assert seven.key(6) == seven.first_key


def test_a_node_whose_approvals_differ_refuses_alone(seven):
    operator = seven.nodes[5].operator
    quote_of = operator.app(APP)["identities"][0]
    operator.approve(APP, "revoke", quote_of)
    assert seven.keys(0, 1, 2) == dict.fromkeys((0, 1, 2), seven.first_key)
    # Three others have gone: it would be needed, and stays with what its operators said.
    asked = Request(seven, app=APP)
    seven.kill(1, 2, 3)
    done = asked.post()
    assert done.status == 503 and "5 (refuses)" in done.text, done
    assert not [address for address in seven.addresses.values() if address in done.text], done
    seven.start_all([1, 2, 3])
    done = asked.post()
    assert done.status == 200 and "127.0.0.1" not in done.text, done
    assert seven.key(0) == seven.first_key


def test_who_may_not_have_a_key_is_denied_by_all(seven):
    for node in SEVEN:
        Operator(seven.nodes[node]).approve("name:other", "app.create", "name:other")
    done = seven.derive(0, "name:other")
    assert done.code == 1, done
    never = seven.derive(2, "name:nobody-approved-it")
    assert never.code == 1, never


def test_a_workload_that_trusts_another_cluster_gets_nothing(seven):
    right = seven.master
    # Any other point of the subgroup: that of this very cluster, mirrored, would do as well.
    try:
        seven.master = other_master(right)
        done = seven.derive(0)
    finally:
        seven.master = right
    assert done.code == 1 and "This is another cluster" in done.err, done


def test_a_workload_whose_check_fails_asks_once_more_for_proofs(seven):
    def spoil(path, document):
        if path == DERIVATIONS or (always and path.startswith(DERIVATIONS)):
            document["big_c"] = document.get("big_y")
        elif path == DERIVATIONS + "?check=true":
            document["failing"].append({"node": 2, "guilty": True, "reason": "its share is wrong"})
        return document

    def derive(through):
        seed = seven.home(0) / "data" / "forge.seed"
        where = ("--server", through.url, "--master-key", seven.master)
        return attestry("node", "derive", *where, "--app", APP, "--simulated-tee", seed)

    always = False
    with Proxy(seven.nodes[0].public, change_reply=spoil) as liar:
        done = derive(liar)
        assert done.code == 0, done
        assert seven.first_key in done.out and "not by       node 2" in done.out, done
        assert liar.seen == ["/v1/threshold/challenges", DERIVATIONS, DERIVATIONS + "?check=true"]
        always = True
        done = derive(liar)
        assert done.code == 4 and "what the nodes derived" in done.err, done
        assert len(liar.seen) == 6, "twice, and no more"


def other_master(text):
    point = bytearray(unbase58(text.removeprefix("bls12381g2:")))
    point[0] ^= 0x20  # the sign of y
    return "bls12381g2:" + base58(bytes(point))


def test_changes_need_what_operators_say(seven, tmp_path):
    stranger = tmp_path / "stranger.key"
    assert attestry("operator", "keygen", stranger).code == 0
    done = seven.command(0, "reshare", "--key", stranger)
    assert done.code == 2 and "do not count" in done.err, done
    unsigned = seven.command(0, "reshare")
    assert unsigned.code == 2 and "signatures of operators" in unsigned.err, unsigned
    proposal = tmp_path / "proposal.json"
    assert seven.reshare(0, "--out", proposal).code == 0
    text = proposal.read_text()
    for changed, said in (
        (text.replace('"threshold":4,', ""), "threshold"),
        (text.replace('"threshold":4', '"threshold":1'), "threshold"),
        (text.replace('"threshold":4', '"threshold":3'), "operators"),  # signed for four
        (text.replace('"approvals":[', '"approvals":[],"more":['), "proposal"),
    ):
        assert changed != text
        reply = seven.nodes[0].call("POST", "/v1/node/change", changed, {"Content-Type": "application/json"})
        assert 400 <= reply.status < 500 and said in reply.text, reply
    assert set(seven.epochs().values()) == {1}, "nothing was changed"


def test_software_that_nobody_approved_does_not_join(seven, tmp_path):
    # On a machine of another vendor, which has approved itself: that is its own matter.
    vendor, seven.seed_file = seven.seed_file, tmp_path / "another.seed"
    seven.seed_file.write_text("another\n")
    try:
        seven.start(7)
    finally:
        seven.seed_file = vendor
    try:
        done = seven.command(7, "join", seven.addresses[0])
        assert done.code != 0 and "evidence" in done.err, done
        assert 7 not in [one["id"] for one in seven.status(0)["candidates"]]
    finally:
        seven.kill(7)
