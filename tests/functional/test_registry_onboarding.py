"""How a second key server gets the master of the first one, by a contract on a chain, and who runs a key server:
docs/formats/registry.md, "Operators of a key server" and "Onboarding". Both servers are the real program."""

import base64
import hashlib
import os
import pathlib
import re

import abi
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from evm import Anvil
from harness import attestry, request
from key_servers import (
    AUTH,
    CONFIG,
    GENERATE,
    MASTER,
    ONBOARD,
    app_key,
    asked,
    authorize,
    bring,
    fetch,
    key_servers,
    let_in,
    nonce_of,
    onboard_report_data,
    onboarded,
    public_key,
    publish,
    refused,
    request_digest,
    signed,
)
from loopback import Handler, Loopback
from operators import Operator
from registry import (
    PEM,
    Released,
    Workload,
    allow,
    bare,
    dcap_identity,
    ecies_open,
    ecies_seal,
    raw_address,
    rtmrs_of,
    sha256,
    sign_recoverable,
    spki,
)
from workload import forge


@pytest.fixture(scope="module")
def chain():
    with Anvil() as node:
        yield node


@pytest.fixture
def operator(chain):
    return chain.accounts[0]


@pytest.fixture
def kms(chain):
    return chain.deploy("Kms")


@pytest.fixture
def start(tmp_path, chain, kms):
    with key_servers(tmp_path, chain, kms) as starter:
        yield starter


@pytest.fixture
def giver(start, tmp_path):
    file = tmp_path / "master"
    file.write_text(MASTER.hex())
    return start("giver", **{"registry.kms": "simple", "registry.master": file})


@pytest.fixture
def receiver(start):
    return start("receiver", **{"registry.kms": "onboard"})


# -- 48: who runs the server


def test_registry_048_the_operator_signs_the_servers_nonce(receiver, kms, operator, chain):
    assert nonce_of(receiver) == nonce_of(receiver)
    for garbage in (b"", b"x" * 64, bytes(65), b"\xff" * 65, sign_recoverable(operator.key, bytes(32))[:-1] + b"\x1b"):
        refused(request(receiver.admins, "POST", AUTH, garbage), 400, "signature not valid: ")
    assert request(receiver.admins, "POST", AUTH, b"x" * 66).status == 413
    refused(authorize(receiver, chain.accounts[5]), 403, "operator not allowed")
    assert authorize(receiver, operator).status == 200
    assert authorize(receiver, operator).status == 200
    assert signed(receiver, operator, GENERATE).status == 200
    assert public_key(receiver, kms).status == 200


def test_registry_048_the_first_servers_way_is_a_setting(start, operator):
    """The bare nonce as the digest, and requests that nobody signs: only with registry.admin_v1."""
    modern, old = (start(f"v{v1}", **{"registry.kms": "onboard", "registry.admin_v1": v1}) for v1 in ("false", "true"))
    bare_signature = sign_recoverable(operator.key, nonce_of(modern))
    refused(request(modern.admins, "POST", AUTH, bare_signature), 403, "operator not allowed")
    refused(request(old.admins, "POST", GENERATE, b""), 401, "no operator yet")
    assert request(old.admins, "POST", AUTH, sign_recoverable(operator.key, nonce_of(old))).status == 200
    assert request(old.admins, "POST", GENERATE, b"").status == 200


def test_registry_flaw_06_the_first_signer_is_not_the_operator(receiver, kms, operator, chain):
    """Neither whoever comes first, nor whoever reaches the port."""
    stranger, second = chain.accounts[5], chain.accounts[6]
    refused(authorize(receiver, stranger), 403, "operator not allowed")
    refused(signed(receiver, stranger, GENERATE), 401, "no operator yet")
    refused(signed(receiver, operator, GENERATE), 401, "no operator yet")
    assert authorize(receiver, operator).status == 200
    for path, body in ((GENERATE, b""), (ONBOARD, b"http://127.0.0.1:1")):
        refused(request(receiver.admins, "POST", path, body), 401, "not signed")
        refused(signed(receiver, stranger, path, body), 401, "signed by somebody else")
    elsewhere = sign_recoverable(operator.key, request_digest(receiver, ONBOARD, b"http://127.0.0.1:2"))
    header = {"X-Attestry-Operator-Signature": elsewhere.hex()}
    url = b"http://127.0.0.1:1"
    refused(request(receiver.admins, "POST", ONBOARD, url, header), 401, "signed by somebody else, or for another")
    refused(public_key(receiver, kms), 503, "no master key yet")
    role = kms.call("ROLE_OPERATOR")
    kms.send("grantRole", role, str(second))
    refused(authorize(receiver, second), 409, "another operator")
    kms.send("revokeRole", role, str(operator))
    assert authorize(receiver, second).status == 200
    kms.send("grantRole", role, str(operator))
    refused(signed(receiver, operator, GENERATE), 401, "signed by somebody else")
    assert signed(receiver, second, GENERATE).status == 200


def test_registry_flaw_06_the_public_listener_knows_no_operator(receiver, operator):
    """Who runs the server is nothing that the workloads' side can be asked, or told."""
    signature = sign_recoverable(operator.key, request_digest(receiver, AUTH))
    header = {"X-Attestry-Operator-Signature": signature.hex()}
    for method, path, body in (
        ("GET", AUTH, None),
        ("POST", AUTH, signature),
        ("POST", GENERATE, b""),
        ("POST", ONBOARD, b"http://127.0.0.1:1"),
        ("GET", f"/api/operator/onboard_request/{bare(operator.address)}", None),
    ):
        assert request(receiver.registry, method, path, body, header).status == 404, (method, path)
        assert request(receiver.public, method, path, body, header).status == 404, (method, path)
    refused(signed(receiver, operator, GENERATE), 401, "no operator yet")


def test_registry_flaw_06_what_an_operator_signs_is_for_one_server(start, chain, kms, operator):
    """Somebody whom he has called by mistake cannot pass it on: neither the host, nor the service, nor the chain."""
    server = start("receiver", **{"registry.kms": "onboard"})
    for meant in ({"host": "elsewhere.example:8081"}, {"contract": "0x" + "ab" * 20}, {"chain_id": 1}):
        refused(authorize(server, operator, **meant), 403, "operator not allowed")
    port = server.admins.rpartition(":")[2]
    relayed = request_digest(server, AUTH, host=f"elsewhere.example:{port}")
    reply = request(
        server.admins,
        "POST",
        AUTH,
        sign_recoverable(operator.key, relayed),
        {"Host": f"elsewhere.example:{port}"},
    )
    refused(reply, 403, "sent to another server's address")
    assert authorize(server, operator, host=f"LOCALHOST:{port}".lower()).status == 403, "he has called 127.0.0.1"
    assert authorize(server, operator).status == 200
    refused(signed(server, operator, GENERATE, chain_id=1), 401, "somebody else, or for another")
    signature = sign_recoverable(operator.key, request_digest(server, GENERATE, host="elsewhere.example"))
    headers = {"X-Attestry-Operator-Signature": signature.hex(), "Host": "elsewhere.example"}
    refused(request(server.admins, "POST", GENERATE, b"", headers), 403, "sent to another server's address")
    server.terminate()
    named = start("receiver", **{"registry.kms": "onboard", "registry.admin_hosts": "kms.example:8081"})
    signature = sign_recoverable(operator.key, request_digest(named, GENERATE, host="kms.example:8081"))
    headers = {"X-Attestry-Operator-Signature": signature.hex(), "Host": "kms.example:8081"}
    assert request(named.admins, "POST", GENERATE, b"", headers).status == 200


@pytest.mark.parametrize("v1", ["false", "true"])
def test_registry_048_an_operator_without_his_role_commands_nothing(start, kms, operator, v1):
    server = start("receiver", **{"registry.kms": "onboard", "registry.admin_v1": v1})
    assert authorize(server, operator).status == 200
    role = kms.call("ROLE_OPERATOR")
    kms.send("revokeRole", role, str(operator))
    refused(signed(server, operator, GENERATE), 403, "operator not allowed")
    refused(signed(server, operator, ONBOARD, b"http://127.0.0.1:1"), 403, "operator not allowed")
    if v1 == "true":
        refused(request(server.admins, "POST", GENERATE, b""), 403, "operator not allowed")
    kms.send("grantRole", role, str(operator))
    assert signed(server, operator, GENERATE).status == 200


def test_registry_048_an_operator_may_be_listed(start, chain):
    listed = chain.accounts[7]
    server = start("listed", **{"registry.kms": "onboard", "registry.operators": str(listed)})
    assert authorize(server, listed).status == 200


# -- 49: the master's way


def test_registry_049_a_second_server_gets_the_same_keys(chain, kms, giver, receiver, operator):
    app = chain.deploy("Registry")
    refused(public_key(receiver, app), 503, "no master key yet")
    assert onboarded(kms, giver, receiver, operator).status == 200
    assert public_key(receiver, app).json()["app_pubkey"] == public_key(giver, app).json()["app_pubkey"]
    assert app_key(receiver, chain, app, operator) == app_key(giver, chain, app, operator)
    leaves = [leaf for leaf in giver.leaves() if leaf["type"] == "release.onboard"]
    assert len(leaves) == 1
    refused(signed(receiver, operator, ONBOARD, giver.registry.encode()), 409, "has a master key already")
    refused(signed(receiver, operator, GENERATE), 409, "has a master key already")


@pytest.mark.parametrize(("curve", "size"), [(ec.SECP256R1, 127), (ec.SECP521R1, 195)])
def test_registry_049_the_answer_is_a_blob_to_the_requests_key(chain, kms, giver, operator, curve, size):
    """A client of the chain's own: key, evidence and request are made here."""
    key = ec.generate_private_key(curve())
    pubkey, nonce = spki(key, PEM), 0x0102030405
    quote = forge(giver.seed, onboard_report_data(kms, pubkey, nonce, str(operator)))
    let_in(kms, giver)
    wanted = (pubkey, nonce, str(operator), quote)
    id_ = bring(kms, wanted)
    reply = fetch(giver, id_.hex())
    assert reply.status == 200 and len(reply.body) == size, reply
    assert ecies_open(key, reply.body) == MASTER
    [leaf] = [leaf for leaf in giver.leaves() if leaf["type"] == "release.onboard"]
    assert leaf["reply"] == hashlib.sha256(reply.body).hexdigest()
    assert fetch(giver, "0x" + id_.hex()).body == reply.body, "the same bytes, however often"
    assert len([leaf for leaf in giver.leaves() if leaf["type"] == "release.onboard"]) == 1
    kms.send("removeAllowlistedIdentity", dcap_identity(kms.address, rtmrs_of(quote)))
    refused(fetch(giver, id_.hex()), 403, "unauthorized")


def test_registry_049_unknown_and_bad_ids(start, tmp_path):
    file = tmp_path / "master"
    file.write_text(MASTER.hex())
    settings = {"registry.kms": "simple", "registry.master": file}
    modern = start("modern", **settings)
    old = start("old", **settings, **{"registry.old_status": "true"})
    unknown = "ab" * 32
    for server, status in ((modern, 404), (old, 401)):
        refused(fetch(server, unknown), status, f"onchain onboard request {unknown} not found")
        for bad in ("xyz", "ab" * 31, "ab" * 33, "0x"):
            refused(fetch(server, bad), 400, "invalid contract address: ")


def test_registry_049_an_outage_of_the_chain(start, tmp_path):
    file = tmp_path / "master"
    file.write_text(MASTER.hex())
    settings = {"registry.kms": "simple", "registry.master": file, "registry.rpc": "http://127.0.0.1:9"}
    for name, old, status in (("modern", "false", 503), ("old", "true", 401)):
        server = start(name, **settings, **{"registry.old_status": old})
        refused(fetch(server, "ab" * 32), status, "could not fetch onboard request: ")


@pytest.mark.parametrize("deployed", [False, True], ids=["nothing", "another kind"])
def test_registry_049_a_wrong_contract_is_nobodys_mistake_but_the_settings(start, tmp_path, chain, operator, deployed):
    file = tmp_path / "master"
    file.write_text(MASTER.hex())
    settings = {"registry.kms_contract": chain.deploy("Registry").address if deployed else "0x" + "ab" * 20}
    giver = start(
        "giver", **settings, **{"registry.kms": "simple", "registry.master": file, "registry.contracts": "kms"}
    )
    refused(fetch(giver, "ab" * 32), 502, "could not fetch onboard request: no key service's contract")
    app = chain.deploy("Registry")
    refused(public_key(giver, app), 502, "could not verify application is allowed: no key service's contract")
    made = Workload(giver, app.address, operator.key)
    allow(app, made, CONFIG)
    refused(made.register(), 502, "no key service's contract")
    receiver = start("receiver", **settings, **{"registry.kms": "onboard"})
    if not deployed:
        refused(authorize(receiver, operator), 502, "could not verify operator: no key service's contract")


class Requests:
    """Requests of this test's own machine, right and wrong."""

    def __init__(self, giver, kms, account):
        self.giver, self.kms, self.account = giver, kms, account

    def made(self, nonce=7, about=None, kind="tdx-v4", pubkey=None):
        own = spki(ec.generate_private_key(ec.SECP256R1()), PEM)
        data = about or onboard_report_data(self.kms, pubkey or own, nonce, str(self.account))
        return (own, nonce, str(self.account), forge(self.giver.seed, data, kind))

    def fetched(self, wanted):
        return fetch(self.giver, bring(self.kms, wanted, sender=self.account).hex())


@pytest.mark.parametrize("old", ["false", "true"])
def test_registry_049_what_is_not_allowed(start, tmp_path, chain, kms, operator, old):
    file = tmp_path / "master"
    file.write_text(MASTER.hex())
    settings = {"registry.kms": "simple", "registry.master": file, "registry.old_status": old}
    giver = start("giver", **settings)
    own = Requests(giver, kms, operator)
    denied, false = (401, 400) if old == "true" else (403, 422)
    refused(own.fetched(own.made()), denied, "unauthorized")
    let_in(kms, giver)
    other_key = spki(ec.generate_private_key(ec.SECP256R1()), PEM)
    refused(own.fetched(own.made(pubkey=other_key)), false, "invalid attestation: ")
    moved = own.made(nonce=8)
    refused(own.fetched((moved[0], 9, *moved[2:])), false, "invalid attestation: ")
    elsewhere = own.made(about=bytes(64))
    refused(own.fetched(elsewhere), false, "invalid attestation: ")
    garbage = fetch(giver, bring(kms, (elsewhere[0], 7, str(operator), b"quote")).hex())
    assert garbage.status in (400, 422) and "invalid attestation: " in garbage.text, garbage
    forged = forge("another vendor", onboard_report_data(kms, elsewhere[0], 7, str(operator)))
    refused(own.fetched((elsewhere[0], 7, str(operator), forged)), false, "invalid attestation: ")
    assert [leaf for leaf in giver.leaves() if leaf["type"] == "release.onboard"] == []


def test_registry_049_another_operator_cannot_take_a_servers_evidence(chain, kms, giver, receiver, operator):
    """What a server shows for one operator is no request of another's, though he may ask the contract."""
    thief = chain.accounts[6]
    kms.send("grantRole", kms.call("ROLE_OPERATOR"), str(thief))
    let_in(kms, receiver)
    pubkey, nonce, _, quote = asked(receiver, operator)
    id_ = bring(kms, (pubkey, nonce, str(thief), quote), sender=thief)
    refused(fetch(giver, id_.hex()), 422, "invalid attestation: ")


def test_registry_049_a_request_is_made_for_operators_only(receiver, operator, chain):
    path = "/api/operator/onboard_request/"
    refused(request(receiver.admins, "GET", path + "xyz"), 400, "invalid contract address: ")
    refused(request(receiver.admins, "GET", path + bare(chain.accounts[5].address)), 403, "operator not allowed")
    assert asked(receiver, operator) == asked(receiver, operator)
    assert authorize(receiver, operator).status == 200


def test_registry_flaw_13_onboarding_before_a_request(receiver, giver, operator):
    assert authorize(receiver, operator).status == 200
    refused(signed(receiver, operator, ONBOARD, giver.registry.encode()), 409, "this process has made none")
    refused(signed(receiver, operator, ONBOARD, b"ftp://giver"), 400, "could not read onboarded kms url from body")


class Impostor(Loopback):
    """Answers as a giving server, with a master of its own."""

    def __init__(self, pubkey, master):
        blob = ecies_seal(serialization.load_pem_public_key(pubkey), master)

        class Giver(Handler):
            def do_GET(self):
                self.answer(blob)

        super().__init__(Giver)


def test_registry_049_a_master_that_is_not_the_services_is_not_kept(chain, kms, giver, receiver, operator):
    app = chain.deploy("Registry")
    assert authorize(receiver, operator).status == 200
    pubkey = asked(receiver, operator)[0]
    for master, published, status, text in (
        (MASTER, False, 409, "publishes no key"),
        (os.urandom(32), True, 403, "not the key service's"),
        (MASTER[:31], True, 400, "could not decrypt kms seed"),
    ):
        impostor = Impostor(pubkey, master)
        if published:
            publish(kms, giver)
        try:
            refused(signed(receiver, operator, ONBOARD, impostor.url.encode()), status, text)
        finally:
            impostor.stop()
    refused(public_key(receiver, app), 503, "no master key yet")
    refused(signed(receiver, operator, GENERATE), 409, "has a master already")
    assert onboarded(kms, giver, receiver, operator).status == 200


def test_registry_049_the_master_survives_a_kill(start, chain, kms, giver, receiver, operator):
    app = chain.deploy("Registry")
    assert onboarded(kms, giver, receiver, operator).status == 200
    receiver.kill()
    again = start("receiver", **{"registry.kms": "onboard"})
    assert public_key(again, app).json()["app_pubkey"] == public_key(giver, app).json()["app_pubkey"]
    refused(signed(again, operator, GENERATE), 409, "has a master key already")
    kept = b"".join(path.read_bytes() for path in pathlib.Path(again.data).rglob("*") if path.is_file())
    assert MASTER not in kept and MASTER.hex().encode() not in kept


def test_registry_050_the_request_on_the_chain_is_the_one_that_was_shown(kms, receiver, operator):
    wanted = asked(receiver, operator)
    pubkey, nonce, account, quote = wanted
    assert account == str(operator) and 0 < nonce < 2**63
    assert quote[568 : 568 + 64] == onboard_report_data(kms, pubkey, nonce, account)
    assert bring(kms, wanted) == kms.call("HashOnboardRequest", wanted)


# -- 51: the key service's own list of apps


def test_registry_051_apps_that_the_kms_contract_lists(start, chain, kms, operator, tmp_path):
    file = tmp_path / "master"
    file.write_text(MASTER.hex())
    settings = {"registry.kms": "simple", "registry.master": file, "registry.contracts": "kms"}
    modern = start("modern", **settings)
    old = start("old", **settings, **{"registry.old_status": "true"})
    app = chain.deploy("Registry")
    for server, status in ((modern, 403), (old, 401)):
        made = Workload(server, app.address, operator.key)
        allow(app, made, CONFIG)
        refused(made.register("secrets"), status, "application not allowed")
        refused(public_key(server, app), status, "application not allowed")
        assert public_key(server, kms).status == 200, "the service's own key is everybody's"
    refused(request(modern.registry, "GET", f"/api/public/app_metadata/{bare(app.address)}"), 403, "not allowed")
    kms.send("AllowApplication", app.address)
    for server in (modern, old):
        assert Workload(server, app.address, operator.key).register("secrets").status == 200
        assert public_key(server, app).status == 200
    kms.send("RemoveAllowlistedApplication", app.address)
    refused(Workload(modern, app.address, operator.key).register("secrets"), 403, "application not allowed")


def test_registry_051_an_outage_is_no_denial(start, kms, tmp_path):
    file = tmp_path / "master"
    file.write_text(MASTER.hex())
    settings = {"registry.kms": "simple", "registry.master": file, "registry.contracts": "kms"}
    away = {"registry.rpc": "http://127.0.0.1:9"}
    for name, old, status in (("modern", "false", 503), ("old", "true", 500)):
        server = start(name, **settings, **away, **{"registry.old_status": old})
        reply = request(server.registry, "GET", f"/api/public/pki/{'ab' * 20}")
        refused(reply, status, "could not verify application is allowed: ")


def test_registry_048_the_reply_names_who_runs_the_server(chain, kms, giver, operator):
    app = chain.deploy("Registry")
    assert authorize(giver, operator).status == 200
    made = Workload(giver, app.address, operator.key)
    allow(app, made, CONFIG)
    released = Released(made.register("secrets")).body
    assert bytes(released["operator"]) == raw_address(operator.address)
    hashed = sha256(
        raw_address(operator.address)
        + base64.b64decode(released["tls_cert"])
        + base64.b64decode(released["app_privkey"])
    )
    assert base64.b64decode(released["attestation"])[568 : 568 + 52] == raw_address(app.address) + hashed


# -- the command line


@pytest.fixture
def key_file(tmp_path, operator):
    path = tmp_path / "operator.key"
    path.touch(mode=0o600)
    path.write_text(operator.key.hex())
    return path


def test_registry_commands_of_an_operator(chain, kms, giver, receiver, key_file, tmp_path):
    new = ["--kms-onboarding-addr", receiver.admins, "--key", key_file]
    service = ["--contract", kms.address, "--chain-id", chain.chain_id]
    onchain = [*service, "--rpc", chain.url]
    path = ["--kms-onboarded-addr", giver.registry]
    publish(kms, giver)
    unnamed = attestry("kms", "authorize", *new)
    assert unnamed.code == 2 and "which key service" in unnamed.err, unnamed
    done = attestry("kms", "authorize", *new, *service)
    assert done.code == 0, done
    refusal = attestry("kms", "onboard", *new, *onchain, *path)
    assert refusal.code == 1 and "unauthorized" in refusal.err and "attestry registry allow" in refusal.err, refusal
    let_in(kms, receiver)
    done = attestry("kms", "onboard", *new, *onchain, *path, "--format", "json")
    assert done.code == 0 and done.json()["onboarded"] is True, done
    again = attestry("kms", "generate", *new, *service)
    assert again.code == 1 and "has a master key already" in again.err
    shown = attestry("kms", "pki", "--app-contract", kms.address, "--pki-server-addr", receiver.registry)
    assert shown.code == 0 and set(shown.json()) == {"Ca", "Pubkey", "Attestation"}, shown
    assert base64.b64decode(shown.json()["Pubkey"]) == kms.call("PKI")[1]


def test_registry_commands_of_a_workload(chain, kms, giver, operator, tmp_path):
    app = chain.deploy("Registry")
    made = Workload(giver, app.address, operator.key)
    allow(app, made, CONFIG)
    file = tmp_path / "instance.csr"
    file.write_bytes(made.csr)
    command = ["kms", "secrets", "--app-contract", app.address, "--kms-server-addr", giver.registry]
    assert attestry(*command).code == 2
    done = attestry(*command, "--csr", file)
    assert done.code == 0 and set(done.json()) >= {"app_privkey", "tls_cert", "operator", "attestation"}, done


def test_registry_commands_say_what_is_missing(giver, tmp_path, key_file):
    nobody = attestry("kms", "authorize", "--kms-onboarding-addr", giver.admins)
    assert nobody.code != 0 and "OPERATOR_KEY" in nobody.err
    service = ["--contract", giver.kms.address, "--chain-id", giver.kms.chain.chain_id]
    wrong = attestry("kms", "authorize", "--kms-onboarding-addr", giver.registry, "--key", key_file, *service)
    assert wrong.code == 1 and "registry.admin_listen" in wrong.err, wrong
    for command in ("authorize", "generate", "onboard", "pki", "secrets"):
        shown = attestry("kms", command, "--help")
        assert shown.code == 0 and f"attestry kms {command}" in shown.out


def test_registry_kms_settings_are_checked(tmp_path):
    base = ["config", "check", f"--set=server.data={tmp_path}/x", "--set=registry.listen=127.0.0.1:0"]
    base += ["--set=server.realm=simulated", "--set=registry.contracts=any"]
    for flags, text in (
        (["--set=registry.kms=onboard"], "registry.kms_contract"),
        (["--set=registry.contracts=kms"], "registry.kms_contract"),
        (["--set=registry.kms_contract=xyz"], "registry.kms_contract"),
        (["--set=registry.kms_contract=" + "ab" * 20, "--set=registry.governance=local"], "registry.governance chain"),
        (["--set=registry.operators=xyz"], "registry.operators"),
    ):
        done = attestry(*base, *flags)
        assert done.code == 2 and text in done.err, done


def test_registry_a_server_whose_firmware_nobody_looks_at_gets_no_master(start, tmp_path):
    file = tmp_path / "master"
    file.write_text(MASTER.hex())
    giver = start("careless", **{"registry.kms": "simple", "registry.master": file, "registry.policy": "default"})
    reply = request(giver.registry, "GET", "/api/attested/onboard/" + "00" * 32)
    assert reply.status == 502 and "firmware" in reply.text and "registry.identity" not in reply.text, reply
    assert giver.wait_for("registry.identity = extended, or identities in registry.policy")


# -- by a channel instead of the chain: docs/formats/channel.md


@pytest.fixture
def on_channel(start, tmp_path):
    """A giving server with a listener for channels."""

    def starter(name="giver", **settings):
        file = tmp_path / "master"
        file.write_text(MASTER.hex())
        chosen = {"registry.kms": "simple", "registry.master": file, "registry.channel_listen": "127.0.0.1:0"}
        server = start(name, **{**chosen, **settings})
        server.channel = re.search(r"^  registry channel +(\S+)$", server.output, re.M)[1]
        return server

    return starter


def permit_digest(kms, nonce, peer, chain_id):
    kind = abi.keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
    domain = abi.keccak(
        kind
        + abi.keccak(b"attestry")
        + abi.keccak(b"1")
        + int(chain_id).to_bytes(32)
        + bytes(12)
        + raw_address(kms.address)
    )
    struct = abi.keccak(abi.keccak(b"OnboardByChannel(bytes32 nonce,string peer)") + nonce + abi.keccak(peer.encode()))
    return abi.keccak(b"\x19\x01" + domain + struct)


def by_channel(kms, chain, giver, receiver, account, permit_of=None, peer=None, nonce=None):
    peer = peer or giver.channel
    digest = permit_digest(kms, nonce or nonce_of(receiver), peer, chain.chain_id)
    permit = sign_recoverable((permit_of or account).key, digest)
    return signed(receiver, account, ONBOARD, f"channel:{giver.channel} {permit.hex()}".encode())


def test_registry_049_the_master_goes_through_a_channel(chain, kms, on_channel, receiver, operator):
    app, giver = chain.deploy("Registry"), on_channel()
    publish(kms, giver)
    let_in(kms, receiver)
    assert authorize(receiver, operator).status == 200
    assert by_channel(kms, chain, giver, receiver, operator).status == 200
    assert app_key(receiver, chain, app, operator) == app_key(giver, chain, app, operator)
    [leaf] = [leaf for leaf in giver.leaves() if leaf["type"] == "release.onboard"]
    assert leaf["app"] == f"evm:{chain.chain_id}:0x{bare(kms.address)}" and leaf["governance"] and leaf["binding"]
    refused(by_channel(kms, chain, giver, receiver, operator), 409, "has a master key already")


def test_registry_049_the_contract_decides_about_a_channel(chain, kms, on_channel, receiver, operator):
    giver, stranger = on_channel(), chain.accounts[5]
    assert authorize(receiver, operator).status == 200
    refused(by_channel(kms, chain, giver, receiver, operator), 409, "publishes no key")
    publish(kms, giver)
    refused(by_channel(kms, chain, giver, receiver, operator), 403, "unauthorized")
    let_in(kms, receiver)
    # Another operator of the same key service, who may run servers of his own.
    kms.send("grantRole", kms.call("ROLE_OPERATOR"), stranger.address)
    for wrong in ({"permit_of": stranger}, {"peer": "127.0.0.1:9"}, {"nonce": bytes(32)}):
        other = by_channel(kms, chain, giver, receiver, operator, **wrong)
        refused(other, 403, "not that of the operator of this server")
    assert [leaf for leaf in giver.leaves() if leaf["type"] == "release.onboard"] == []
    refused(signed(receiver, operator, ONBOARD, f"channel:{giver.channel}".encode()), 400, "permit")
    header = {"X-Attestry-Operator-Signature": "00" * 65}
    assert request(receiver.admins, "POST", ONBOARD, f"channel:{giver.channel} 00".encode(), header).status == 401
    kms.send("removeAllowlistedIdentity", dcap_identity(kms.address, rtmrs_of(forge(receiver.seed, bytes(64)))))
    refused(by_channel(kms, chain, giver, receiver, operator), 403, "unauthorized")


def test_registry_049_a_policy_of_the_contract_decides_about_a_channel(chain, kms, on_channel, receiver, operator):
    giver = on_channel()
    publish(kms, giver)
    let_in(kms, receiver)
    assert authorize(receiver, operator).status == 200
    kms.send("setPolicy", b"\5" * 32)
    refused(by_channel(kms, chain, giver, receiver, operator), 503, "not stored here")
    gives, gets = Operator(giver), Operator(receiver)
    open_to_all = {"format": 1, "name": "open"}
    kms.send("setPolicy", bytes.fromhex(gives.blob(open_to_all)))
    refused(by_channel(kms, chain, giver, receiver, operator), 503, "the giving server: ")
    # The giver's own word comes last: it is not even asked where it does not satisfy the policy itself.
    strict = {"format": 1, "name": "s", "identities": [{"name": "s", "claims": {"mrtd": ["11" * 48]}}]}
    assert gives.blob(strict) == gets.blob(strict)
    kms.send("setPolicy", bytes.fromhex(gives.blob(strict)))
    refused(by_channel(kms, chain, giver, receiver, operator), 403, "policy.measurement.allowed")
    assert [leaf for leaf in giver.leaves() if leaf["type"] == "release.onboard"] == []
    kms.send("setPolicy", bytes.fromhex(gets.blob(open_to_all)))
    assert by_channel(kms, chain, giver, receiver, operator).status == 200
    [leaf] = [leaf for leaf in giver.leaves() if leaf["type"] == "release.onboard"]
    assert set(leaf["outputs"]) == {"identity", "policy/service"}


def test_registry_049_another_master_is_not_kept_from_a_channel(chain, kms, start, on_channel, receiver, operator):
    published = start("published", **{"registry.kms": "derived"})
    publish(kms, published)
    let_in(kms, receiver)
    assert authorize(receiver, operator).status == 200
    refused(by_channel(kms, chain, on_channel(), receiver, operator), 403, "not the key service's")
    refused(public_key(receiver, kms), 503, "no master key yet")


def test_registry_049_an_outage_is_no_denial_on_a_channel(chain, kms, on_channel, giver, receiver, operator):
    publish(kms, giver)
    let_in(kms, receiver)
    assert authorize(receiver, operator).status == 200
    alone = on_channel("alone", **{"registry.rpc": "http://127.0.0.1:9"})
    refused(by_channel(kms, chain, alone, receiver, operator), 503, "the other end refuses")
    alone.kill()
    refused(by_channel(kms, chain, alone, receiver, operator), 503, "cannot connect")


def test_registry_commands_onboard_by_a_channel(chain, kms, on_channel, receiver, key_file):
    giver = on_channel()
    new = ["--kms-onboarding-addr", receiver.admins, "--key", key_file]
    service = ["--contract", kms.address, "--chain-id", chain.chain_id]
    publish(kms, giver)
    assert attestry("kms", "authorize", *new, *service).code == 0
    refusal = attestry("kms", "onboard", *new, *service, "--channel", giver.channel)
    assert refusal.code == 1 and "unauthorized" in refusal.err and "attestry registry allow" in refusal.err, refusal
    let_in(kms, receiver)
    for wrong in ([], ["--channel", giver.channel, "--kms-onboarded-addr", giver.registry]):
        assert attestry("kms", "onboard", *new, *service, *wrong).code == 2
    done = attestry("kms", "onboard", *new, *service, "--channel", giver.channel)
    assert done.code == 0 and "has the master of " + giver.channel in done.out, done
