"""A node of seven that lies to the others, signed with its own key, as the real program does it in the simulated realm alone
(`node.faults`). At four of seven all seven must have stored (2t - 1), at three five of them."""

import json

import pytest
from harness import attestry
from test_threshold_faults import held
from threshold import cluster, until
from wires import Wires

SEVEN = range(7)
LIAR = 5


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("seven"), Wires()) as made:
        made.meet(SEVEN)
        made.said = ("--threshold", "4", "--add", *SEVEN)
        yield made


@pytest.fixture
def seven(shared):
    yield shared
    for node in SEVEN:
        shared.wires[node].release()
    if LIAR in shared.lies:
        shared.turn(LIAR)
    shared.start_all([node for node in SEVEN if node not in shared.nodes])
    shared.until_all_are_in(shared.status(0)["epoch"])


def failing(nodes):
    found = nodes.nodes[0].call("GET", "/v1/node/change").json()["failing"]
    return [(one["node"], one["step"], one["guilty"]) for one in found]


def same_key(nodes, *asked):
    keys = nodes.keys(*asked)
    assert keys == dict.fromkeys(keys, nodes.first_key), keys


def test_a_liar_that_stops_the_first_epoch_is_named(shared):
    """All have to store there, so that one is enough; once it is mended it is gone on with."""
    for lie, says in (("complaint", "node 5: it complained without reason"), ("stored", "node 5 (store)")):
        shared.turn(LIAR, lie)
        shared.join(LIAR, 0)
        done = shared.reshare(0, *shared.said)
        assert done.code != 0 and says in done.err, done
        assert failing(shared)[-1] == (5, "store", True)
        assert set(shared.epochs().values()) == {0}
    shared.turn(LIAR)
    shared.join(LIAR, 0)
    done = shared.reshare(0, *shared.said)
    assert done.code == 0, done
    assert failing(shared) == []
    shared.until_all_are_in(1)
    shared.master = shared.status(0)["master_public_key"]
    shared.first_key = shared.key(0)
    same_key(shared)


@pytest.mark.parametrize(
    ("lie", "step", "says", "threshold"),
    [
        ("deal", "deal", "its value for node 6 is wrong, as that one has proved", 4),
        ("complaint", "store", "it complained without reason", 3),
        ("stored", "store", "node 5", 3),
    ],
)
def test_a_reshare_goes_on_without_a_liar_and_names_it(seven, lie, step, says, threshold):
    before = seven.status(0)["epoch"]
    seven.turn(LIAR, lie)
    done = seven.reshare(0, "--threshold", threshold)
    assert done.code == 0, done
    assert failing(seven) == [(5, step, True)], done
    assert says in json.dumps(seven.nodes[0].call("GET", "/v1/node/change").json()), done
    until(lambda: set(seven.epochs().values()) == {before + 1}, seven.epochs)
    same_key(seven, 0, 1)


def test_a_key_that_nobody_signed_is_in_no_plan(seven):
    before = seven.status(0)["epoch"]
    seven.turn(LIAR, "offer")
    done = seven.reshare(0)
    assert done.code == 3 and "node 5" in done.err and "nothing was changed" in done.err, done
    assert failing(seven) == [(5, "offer", True)]
    assert set(seven.epochs().values()) == {before}


@pytest.mark.parametrize(("lies", "coordinator"), [("share", 0), ("share,proof", 1)])
def test_a_wrong_share_is_named_and_the_key_is_right(seven, lies, coordinator):
    """By another coordinator each time: one that has found a liar asks it last from then on."""
    seven.turn(LIAR, lies)
    for _ in range(30):  # until the liar is among those who are asked
        done = seven.derive(coordinator)
        assert done.code == 0, done
        said = json.loads(done.out)
        assert said["key_sha256"] == seven.first_key
        guilty = [one["node"] for one in said["failing"] if one["guilty"]]
        if guilty:
            break
    assert guilty == [LIAR], said
    done = seven.derive(coordinator, "name:payments", "--publicly-verifiable")
    assert done.code == 0 and json.loads(done.out)["key_sha256"] == seven.first_key, done


# After they have answered: then they have offered a key, or the new epoch is in force on their disks.
@pytest.mark.parametrize(("question", "reached"), [(0, 0), (3, 1)], ids=["offer-answered", "activate-answered"])
def test_two_die_once_they_have_answered(seven, question, reached):
    before = seven.status(0)["epoch"]
    change = held(seven, 0, question, [4, 6], True, "--threshold", "4")
    seven.kill(4, 6)
    done = change.found()
    # All seven must have stored when four are needed: they have, before any of them hears of it.
    assert done.code == (0 if reached else 3), done.err[-900:]
    assert set(seven.epochs().values()) == {before + reached}
    same_key(seven, 0)
    seven.start_all([4, 6])
    seven.until_all_are_in(before + reached)
    same_key(seven)


def test_four_of_seven_do_not_change_without_all_seven(seven):
    """2t - 1 of them: two that die before they have stored are two too many, and nothing is lost."""
    done = seven.reshare(0, "--threshold", "4")
    assert done.code == 0, done
    before = seven.status(0)["epoch"]
    for question in (1, 2):  # deal, store
        change = held(seven, 0, question, [4, 6], False)
        seven.kill(4, 6)
        done = change.found()
        assert done.code == 3 and "node 4" in done.err and "node 6" in done.err, done
        assert set(seven.epochs().values()) == {before}
        same_key(seven, 0)
        seven.start_all([4, 6])
    done = seven.reshare(0)
    assert done.code == 0, done
    seven.until_all_are_in(before + 1)
    same_key(seven)


def test_no_node_lies_outside_of_the_simulated_realm(tmp_path):
    def check(*sets):
        return attestry("config", "check", f"--set=server.data={tmp_path}/none", *(f"--set={one}" for one in sets))

    done = check("node.faults=deal")
    assert done.code == 2 and "node.faults" in done.err and "none outside of the simulated realm" in done.err, done
    done = check("node.faults=deal,lie", "server.realm=simulated")
    assert done.code == 2 and "offer, deal, complaint, stored, share or proof" in done.err, done
    assert check("node.faults=deal", "server.realm=simulated").code == 0
