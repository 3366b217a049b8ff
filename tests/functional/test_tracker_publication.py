"""What a tracker's ledger has of its members, on a real chain: published, taken over by a second tracker, added up."""

import hashlib
import http.client
import threading

import pytest
from endpoints import Endpoint, until
from evm import Anvil
from harness import attestry
from reputations import ALICE, World, contract

from tracker import Member

PIECE = 16384


@pytest.fixture(scope="module")
def node():
    with Anvil() as chain:
        yield chain


@pytest.fixture
def world(node, tmp_path):
    made = World(node, tmp_path)
    yield made
    for tracker in made.running:
        assert tracker.server.terminate() == 0, tracker.server.output


def published(answer):
    assert answer.status == 200, answer
    assert answer.json()["refused"] == [], answer
    return {one["username"]: (one["download_size"], one["upload_size"]) for one in answer.json()["published"]}


def sums(reputation, name):
    return reputation.call("getUserData", name)[3:]


def exchange(tracker, *indexes, giver="alice", taker="bob"):
    giver, taker = Member(giver), Member(taker)
    answer = tracker.report(giver, [taker.receipt(giver, index) for index in indexes])
    assert answer["verified_receipts"] == len(indexes), answer


def joined(tracker, *names):
    for name in names:
        tracker.register(Member(name))
    return tracker


def test_what_the_ledger_has_is_published_and_no_more_than_once(world):
    tracker = joined(world.start("one", world.one), "alice", "bob", "idle")
    assert tracker.post("/contract/publish", {}).status == 401
    assert contract(tracker, "publish").status == 400, "no reputation yet"
    reputation = world.reputation(contract(tracker, "init"))
    assert published(contract(tracker, "publish")) == {}
    exchange(tracker, 1, 2, 3)
    # Nobody who did nothing is worth the gas.
    assert published(contract(tracker, "publish")) == {"alice": (0, 3 * PIECE), "bob": (3 * PIECE, 0)}
    assert reputation.call("getUserData", "alice")[1:3] == ("", hashlib.sha256(Member("alice").key).digest())
    height = world.chain.height
    assert published(contract(tracker, "publish")) == {}
    assert world.chain.height == height
    exchange(tracker, 4)
    assert published(contract(tracker, "publish", username="alice")) == {"alice": (0, 4 * PIECE)}
    assert (sums(reputation, "alice"), sums(reputation, "bob")) == ((0, 4 * PIECE), (3 * PIECE, 0))
    assert published(contract(tracker, "publish", after="alice")) == {"bob": (4 * PIECE, 0)}
    assert contract(tracker, "publish", username="mallory").status == 404
    assert contract(tracker, "publish", username=1).status == 400


def test_what_an_operator_says_is_gone_on_with(world):
    tracker = joined(world.start("one", world.one), "alice", "bob")
    reputation = world.reputation(contract(tracker, "init"))
    contract(tracker, "register", **ALICE, upload_size=1000)
    exchange(tracker, 1)
    assert published(contract(tracker, "publish", username="alice")) == {"alice": (0, 1000 + PIECE)}
    # He takes something away from her; what she earns from then on counts.
    assert contract(tracker, "update", username="alice", download_size=0, upload_size=10).status == 200
    assert published(contract(tracker, "publish", username="alice")) == {}
    exchange(tracker, 2)
    assert published(contract(tracker, "publish", username="alice")) == {"alice": (0, 10 + PIECE)}
    assert sums(reputation, "alice") == (0, 10 + PIECE)


def test_an_entry_of_another_key_is_not_written(world):
    tracker = joined(world.start("one", world.one), "bob")
    world.reputation(contract(tracker, "init"))
    contract(tracker, "register", **ALICE, upload_size=1000)
    joined(tracker, "alice")
    exchange(tracker, 1)
    refused = contract(tracker, "publish", username="alice")
    assert refused.status == 403 and "not known to be this member's" in refused.text
    everybody = contract(tracker, "publish").json()
    assert [one["username"] for one in everybody["refused"]] == ["alice"]
    assert [one["username"] for one in everybody["published"]] == ["bob"]
    assert contract(tracker, "update", username="alice", download_size=0, upload_size=1000 + PIECE).status == 200
    exchange(tracker, 2)
    assert published(contract(tracker, "publish", username="alice")) == {"alice": (0, 1000 + 2 * PIECE)}


def test_a_second_tracker_adds_to_what_the_first_one_published(world):
    first = joined(world.start("one", world.one), "alice", "bob")
    former = world.reputation(contract(first, "init"))
    exchange(first, 1, 2)
    published(contract(first, "publish"))
    world.factory.send("setAttested", world.one.address, former.call("attestation"), sender=world.governance)
    second = joined(world.start("two", world.two), "alice", "bob", "carol")
    successor = world.reputation(contract(second, "init", referrer_address=former.address))
    exchange(second, 5)
    exchange(second, 6, taker="carol")
    # Alice is taken over as she is published; Carol is new; Bob has moved by himself, as anybody may have him moved.
    successor.send("migrateUserData", "bob", sender=world.three)
    told = {"alice": (0, 4 * PIECE), "bob": (3 * PIECE, 0), "carol": (PIECE, 0)}
    assert published(contract(second, "publish")) == told
    assert {name: sums(successor, name) for name in told} == told
    assert published(contract(second, "publish")) == {}
    # Who has taken a name there in which another has a reputation gets none of it.
    world.factory.send("setAttested", world.one.address, bytes(32), sender=world.governance)
    joined(second, "dave")
    exchange(second, 7, taker="dave")
    refused = contract(second, "publish", username="dave")
    assert refused.status == 403 and "Referrer is not trusted" in refused.text


def standing_of(tracker, name):
    """Up and down from before, the same here, and the ratio (None: infinite)."""
    found = tracker.call("GET", f"/user/{name}").json()
    members = ("former_uploaded", "former_downloaded", "total_uploaded", "total_downloaded", "ratio")
    return tuple(found[member] for member in members)


def former_of(tracker, name):
    """Up and down from before. Unlike a look at the member, an empty report has nothing asked of the chain."""
    answer = tracker.report(Member(name), [])
    return answer["former_uploaded"], answer["former_downloaded"]


def test_a_reputation_outlives_its_tracker(world):
    first = joined(world.start("one", world.one), "alice", "bob", "carol")
    former = world.reputation(contract(first, "init"))
    exchange(first, 1, 2)
    exchange(first, 3, giver="carol")
    published(contract(first, "publish"))
    world.factory.send("setAttested", world.one.address, former.call("attestation"), sender=world.governance)
    with Endpoint(world.chain) as endpoint:
        url = endpoint.url
        second = joined(world.start("two", world.two, rpc=[url]), "alice", "bob")
        # Whoever takes a name there in which another has a reputation gets none of it.
        thief = Member("mallory")
        thief.name = "carol"
        second.register(thief)
        assert standing_of(second, "alice") == (0, 0, 0, 0, 1.0)
        assert b"peers" in second.announce(1, user_id="bob", event="started")
        contract(second, "init", referrer_address=former.address)
        # Nobody has to be taken over for that, and no request waits for the chain.
        until(lambda: standing_of(second, "alice") == (2 * PIECE, 0, 0, 0, None))
        until(lambda: standing_of(second, "bob") == (0, 3 * PIECE, 0, 0, 0.0))
        low = second.announce(1, user_id="bob", event="started")
        assert low == {b"failure reason": b"Insufficient ratio: 0.00 < 0.5"}
        for name in ("alice", "carol"):
            assert contract(second, "migrate", username=name).status == 200
        assert standing_of(second, "alice") == (2 * PIECE, 0, 0, 0, None)
        assert standing_of(second, "carol") == (0, 0, 0, 0, 1.0)
        # What she does here is added, and what is published here is not from before.
        exchange(second, 5)
        answer = second.report(Member("bob"), [Member("alice").receipt(Member("bob"), 6)])
        assert (answer["total_uploaded"], answer["former_downloaded"], answer["ratio"]) == (PIECE, 3 * PIECE, 0.25)
        assert published(contract(second, "publish", username="alice")) == {"alice": (PIECE, 3 * PIECE)}
        alice, bob = (2 * PIECE, 0, PIECE, PIECE, 3.0), (0, 3 * PIECE, PIECE, PIECE, 0.25)
        assert (standing_of(second, "alice"), standing_of(second, "bob")) == (alice, bob)
        second.server.terminate()
        world.running.remove(second)
    second = world.start("two", world.two, rpc=[url])
    assert contract(second, "publish").status == 503, "the chain is away"
    assert (standing_of(second, "alice"), standing_of(second, "bob")) == (alice, bob)
    low = second.announce(1, user_id="bob", event="started")
    assert low == {b"failure reason": b"Insufficient ratio: 0.25 < 0.5"}


def test_who_comes_while_the_chain_is_away_is_asked_about_later(world):
    first = joined(world.start("one", world.one), "alice", "bob")
    former = world.reputation(contract(first, "init"))
    exchange(first, 1)
    published(contract(first, "publish"))
    world.factory.send("setAttested", world.one.address, former.call("attestation"), sender=world.governance)
    away, failed = threading.Event(), threading.Event()

    def change(method, parameters, answer):
        if not away.is_set():
            return answer
        failed.set()
        return {"error": {"code": -32000, "message": "the node is overloaded"}}

    with Endpoint(world.chain) as endpoint:
        endpoint.change = change
        second = world.start("two", world.two, rpc=[endpoint.url])
        contract(second, "init", referrer_address=former.address)
        away.set()
        joined(second, "alice")
        assert failed.wait(60)
        assert former_of(second, "alice") == (0, 0)
        away.clear()
        until(lambda: former_of(second, "alice") == (PIECE, 0))


def test_who_is_moved_as_the_chain_goes_away_is_looked_at_when_it_is_back(world):
    first = joined(world.start("one", world.one), "alice", "bob")
    former = world.reputation(contract(first, "init"))
    exchange(first, 1)
    published(contract(first, "publish"))
    world.factory.send("setAttested", world.one.address, former.call("attestation"), sender=world.governance)
    sent = threading.Event()

    def change(method, parameters, answer):
        if method == "eth_sendRawTransaction":
            sent.set()
        if method == "eth_call" and sent.is_set():
            return {"error": {"code": -32000, "message": "the node is overloaded"}}
        return answer

    with Endpoint(world.chain) as endpoint:
        second = world.start("two", world.two, rpc=[endpoint.url])
        contract(second, "init", referrer_address=former.address)
        joined(second, "alice")
        until(lambda: former_of(second, "alice") == (PIECE, 0))
        exchange(first, 2)
        published(contract(first, "publish"))
        endpoint.change = change
        assert contract(second, "migrate", username="alice").status == 503
        assert former_of(second, "alice") == (PIECE, 0)
        endpoint.change = None
        # Nobody has to ask, and it is no matter that she was asked for a moment ago.
        until(lambda: former_of(second, "alice") == (2 * PIECE, 0))


def test_a_killed_publication_is_paid_for_once(world):
    tracker = joined(world.start("one", world.one), "alice", "bob")
    reputation = world.reputation(contract(tracker, "init"))
    exchange(tracker, 1, 2)
    sent, dead = threading.Event(), threading.Event()

    def change(method, parameters, answer):
        # The transaction is on the chain, and nobody hears of it.
        if method == "eth_sendRawTransaction":
            sent.set()
            dead.wait()
        return answer

    tracker.server.terminate()
    world.running.remove(tracker)
    with Endpoint(world.chain) as endpoint:
        endpoint.change = change
        tracker = world.start("one", world.one, rpc=[endpoint.url])
        world.running.remove(tracker)
        lost = threading.Thread(target=lambda: _drop(tracker, "alice"))
        lost.start()
        assert sent.wait(60)
        tracker.server.kill()
        dead.set()
        lost.join()
    assert sums(reputation, "alice") == (0, 2 * PIECE)
    tracker = world.start("one", world.one)
    exchange(tracker, 3)
    assert published(contract(tracker, "publish", username="alice")) == {"alice": (0, 3 * PIECE)}
    assert sums(reputation, "alice") == (0, 3 * PIECE)


def _drop(tracker, name):
    try:
        contract(tracker, "publish", username=name)
    except (OSError, http.client.HTTPException):
        return
    raise AssertionError("it was to die")


def test_every_transaction_is_in_the_log_before_it_is_sent(world):
    tracker = joined(world.start("one", world.one), "alice", "bob")
    seen = []
    before = world.chain.height
    contract(tracker, "init")
    contract(tracker, "register", **ALICE)
    exchange(tracker, 1)
    contract(tracker, "publish")
    for number in range(before + 1, world.chain.height + 1):
        block = world.chain.rpc("eth_getBlockByNumber", hex(number), False)
        seen += [world.chain.rpc("eth_getRawTransactionByHash", one) for one in block["transactions"]]
    logged = [leaf["reply"] for leaf in tracker.server.leaves() if leaf["type"] == "tracker.contract"]
    assert len(seen) == 4  # the contract, alice by the operator and by the ledger, bob
    assert logged == [hashlib.sha256(bytes.fromhex(raw[2:])).hexdigest() for raw in seen]
    # What a contract refuses was never sent.
    assert contract(tracker, "register", **ALICE).status == 403
    assert len([leaf for leaf in tracker.server.leaves() if leaf["type"] == "tracker.contract"]) == 4


def test_commands_say_what_came_of_it(world, tmp_path):
    def run(tracker, *words, token=True):
        flags = ["--token-file", tracker.server.data / "admin.token"] if token else []
        return attestry("tracker", "reputation", *words, "--server", tracker.url, *flags)

    with Endpoint(world.chain) as endpoint:
        tracker = joined(world.start("one", world.one, rpc=[endpoint.url]), "bob")
        early = run(tracker, "publish")
        assert (early.code, "Call /contract/init first" in early.err) == (2, True), early
        made = run(tracker, "init", "--format", "json").json()
        assert run(tracker, "show", token=False).out.endswith(f"contract {made['reputation_address']}\n")
        assert run(tracker, "publish", "--least", 0).out == "the contract has what the tracker has\n"
        contract(tracker, "register", **ALICE)
        joined(tracker, "alice")
        exchange(tracker, 1)
        # That is not worth the gas of strangers, unless the operator says so.
        few = run(tracker, "publish")
        assert (few.code, "less than 1048576 bytes" in few.out) == (0, True), few
        # One is refused, the other published nevertheless.
        done = run(tracker, "publish", "--least", PIECE)
        assert done.code == 1 and "alice  refused: the entry of alice" in done.out, done
        assert f"bob  0 up, {PIECE} down  0x" in done.out
        joined(tracker, "carol", "dave")
        exchange(tracker, 5, giver="carol", taker="dave")
        some = run(tracker, "publish", "--least", 1, "--most", 1)
        assert "carol" in some.out and "dave" not in some.out and "--most" in some.out, some
        assert run(tracker, "show", "bob", token=False).out.startswith(f"bob  0 up, {PIECE} down, at 0x")
        assert run(tracker, "show", "erin", token=False).code == 1
        moved = run(tracker, "migrate", "bob")
        assert (moved.code, "User exists" in moved.err) == (1, True), moved
        wrong = tmp_path / "wrong.token"
        wrong.write_text("another\n")
        stranger = attestry("tracker", "reputation", "publish", "--server", tracker.url, "--token-file", wrong)
        assert stranger.code != 0 and "token" in stranger.err, stranger
    exchange(tracker, 2)
    assert run(tracker, "publish", "--least", 0).code == 3, "an outage is no refusal"
    far = attestry("tracker", "reputation", "publish", "--server", "http://tracker.test", "--token-file", wrong)
    assert far.code == 2 and "https" in far.err, far


def test_an_outage_of_the_chain_is_no_refusal(world):
    with Endpoint(world.chain) as endpoint:
        tracker = joined(world.start("one", world.one, rpc=[endpoint.url]), "alice", "bob")
        contract(tracker, "init")
        exchange(tracker, 1)
        url = endpoint.url
    away = contract(tracker, "publish")
    assert away.status == 503, (url, away)
    assert (away.json()["published"], away.json()["refused"]) == ([], [])


def test_strangers_questions_stop_no_publication(world):
    held, go = threading.Semaphore(0), threading.Event()

    def change(method, parameters, answer):
        if method == "eth_call" and b"mallory".hex() in parameters[0]["data"]:
            held.release()
            go.wait()
        return answer

    with Endpoint(world.chain) as endpoint:
        endpoint.change = change
        tracker = joined(world.start("one", world.one, rpc=[endpoint.url]), "alice", "bob")
        world.reputation(contract(tracker, "init"))
        exchange(tracker, 1)
        answers = []
        strangers = [
            threading.Thread(target=lambda: answers.append(tracker.call("GET", "/contract/user/mallory").status))
            for _ in range(72)
        ]
        for one in strangers:
            one.start()
        assert held.acquire(timeout=60)
        until(lambda: answers.count(503) >= 4)
        assert published(contract(tracker, "publish")) == {"alice": (0, PIECE), "bob": (PIECE, 0)}
        go.set()
        for one in strangers:
            one.join()
        assert set(answers) == {404, 503}
