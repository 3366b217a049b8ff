"""A tracker's reputations on a real chain: the factory that is deployed from the command line, and what the tracker writes."""

import pytest
from endpoints import Endpoint, as_before
from evm import ZERO, Anvil
from harness import attestry, start_dev
from reputations import ALICE, DAY, World, contract, key_file, status_of

from tracker import Member, Tracker


@pytest.fixture(scope="module")
def node():
    with Anvil() as chain:
        yield chain


def deploy(node, folder, *more, rpc=()):
    urls = [part for url in rpc or [node.url] for part in ("--rpc", url)]
    key = key_file(folder, node.accounts[0])
    governance = ["--governance", node.accounts[1].address]
    chain = ["--network", "local", "--format", "json"]
    return attestry("tracker", "deploy", *governance, *chain, *urls, "--key", key, *more)


def test_tracker_deploy_compares_the_code_on_the_chain(node, tmp_path):
    done = deploy(node, tmp_path)
    assert done.code == 0, done
    made = done.json()
    assert made["code_verified"] and made["kind"] == "reputation factory"
    factory = node.contract("ReputationFactory", made["contract"])
    assert factory.call("governance") == node.accounts[1].address
    assert factory.call("recoveryDelay") == made["recovery_delay"] == 7 * DAY


def test_tracker_deploy_refuses_a_short_delay(node, tmp_path):
    assert deploy(node, tmp_path, "--delay", DAY - 1).code == 2


def test_tracker_deploy_refuses_another_code(node, tmp_path):
    def change(method, parameters, answer):
        # One byte of the code, as an endpoint says that puts a door of its own into it.
        code = answer.get("result")
        if method == "eth_getCode" and len(code) > 2000:
            return {"result": code[:200] + ("0" if code[200] != "0" else "1") + code[201:]}
        return answer

    with Endpoint(node) as endpoint:
        endpoint.change = change
        done = deploy(node, tmp_path, rpc=[endpoint.url])
    assert done.code != 0
    assert "what stands on the chain is not what was sent: reputation factory" in done.err, done


@pytest.fixture
def world(node, tmp_path):
    made = World(node, tmp_path)
    yield made
    for tracker in made.running:
        assert tracker.server.terminate() == 0, tracker.server.output


NO_REPUTATION = "No Reputation contract initialized. Call /contract/init first."


def test_a_tracker_writes_its_reputation(world):
    tracker = world.start("one", world.one)
    status = status_of(tracker)
    assert (status["configured"], status["connected"], status["reputation_address"]) == (True, True, None)
    assert (status["account_address"], status["factory_address"]) == (world.one.address, world.factory.address)
    for path in ("init", "register", "update", "migrate"):
        assert tracker.post(f"/contract/{path}", {}).status == 401
    early = contract(tracker, "register", **ALICE)
    assert (early.status, early.json()["error"]) == (400, NO_REPUTATION)
    answer = contract(tracker, "init")
    reputation = world.reputation(answer)
    assert answer.json()["referrer_address"] == ZERO
    assert (reputation.call("owner"), reputation.call("frozen")) == (world.one.address, False)
    assert reputation.call("attestation") != bytes(32)
    height = world.chain.height
    again = contract(tracker, "init").json()
    assert again["reputation_address"].lower() == reputation.address and world.chain.height == height

    assert contract(tracker, "register", username="alice").json()["error"] == "Missing username or password_hash"
    assert contract(tracker, "register", username="alice", password_hash="0").status == 400
    assert contract(tracker, "register", **ALICE).json()["username"] == "alice"
    refused = contract(tracker, "register", **ALICE)
    assert refused.status == 403 and "User exists" in refused.text
    found = tracker.call("GET", "/contract/user/alice").json()
    shown = {"username": "alice", "salt": "salt", "passwordHash": "0x" + "00" * 31 + "05"}
    sums = {"downloadSize": 0, "uploadSize": 0, "ratio": None, "ratio_infinite": True}
    assert found.pop("contract_address").lower() == reputation.address
    assert found == {"success": True, "user": {**shown, **sums}}
    assert tracker.call("GET", "/contract/user/bob").status == 404

    alice, bob = Member("alice"), Member("bob")
    tracker.register(alice)
    tracker.register(bob)
    tracker.report(alice, [bob.receipt(alice, index) for index in range(3)])
    tracker.report(bob, [alice.receipt(bob, 7)])
    up, down = tracker.totals(alice)
    assert contract(tracker, "update", username="alice", upload_size=up).status == 400
    updated = contract(tracker, "update", username="alice", download_size=down, upload_size=up).json()
    assert (updated["download_size"], updated["upload_size"]) == (16384, 3 * 16384)
    assert reputation.call("getUserData", "alice")[3:] == (16384, 3 * 16384)
    assert tracker.call("GET", "/contract/user/alice").json()["user"]["ratio"] == 3.0
    missing = contract(tracker, "update", username="bob", download_size=1, upload_size=1)
    assert missing.status == 403 and "User does not exist" in missing.text

    tracker.server.terminate()
    world.running.remove(tracker)
    tracker = world.start("one", world.one)
    assert status_of(tracker)["reputation_address"] == reputation.address


def test_a_second_tracker_takes_a_member_over_from_a_trusted_referrer_only(world):
    first, second = world.start("one", world.one), world.start("two", world.two)
    former = world.reputation(contract(first, "init"))
    contract(first, "register", **ALICE, download_size=1, upload_size=5)
    height = world.chain.height
    refused = contract(second, "init", referrer_address=former.address)
    assert refused.status == 403 and "governance has not attested" in refused.text
    assert world.chain.height == height
    assert status_of(second)["reputation_address"] is None

    world.factory.send("setAttested", world.one.address, former.call("attestation"), sender=world.governance)
    former.send("freeze", sender=world.governance)
    assert "a frozen one" in contract(second, "init", referrer_address=former.address).text
    former.send("unfreeze", sender=world.governance)
    answer = contract(second, "init", referrer_address=former.address)
    assert answer.json()["referrer_address"].lower() == former.address
    successor = world.reputation(answer)
    assert "User not found" in contract(second, "migrate", username="bob").text
    assert contract(second, "migrate", username="alice").json()["success"] is True
    assert successor.call("getUserData", "alice")[3:] == (1, 5)
    assert "User exists" in contract(second, "migrate", username="alice").text
    assert contract(second, "init", referrer_address=world.factory.address).status == 409


def test_a_tracker_with_another_key_goes_on(world):
    first = world.start("one", world.one)
    reputation = world.reputation(contract(first, "init"))
    contract(first, "register", **ALICE)
    former = reputation.call("attestation")
    other = world.start("two", reputation=reputation.address)
    account = status_of(other)["account_address"]
    assert account not in {one.address for one in world.chain.accounts}
    world.chain.rpc("anvil_setBalance", account, hex(10**18))
    refused = contract(other, "init")
    assert refused.status == 403 and "belongs to another account" in refused.text
    reputation.send("transferOwnership", account, sender=world.one)
    taken = contract(other, "init").json()
    assert taken["message"] == "Reputation contract taken over"
    assert reputation.call("owner") == account
    assert reputation.call("attestation") not in (bytes(32), former)
    sums = {"username": "alice", "download_size": 2, "upload_size": 9}
    assert contract(other, "update", **sums).status == 200
    assert contract(first, "update", **sums).status == 403
    assert reputation.call("getUserData", "alice")[3:] == (2, 9)


def test_one_endpoint_that_lies_changes_nothing_and_all_of_them_no_success(world):
    with Endpoint(world.chain) as one, Endpoint(world.chain) as two, Endpoint(world.chain) as three:
        tracker = world.start("one", world.one, rpc=[one.url, two.url, three.url])
        reputation = world.reputation(contract(tracker, "init"))
        assert contract(tracker, "register", **ALICE).status == 200
        one.change = as_before(world.chain)
        assert contract(tracker, "update", username="alice", download_size=1, upload_size=3).status == 200
        assert tracker.call("GET", "/contract/user/alice").json()["user"]["uploadSize"] == 3
        two.change = three.change = as_before(world.chain)
        unseen = contract(tracker, "update", username="alice", download_size=1, upload_size=4)
        assert unseen.status == 409 and "the contract does not say so" in unseen.text
        assert reputation.call("getUserData", "alice")[3:] == (1, 4)


def test_without_a_chain_the_routes_say_what_is_missing(tmp_path):
    listen = ("--set=tracker.listen=127.0.0.1:0", "--set=tracker.plaintext=true")
    tracker = Tracker(start_dev(tmp_path / "data", *listen))
    answer = contract(tracker, "init")
    assert answer.status == 500 and answer.json()["error"].startswith("Contract not configured")
    assert tracker.server.terminate() == 0
