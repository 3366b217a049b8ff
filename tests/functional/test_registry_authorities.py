"""One set of scenarios for both authorities of the registry's dialect: a contract on anvil, and operators' approvals where
there is no chain. And what only approvals have: wallets that sign them, storage in the server itself."""

import base64
import json

import abi
import pytest
import registry
from cryptography.hazmat.primitives import serialization
from evm import Anvil
from harness import request
from operators import PAYLOAD_TYPE, Operator, canonical, envelope
from registry import (
    Released,
    Workload,
    allow,
    bare,
    ecies_seal,
    rtmrs_of,
    sign_recoverable,
    start_dev_registry,
    start_registry,
)
from test_cli_operator import Shell
from workload import commitment, unb64u

CHAIN_ID = 31337
KEY, STRANGER, APPROVER = bytes([7] * 32), bytes([8] * 32), bytes([9] * 32)


def address_of(key):
    x, y = registry._multiply(int.from_bytes(key), registry.G)
    return "0x" + abi.keccak(x.to_bytes(32) + y.to_bytes(32))[12:].hex()


class OnChain:
    def __init__(self, folder):
        self.node = Anvil().__enter__()
        self.server = start_registry(folder / "data", self.node)
        self.operator = self.node.accounts[0].key

    def stop(self):
        try:
            assert self.server.terminate() == 0, self.server.output
        finally:
            self.node.__exit__(None, None, None)

    def no_app(self):
        return "0x" + "ab" * 20

    def app(self):
        self.contract = self.node.deploy("Registry")
        return self.contract.address

    def allow(self, workload, config):
        allow(self.contract, workload, config)

    def take_back(self, workload):
        self.contract.send("removeConfigMapForIdentity", workload.identity)

    def freeze(self):
        self.contract.send("freeze")


class WithoutChain:
    """Approvals: by an Ed25519 key, and the workload's operator is a wallet."""

    def __init__(self, folder):
        settings = {
            **registry.CHAIN_SETTINGS,
            "registry.governance": "local",
            "registry.chain_id": CHAIN_ID,
            "registry.proxy_listen": f"unix:{folder}/proxy.sock",
        }
        self.server = start_dev_registry(folder / "data", settings)
        self.approver = Operator(self.server)
        self.operator = KEY
        reply = self.server.call(
            "PUT", f"/v1/tenants/default/operators/{address_of(KEY)}", {"name": "a wallet", "right": "start"}
        )
        assert reply.status == 200, reply
        self.next = 1

    def stop(self):
        assert self.server.terminate() == 0, self.server.output

    def no_app(self):
        return "0x" + "ab" * 20

    def app(self):
        self.contract = "0x" + self.next.to_bytes(20).hex()
        self.next += 1
        self.name = f"evm:{CHAIN_ID}:{self.contract}"
        self.approver.approve(self.name, "app.create", self.name)
        self.policy = self.approver.blob({"format": 1, "name": "test", "identities": []})
        self.approver.approve(self.name, "policy.approve", self.policy)
        self.identities = {}
        return self.contract

    def allow(self, workload, config):
        if workload.identity not in self.identities:
            self.identities[workload.identity] = self.approver.blob(
                registers_document(rtmrs_of(workload.quote), workload.quote[184:232])
            )
            self.approver.approve(self.name, "identity.approve", self.identities[workload.identity])
        self.approver.approve(self.name, "configuration.approve", self.approver.blob(config))

    def take_back(self, workload):
        self.approver.approve(self.name, "revoke", self.identities[workload.identity])

    def freeze(self):
        self.approver.approve(self.name, "revoke", self.policy)


def registers_document(rtmrs, mrtd=b"\xaa" * 48):
    claims = {"mrtd": [mrtd.hex()], **{f"rtmr{i}": [rtmrs[i].hex()] for i in range(3)}}
    return {"name": "web", "claims": claims}


@pytest.fixture(scope="module", params=[OnChain, WithoutChain], ids=["chain", "local"])
def world(request, tmp_path_factory):
    made = request.param(tmp_path_factory.mktemp("world"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    made = WithoutChain(tmp_path_factory.mktemp("local"))
    yield made
    made.stop()


def test_an_unknown_app_is_not_found(world):
    reply = Workload(world.server, world.no_app(), world.operator).register()
    assert reply.status == 404, reply


def test_an_allowed_workload_gets_its_configuration_and_a_leaf(world):
    workload = Workload(world.server, world.app(), world.operator)
    world.allow(workload, b"listen = 1")
    released = Released(workload.register())
    assert released.config == b"listen = 1"
    leaf = world.server.leaves()[int(released.headers["X-Attestry-Leaf"])]
    assert (leaf["type"], leaf["app"]) == ("release.registry", f"evm:{CHAIN_ID}:0x{bare(workload.contract)}")
    key = unb64u(released.headers["X-Attestry-Leaf-Key"])
    assert leaf["outputs"]["operator"] == commitment(key, "operator", bytes.fromhex(address_of(world.operator)[2:]))
    assert leaf["outputs"]["configuration"] == commitment(key, "configuration", b"listen = 1")


def test_what_is_not_allowed_gets_nothing(world):
    reply = Workload(world.server, world.app(), world.operator).register()
    assert (reply.status, reply.text) == (403, "identity not allowed\n")


def test_an_operator_without_the_right_is_named(world):
    app = world.app()
    world.allow(Workload(world.server, app, world.operator), b"listen = 1")
    for key in (STRANGER, None):
        reply = Workload(world.server, app, key).register()
        assert reply.status == 403
        assert "Operator not authorized" in reply.text


def test_a_change_of_the_configuration_is_that_of_the_next_release(world):
    app = world.app()
    for config in (b"listen = 1", b"listen = 2"):
        workload = Workload(world.server, app, world.operator)
        world.allow(workload, config)
        assert Released(workload.register()).config == config


def test_taking_an_identity_back_stops_the_next_release(world):
    app = world.app()
    workload = Workload(world.server, app, world.operator)
    world.allow(workload, b"listen = 1")
    Released(workload.register())
    world.take_back(workload)
    reply = Workload(world.server, app, world.operator).register()
    assert (reply.status, reply.text) == (403, "identity not allowed\n")
    if isinstance(world, WithoutChain):
        assert world.server.leaves()[-1]["type"] == "approval.revoke"


def test_a_frozen_app_releases_nothing(world):
    app = world.app()
    world.allow(Workload(world.server, app, world.operator), b"listen = 1")
    world.freeze()
    assert Workload(world.server, app, world.operator).register().status == 403


# -- without a chain


def from_proxy(local, rtmrs):
    workload = Workload(local.server, local.contract, KEY, evidence=None)
    registers = {0: "aa" * 48, **{i + 1: value.hex() for i, value in enumerate([*rtmrs, bytes(48)][:4])}}
    return registry.through_proxy(
        local.server,
        "POST",
        f"/api/attested/register/{bare(local.contract)}",
        workload.csr,
        {"Content-Type": "application/octet-stream", **registry.measured(registers)},
    )


def test_a_proxy_is_believed_where_only_registers_are_approved(local):
    local.app()
    rtmrs = [bytes([n]) * 48 for n in (1, 2, 3)]
    local.approver.approve(local.name, "configuration.approve", local.approver.blob(b"listen = 1"))
    more = registers_document(rtmrs)
    more["claims"]["rtmr3"] = ["00" * 48]
    local.approver.approve(local.name, "identity.approve", local.approver.blob(more))
    assert from_proxy(local, rtmrs).text == "identity not allowed\n"
    local.approver.approve(local.name, "identity.approve", local.approver.blob(registers_document(rtmrs)))
    assert Released(from_proxy(local, rtmrs)).config == b"listen = 1"


@pytest.mark.parametrize(
    "more",
    [
        {"tcb": {"accept": ["UpToDate"]}},
        {"tcb": {"min_evaluation_number": 1}},
        {"platforms": ["tdx"]},
        {"max_age_seconds": 60},
        {"require": {"event_log": True}},
    ],
    ids=json.dumps,
)
def test_a_proxy_is_not_believed_where_a_policy_asks_for_more_than_registers(local, more):
    local.app()
    rtmrs = [bytes([n]) * 48 for n in (1, 2, 3)]
    local.approver.approve(local.name, "configuration.approve", local.approver.blob(b"listen = 1"))
    local.approver.approve(local.name, "identity.approve", local.approver.blob(registers_document(rtmrs)))
    assert Released(from_proxy(local, rtmrs)).config == b"listen = 1"
    policy = local.approver.blob({"format": 1, "name": "more", "identities": [], **more})
    local.approver.approve(local.name, "policy.approve", policy)
    assert from_proxy(local, rtmrs).text == "identity not allowed\n"


def test_secrets_and_parts_come_from_the_servers_own_storage(local, tmp_path):
    app = local.app()
    metadata = request(local.server.registry, "GET", f"/api/public/app_metadata/{bare(app)}").json()
    app_key = serialization.load_pem_public_key(base64.b64decode(metadata["app_pubkey"]))
    (tmp_path / "secret").write_bytes(ecies_seal(app_key, b"p$1w"))
    shell = Shell(local.server, tmp_path)
    secret = shell("blob", "put", "secret", "--app", local.name, "--type", "secret").out.strip()
    canary = "a canary in a part"
    part = shell("blob", "put", "-", "--app", local.name, "--type", "config", stdin=canary.encode()).out.strip()
    workload = Workload(local.server, app, KEY)
    local.allow(workload, f"__CONFIG_REF_{part} __SECRET_REF_{secret}".encode())
    assert Released(workload.register()).config == b"a canary in a part p$1w"
    kept = [path for path in (local.server.data / "registry-local").rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if canary.encode() in path.read_bytes()]

    other = local.app()
    thief = Workload(local.server, other, KEY)
    local.allow(thief, f"__CONFIG_REF_{part}".encode())
    assert thief.register().status != 200, "another app's storage is not read"


def wallet_signature(payload, key):
    """EIP-712 as docs/formats/approvals.md has it."""
    domain = abi.keccak(
        abi.keccak(b"EIP712Domain(string name,string version)") + abi.keccak(b"attestry") + abi.keccak(b"1")
    )
    document = abi.keccak(
        abi.keccak(b"Document(string payloadType,string payload)")
        + abi.keccak(PAYLOAD_TYPE.encode())
        + abi.keccak(payload)
    )
    signature = sign_recoverable(key, abi.keccak(b"\x19\x01" + domain + document))
    return signature[:64] + bytes([27 + signature[64]])


def by_wallets(payload, keys, others=()):
    document = envelope(payload, others)
    document["signatures"] += [
        {"keyid": address_of(key), "sig": base64.b64encode(wallet_signature(payload, key)).decode()} for key in keys
    ]
    return document


def let_approve(local, key):
    reply = local.server.call(
        "PUT", f"/v1/tenants/default/operators/{address_of(key)}", {"name": "b", "right": "approve"}
    )
    assert (reply.status, reply.json()["right"]) == (200, "approve"), reply


def test_who_may_start_workloads_approves_nothing(local):
    local.app()
    payload = local.approver.payload(local.name, "policy.approve", local.approver.blob({"format": 1, "name": "next"}))
    reply = local.approver.send(by_wallets(payload, [KEY]))
    assert reply.status == 403 and "operator" in reply.text, reply
    refused = local.server.call("PUT", f"/v1/tenants/default/operators/{'ab' * 32}", {"name": "c", "right": "start"})
    assert refused.status == 400 and "address" in refused.text


def test_who_approves_may_not_start_workloads(local):
    app = local.app()
    workload = Workload(local.server, app, APPROVER)
    local.allow(workload, b"listen = 1")
    let_approve(local, APPROVER)
    reply = workload.register()
    assert reply.status == 403 and "Operator not authorized" in reply.text


def test_m_of_n_counts_operators_and_not_keys(local):
    local.app()
    let_approve(local, APPROVER)
    approver = local.approver
    approver.approve(local.name, "threshold.set", "2")
    policy = approver.blob({"format": 1, "name": "next"})
    payload = approver.payload(local.name, "policy.approve", policy)
    twice = by_wallets(payload, [APPROVER, APPROVER])
    twice["signatures"][1]["keyid"] = "somebody else"
    assert approver.send(twice).status == 403
    assert approver.send(by_wallets(payload, [APPROVER, STRANGER])).status == 403
    assert (
        approver.send(by_wallets(canonical({**json.loads(payload), "expires": "2099-01-01T00:00:00Z"}), [])).status
        != 201
    )
    assert approver.send(by_wallets(payload, [APPROVER], [approver.key])).status == 201


def test_a_wallet_signs_on_the_command_line(local, tmp_path):
    shell = Shell(local.server, tmp_path, tenant="wallets")
    address = shell("operator", "keygen", "--wallet", "wallet.key").out.strip()
    assert address == address_of(bytes.fromhex((tmp_path / "wallet.key").read_text().strip().removeprefix("0x")))
    shell("operator", "add", "--address", address, "--name", "wallet")
    listed = shell.json("operator", "list")["operators"]
    assert [(who["name"], who["address"]) for who in listed] == [("wallet", address)]
    assert shell.json("app", "create", "name:web", "--key", "wallet.key")["app"]["seq"] == 1
    assert "wallet" in shell("app", "approvals", "name:web").out
    shell("operator", "remove", "--address", address)
    assert "sign" in shell.refused(1, "approve", "policy", "name:web", "default", "--key", "wallet.key")
