"""Whose evidence counts in the registry's dialect: in the request, over attested TLS, from a proxy with a certificate."""

import base64
import hashlib
import http.client
import json
import re
import ssl

import pytest
import registry_pki
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from evm import Anvil
from harness import PATIENCE, Reply, attestry, split_url
from registry import (
    MAA_OID,
    MEASUREMENT,
    TYPE,
    Released,
    Workload,
    allow,
    bare,
    dcap_identity,
    extended_identity,
    key_report_data,
    make_csr,
    measured,
    operator_extension,
    rtmrs_of,
    self_signed,
    sha256,
    start_registry,
    told_identities,
)
from workload import forge

CONFIG = b"listen = 443\n"


@pytest.fixture(scope="module")
def chain():
    with Anvil() as node:
        yield node


def started(folder, chain, **settings):
    running = start_registry(folder / "data", chain, **settings)
    return running


@pytest.fixture(scope="module")
def server(tmp_path_factory, chain):
    running = started(tmp_path_factory.mktemp("evidence"), chain)
    yield running
    assert running.terminate() == 0, running.output


@pytest.fixture
def contract(chain):
    return chain.deploy("Registry")


@pytest.fixture
def operator(chain):
    return chain.accounts[0].key


@pytest.fixture
def workload(server, contract, operator):
    made = Workload(server, contract.address, operator)
    allow(contract, made, CONFIG)
    return made


def refused(reply, status, words):
    assert (reply.status, words in reply.text) == (status, True), reply


def test_registry_063_evidence_made_for_another_key(server, workload, contract, operator):
    other = ec.generate_private_key(ec.SECP256R1())
    csr = make_csr(contract.address, other, workload.quote, operator_extension(other, operator))
    refused(workload.register(body=csr), 422, "made for something else")


@pytest.mark.parametrize("where", ["signature", "body"])
def test_registry_063_evidence_with_a_changed_byte(workload, contract, where):
    quote = bytearray(workload.quote)
    quote[700 if where == "signature" else 400] ^= 1
    csr = make_csr(contract.address, workload.key, bytes(quote), workload.operator)
    refused(workload.register(body=csr), 422, "not genuine")


def test_registry_063_and_flaw_05_a_debug_td(tmp_path, chain, contract, operator):
    """The known identity does not cover the debug bit: the server's policy does."""
    running = started(tmp_path, chain)
    made = Workload(running, contract.address, operator)
    allow(contract, made, CONFIG)
    quote = forge(running.seed, key_report_data(made.key), "tdx-v4", "--fault", "debug")
    assert rtmrs_of(quote)[:3] == rtmrs_of(made.quote)[:3]
    reply = made.register(body=make_csr(contract.address, made.key, quote, made.operator))
    refused(reply, 403, "policy.debug")
    assert reply.headers["X-Attestry-Appraisal"]
    assert made.register().status == 200
    assert running.terminate() == 0


def test_registry_063_evidence_twice_in_a_request(workload, contract):
    csr = make_csr(contract.address, workload.key, workload.quote, workload.operator, extensions=[(MAA_OID, b"a.b.c")])
    refused(workload.register(body=csr), 400, "more than once")


def test_registry_no_evidence_at_all(workload, contract):
    refused(workload.register(body=make_csr(contract.address, workload.key)), 400, "invalid measurements: no evidence")


@pytest.mark.parametrize("curve", [ec.SECP224R1, ec.SECP384R1, ec.SECP521R1])
def test_registry_a_workloads_key_on_any_curve_of_the_first_servers(server, workload, contract, operator, curve):
    key = ec.generate_private_key(curve())
    quote = forge(server.seed, key_report_data(key))
    released = Released(
        workload.register(body=make_csr(contract.address, key, quote, operator_extension(key, operator)))
    )
    assert released.certificate.public_key() == key.public_key()


def test_registry_evidence_in_a_request_counts_once(server, workload, contract):
    """Without a challenge, a request that somebody recorded would open everything to him."""
    assert workload.register().status == 200
    refused(workload.register(), 409, "was used before")
    again = make_csr(contract.address, workload.key, workload.quote, workload.operator, names=["other.example"])
    refused(workload.register(body=again), 409, "was used before")


def test_registry_evidence_that_was_refused_does_not_wait_for_better_days(server, contract, operator):
    """A request that somebody collected while it was not allowed opens nothing on the day on which it is."""
    made = Workload(server, contract.address, operator)
    reply = made.register()
    refused(reply, 403, "identity not allowed")
    assert re.fullmatch(made.identity.hex() + ", extended [0-9a-f]{64}", reply.headers["X-Attestry-Identity"]), reply
    allow(contract, made, CONFIG)
    refused(made.register(), 409, "was used before")
    assert Workload(server, contract.address, operator).register().status == 200


def test_registry_evidence_that_a_proved_key_used_is_used(tls_server, contract, operator, tmp_path):
    made = Workload(tls_server, contract.address, operator)
    allow(contract, made, CONFIG)
    assert over_tls(tls_server, made, tmp_path, made.quote).status == 200
    thief = ec.generate_private_key(ec.SECP256R1())
    refused(over_tls(tls_server, made, tmp_path, None, key=thief), 409, "was used before")
    assert over_tls(tls_server, made, tmp_path, made.quote).status == 200, "its owner still may"


def test_registry_two_apps_do_not_share_evidence(server, chain, workload, contract, operator):
    """The same evidence for a second contract: its own identity is asked about, and it is used up as well."""
    other = chain.deploy("Registry")
    csr = make_csr(other.address, workload.key, workload.quote, workload.operator)
    assert workload.register().status == 200
    foreign = Workload(server, other.address, operator)
    refused(foreign.register(body=csr), 403, "identity not allowed")


# -- a token of Azure Attestation

DUMMY_OID = x509.ObjectIdentifier("1.3.6.1.4.1.66704.98645.404")
ISSUER = "https://forge.simulated.attest.invalid"


def forge_token(folder, report_data, kind="maa-tdxvm", *more):
    """What the simulated service says of a TD: the token and its claims."""
    done = attestry(
        "forge", "--kind", kind, "--seed", "tokens", "--report-data", report_data.hex(), "--out", folder, *more
    )
    assert done.code == 0, done
    token = (folder / "token.jwt").read_bytes()
    body = token.split(b".")[1]
    return token, json.loads(base64.urlsafe_b64decode(body + b"=" * (-len(body) % 4)))


def identity_of(contract, claims):
    return dcap_identity(contract.address, [bytes.fromhex(claims[f"tdx_rtmr{i}"]) for i in range(3)])


@pytest.fixture(scope="module")
def token_server(tmp_path_factory, chain):
    """A server that believes that issuer, whose keys it has from a file."""
    folder = tmp_path_factory.mktemp("tokens")
    forge_token(folder / "keys", bytes(64))
    keys = {"collateral.issuers": ISSUER, "collateral.files": folder / "keys" / "jwks.json"}
    running = started(folder, chain, **keys)
    yield running
    assert running.terminate() == 0, running.output


class Token:
    """A request that carries a token instead of a quote."""

    def __init__(self, server, contract, operator, folder, kind="maa-tdxvm", *more):
        self.workload, self.operator = Workload(server, contract.address, operator), operator
        token, claims = forge_token(folder, key_report_data(self.workload.key), kind, *more)
        self.claims, self.token = claims, token
        measured = claims if "tdx_rtmr0" in claims else claims.get("x-ms-isolation-tee", {})
        self.identity = identity_of(contract, measured) if "tdx_rtmr0" in measured else None
        if self.identity:
            contract.send("setConfigForIdentity", self.identity, sha256(CONFIG))

    def register(self, *extensions, key=None):
        key = key or self.workload.key
        oids = [(MAA_OID, self.token), *extensions]
        csr = make_csr(self.workload.contract, key, None, operator_extension(key, self.operator), extensions=oids)
        return self.workload.register("secrets", body=csr)


@pytest.fixture
def token(token_server, contract, operator, tmp_path):
    return Token(token_server, contract, operator, tmp_path / "token")


def test_registry_063_a_token_of_a_td_is_known_by_the_tds_registers(token):
    """The identity of its quote: the contract's owner allowed that, and never saw a token."""
    assert token.claims["x-ms-attestation-type"] == "tdxvm"
    reply = token.register((DUMMY_OID, b"Attestation for CA"))
    assert reply.status == 200, reply
    refused(token.register(), 409, "was used before")


def test_registry_063_a_token_made_for_another_key(token):
    other = ec.generate_private_key(ec.SECP256R1())
    refused(token.register(key=other), 422, "made for something else")
    assert token.register().status == 200


def test_registry_063_a_token_of_a_virtual_machine_is_not_known_by_azures_firmware(
    token_server, contract, operator, tmp_path
):
    """Its registers are those of every guest in Azure: allowed on the chain, and still refused."""
    nested = Token(token_server, contract, operator, tmp_path / "token", "maa-azurevm-tdx")
    assert nested.identity and nested.claims["x-ms-attestation-type"] == "azurevm"
    refused(nested.register(), 400, "a token of type azurevm")


@pytest.mark.parametrize("kind", ["maa-azurevm-snp", "maa-sevsnpvm", "maa-sgx"])
def test_registry_063_tokens_of_other_machines_have_no_registers(token_server, contract, operator, tmp_path, kind):
    other = Token(token_server, contract, operator, tmp_path / "token", kind)
    # The report data of an enclave is its own; the others are refused for what they are.
    status, words = (422, "made for something else") if kind == "maa-sgx" else (400, "invalid measurements")
    refused(other.register(), status, words)


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        ("debug", 403, "policy.debug"),
        ("expired", 422, "maa.time.expires"),
        ("issuer-foreign", 422, "maa.issuer"),
        ("other-key", 422, "maa.signature"),
        ("payload-changed", 422, "maa.signature"),
        ("measurement-missing", 422, "maa.claims"),
    ],
)
def test_registry_063_a_token_with_a_fault(token_server, contract, operator, tmp_path, fault, status, words):
    bad = Token(token_server, contract, operator, tmp_path / "token", "maa-tdxvm", "--fault", fault)
    refused(bad.register(), status, words)


def test_registry_a_token_has_no_extended_identity(tmp_path, chain, contract, operator):
    forge_token(tmp_path / "keys", bytes(64))
    keys = {"collateral.issuers": ISSUER, "collateral.files": tmp_path / "keys" / "jwks.json"}
    running = started(tmp_path, chain, **keys, **{"registry.identity": "extended"})
    refused(Token(running, contract, operator, tmp_path / "token").register(), 403, "identity not allowed")
    assert running.terminate() == 0


def test_registry_a_token_of_an_issuer_that_nobody_named_is_no_evidence(server, contract, operator, tmp_path):
    reply = Token(server, contract, operator, tmp_path / "token").register()
    refused(reply, 503, "maa.issuer.named")


# -- attested TLS


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory, chain):
    running = started(tmp_path_factory.mktemp("tls"), chain, **{"tls.mode": "auto"})
    yield running
    assert running.terminate() == 0, running.output


def over_tls(server, workload, tmp_path, evidence=None, csr=None, key=None):
    """With a client certificate of the workload's key, or of another one."""
    key = key or workload.key
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(server.data / "tls.pem")
    file = tmp_path / "client.pem"
    file.write_bytes(
        self_signed(key, evidence)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context.load_cert_chain(file)
    _, port = split_url(server.registry)
    connection = http.client.HTTPSConnection("localhost", port, timeout=PATIENCE, context=context)
    try:
        connection.request("POST", f"/api/attested/register/{bare(workload.contract)}", body=csr or workload.csr)
        answer = connection.getresponse()
        return Reply(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


@pytest.fixture
def tls_workload(tls_server, contract, operator):
    made = Workload(tls_server, contract.address, operator)
    allow(contract, made, CONFIG)
    return made


def test_registry_attested_tls_proves_the_key_in_every_connection(tls_server, tls_workload, tmp_path):
    for _ in range(2):
        assert Released(over_tls(tls_server, tls_workload, tmp_path, tls_workload.quote)).config == CONFIG


def test_registry_attested_tls_evidence_only_in_the_certificate(tls_server, tls_workload, contract, tmp_path):
    csr = make_csr(contract.address, tls_workload.key, operator=tls_workload.operator)
    assert over_tls(tls_server, tls_workload, tmp_path, tls_workload.quote, csr).status == 200


def test_registry_attested_tls_different_evidence_in_both(tls_server, tls_workload, tmp_path):
    other = forge(tls_server.seed, key_report_data(tls_workload.key), "tdx-v5")
    refused(over_tls(tls_server, tls_workload, tmp_path, other), 400, "carry different evidence")


def test_registry_a_certificate_of_another_key_proves_nothing(tls_server, tls_workload, tmp_path):
    """A thief with a recorded request and a key of his own: it counts once, as over a connection without a proof."""
    thief = ec.generate_private_key(ec.SECP256R1())
    assert over_tls(tls_server, tls_workload, tmp_path, None, key=thief).status == 200
    refused(over_tls(tls_server, tls_workload, tmp_path, tls_workload.quote, key=thief), 409, "was used before")
    assert over_tls(tls_server, tls_workload, tmp_path, tls_workload.quote).status == 200, "its owner still may"


# -- a proxy with a certificate


def test_registry_a_proxy_proves_itself_by_a_certificate(tmp_path, chain, contract, operator):
    ca, good, bad = registry_pki.issue(tmp_path)
    running = started(
        tmp_path,
        chain,
        **{"tls.mode": "auto", "registry.proxy_listen": "127.0.0.1:0", "registry.proxy_ca": ca},
    )
    made = Workload(running, contract.address, operator)
    allow(contract, made, CONFIG)
    rtmrs = rtmrs_of(made.quote)
    headers = measured({0: "00" * 48, 1: rtmrs[0].hex(), 2: rtmrs[1].hex(), 3: rtmrs[2].hex()})
    assert {TYPE, MEASUREMENT} == {*headers}

    def ask(client):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(running.data / "tls.pem")
        if client:
            context.load_cert_chain(client)
        connection = http.client.HTTPSConnection(
            *("localhost", split_url(running.proxy)[1]), timeout=PATIENCE, context=context
        )
        try:
            connection.request(
                "POST", f"/api/attested/register/{bare(contract.address)}", body=made.csr, headers=headers
            )
            answer = connection.getresponse()
            return Reply(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    assert Released(ask(good)).config == CONFIG
    for stranger in (bad, None):
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
            ask(stranger)
    assert running.terminate() == 0


def test_registry_what_a_contract_revokes_gets_nothing_more(server, chain, contract, operator):
    """Renewals are registrations: the next block decides."""
    first = Workload(server, contract.address, operator)
    allow(contract, first, CONFIG)
    assert first.register().status == 200
    contract.send("removeConfigMapForIdentity", first.identity)
    renewal = Workload(server, contract.address, operator)
    assert renewal.identity == first.identity
    refused(renewal.register(), 403, "identity not allowed")


def test_registry_a_frozen_contract_releases_nothing(workload, contract, operator):
    contract.send("freeze")
    refused(workload.register(), 403, "Contract is frozen")
    contract.send("unfreeze")
    assert Workload(workload.server, contract.address, operator).register().status == 200


def test_registry_flaw_08_names_of_other_apps(tmp_path, chain, contract, operator):
    running = started(tmp_path, chain, **{"registry.names": "strict"})
    contract.send("registerInstanceDomainName", "mine.example")
    own = f"{bare(contract.address)}.app"
    for csr, status in (
        ({"name": "11" * 20 + ".app"}, 403),
        ({"names": ["bank.example"]}, 403),
        ({"names": [own, f"one.{own}", "mine.example"]}, 200),
    ):
        made = Workload(running, contract.address, operator, **csr)
        allow(contract, made, CONFIG)
        reply = made.register()
        assert reply.status == status, reply
    assert running.terminate() == 0


# -- the extended identity


@pytest.fixture(scope="module")
def extended_server(tmp_path_factory, chain):
    running = started(tmp_path_factory.mktemp("extended"), chain, **{"registry.identity": "extended"})
    yield running
    assert running.terminate() == 0, running.output


def register_with(server, contract, operator, *forged):
    made = Workload(server, contract.address, operator)
    quote = forge(server.seed, key_report_data(made.key), "tdx-v4", *forged)
    reply = made.register("secrets", body=make_csr(contract.address, made.key, quote, made.operator))
    return quote, reply


def test_registry_flaw_05_the_known_identity_is_not_enough_where_the_extended_is_asked_for(
    extended_server, contract, operator
):
    made = Workload(extended_server, contract.address, operator)
    allow(contract, made, CONFIG)
    refused(made.register(), 403, "identity not allowed")


def test_registry_flaw_05_an_extended_identity_covers_what_the_known_one_leaves_out(
    extended_server, chain, contract, operator, tmp_path
):
    """The owner allows what `attestry registry identity` says; a TD that differs in anything gets nothing."""
    server = extended_server
    _, _, extended = told_identities(tmp_path / "td", contract.address, chain.chain_id, server.seed)
    contract.send("setConfigForIdentity", extended, sha256(CONFIG))
    good, reply = register_with(server, contract, operator)
    assert reply.status == 200, reply
    registers = [register.hex() for register in rtmrs_of(good)]
    for changed in (
        ["--mrtd", "aa" * 48],
        ["--rtmr", *registers[:3], "aa" * 48],
        ["--mrconfigid", "aa" * 48],
        ["--mrowner", "aa" * 48],
        ["--mrownerconfig", "aa" * 48],
    ):
        quote, reply = register_with(server, contract, operator, *changed)
        refused(reply, 403, "identity not allowed")
        assert (rtmrs_of(quote)[:3], quote == good) == (rtmrs_of(good)[:3], False), changed
        named = dict(zip(("known", "extended"), reply.headers["X-Attestry-Identity"].split(", extended "), strict=True))
        assert named["known"] == dcap_identity(contract.address, rtmrs_of(good)).hex(), changed
        assert named["extended"] == extended_identity(chain.chain_id, contract.address, quote).hex(), changed
        assert named["extended"] != extended.hex(), changed
    assert register_with(server, contract, operator)[1].status == 200


def test_registry_flaw_05_an_extended_identity_of_an_old_platform_is_another_one(
    extended_server, chain, contract, operator, tmp_path
):
    """Its TCB's state is part of it; and the server's own policy refuses it before anybody asks the contract."""
    server = extended_server
    _, _, extended = told_identities(tmp_path / "td", contract.address, chain.chain_id, server.seed)
    fault = ["--fault", "out-of-date"]
    quote, _, old = told_identities(tmp_path / "old", contract.address, chain.chain_id, server.seed, *fault)
    assert old != extended and old == extended_identity(chain.chain_id, contract.address, quote, "OutOfDate")
    for identity in (extended, old):
        contract.send("setConfigForIdentity", identity, sha256(CONFIG))
    _, reply = register_with(server, contract, operator, *fault)
    refused(reply, 403, "policy.tcb.status")
    assert register_with(server, contract, operator)[1].status == 200


@pytest.mark.parametrize("identity", ["any", "extended"])
def test_registry_flaw_05_a_revoked_platform_gets_nothing(tmp_path, chain, contract, operator, identity):
    """What its certificate authority revoked is refused whatever the contract allows."""
    seed, revoked = "revoked\n", ["--platform", 7]
    data = tmp_path / "data"
    data.mkdir()
    (data / "forge.seed").write_text(seed)
    # Everything of the vendor as it is, and a list that names the seventh machine.
    done = attestry("forge", "--seed", seed, "--fault", "pck-revoked", *revoked, "--out", tmp_path / "list")
    assert done.code == 0, done
    files = {"collateral.files": tmp_path / "list" / "collateral.json"}
    running = start_registry(data, chain, **files, **{"registry.identity": identity})
    for identity_of_it in told_identities(tmp_path / "td", contract.address, chain.chain_id, seed, *revoked)[1:]:
        contract.send("setConfigForIdentity", identity_of_it, sha256(CONFIG))
    _, reply = register_with(running, contract, operator, *revoked)
    refused(reply, 422, "dcap.crl.pck.revoked")
    assert register_with(running, contract, operator)[1].status == 200, "the others have not been revoked"
    assert running.terminate() == 0


def test_registry_the_log_names_the_release_and_not_its_secrets(server, workload):
    reply = workload.register()
    released = Released(reply)
    leaf = server.leaves()[int(reply.headers["X-Attestry-Leaf"])]
    text = json.dumps(leaf)
    assert leaf["reply"] == hashlib.sha256(reply.body).hexdigest()
    assert leaf["appraisal"]
    for secret in (released.key_pem, CONFIG):
        assert base64.b64encode(secret).decode() not in text
        assert hashlib.sha256(secret).hexdigest() not in text
