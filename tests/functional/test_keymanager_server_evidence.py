"""What evidence a key manager makes and takes: a TEE that is away, platforms that were revoked, enclaves, and who else may
use the host's port."""

import hashlib
import http.client
import ssl
import urllib.parse

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from evm import Anvil
from harness import PATIENCE, request, split_url
from key_managers import (
    JSON,
    ask,
    asked_to_join,
    bootstrapped,
    help_newcomer,
    joined,
    list_machine,
    managers,
    put_in_force,
    report_data,
    sealkey,
    start_manager,
    unhex,
    wait_for_state,
)
from keymanager import Key, domain_separator, typed_digest
from registry_pki import issue
from storage import Served
from workload import b64u, forge


@pytest.fixture(scope="module")
def chain():
    with Anvil() as node:
        yield node


@pytest.fixture
def contract(chain):
    return chain.deploy("KeyManager")


@pytest.fixture
def start(tmp_path, chain, contract):
    with managers(tmp_path, chain, contract) as starter:
        yield starter


class QuoteProvider(Served):
    """GET /attest/<128 hex digits> gives a quote of the simulated TEE; away, it gives none."""

    def __init__(self, seed):
        self.seed, self.away = seed, False
        super().__init__()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def answer(self, _method, path, _query, _headers, _body, _peer):
        if self.away:
            return 503, {}, b"away"
        return 200, {}, forge(self.seed, bytes.fromhex(path.rsplit("/", 1)[1]))


def test_keymanager_server_a_tee_that_is_away_wedges_nothing(start, contract, chain):
    """Evidence comes before anything is kept: there is one master, and one request, however often it was away."""
    provider = QuoteProvider(start.seed)
    try:
        settings = {"keymanager.attestation": provider.url}
        first, second = start("first", **settings), start("second", **settings)
        provider.away = True
        for _ in range(2):
            assert request(first.host, "POST", "/bootstrap").status == 503
        assert request(first.host, "GET", "/status").json()["bootstrap"] is None
        provider.away = False
        made = ask(first, "POST", "/bootstrap")
        provider.away = True
        assert ask(first, "POST", "/bootstrap") == made, "its evidence is kept"
        put_in_force(contract, made)
        wait_for_state(first, "member")
        assert request(second.host, "POST", "/register").status == 503
        assert request(second.host, "GET", "/status").json()["newcomer"] is None
        provider.away = False
        joined(first, second, contract, chain.accounts[1])
        assert sealkey(second) == sealkey(first)
    finally:
        provider.stop()


def newcomer_of(contract, payer, kind, seed, *more):
    """A server's part played here: its keys, its evidence, and its request in the contract."""
    member, box = Key(b"\x61" * 32), X25519PrivateKey.generate().public_key().public_bytes_raw()
    quote = forge(seed, report_data(contract, "Newcomer", member.address, box, 1), kind, *more)
    digest = hashlib.sha256(quote).digest()
    separator = domain_separator(contract.chain.chain_id, contract.address)
    signed = member.sign(typed_digest(separator, "Join", member.address, box, payer.address, digest, 1))
    contract.send("join", member.address, box, signed, digest, quote, sender=payer)
    return {"addr": member.address, "pubk": box.hex(), "quote": quote.hex()}


def family(server, quote):
    """FMSPC as the contract has it."""
    claims = server.request("POST", "/v1/verify", {"evidence": b64u(quote)}).json()["claims"]
    return bytes.fromhex(claims["fmspc"]).ljust(16, b"\0")


def test_keymanager_server_04_a_revoked_platform_is_never_taken(start, contract, chain):
    """Whatever the contract's list says: all six statuses that it can say are allowed here."""
    first = start("first", **{"keymanager.policy": "genuine", "keymanager.mrtd_suffices": "true"})
    bootstrapped(first, contract)
    made = newcomer_of(contract, chain.accounts[1], "tdx-v4", first.seed, "--fault", "platform-revoked")
    list_machine(contract, first, unhex(made["quote"]), statuses=0b111111)
    refused = help_newcomer(first, made)
    assert refused.status in (403, 422) and "evoked" in refused.text, refused
    assert contract.call("requested", made["addr"]) == 1


def test_keymanager_server_04_an_enclave_is_known_by_its_measurement(start, contract, chain):
    first = start("first", **{"keymanager.policy": "default"})
    bootstrapped(first, contract)
    made = newcomer_of(contract, chain.accounts[1], "sgx-v4", first.seed)
    quote = unhex(made["quote"])
    mrenclave = quote[48 + 64 : 48 + 96]
    contract.send("allowTcb", family(first, quote), 0, 0b11)
    refused = help_newcomer(first, made)
    assert refused.status == 403 and "does not list the newcomer's measurement" in refused.text, refused
    contract.send("allowMrenclave", mrenclave, True)
    answer = help_newcomer(first, made)
    assert answer.status == 200 and unhex(answer.json()["mrtd"]) == mrenclave, answer
    signed = [unhex(answer.json()[name]) for name in ("fmspc", "mrtd", "ciph", "sig")]
    contract.send("onboard(address,bytes16,bytes32,bytes,bytes)", made["addr"], *signed)
    assert contract.call("memberAllowed", made["addr"]) is True


def test_keymanager_server_04_firmware_alone_is_taken_by_a_named_switch(start, contract, chain):
    first, second = start("first", **{"keymanager.policy": "default"}), start("second")
    bootstrapped(first, contract)
    made = asked_to_join(second, contract, chain.accounts[1])
    list_machine(contract, first, unhex(made["quote"]))
    assert "keymanager.mrtd_suffices" in help_newcomer(first, made).text
    assert first.terminate() == 0, first.output
    first = start("first", **{"keymanager.policy": "default", "keymanager.mrtd_suffices": "true"})
    wait_for_state(first, "member")
    assert "keymanager.mrtd_suffices: whatever" in first.output
    assert help_newcomer(first, made).status == 200


def test_keymanager_server_21_the_replicatoors_refusals(start, contract, chain):
    """In its words, for its programs."""
    first = start("first", **{"keymanager.compat": "keymanager"})
    made = ask(first, "POST", "/bootstrap")
    contract.send("bootstrap", made["addr"].lower())
    wait_for_state(first, "member")
    box = X25519PrivateKey.generate().public_key().public_bytes_raw()
    contract.send("register(bytes32)", box)
    said = hashlib.sha512(hashlib.sha256(b"request:" + box).digest() + bytes(32)).digest()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}

    def onboard(report):
        form = urllib.parse.urlencode({"pubk": box.hex(), "quote": forge(first.seed, report).hex()})
        return request(first.host, "POST", "/onboard", form.encode(), kind)

    other = hashlib.sha512(b"other").digest()
    refused = onboard(other)
    assert (refused.status, refused.text) == (400, f"Invalid report_data ref:{said.hex()} val:{other.hex()}")
    refused = onboard(said)
    assert (refused.status, refused.text) == (401, "rtmrs check failed")
    list_machine(contract, first, forge(first.seed, said))
    assert onboard(said).status == 200


def test_keymanager_server_02_the_host_port_beyond_this_machine_asks_for_a_certificate(tmp_path):
    """TLS, and a certificate of the operators' CA: with another one, or none, nobody gets in."""
    authority, ours, theirs = issue(tmp_path)
    settings = {"tls.mode": "auto", "keymanager.host_ca": authority, "keymanager.sources": "127.0.0.1=web"}
    running = start_manager(tmp_path / "data", **settings)

    def status_with(client):
        context = ssl.create_default_context(cafile=str(running.data / "tls.pem"))
        if client:
            context.load_cert_chain(client)
        connection = http.client.HTTPSConnection(
            "localhost", split_url(running.host)[1], context=context, timeout=PATIENCE
        )
        try:
            connection.request("POST", "/bootstrap", headers=JSON)
            return connection.getresponse().status
        except (ssl.SSLError, ConnectionError, http.client.RemoteDisconnected):
            return None
        finally:
            connection.close()

    assert [status_with(client) for client in (None, theirs, ours)] == [None, None, 200]
    assert running.terminate() == 0, running.output
