"""The whole life of a key manager on a real chain: bootstrap, a second server that joins, restarts, another epoch, and
what it signs as contracts verify it."""

import hashlib
import urllib.parse

import pytest
from endpoints import until
from evm import ZERO, Anvil
from harness import attestry, request
from key_managers import (
    APP_DATA,
    JSON,
    ask,
    asked_to_join,
    bootstrapped,
    bound_digest,
    help_newcomer,
    joined,
    list_machine,
    managers,
    onboard,
    put_in_force,
    quote_facts,
    report_data,
    sealkey,
    unhex,
    wait_for_state,
)
from registry import ethereum_address
from workload import forge

WEB = "web.dstack.svc.cluster.local"


@pytest.fixture(scope="module")
def chain():
    with Anvil() as node:
        yield node


@pytest.fixture
def contract(chain):
    return chain.deploy("KeyManager")


@pytest.fixture
def start(tmp_path, chain, contract):
    with managers(tmp_path, chain, contract, **{"keymanager.sources": f"127.0.0.1={WEB}"}) as starter:
        yield starter


def test_keymanager_server_life_of_two_members(chain, contract, start):
    first, second = start("first"), start("second")
    assert request(first.apps, "GET", "/sealkey").status == 503
    made = bootstrapped(first, contract)
    assert contract.call("xPub") == made["addr"].lower() and contract.call("epoch") == 1
    key = sealkey(first)

    assert request(second.apps, "GET", "/sealkey").status == 503
    assert request(second.apps, "GET", f"/attest/{APP_DATA}").status == 503
    member = joined(first, second, contract, chain.accounts[1])
    assert contract.call("memberAllowed", member["addr"].lower()) is True
    assert sealkey(second) == key

    for server in (first, second):
        assert server.terminate() == 0, server.output
    for server in (start("first"), start("second")):
        wait_for_state(server, "member")
        assert sealkey(server) == key


def sealing(server, step=""):
    reply = server.call("POST" if step else "GET", f"/v1/tenants/default/sealing{step}")
    assert reply.status == 200, reply
    return reply.json()


def test_keymanager_server_keeps_its_master_when_the_sealing_keys_turn(contract, start):
    """The old keys are erased, and what was sealed under them is there nevertheless."""
    server = start("first")
    bootstrapped(server, contract)
    key, pending = sealkey(server), ask(server, "POST", "/bootstrap?rotate=true")
    assert sealing(server, "/rotate")["values_left"] >= 2
    until(lambda: sealing(server)["phase"] == "settled")
    sealing(server, "/retire")
    until(lambda: sealing(server)["phase"] == "settled")
    assert server.terminate() == 0, server.output
    again = start("first")
    wait_for_state(again, "member")
    assert sealkey(again) == key
    assert ask(again, "POST", "/bootstrap?rotate=true") == pending


def test_keymanager_server_leaves_of_a_life(chain, contract, start):
    first, second = start("first"), start("second")
    bootstrapped(first, contract)
    joined(first, second, contract, chain.accounts[1])
    names = [[leaf["type"] for leaf in server.leaves()] for server in (first, second)]
    ours = [[name for name in one if name.startswith("keymanager.")] for one in names]
    assert ours == [["keymanager.bootstrap", "keymanager.onboard"], ["keymanager.join"]]


def test_keymanager_server_attestations_are_verified_by_the_contract(contract, start):
    server = start("first")
    bootstrapped(server, contract)
    made = request(server.apps, "GET", f"/attest/{APP_DATA}?purpose=tls", headers=JSON).json()
    assert made["signer"].lower() == contract.call("xPub")
    data = unhex(APP_DATA)
    sig = unhex(made["sig_vrs"])
    assert contract.call("verify(string,bytes32,bytes)", WEB, data, sig) is True
    assert contract.call("verifyAttestation", WEB, data, sig) is True
    assert contract.call("verifyAttestation", "other", data, sig) is False
    assert unhex(made["sig_rsv"]) == sig[1:] + sig[:1]
    bound = made["bound"]
    said = (WEB, "tls", data, bound["expires"])
    assert contract.call("verifyBound", *said, unhex(bound["sig_vrs"])) is True
    assert contract.call("verifyBound", WEB, "ssh", data, bound["expires"], unhex(bound["sig_vrs"])) is False
    assert unhex(bound["digest"]) == bound_digest(contract, WEB, made)
    plain = request(server.apps, "GET", f"/attest/{APP_DATA}")
    assert plain.text == made["sig_vrs"], "text is what the first generation's contract takes"
    tagged = request(server.apps, "GET", f"/attest/{WEB}%2Ftls/0102")
    app_data = request(server.apps, "GET", f"/appdata/{WEB}%2Ftls/0102").body
    assert len(tagged.body) == 65 and len(app_data) == 32
    assert contract.call("verify(bytes32,bytes)", app_data, tagged.body) is True


def test_keymanager_server_another_epoch(chain, contract, start):
    first, second = start("first"), start("second")
    bootstrapped(first, contract)
    joined(first, second, contract, chain.accounts[1])
    before = sealkey(first)

    made = ask(first, "POST", "/bootstrap?rotate=true")
    assert made["epoch"] == 2
    assert ask(first, "POST", "/bootstrap?rotate=true") == made, "the same until the owner has decided"
    assert sealkey(first) == before
    arguments = [made["addr"].lower(), unhex(made["sig"]), unhex(made["evidence_sha256"]), unhex(made["quote"])]
    contract.send("rotate", *arguments)
    wait_for_state(second, "not-joined")
    status = wait_for_state(first, "member")
    while status["epoch"] != 2:
        status = wait_for_state(first, "member")
    after = sealkey(first)
    assert after != before
    assert sealkey(first, "/sealkey?epoch=1") == before, "what was sealed before can be opened"

    assert request(second.apps, "GET", "/sealkey").status == 503
    assert request(second.apps, "GET", "/sealkey?epoch=1").status == 503
    again = asked_to_join(second, contract, chain.accounts[2])
    answer = help_newcomer(first, again)
    assert answer.status == 200, answer
    onboard(contract, again, answer.json())
    ask(second, "POST", f"/register/{answer.json()['ciph']}")
    wait_for_state(second, "member")
    assert sealkey(second) == after


def test_keymanager_server_takes_no_machine_of_which_nobody_knows_the_kernel(chain, contract, start):
    """MRTD, RTMR0, RTMR3 and a root file system that nobody measures leave out what RTMR1 and RTMR2 say."""
    first, second = start("first", **{"keymanager.policy": "default"}), start("second")
    bootstrapped(first, contract)
    made = asked_to_join(second, contract, chain.accounts[1])
    quote = unhex(made["quote"])
    list_machine(contract, first, quote)
    refused = help_newcomer(first, made)
    assert refused.status == 403 and "firmware" in refused.json()["detail"], refused
    rootfs = b"\x17" * 32
    contract.send("set_mrtd", rootfs, quote[184:232], quote[376:424], quote[520:568], True)
    assert help_newcomer(first, made).status == 403, "which root file system, nobody said"
    refused = help_newcomer(first, made, rootfs=rootfs.hex())
    assert refused.status == 403 and "keymanager.machine_suffices" in refused.text, refused
    assert first.terminate() == 0, first.output
    first = start("first", **{"keymanager.policy": "default", "keymanager.machine_suffices": "true"})
    wait_for_state(first, "member")
    assert "keymanager.machine_suffices: whatever kernel" in first.output
    answer = help_newcomer(first, made, rootfs=rootfs.hex())
    assert answer.status == 200, answer
    onboard(contract, made, answer.json())


def test_keymanager_server_takes_a_listed_machine_whose_kernel_the_policy_names(chain, contract, start):
    first, second = start("first"), start("second")
    bootstrapped(first, contract)
    made = asked_to_join(second, contract, chain.accounts[1])
    quote = unhex(made["quote"])
    fmspc, rootfs = quote_facts(first, quote)[0], b"\x17" * 32
    contract.send("allowTcb", fmspc, 0, 0b11)
    contract.send("set_mrtd", rootfs, quote[184:232], quote[376:424], quote[520:568], True)
    answer = help_newcomer(first, made, rootfs=rootfs.hex())
    assert answer.status == 200, answer
    onboard(contract, made, answer.json())


def test_keymanager_server_asks_and_receives_by_its_key_alone(chain, contract, start):
    """The replicatoor's routes between two servers of ours: their evidence names contract and epoch, as everywhere."""
    first, second = start("first"), start("second")
    bootstrapped(first, contract)
    made = request(second.host, "POST", "/requestKey").json()
    quote, box_key = unhex(made["quote"]), unhex(made["pubk"])
    said = report_data(contract, "Newcomer", ZERO, box_key, 1)
    assert quote[568:632] == said, "not the replicatoor's, which names neither"
    list_machine(contract, first, quote)
    form = urllib.parse.urlencode(made).encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert request(first.host, "POST", "/onboard", form, kind).status == 403, "the contract has not heard of it"
    contract.send("register(bytes32)", box_key)
    head = hashlib.sha256(b"request:" + box_key).digest()
    old = forge(first.seed, hashlib.sha512(head + bytes(32)).digest())
    body = {"pubk": box_key.hex(), "quote": old.hex()}
    assert request(first.host, "POST", "/onboard", body, JSON).status == 422, "of any contract and epoch"
    box = request(first.host, "POST", "/onboard", form, kind)
    assert box.status == 200 and len(unhex(box.text)) == 80, box
    answer = request(first.host, "POST", "/onboard", form, {**kind, **JSON}).json()
    contract.send(
        "onboard(bytes32,bytes16,bytes32,bytes,bytes)",
        box_key,
        *(unhex(answer[name]) for name in ("fmspc", "mrtd", "ciph", "sig")),
    )
    assert request(second.host, "POST", "/receiveKey", answer["ciph"].encode()).text == "Loaded encrypted state"
    wait_for_state(second, "member")
    assert sealkey(second) == sealkey(first)


def test_keymanager_server_masters_are_of_one_contract_and_dialect(chain, contract, start):
    """An epoch's number, and even xPub, may be the same elsewhere."""
    first = start("first")
    made = bootstrapped(first, contract)
    key = sealkey(first)
    assert first.terminate() == 0, first.output
    other = chain.deploy("KeyManager")
    other.send("bootstrap", made["addr"].lower())
    moved = start("first", **{"keymanager.contract": other.address})
    wait_for_state(moved, "not-joined")
    assert request(moved.apps, "GET", "/sealkey").status == 503
    assert "keys of another contract, chain or dialect" in moved.output
    assert ask(moved, "POST", "/register")["epoch"] == 1, "and it may join there"
    assert moved.terminate() == 0, moved.output
    spoken = start("first", **{"keymanager.compat": "dstack-vm"})
    wait_for_state(spoken, "not-joined")
    assert spoken.terminate() == 0, spoken.output
    again = start("first")
    wait_for_state(again, "member")
    assert sealkey(again) == key


def test_keymanager_server_keeps_a_master_that_lost_in_a_block_that_is_not_final(chain, contract, start):
    """Another history of the chain may put it in force; then it must still be there."""
    first = start("first")
    made = ask(first, "POST", "/bootstrap")
    before = chain.rpc("evm_snapshot")
    contract.send("bootstrap", ethereum_address(b"\x46" * 32))
    wait_for_state(first, "not-joined")
    assert first.terminate() == 0, first.output
    assert chain.rpc("evm_revert", before) is True
    # A history that contradicts what was seen is an outage, until an operator says that it may be believed.
    first = start("first", **{"registry.floor": "forgotten"})
    wait_for_state(first, "bootstrapped")
    assert ask(first, "POST", "/bootstrap") == made
    put_in_force(contract, made)
    wait_for_state(first, "member")


def test_keymanager_server_forgets_a_master_that_lost_for_good(chain, contract, start):
    chain.rpc("anvil_mine", "0x60")
    first = start("first", **{"keymanager.finality": "finalized"})
    made = ask(first, "POST", "/bootstrap")
    contract.send("bootstrap", ethereum_address(b"\x46" * 32))
    chain.rpc("anvil_mine", "0x60")
    wait_for_state(first, "not-joined")
    assert first.terminate() == 0, first.output
    first = start("first", **{"keymanager.finality": "finalized"})
    wait_for_state(first, "not-joined")
    again = ask(first, "POST", "/bootstrap?rotate=true")
    assert (again["epoch"], again["addr"] == made["addr"]) == (2, False)


def test_keymanager_server_bootstrap_by_get_and_in_text(contract, start):
    server = start("first")
    text = request(server.host, "GET", "/bootstrap").text
    made = ask(server, "GET", "/bootstrap")
    assert text == f"Bootstrap key: {made['addr']}\n     quote: {made['quote'][2:]}"
    put_in_force(contract, made)
    wait_for_state(server, "member")
    assert request(server.host, "POST", "/bootstrap").status == 409


def test_keymanager_server_life_stands_an_audit(chain, contract, start, tmp_path):
    """What the servers left on the chain is verified again by the command, with the vendor's root alone."""
    first, second = start("first"), start("second")
    made = ask(first, "POST", "/bootstrap")
    list_machine(contract, first, unhex(made["quote"]))
    put_in_force(contract, made)
    wait_for_state(first, "member")
    joined(first, second, contract, chain.accounts[1])
    case = tmp_path / "case"
    assert attestry("forge", "--seed", start.seed, "--out", case).code == 0
    trust = ["--trust", case / "root.pem", "--collateral", case / "collateral.json"]
    trust += ["--policy", tmp_path / "managers.json"]
    where = ["--network", "local", "--rpc", chain.url]
    done = attestry("keymanager", "audit", contract.address, *where, *trust, "--format", "json")
    assert done.code == 0, done
    steps = [(step["kind"], step["outcome"]) for step in done.json()["steps"]]
    assert {outcome for _, outcome in steps} == {"accepted"} and len(steps) >= 2, steps


def test_keymanager_server_knows_networks_by_name(contract, start, tmp_path):
    unsaid = {"keymanager.chain_id": None, "keymanager.finality": None}
    server = start("first", **unsaid, **{"keymanager.network": "local"})
    bootstrapped(server, contract)
    for wrong in ({"keymanager.network": "goerli"}, {"keymanager.network": "local", "keymanager.chain_id": 5}):
        with pytest.raises(AssertionError, match=r"keymanager\.(network|chain_id)"):
            start("wrong", **wrong)
