"""attestry registry: contracts deployed, read and changed from the command line, on a real chain."""

import base64
import hashlib
import http.server
import json
import threading

import pytest
import registry
from endpoints import Endpoint, as_before, without_effect
from evm import OLDER, ZERO, Anvil, Artifact
from harness import attestry
from registry_model import GUARDIAN, OPERATOR

IDENTITY, CONFIG, POLICY = "1d" * 32, "cf" * 32, "90" * 32
OTHER = "0x" + "a9" * 20


@pytest.fixture(scope="module")
def node():
    with Anvil() as chain:
        yield chain


def changed(node, kind, arguments):
    """A contract in which that call changes something."""
    fresh = node.deploy(kind)
    match arguments:
        case ["revoke", *_]:
            fresh.send("grantRole", GUARDIAN, OTHER)
        case ["disallow", _, "--kms"]:
            fresh.send("allowlistIdentity", bytes.fromhex(IDENTITY))
        case ["disallow", *_]:
            fresh.send("setConfigForIdentity", bytes.fromhex(IDENTITY), bytes.fromhex(CONFIG))
        case ["storage", "remove", uri, *_]:
            fresh.send("setStorageBackend", uri)
        case ["domain", "remove", name]:
            fresh.send("registerInstanceDomainName", name)
        case ["artifact", "remove", _]:
            fresh.send("addArtifact", b"{}")
        case ["application", "disallow" | "policy", *_]:
            fresh.send("AllowApplication", OTHER)
        case ["owner", "accept"]:
            fresh.send("transferOwnership", fresh.call("owner"))
    return fresh


class Owner:
    """One account's command line."""

    def __init__(self, node, folder, account):
        self.node, self.account = node, account
        self.key = folder / f"{account.address}.key"
        self.key.write_text(account.key.hex() + "\n")
        self.key.chmod(0o600)

    def run(self, *arguments, signs=True, contract=None, env=None):
        more = ["--rpc", self.node.url, "--chain-id", self.node.chain_id, "--format", "json"]
        more += ["--contract", contract] if contract else []
        more += ["--key", self.key] if signs else []
        return attestry("registry", *arguments, *more, env=env)


@pytest.fixture
def owner(node, tmp_path):
    return Owner(node, tmp_path, node.accounts[0])


@pytest.fixture
def contract(node):
    return node.deploy("Registry")


@pytest.mark.parametrize("kind", ["registry", "kms"])
def test_registry_deploy_compares_the_code_on_the_chain(node, owner, kind):
    done = owner.run("deploy", kind)
    assert done.code == 0, done
    made = done.json()
    assert made["code_verified"] and made["kind"] == kind and made["gas"] > 1_000_000
    found = node.contract(kind.capitalize(), made["contract"])
    assert found.call("owner") == owner.account.address
    shown = owner.run("show", signs=False, contract=made["contract"]).json()
    assert (shown["kind"], shown["code_verified"]) == (kind, True)
    assert shown["owner"].lower() == owner.account.address


def test_registry_dry_run_sends_nothing(node, owner):
    height = node.height
    done = owner.run("deploy", "--dry-run")
    assert done.code == 0, done
    assert done.json()["sent"] is False and done.json()["gas"] > 1_000_000
    assert "a new contract" in done.err
    assert node.height == height


def test_registry_changes_and_shows_everything_public(node, owner, contract, tmp_path):
    other = node.accounts[3].address
    artifact = tmp_path / "artifact"
    artifact.write_bytes(b'{"a":1}')
    for arguments in [
        ("grant", "guardian", other),
        ("grant", "operator", ZERO),
        ("allow", IDENTITY, "--config", CONFIG),
        ("storage", "add", "file://./store/", "--relative"),
        ("storage", "add", "ipfs://127.0.0.1:5001/"),
        ("storage", "remove", "ipfs://127.0.0.1:5001/"),
        ("domain", "add", "app.example.org"),
        ("policy", POLICY),
        ("owner", "transfer", other),
        ("artifact", "add", artifact),
    ]:
        done = owner.run(*arguments, contract=contract.address)
        assert done.code == 0, (arguments, done)
        assert done.json()["sent"] and done.json()["gas"] > 20_000
        assert f"transaction on chain {node.chain_id}" in done.err
    shown = owner.run("show", "--account", other, signs=False, contract=contract.address).json()
    assert shown["block"]["number"] == node.height
    assert shown["storage"] == ["file://./store/"] and shown["domains"] == ["app.example.org"]
    assert shown["policy"] == POLICY and shown["frozen"] is False and shown["pki"] is None
    assert shown["pending_owner"].lower() == other
    roles = {entry["address"].lower(): entry["roles"] for entry in shown["accounts"]}
    assert roles[other] == ["guardian"] and roles[ZERO] == ["operator"]
    assert contract.call("hasRole", GUARDIAN, other)
    assert contract.call("IdentityAllowed", bytes.fromhex(IDENTITY), owner.account.address)
    got = attestry(
        *["registry", "artifact", "get", hashlib.sha256(b'{"a":1}').hexdigest(), "--contract", contract.address],
        *["--rpc", node.url, "--chain-id", node.chain_id],
    )
    assert (got.code, got.out) == (0, '{"a":1}')

    assert owner.run("disallow", IDENTITY, contract=contract.address).code == 0
    assert owner.run("revoke", "operator", ZERO, contract=contract.address).code == 0
    assert owner.run("freeze", contract=contract.address).code == 0
    assert not contract.call("hasRole", OPERATOR, ZERO)
    assert contract.call("identityConfigMap", bytes.fromhex(IDENTITY)) == bytes(32)
    assert owner.run("show", signs=False, contract=contract.address).json()["frozen"] is True


def test_registry_kms_contract_allows_identities_and_applications(node, owner):
    kms, app = node.deploy("Kms"), "0x" + "a9" * 20
    assert owner.run("allow", IDENTITY, "--kms", contract=kms.address).code == 0
    assert owner.run("application", "allow", app, contract=kms.address).code == 0
    assert kms.call("ApplicationAllowed", app)
    assert kms.call("allowlistedIdentities", bytes.fromhex(IDENTITY))
    shown = owner.run("show", signs=False, contract=kms.address).json()
    assert [one.lower() for one in shown["applications"]] == [app]
    assert owner.run("application", "disallow", app, contract=kms.address).code == 0
    assert not kms.call("ApplicationAllowed", app)


@pytest.mark.parametrize(
    ("kind", "arguments", "expected"),
    [
        ("Registry", ["grant", "guardian", OTHER], "hasRole(guardian, 0x"),
        ("Registry", ["revoke", "guardian", OTHER], "is false"),
        ("Registry", ["allow", IDENTITY, "--config", CONFIG], f"identityConfigMap(0x{IDENTITY}) is 0x{CONFIG}"),
        ("Registry", ["disallow", IDENTITY], f"identityConfigMap(0x{IDENTITY}) is 0x" + "00" * 32),
        ("Registry", ["config", IDENTITY, CONFIG], f"identityConfigMap(0x{IDENTITY}) is 0x{CONFIG}"),
        ("Registry", ["policy", POLICY], f"policy() is 0x{POLICY}"),
        ("Registry", ["owner", "transfer", OTHER], "pendingOwner() is 0x"),
        ("Registry", ["storage", "add", "ipfs://127.0.0.1:5001/"], "StorageBackends() has ipfs://"),
        ("Registry", ["storage", "remove", "ipfs://127.0.0.1:5001/"], "StorageBackends() no longer has ipfs://"),
        ("Registry", ["domain", "add", "app.example.org"], "InstanceDomainNames() has app.example.org"),
        ("Registry", ["domain", "remove", "app.example.org"], "InstanceDomainNames() no longer has app.example.org"),
        ("Registry", ["artifact", "add", "-"], "is 2 bytes as sent"),
        ("Registry", ["artifact", "remove", hashlib.sha256(b"{}").hexdigest()], "is empty"),
        ("Registry", ["freeze"], "paused() is true"),
        ("Kms", ["allow", IDENTITY, "--kms"], f"allowlistedIdentities(0x{IDENTITY}) is true"),
        ("Kms", ["disallow", IDENTITY, "--kms"], f"allowlistedIdentities(0x{IDENTITY}) is false"),
        ("Kms", ["application", "allow", OTHER], "AllowlistedApplications() has 0x"),
        ("Kms", ["application", "disallow", OTHER], "AllowlistedApplications() no longer has 0x"),
        ("Kms", ["application", "policy", OTHER, POLICY], f"is 0x{POLICY}"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else None,
)
def test_registry_says_done_of_what_the_contract_shows(node, owner, kind, arguments, expected):
    """A receipt says that a call succeeded, and not what it did."""
    more = ["--chain-id", node.chain_id, "--key", owner.key]
    contract = changed(node, kind, arguments)

    def run(rpc):
        return attestry("registry", *arguments, *rpc, *more, "--contract", contract.address, stdin=b"{}")

    refused = without_effect(node, run)
    assert refused.code == 1 and expected in refused.err, refused
    assert "the contract does not say what it should" in refused.err and "done in block" not in refused.out
    contract = changed(node, kind, arguments)
    with Endpoint(node) as one, Endpoint(node) as two, Endpoint(node) as liar:
        liar.change = as_before(node)
        done = run([word for endpoint in (one, two, liar) for word in ("--rpc", endpoint.url)])
        assert done.code == 0 and "done in block" in done.out, done


def test_registry_an_owner_accepts_what_the_contract_shows(node, owner, contract, tmp_path):
    successor = Owner(node, tmp_path, node.accounts[2])
    contract.send("transferOwnership", successor.account.address)
    more = ["--chain-id", node.chain_id, "--key", successor.key, "--contract", contract.address]
    refused = without_effect(node, lambda rpc: attestry("registry", "owner", "accept", *rpc, *more))
    assert refused.code == 1 and f"owner() is {successor.account.address}" in refused.err.lower(), refused
    contract.send("transferOwnership", owner.account.address, sender=successor.account)
    assert owner.run("owner", "accept", contract=contract.address).code == 0


def test_registry_a_published_key_is_what_the_contract_shows(node, owner, contract):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metadata) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        more = ["--server", f"http://127.0.0.1:{server.server_port}", "--unverified", "--chain-id", node.chain_id]
        more += ["--key", owner.key, "--contract", contract.address]
        refused = without_effect(node, lambda rpc: attestry("registry", "publish-pki", *rpc, *more))
        server.shutdown()
    assert refused.code == 1 and "PKI() is the CA" in refused.err and "done" not in refused.out, refused


@pytest.mark.parametrize("name", ["FirstRegistry", "SecondRegistry"])
def test_registry_effects_are_seen_on_contracts_of_older_generations(node, owner, name):
    older = node.deploy(Artifact(name, OLDER))
    for arguments in [
        ("storage", "add", "ipfs://127.0.0.1:5001/"),
        ("domain", "add", "app.example.org"),
    ]:
        done = owner.run(*arguments, contract=older.address)
        assert done.code == 0, (arguments, done)
    unseen = owner.run("allow", IDENTITY, "--config", CONFIG, contract=older.address)
    assert unseen.code == 1 and "the contract has no function that shows what it did" in unseen.err, unseen


def test_registry_command_refused_by_the_contract_sends_nothing(node, contract, tmp_path):
    stranger = Owner(node, tmp_path, node.accounts[5])
    height = node.height
    done = stranger.run("grant", "operator", stranger.account.address, contract=contract.address)
    assert done.code == 1 and "AccessControlUnauthorizedAccount" in done.err, done
    dry = stranger.run("policy", POLICY, "--dry-run", contract=contract.address)
    assert dry.code == 1 and "OwnableUnauthorizedAccount" in dry.err, dry
    assert node.height == height


def test_registry_command_on_the_wrong_chain_signs_nothing(node, owner, contract):
    height = node.height
    done = attestry(
        *["registry", "freeze", "--contract", contract.address, "--key", owner.key],
        *["--rpc", node.url, "--chain-id", node.chain_id + 1],
    )
    assert done.code == 2 and "another chain" in done.err, done
    assert node.height == height


def test_registry_key_of_a_command_is_never_an_argument(node, owner, contract):
    digits = owner.account.key.hex()
    as_value = attestry(
        *["registry", "freeze", "--contract", contract.address, "--key", digits],
        *["--rpc", node.url, "--chain-id", node.chain_id],
    )
    assert as_value.code != 0 and not contract.call("paused"), as_value
    owner.key.chmod(0o644)
    open_to_all = owner.run("freeze", contract=contract.address)
    assert open_to_all.code != 0 and "can be read by others" in open_to_all.err
    from_environment = owner.run(
        "freeze", "--key-env", "OWNER_KEY", signs=False, contract=contract.address, env={"OWNER_KEY": "0x" + digits}
    )
    assert from_environment.code == 0, from_environment
    assert contract.call("paused")
    wrong = owner.run(
        "unfreeze", "--key-env", "OWNER_KEY", signs=False, contract=contract.address, env={"OWNER_KEY": digits[:-1]}
    )
    assert wrong.code != 0 and digits[:-1] not in wrong.err + wrong.out


def test_registry_show_knows_a_contract_that_is_not_ours(node, owner, contract):
    node.rpc("anvil_setCode", contract.address, node.rpc("eth_getCode", contract.address, "latest") + "00")
    shown = owner.run("show", signs=False, contract=contract.address).json()
    assert (shown["kind"], shown["code_verified"]) == (None, False)
    nowhere = owner.run("show", signs=False, contract="0x" + "77" * 20)
    assert nowhere.code == 1 and f"at block {node.height} (depth:0); the newest is {node.height}" in nowhere.err, (
        nowhere
    )


class Metadata(http.server.BaseHTTPRequestHandler):
    """A registry outside of a TEE."""

    def do_GET(self):
        parts = {"ca_cert": b"a CA", "app_pubkey": b"a key", "attestation": b"Attestation for CA 00"}
        body = json.dumps({name: base64.b64encode(value).decode() for name, value in parts.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_registry_publish_pki_believes_no_dummy_evidence(owner, contract):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metadata) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        publish = ["publish-pki", "--server", f"http://127.0.0.1:{server.server_port}"]
        refused = owner.run(*publish, "--policy", "default", contract=contract.address)
        assert refused.code == 1 and "dummy attestation" in refused.err, refused
        assert contract.call("PKI")[0] == b""
        done = owner.run(*publish, "--unverified", contract=contract.address)
        assert done.code == 0 and done.json()["verified"] is False, done
        assert contract.call("PKI")[:2] == (b"a CA", b"a key")
        shown = owner.run("show", signs=False, contract=contract.address).json()
        assert shown["pki"]["app_pubkey"] == "a key"
        server.shutdown()


def test_registry_identity_is_that_of_verified_evidence(node, contract, tmp_path):
    case = tmp_path / "case"
    assert attestry("forge", "--seed", "a workload", "--out", case).code == 0
    command = ["registry", "identity", case / "quote.bin", "--contract", contract.address, "--format", "json"]
    command += ["--chain-id", node.chain_id, "--collateral", case / "collateral.json", "--offline"]
    done = attestry(*command, "--trust", case / "root.pem")
    assert done.code == 0, done
    rtmrs = registry.rtmrs_of((case / "quote.bin").read_bytes())
    assert done.json()["identity"] == registry.dcap_identity(contract.address, rtmrs).hex()
    assert len(done.json()["extended"]) == 64 and done.json()["extended"] != done.json()["identity"]
    unknown_root = attestry(*command)
    assert unknown_root.code != 0 and unknown_root.out == "", unknown_root


# What a contract refuses, and what people mistype


def stranger_of(node, folder, index=5):
    return Owner(node, folder, node.accounts[index])


def remedy(done):
    return done.err[done.err.index("what to do") :]


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (("policy", POLICY), "the owner, {owner}"),
        (("grant", "operator", ZERO), "the owner, {owner}"),
        (("freeze",), "the owner, {owner}, or an account with the role guardian"),
        (("domain", "add", "app.example.org"), "an account with the role operator"),
        (("owner", "accept"), "an offer first"),
    ],
)
def test_registry_refusals_say_who_is_needed_and_who_asks(node, contract, tmp_path, arguments, needed):
    stranger = stranger_of(node, tmp_path)
    done = stranger.run(*arguments, contract=contract.address)
    assert done.code == 1, done
    said = remedy(done).lower()
    assert needed.format(owner=node.accounts[0].address) in said, done
    assert f"the key is that of {stranger.account.address}" in said


def test_registry_freezing_twice_is_no_mistake(node, owner, contract):
    done = owner.run("unfreeze", contract=contract.address)
    assert done.code == 0 and done.json() == {"sent": False, "already": True}, done
    assert owner.run("freeze", contract=contract.address).json()["sent"]
    again = owner.run("freeze", contract=contract.address)
    assert again.code == 0 and again.json() == {"sent": False, "already": True}, again
    assert owner.run("unfreeze", contract=contract.address).json()["sent"]
    assert not contract.call("paused")


def test_registry_what_a_frozen_contract_refuses_names_who_lifts_it(node, owner, contract):
    contract.send("freeze")
    done = owner.run("domain", "add", "app.example.org", contract=contract.address)
    assert done.code == 1 and "Contract is frozen" in done.err, done
    assert f"the owner, {node.accounts[0].address} lifts the freeze" in remedy(done).lower()


def test_registry_admin_is_no_role_that_is_given(node, owner, contract):
    for what in ("grant", "revoke"):
        done = owner.run(what, "admin", node.accounts[3].address, contract=contract.address)
        assert done.code == 2 and "owner transfer" in remedy(done), done
    helped = attestry("registry", "grant", "--help")
    assert "guardian" in helped.out and "admin" not in helped.out.split("Examples")[0], helped


def test_registry_an_account_without_money_is_named(node, contract, tmp_path):
    poor = stranger_of(node, tmp_path, 6)
    node.rpc("anvil_setBalance", poor.account.address, "0x0")
    for arguments in (("deploy",), ("grant", "operator", ZERO)):
        at = contract.address if arguments[0] != "deploy" else None
        if at:
            contract.send("transferOwnership", poor.account.address)
            node.impersonate(poor.account.address)
            contract.send("acceptOwnership", sender=poor.account.address)
            node.rpc("anvil_setBalance", poor.account.address, "0x0")
        done = poor.run(*arguments, contract=at)
        assert done.code == 1 and "cannot pay" in done.err, done
        assert f"send some to {poor.account.address}" in remedy(done).lower()


MISTYPED = "0x70997970C51812dc3A010C7d01b50e0d17dc79C9"


@pytest.mark.parametrize(
    "arguments",
    [
        ("grant", "guardian", MISTYPED),
        ("revoke", "guardian", MISTYPED),
        ("application", "allow", MISTYPED),
        ("owner", "transfer", MISTYPED),
        ("show", "--account", MISTYPED),
    ],
)
def test_registry_a_mistyped_address_is_refused(node, owner, contract, arguments):
    height = node.height
    done = owner.run(*arguments, signs=arguments[0] != "show", contract=contract.address)
    assert done.code == 2 and "checksum" in done.err, done
    nowhere = owner.run("freeze", contract=MISTYPED)
    assert nowhere.code == 2 and "checksum" in nowhere.err, nowhere
    assert node.height == height


def test_registry_settings_refuse_mistyped_addresses(tmp_path):
    for setting in ("registry.contracts", "registry.kms_contract", "registry.operators"):
        done = attestry(
            *["config", "check", "--set", f"server.data={tmp_path}", "--set", "registry.listen=127.0.0.1:0"],
            *["--set", "registry.contracts=kms", "--set", "registry.kms_contract=" + "0x" + "ab" * 20],
            *["--set", f"{setting}={MISTYPED}"],
        )
        assert done.code == 2 and "checksum" in done.err + done.out, (setting, done)


@pytest.mark.parametrize(
    ("uri", "flag"),
    [
        ("not a uri", None),
        ("ftp://x/y", None),
        ("s3://AKIAX:SECRET@bucket/p", "--publish-credentials"),
        ("file://./store/", "--relative"),
    ],
)
def test_registry_storage_that_should_not_be_on_a_chain(node, owner, contract, uri, flag):
    height = node.height
    done = owner.run("storage", "add", uri, contract=contract.address)
    assert done.code == 2 and "SECRET" not in done.err + done.out, done
    assert node.height == height and contract.call("StorageBackends") == []
    if flag:
        assert flag in done.err, done
        assert owner.run("storage", "add", uri, flag, contract=contract.address).code == 0
        assert contract.call("StorageBackends") == [uri]


def test_registry_what_is_taken_back_must_be_there(node, owner, contract):
    height = node.height
    for arguments in (("disallow", IDENTITY), ("storage", "remove", "s3://bucket/nonsense/")):
        done = owner.run(*arguments, contract=contract.address)
        assert done.code == 1 and "Nothing was sent" in done.err, done
    assert node.height == height
    contract.send("setConfigForIdentity", bytes.fromhex(IDENTITY), bytes.fromhex(CONFIG))
    shown = owner.run("show", "--identity", IDENTITY, signs=False, contract=contract.address).json()
    assert shown["identities"] == [{"identity": IDENTITY, "allowed": True, "configuration": CONFIG}]
    assert owner.run("disallow", IDENTITY, contract=contract.address).code == 0
    shown = owner.run("show", "--identity", IDENTITY, signs=False, contract=contract.address).json()
    assert shown["identities"] == [{"identity": IDENTITY, "allowed": False, "configuration": None}]


@pytest.mark.parametrize("name", ["bad domain name!!", "https://a.example", "192.0.2.1", "a..example"])
def test_registry_a_domain_name_is_one(node, owner, contract, name):
    height = node.height
    done = owner.run("domain", "add", name, contract=contract.address)
    assert done.code == 2 and "no domain name" in done.err, done
    assert node.height == height


def test_registry_a_contract_that_is_not_there_is_called_by_nobody(node, owner):
    height = node.height
    done = owner.run("freeze", contract="0x" + "77" * 20)
    assert done.code == 1 and f"at block {height} (depth:0); the newest is {height}" in done.err, done
    assert node.height == height
    early = owner.run("show", "--finality", f"depth:{height}", signs=False, contract=node.deploy("Registry").address)
    assert early.code == 1 and f"(depth:{height}); the newest is {height + 1}" in early.err, early
