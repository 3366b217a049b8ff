"""Seven nodes of a threshold root, and what happens to them: machines go in every round of a change, a network parts. The key
stays the same all the time. Moments are certain, because a wire before each node holds the question or the answer."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from threshold import cluster, until
from wires import Wires

SEVEN = range(7)
FIRST_ROUNDS = ["offer", "deal", "check", "store", "activate"]
ROUNDS = ["offer", "deal", "store", "activate"]


class Later:
    """What a thread found."""

    def __init__(self, what, *arguments):
        self._thread = threading.Thread(target=self._run, args=(what, *arguments))
        self._thread.start()

    def _run(self, what, *arguments):
        self._found = what(*arguments)

    def found(self):
        self._thread.join()
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
        if node not in shared.nodes:
            shared.start(node)


def held(nodes, leader, question, victims, answers, *arguments):
    """A change that has come to where its victims are asked that question, or have answered it."""
    for node in victims:
        nodes.wires[node].hold(question, answers)
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
    after = before if ROUNDS[question] == "offer" else before + 1
    assert done.code == (3 if after == before else 0), done
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
    assert done.code == 0, done
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
        until(lambda: set(made.epochs().values()) == {0, 1}, made.epochs)
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


def test_one_is_parted_from_the_others(seven):
    before = epoch(seven)
    seven.wires.part(6)
    same = [seven.key(node) for node in range(6)]
    assert set(same) == {seven.first_key}, "derivations go on"
    done = seven.reshare(0, "--remove", "6")
    assert done.code == 0, done
    assert seven.status(6)["epoch"] == before, "it hears of nothing"
    seven.wires.heal()
    until(lambda: seven.status(6)["epoch"] == before + 1, seven.epochs)
    assert not seven.status(6)["holds_share"]
    assert seven.key(6) == seven.first_key, "it has no share, and asks those that have one"
    seven.join(6, 0)
    done = seven.reshare(0, "--add", "6")
    assert done.code == 0, done
    seven.until_all_are_in(before + 2)
    same_key(seven)
