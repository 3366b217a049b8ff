"""Seven nodes of a threshold root, and what happens to them: machines go in every round of a change, a network parts. The key
stays the same all the time. Moments are certain, because a wire before each node holds the question or the answer."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness import PATIENCE
from test_threshold_requests import Request
from threshold import cluster, until
from wires import Wires

SEVEN = range(7)
FIRST_ROUNDS = ["offer", "deal", "check", "store", "activate"]
ROUNDS = ["offer", "deal", "store", "activate"]
ENDS = PATIENCE + 5  # seconds; a node that is silent costs a change 10 in a round


class Later:
    """What a thread found."""

    def __init__(self, what, *arguments):
        self._thread = threading.Thread(target=self._run, args=(what, *arguments))
        self._thread.start()

    def _run(self, what, *arguments):
        self._found = what(*arguments)

    def found(self):
        self._thread.join(ENDS)
        assert not self._thread.is_alive(), "it has no end"
        return self._found


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    wires = Wires()
    # Three of seven: as many as have to store, five, are left when two are gone.
    with cluster(tmp_path_factory.mktemp("seven"), wires) as made:
        made.generate(3, SEVEN)
        made.first_key = made.key(0)
        yield made


@pytest.fixture
def seven(shared):
    yield shared
    for node in SEVEN:
        shared.wires[node].release()
    shared.wires.heal()
    for node in SEVEN:
        if node not in shared.nodes:
            shared.start(node)


def held(nodes, leader, question, victims, answers, *arguments):
    """A change that has come to where its victims are asked that question, or have answered it."""
    for node in victims:
        nodes.wires[node].hold(question, leader, answers)
    change = Later(lambda: nodes.reshare(leader, *arguments))
    for node in victims:
        nodes.wires[node].wait_until_held()
    return change


def same_key(nodes, *asked):
    """Whichever node is asked: of these, or of all that run."""
    keys = nodes.keys(*asked)
    assert keys == dict.fromkeys(keys, nodes.first_key), keys


def epoch(nodes):
    return nodes.status(0)["epoch"]


# Before they hear the question, or before their answer is heard: then they may have stored what the others do not count on.
@pytest.mark.parametrize(
    ("question", "answers"),
    [(0, False), (1, False), (1, True), (2, False), (2, True), (3, False)],
    ids=["offer", "deal", "deal-answered", "store", "store-answered", "activate"],
)
def test_two_die_in_a_round_of_resharing(seven, question, answers):
    before = epoch(seven)
    change = held(seven, 0, question, [5, 6], answers)
    seven.kill(5, 6)
    done = change.found()
    # Whoever deals asks each member itself, so that nobody may go before all have dealt. Some have by then, or all.
    may = {"offer": {before}, "deal": {before, before + 1}}.get(ROUNDS[question], {before + 1})
    after = epoch(seven)
    assert after in may and done.code == (3 if after == before else 0), done.err[-900:]
    if after == before:
        assert "node 5" in done.err and "node 6" in done.err and "nothing was changed" in done.err, done
    assert set(seven.epochs().values()) == {after}
    same_key(seven, 4)
    seven.start_all([5, 6])
    seven.until_all_are_in(after)
    same_key(seven)


@pytest.mark.parametrize("question", range(4), ids=ROUNDS)
def test_the_leader_dies_in_a_round_of_resharing(seven, question):
    before = epoch(seven)
    # Also in the last one: one of them knows of the new epoch then, or nobody does.
    change = held(seven, 0, question, [1, 2, 3, 4, 5], False)
    seven.kill(0)
    for node in SEVEN:
        seven.wires[node].cut()
    assert change.found().code != 0
    seven.start(0)
    until(lambda: len(set(seven.epochs().values())) == 1, seven.epochs)
    reached = epoch(seven)
    assert reached == before or (ROUNDS[question] == "activate" and reached == before + 1)
    same_key(seven, 0)
    done = seven.reshare(0)
    assert done.code == 0, done.err
    seven.until_all_are_in(reached + 1)
    same_key(seven)


def test_two_die_in_each_round_of_the_first_generation_and_the_leader_too(tmp_path):
    said = ("--threshold", "4", "--add", *SEVEN)
    with cluster(tmp_path, Wires()) as made:
        made.meet(SEVEN)
        for question in range(4):
            # The same words again go on with what was begun: nobody stores a share of another first epoch.
            change = held(made, 0, question, [5, 6], question % 2 == 1, *said)
            if question == 2:
                made.kill(0, 5, 6)
            else:
                made.kill(5, 6)
            done = change.found()
            assert done.code == 3, done
            if question != 2:
                assert "5" in done.err and "6" in done.err, done
            assert set(made.epochs().values()) == {0}
            back = [node for node in SEVEN if node not in made.nodes]
            made.start_all(back)
            for node in SEVEN if 0 in back else back:
                if node != 0:
                    made.join(node, 0)
        change = held(made, 0, 4, [5, 6], False, *said)
        # Those that are not told may have followed the others by then.
        until(lambda: all(made.epochs()[node] == 1 for node in range(5)), made.epochs)
        made.kill(0, 5, 6)
        assert change.found().code != 0
        made.start_all([0, 5, 6])
        made.until_all_are_in(1)
        made.master = made.status(0)["master_public_key"]
        made.first_key = made.key(0)
        same_key(made)


def test_two_die_while_many_derive(seven):
    dead = threading.Event()
    begun = threading.Semaphore(0)

    def derive(worker):
        found = []
        while not dead.is_set() or len(found) < 3:
            begun.release()
            found.append(seven.key(worker % 5))
        return found

    with ThreadPoolExecutor(6) as workers:
        running = [workers.submit(derive, worker) for worker in range(6)]
        for _ in range(12):
            begun.acquire()
        seven.kill(5, 6)
        dead.set()
        found = {key for one in running for key in one.result()}
    assert found == {seven.first_key}


def parted(nodes, *away):
    """What they were just asked reaches them; nothing else does, and nothing comes from them, not even an end."""
    nodes.wires.part(*away)
    for node in away:
        nodes.wires[node].release()


def test_members_fall_silent_in_the_rounds_of_a_resharing(seven):
    before = epoch(seven)
    # After all have dealt: whoever deals asks each member itself.
    for node, question in ((6, 2), (5, 2), (4, 3)):
        seven.wires[node].hold(question, 0)
    change = Later(lambda: seven.reshare(0))
    for away in ([6], [5, 6], [4, 5, 6]):
        seven.wires[away[0]].wait_until_held()
        parted(seven, *away)
    same_key(seven, 0)
    done = change.found()
    assert done.code == 0, done.err
    assert [node for node in SEVEN if f"node {node} has not heard of it" in done.out] == [4, 5, 6], done
    same_key(seven, *range(4))
    seven.wires.heal()
    seven.until_all_are_in(before + 1)
    same_key(seven)


def test_a_member_that_falls_silent_at_the_beginning_is_named(seven):
    before = epoch(seven)
    change = held(seven, 0, 0, [6], False)
    parted(seven, 6)
    done = change.found()
    assert done.code == 3 and "node 6" in done.err and "nothing was changed" in done.err, done
    seven.wires.heal()
    assert set(seven.epochs().values()) == {before}
    until(lambda: seven.derive(6).code == 0, lambda: seven.derive(6))


def test_a_node_that_was_stopped_delays_nobody(seven):
    stopped = seven.nodes[6].process
    stopped.send_signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        with ThreadPoolExecutor(4) as several:
            asked = [several.submit(seven.nodes[0].request, "POST", "/v1/threshold/challenges") for _ in range(24)]
            assert [one.result().status for one in asked] == [201] * 24
        same_key(seven, 0, 1)
        # One that waited for it each time, one after the other, would take two seconds for each.
        assert time.monotonic() - begun < 24
    finally:
        stopped.send_signal(signal.SIGCONT)
    until(lambda: len(Request(seven).nonces) == 7, lambda: Request(seven).nonces)
    same_key(seven, 6)


def test_one_is_parted_from_the_others(seven):
    before = epoch(seven)
    seven.wires.part(6)
    same = [seven.key(node) for node in range(6)]
    assert set(same) == {seven.first_key}, "derivations go on"
    done = seven.reshare(0, "--remove", "6")
    assert done.code == 0, done.err
    assert seven.status(6)["epoch"] == before, "it hears of nothing"
    seven.wires.heal()
    until(lambda: seven.status(6)["epoch"] == before + 1, seven.epochs)
    assert not seven.status(6)["holds_share"]
    assert seven.key(6) == seven.first_key, "it has no share, and asks those that have one"
    seven.join(6, 0)
    done = seven.reshare(0, "--add", "6")
    assert done.code == 0, done.err
    seven.until_all_are_in(before + 2)
    same_key(seven)
