"""The key manager's known generations, byte for byte. Their programs and contracts are written anew here from the
descriptions of their bytes (docs/formats/keymanager.md)."""

import hashlib
import urllib.parse

import pytest
from evm import Anvil
from harness import request
from key_managers import (
    APP_DATA,
    JSON,
    ask,
    list_machine,
    managers,
    sealkey,
    unhex,
    wait_for_state,
)
from keymanager import Key, attest_digest, named_digest, onboard_digest, seed_onboard_digest
from nacl_box import sealed_box
from registry import ethereum_address

WEB = "web.dstack.svc.cluster.local"
EMITTED = (
    "2b77174d0f483e1af8678d248c89725cc4b06ad12cda5f2fbf3270069909fd97"
    "1030d33878cc31de48c25443946d77d45014377346e9c28850ab979bbc41beec1b"
)
TAGGED = (
    "1cb01492701a3a36a4997c02772cf57e10ed5d3e1bf61351493b8793859dc513"
    "5e7adcad5993ae4d05cde18d421863cd9cf8f1b186a8db32aa0bcfa940ac26d9b3"
)
FOR_CONTRACTS = (
    "1bad1445428eae884b23a7c70cb4449aea49cb754a5c3ac7d44adfa9dd6f981704"
    "2a15510f93a87539b030ca81261a127b4b06f010cc60151fff98a83418a5e0b9"
)


@pytest.fixture(scope="module")
def chain():
    with Anvil() as node:
        yield node


@pytest.fixture
def contract(chain):
    return chain.deploy("KeyManager")


def bootstrap(server, contract):
    made = ask(server, "POST", "/bootstrap")
    contract.send("bootstrap", made["addr"].lower())
    wait_for_state(server, "member")
    return made


# -- the first generation


@pytest.fixture
def first(tmp_path, chain, contract):
    settings = {"keymanager.compat": "keymanager", "keymanager.sources": f"127.0.0.1={WEB}"}
    with managers(tmp_path, chain, contract, **settings) as start:
        yield start("first")


def test_keymanager_server_first_generation_speaks_as_it_did(first, contract):
    before = request(first.apps, "GET", "/getkey")
    assert before.status == 500 and not before.text.startswith("{"), before
    text = request(first.host, "GET", "/bootstrap").text
    line, quote = text.split("\n")
    address = line.removeprefix("Bootstrap key: ")
    assert quote.startswith("     quote: ") and len(address) == 42
    assert request(first.host, "GET", "/bootstrap").text == "Already bootstrapped"
    head = hashlib.sha256(address.encode()).digest()
    assert bytes.fromhex(quote.removeprefix("     quote: "))[568:632] == head * 2

    contract.send("bootstrap", address.lower())
    wait_for_state(first, "member")
    assert request(first.host, "GET", "/bootstrap").text == "Already bootstrapped"
    key = request(first.apps, "GET", "/getkey")
    assert key.status == 200 and len(key.body) == 64 and key.text == sealkey(first)
    assert request(first.apps, "GET", "/getkey/anything").text == key.text


def test_keymanager_server_first_generation_signs_both_ways(first, contract):
    bootstrap(first, contract)
    app_data = APP_DATA[:-1] + "A"  # letters are hashed as they come
    line = request(first.apps, "GET", f"/attest/{app_data}").text
    assert line.startswith(f"/attest/{app_data}: ")
    emitted = line.split(": ")[1]
    assert len(emitted) == 130 and emitted[-2:] in ("1b", "1c")
    made = request(first.apps, "GET", f"/attest/{app_data}", headers=JSON).json()
    assert made["emitted"]["sig_rsv"] == "0x" + emitted
    inner = hashlib.sha256(app_data.encode() + WEB.encode()).digest() * 2
    assert made["emitted"]["digest"] != made["digest"] and len(inner) == 64
    assert unhex(made["digest"]) == named_digest(WEB, unhex(app_data))
    vrs = request(first.apps, "GET", f"/attest/{app_data}?form=vrs").text.split(": ")[1]
    assert contract.call("verify(string,bytes32,bytes)", WEB, unhex(app_data), unhex(vrs)) is True
    assert contract.call("verifyAttestation", WEB, unhex(app_data), unhex(vrs)) is True
    moved = unhex(emitted)[-1:] + unhex(emitted)[:-1]
    assert contract.call("verifyAttestation", WEB, unhex(app_data), moved) is False
    for bad in ("00", "zz" * 32):
        reply = request(first.apps, "GET", f"/attest/{bad}")
        assert reply.status == 500 and not reply.text.startswith("{"), reply


def test_keymanager_server_first_generation_with_the_known_master(tmp_path, chain, contract):
    """The vectors of docs/formats/keymanager.md over the wire: a server that was handed that master."""
    name = "10-42-0-7.dstack.svc.cluster.local"
    settings = {"keymanager.compat": "keymanager", "keymanager.sources": f"127.0.0.1={name}"}
    with managers(tmp_path, chain, contract, **settings) as start:
        server = start("first")
        contract.send("bootstrap", ethereum_address(b"\x46" * 32))
        made = request(server.host, "POST", "/requestKey").json()
        box_key = bytes.fromhex(made["pubk"])
        contract.send("register(bytes32)", box_key)
        fmspc, measurement = list_machine(contract, server, bytes.fromhex(made["quote"]))
        box = sealed_box(box_key, b"\x46" * 32)
        sig = Key(b"\x46" * 32).sign(seed_onboard_digest(box_key, box))
        contract.send("setUnboundOnboarding", True)
        contract.send("onboard(bytes32,bytes16,bytes32,bytes,bytes)", box_key, fmspc, measurement, box, sig)
        assert request(server.host, "POST", "/receiveKey", box.hex().encode()).text == "Loaded encrypted state"
        wait_for_state(server, "member")
        known = "a94880516d274678b076eb72457ec0f0ab87d495261b904ed4ebcc9d3125b382"
        assert request(server.apps, "GET", "/getkey").text == known
        assert request(server.apps, "GET", f"/attest/{APP_DATA}").text == f"/attest/{APP_DATA}: {EMITTED}"
        assert (
            request(server.apps, "GET", f"/attest/{APP_DATA}?form=vrs").text == f"/attest/{APP_DATA}: {FOR_CONTRACTS}"
        )


# -- the second


@pytest.fixture
def second(tmp_path, chain, contract):
    settings = {"keymanager.compat": "dstack-vm", "keymanager.sources": "127.0.0.1=mytag"}
    with managers(tmp_path, chain, contract, **settings) as start:
        yield start


def test_keymanager_server_second_generation_speaks_as_it_did(second, contract):
    server = second("first")
    made = bootstrap(server, contract)
    again = request(server.host, "GET", "/bootstrap")
    assert (again.status, again.text) == (200, "Already bootstrapped")
    quote = unhex(made["quote"])
    head = hashlib.sha256(b"boostrap:" + made["addr"].encode()).digest()
    assert quote[568:632] == head + bytes(32)
    key = request(server.apps, "GET", "/getkey/mytag")
    assert key.status == 200 and len(key.body) == 64 and sealkey(server) == key.text
    app_data = request(server.apps, "GET", f"/appdata/mytag/{APP_DATA}").body
    sig = request(server.apps, "GET", f"/attest/mytag/{APP_DATA}").body
    assert len(sig) == 65 and sig[0] in (27, 28)
    assert contract.call("verify(bytes32,bytes)", app_data, sig) is True
    assert attest_digest(app_data) != app_data


def test_keymanager_server_second_generation_tags_are_guarded(second, contract, tmp_path):
    server = second("first")
    bootstrap(server, contract)
    for path in ("/getkey/other", "/attest/other/00", "/appdata/other/00"):
        assert request(server.apps, "GET", path).status == 403
    assert request(server.host, "GET", "/getkey/mytag").status == 404, "the host had every key there"
    assert request(server.apps, "GET", "/attest/mytag/0").status == 500
    assert server.terminate() == 0, server.output
    free = second("first", **{"keymanager.any_tag": "true"})
    wait_for_state(free, "member")
    assert len(request(free.apps, "GET", "/attest/mytag/0102").body) == 65, "of any length, as there"
    assert request(free.apps, "GET", "/getkey/other").status == 200
    assert "keymanager.any_tag: every workload" in free.output


def test_keymanager_server_second_generation_onboards(second, contract, chain):
    """As its replicatoor and its host do, the newcomer's part played by this test and the member's by the server."""
    server = second("first")
    bootstrap(server, contract)
    newcomer, payer = second("second"), chain.accounts[1]
    made = ask(newcomer, "POST", f"/register?payer={payer.address}")
    head = hashlib.sha256(b"register:" + unhex(made["pubk"]) + b":" + made["addr"].encode()).digest()
    assert unhex(made["quote"])[568:632] == head + bytes(32)
    contract.send("register(address,bytes)", made["addr"].lower(), unhex(made["sig"]), sender=payer)
    fmspc, measurement = list_machine(contract, server, unhex(made["quote"]))
    form = urllib.parse.urlencode({name: made[name] for name in ("addr", "pubk", "quote")})
    answer = request(
        server.host, "POST", "/onboard", form.encode(), {"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert answer.status == 200 and set(answer.json()) == {"ciph", "sig"}, answer
    box, sig = (bytes.fromhex(answer.json()[name]) for name in ("ciph", "sig"))
    assert len(box) == 80 and len(sig) == 65
    contract.send("setUnboundOnboarding", True)
    contract.send("onboard(address,bytes16,bytes32,bytes,bytes)", made["addr"].lower(), fmspc, measurement, box, sig)
    assert request(newcomer.host, "POST", "/receiveKey", box.hex().encode()).text == "Loaded encrypted state"
    wait_for_state(newcomer, "member")
    assert sealkey(newcomer) == sealkey(server)


def test_keymanager_server_second_generation_master_is_its_address(second, contract):
    """The one whose vectors are known gives the known key: a member that was handed it has them."""
    server = second("first")
    contract.send("bootstrap", ethereum_address(b"\x46" * 32))
    made = ask(server, "POST", f"/register?payer={contract.chain.accounts[1].address}")
    payer = contract.chain.accounts[1]
    contract.send("register(address,bytes)", made["addr"].lower(), unhex(made["sig"]), sender=payer)
    fmspc, measurement = list_machine(contract, server, unhex(made["quote"]))
    box = sealed_box(unhex(made["pubk"]), b"\x46" * 32)
    sig = Key(b"\x46" * 32).sign(onboard_digest(made["addr"], fmspc, measurement, box))
    contract.send("setUnboundOnboarding", True)
    contract.send("onboard(address,bytes16,bytes32,bytes,bytes)", made["addr"].lower(), fmspc, measurement, box, sig)
    assert request(server.host, "GET", f"/register/{box.hex()}").text == f"/register/{box.hex()}"
    wait_for_state(server, "member")
    known = "60996e61e34c73cdcbe63f10d9fbbe0cb7277c8e090dd3a174358a8ea850bd86"
    assert request(server.apps, "GET", "/getkey/mytag").text == known
    assert server.terminate() == 0, server.output
    tls = second("first", **{"keymanager.sources": "127.0.0.1=unstoppable_tls"})
    wait_for_state(tls, "member")
    assert sealkey(tls) == "6e539f520ee0881ef398a2a52103d863eaeedd5e470ad3d6492ce6d1ba186257"
    app_data = "d5cbe6033ff715478ef9a8c0ec142950080b0a64adc687086c72433a5e76149a"
    assert request(tls.apps, "GET", f"/appdata/unstoppable_tls/{APP_DATA}").body.hex() == app_data
    assert request(tls.apps, "GET", f"/attest/unstoppable_tls/{APP_DATA}").body.hex() == TAGGED


# -- the replicatoor


def test_keymanager_server_replicatoor_asks_and_receives(tmp_path, chain, contract):
    settings = {"keymanager.compat": "keymanager", "keymanager.sources": f"127.0.0.1={WEB}"}
    with managers(tmp_path, chain, contract, **settings) as start:
        server, newcomer = start("first"), start("second")
        bootstrap(server, contract)
        made = request(newcomer.host, "POST", "/requestKey").json()
        assert set(made) == {"quote", "pubk"}
        head = hashlib.sha256(b"request:" + bytes.fromhex(made["pubk"])).digest()
        quote = bytes.fromhex(made["quote"])
        assert quote[568:632] == hashlib.sha512(head + bytes(32)).digest()
        form = urllib.parse.urlencode(made).encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        fmspc, measurement = list_machine(contract, server, quote)
        assert request(server.host, "POST", "/onboard", form, kind).status == 403, "the contract has not heard of it"
        contract.send("register(bytes32)", bytes.fromhex(made["pubk"]))
        box = request(server.host, "POST", "/onboard", form, kind)
        assert box.status == 200 and len(bytes.fromhex(box.text)) == 80, box
        answer = request(server.host, "POST", "/onboard", form, {**kind, **JSON}).json()
        contract.send("setUnboundOnboarding", True)
        signed = [unhex(answer[name]) for name in ("fmspc", "mrtd", "ciph", "sig")]
        contract.send("onboard(bytes32,bytes16,bytes32,bytes,bytes)", bytes.fromhex(made["pubk"]), *signed)
        reply = request(newcomer.host, "POST", "/receiveKey", answer["ciph"].encode())
        assert (reply.status, reply.text) == (200, "Loaded encrypted state")
        wait_for_state(newcomer, "member")
        assert sealkey(newcomer) == sealkey(server)
