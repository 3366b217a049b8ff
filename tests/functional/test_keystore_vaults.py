"""Vaults and the DAO that says which of them a keystore serves: the look before each use of a vault's keys, what a vault
must be to be verified, and what a chain that is away does."""

import base64
import contextlib
import hashlib
import json
import re

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from harness import attestry
from keystore import COORDINATOR, Client, Owner, Worker, start_keystore
from near import Chain, base58, nodes
from workload import raw_public

DAO, MPC, VAULT = "dao.testnet", "mpc.testnet", "vault.testnet"
CODE, OTHER_CODE = base58(b"\7" * 32), base58(b"\x08" * 32)
REPO = {"type": "Repo", "repo": "github.com/alice/project", "branch": None}
ON_CHAIN = {"Repo": {"repo": "github.com/alice/project", "branch": None}}
OWNER = "alice.testnet"
SEED = f"github.com/alice/project:{OWNER}"
SECRETS = b'{"API_KEY":"sk-test"}'


class Dao:
    """The DAO's contract and one vault's, as far as they are asked."""

    def __init__(self, chain):
        self.chain = chain
        self.verified, self.banned, self.approved = set(), set(), {CODE}
        self.state = {}
        chain.accounts.update({DAO: 10**26, VAULT: 10**24})
        chain.views.update(
            {
                (DAO, "is_vault_verified"): lambda args: args["vault_id"] in self.verified,
                (DAO, "is_vault_banned"): lambda args: args["vault_id"] in self.banned,
                (DAO, "is_vault_code_approved"): lambda args: args["code_hash"] in self.approved,
                (VAULT, "get_state"): lambda args: self.state,
            }
        )
        self.reset()

    def reset(self):
        self.verified, self.banned = {VAULT}, set()
        self.state = {
            "parent": OWNER,
            "keystore_dao": DAO,
            "mpc_contract": MPC,
            "initial_tee_key": None,
            "registered_tee_keys": [],
            "recovery": None,
            "unlocked": False,
            "unilateral_exit_window_secs": 86400,
        }
        self.chain.code[VAULT] = CODE
        self.chain.poor.clear()
        self.chain.move()

    def give_key(self, public, **other):
        permission = {"allowance": None, "receiver_id": VAULT, "method_names": ["request_master"], **other}
        self.chain.keys[VAULT] = {public: {"FunctionCall": permission}}
        self.chain.move()

    def change(self, **state):
        self.state = {**self.state, **state}
        self.chain.move()


def refused(reply, status, text):
    assert (reply.status, text in reply.json()["error"]) == (status, True), reply


@pytest.fixture(scope="module")
def chain():
    return Chain()


@pytest.fixture(scope="module")
def three(chain):
    with nodes(chain, 3) as running:
        yield running


@contextlib.contextmanager
def away(three):
    for node in three:
        node.dead = True
    try:
        yield
    finally:
        for node in three:
            node.dead = False


@pytest.fixture(scope="module")
def signer(tmp_path_factory, chain):
    key = Ed25519PrivateKey.generate()
    path = tmp_path_factory.mktemp("dao") / "dao.key"
    path.touch(mode=0o600)
    path.write_text("ed25519:" + base58(key.private_bytes_raw() + raw_public(key)) + "\n")
    chain.keys[DAO] = {
        "ed25519:" + base58(raw_public(key)): {
            "FunctionCall": {
                "allowance": None,
                "receiver_id": DAO,
                "method_names": ["request_key", "mark_vault_verified", "ban_vault"],
            }
        }
    }
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory, chain, three, signer):
    settings = {"keystore.dao_contract": DAO, "keystore.mpc_contract": MPC, "keystore.dao_key": signer}
    settings["keystore.raw_seeds"] = "true"
    made = start_keystore(tmp_path_factory.mktemp("vaults") / "data", chain, three, **settings)
    yield made
    assert made.terminate() == 0, made.output


@pytest.fixture
def dao(chain):
    return Dao(chain)


@pytest.fixture(scope="module")
def worker(server, chain):
    made = Worker(server, chain)
    assert made.register().status == 200
    return made


@pytest.fixture(scope="module")
def coordinator(server):
    return Client(server, COORDINATOR)


@pytest.fixture
def stored(chain, worker, dao):
    chain.store(ON_CHAIN, "default", OWNER, worker.encrypted(SEED, SECRETS, vault_id=VAULT), "AllowAll", VAULT)
    yield
    chain.forget()


def decrypt(worker):
    return worker.decrypt(REPO, "default", OWNER)


def loaded(worker):
    return worker.call("GET", "/admin/loaded-vaults").json()["vaults"]


def test_a_vault_that_is_unlocked_between_two_decrypts(worker, dao, stored):
    assert decrypt(worker)[1] == SECRETS
    assert loaded(worker) == [VAULT]
    dao.change(unlocked=True)
    reply, _ = decrypt(worker)
    refused(reply, 403, "Vault vault.testnet is unlocked: its owner has taken it out")
    assert loaded(worker) == [], "the master is forgotten"
    dao.change(unlocked=False)
    assert decrypt(worker)[1] == SECRETS


def stored_by(chain, owner):
    return [
        {"accessor": entry["profile"]["accessor"], "profile": profile, "vault_id": entry["vault_id"]}
        for (_, profile, who), entry in chain.secrets.items()
        if who == owner
    ]


@pytest.mark.parametrize("route", ["/update_user_secrets", "/decrypt-raw", "/wallet/sign"])
def test_no_route_opens_or_signs_with_what_the_dao_does_not_know(chain, worker, coordinator, dao, stored, route):
    owner, header = Owner(chain), {"X-Customer-Vault": VAULT}
    chain.add_key(OWNER, owner.public)
    blob = base64.b64encode(worker.encrypted(SEED, SECRETS, vault_id=VAULT)).decode()

    def ask():
        if route == "/update_user_secrets":
            return coordinator.post(route, owner.asked(secrets={"NEW": "2"}, vault_id=VAULT))
        if route == "/decrypt-raw":
            body = {"seed": SEED, "encrypted_base64": blob}
            return worker.post(route, body, {"X-TEE-Session": worker.session, **header})
        op = {"kind": "auth", "purpose": "bearer", "seed": "s"}
        return coordinator.post(route, {"wallet_id": "w", "op": op}, header)

    assert ask().status == 200, ask()
    dao.change(unlocked=True)
    refused(ask(), 403, "is unlocked")


@pytest.mark.parametrize(("plain", "spelled"), [("vault_id", "vault_\\u0069d"), (VAULT, "vault\\u002etestnet")])
def test_a_vault_is_looked_at_however_its_member_is_spelled(worker, dao, stored, plain, spelled):
    body = json.dumps({"seed": SEED, "secrets_json": "{}", "vault_id": VAULT}).replace(plain, spelled)
    headers = {"Content-Type": "application/json"}
    assert worker.post("/pubkey", body.encode(), headers).status == 200
    dao.change(unlocked=True)
    refused(worker.post("/pubkey", body.encode(), headers), 403, "is unlocked")


@pytest.mark.parametrize(
    "path", ["/%70ubkey", "/wallet/derive%2Daddress", "/%77allet/derive-address", "/wallet/%73ign"]
)
def test_a_vault_is_looked_at_however_the_path_is_spelled(worker, coordinator, dao, stored, path):
    """The router reads escapes; whatever it lets in is asked for."""
    header = {"X-Customer-Vault": VAULT}

    def ask():
        if path == "/%70ubkey":
            return worker.post(path, {"seed": SEED, "secrets_json": "{}", "vault_id": VAULT})
        op = {"kind": "auth", "purpose": "bearer", "seed": "s"}
        more = {"op": op} if path.endswith("ign") else {"chain": "near"}
        return coordinator.post(path, {"wallet_id": "w", **more}, header)

    assert ask().status == 200, ask()
    dao.change(unlocked=True)
    refused(ask(), 403, "is unlocked")


def test_a_walk_asks_for_vaults_too(server, worker, dao, stored, chain):
    chain.views[(chain.contract, "list_user_secrets")] = lambda args: stored_by(chain, args["account_id"])[
        args["from_index"] : args["from_index"] + args["limit"]
    ]
    dao.change(unlocked=True)

    def keystore(*command):
        done = attestry("keystore", *command, "--server", server.admin, "--token-file", server.data / "admin.token")
        assert done.code == 0, done

    def walked():
        while True:
            now = server.call("GET", "/v1/keystore/walk").json()
            if now["finished"]:
                return now["anew"], now["failed"]

    keystore("rotate", "--owners", OWNER)
    assert walked() == (0, 1)
    dao.change(unlocked=False)
    keystore("walk", "--owners", OWNER)
    assert walked() == (1, 0)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda dao: dao.verified.clear(), "is not verified by dao.testnet"),
        (lambda dao: dao.banned.add(VAULT), "is banned by dao.testnet"),
        (lambda dao: dao.change(unlocked=True), "is unlocked"),
        (lambda dao: setattr(dao, "state", {"no": "vault"}), "has no contract of a vault"),
    ],
)
def test_what_the_chain_refuses_no_route_gives(worker, coordinator, dao, stored, change, text):
    header = {"headers": {"X-Customer-Vault": VAULT}}
    address = {"wallet_id": "w", "chain": "near"}
    assert coordinator.post("/wallet/derive-address", address, **header).status == 200
    assert worker.pubkey(SEED, vault_id=VAULT).status == 200
    change(dao)
    dao.chain.move()
    refused(decrypt(worker)[0], 403, text)
    refused(worker.pubkey(SEED, vault_id=VAULT), 403, text)
    refused(coordinator.post("/wallet/derive-address", address, **header), 403, text)
    new = {"seed": SEED, "new_secrets": [{"name": "PROTECTED_A", "generation_type": "hex16"}], "vault_id": VAULT}
    refused(coordinator.post("/add_generated_secret", new), 403, text)
    body = {"seed": SEED, "plaintext_base64": "AA=="}
    reply = worker.post("/encrypt", body, {"X-TEE-Session": worker.session, "X-Customer-Vault": VAULT})
    refused(reply, 403, text)
    assert worker.pubkey(SEED).status == 200, "the default vault is nobody's"


def test_a_chain_that_is_away_is_no_denial(worker, coordinator, dao, stored, three):
    assert decrypt(worker)[1] == SECRETS
    with away(three):
        assert decrypt(worker)[0].status == 503
        reply = worker.pubkey(SEED, vault_id=VAULT)
        assert (reply.status, "Retry-After" in reply.headers) == (503, True), reply
        assert coordinator.post("/sign-vault-verification", {"vault_id": VAULT}).status == 503
    assert loaded(worker) == [VAULT], "nothing was learned, and nothing forgotten"
    assert decrypt(worker)[1] == SECRETS


def test_a_dao_that_does_not_answer_as_one_is_no_denial(worker, dao, stored, chain):
    chain.views[(DAO, "is_vault_verified")] = lambda args: "perhaps"
    chain.move()
    reply, _ = decrypt(worker)
    refused(reply, 500, "Key derivation failed: ")


def test_strangers_make_nobody_ask_the_chain(server, dao, three):
    body = {"seed": SEED, "secrets_json": "{}", "vault_id": "some.testnet"}
    refused(Client(server, None).post("/pubkey", body), 401, "vault-scoped /pubkey requires")
    refused(
        Client(server, "no token").post("/wallet/sign", {"wallet_id": "w", "vault_id": "x.testnet"}), 401, "Invalid"
    )
    # By name, not by number: the slowest of three endpoints still answers what was asked before.
    named = [query for node in three for query in node.queries if re.search(r"(some|x)\.testnet", repr(query))]
    assert named == []


# ---- verification


@pytest.fixture
def vault_key(coordinator, dao):
    public = coordinator.post("/derive-vault-tee-key", {"vault_id": VAULT}).json()["public_key"]
    dao.give_key(public)
    dao.verified.clear()
    dao.chain.move()
    return public


def verify(coordinator, vault=VAULT):
    return coordinator.post("/sign-vault-verification", {"vault_id": vault})


def test_a_vault_is_verified(server, coordinator, worker, dao, vault_key, chain):
    refused(worker.pubkey(SEED, vault_id=VAULT), 403, "is not verified")
    calls = len(chain.calls)
    done = verify(coordinator)
    assert done.status == 200, done
    assert done.json() == {"already_verified": False, "tx_hash": chain.sent[-1]["transaction"]["hash"]}
    assert chain.calls[calls:] == [(DAO, DAO, "mark_vault_verified", {"vault_id": VAULT})]
    leaf = server.leaves()[-1]
    sent = hashlib.sha256(done.json()["tx_hash"].encode()).hexdigest(), hashlib.sha256(VAULT.encode()).hexdigest()
    assert leaf["type"] == "keystore.vault-verified", leaf
    assert leaf["outputs"] == {"transaction": sent[0], "vault": sent[1]}
    dao.verified.add(VAULT)
    chain.move()
    assert verify(coordinator).json() == {"already_verified": True}
    assert len(chain.calls) == calls + 1
    assert worker.pubkey(SEED, vault_id=VAULT).status == 200


def other_key():
    return "ed25519:" + base58(raw_public(Ed25519PrivateKey.generate()))


def two_keys(dao, key):
    dao.chain.keys[VAULT][other_key()] = dao.chain.keys[VAULT][key]


def full_access(dao, key):
    dao.chain.keys[VAULT] = {key: "FullAccess"}


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        (lambda dao, key: dao.banned.add(VAULT), 409, "is banned by dao.testnet"),
        (lambda dao, key: dao.chain.code.pop(VAULT), 400, "has no contract"),
        (lambda dao, key: dao.chain.code.update({VAULT: OTHER_CODE}), 400, "has not approved"),
        (two_keys, 400, "has another number of access keys; expected 1; found 2"),
        (lambda dao, key: dao.chain.keys.pop(VAULT), 400, "has another number of access keys; expected 1; found 0"),
        (full_access, 400, "has an access key that may do anything"),
        (lambda dao, key: dao.give_key(key, receiver_id=DAO), 400, "has an access key for another account"),
        (lambda dao, key: dao.give_key(key, method_names=[]), 400, "has an access key for other methods"),
        (
            lambda dao, key: dao.give_key(key, method_names=["request_master", "set_exit_window"]),
            400,
            "has an access key for other methods",
        ),
        (lambda dao, key: dao.give_key(other_key()), 400, "has an access key of somebody else"),
        (lambda dao, key: dao.change(keystore_dao="eve.testnet"), 400, "names another DAO"),
        (lambda dao, key: dao.change(mpc_contract="eve.testnet"), 400, "names another MPC contract"),
        (lambda dao, key: dao.change(unlocked=True), 400, "is unlocked"),
        (lambda dao, key: dao.change(recovery={"started_at": 1}), 400, "is being recovered"),
    ],
)
def test_what_a_vault_must_be(coordinator, dao, vault_key, chain, change, status, text):
    change(dao, vault_key)
    chain.move()
    calls = len(chain.calls)
    refused(verify(coordinator), status, text)
    assert len(chain.calls) == calls, "the DAO is told nothing"


def test_vaults_that_are_none(coordinator, dao):
    refused(verify(coordinator, "nobody.testnet"), 400, "is no account")
    refused(verify(coordinator, "No Account"), 400, "vault_id is not a valid NEAR AccountId")
    refused(verify(coordinator, " "), 400, "vault_id is required")


def test_an_account_that_cannot_pay(coordinator, dao, vault_key, chain):
    chain.poor.add(DAO)
    wanted = (
        f"Vault {VAULT}: insufficient NEAR balance to register the vault on the network. "
        "Recommended balance: 0.5+ NEAR."
    )
    reply = verify(coordinator)
    assert (reply.status, reply.json()) == (402, {"error": wanted}), reply


def test_who_may_ask_for_a_verification(worker):
    refused(worker.post("/sign-vault-verification", {"vault_id": VAULT}), 401, "Invalid coordinator token")


def test_a_ban_is_told_to_the_dao(worker, dao, chain, stored):
    calls = len(chain.calls)
    body = {"vault_id": "bad.testnet", "reason": "stolen"}
    done = worker.post("/admin/ban-vault", body)
    assert done.json() == {"already_banned": False, "tx_hash": chain.sent[-1]["transaction"]["hash"]}, done
    assert chain.calls[calls:] == [(DAO, DAO, "ban_vault", {"vault_id": "bad.testnet", "reason": "stolen"})]
    dao.banned.add("bad.testnet")
    chain.move()
    assert worker.post("/admin/ban-vault", body).json() == {"already_banned": True}


def test_a_ban_stands_here_while_the_chain_is_away(coordinator, worker, dao, chain, three):
    chain.accounts["worse.testnet"] = 1
    chain.views[("worse.testnet", "get_state")] = lambda args: dao.state
    dao.verified.add("worse.testnet")
    chain.move()
    assert worker.pubkey(SEED, vault_id="worse.testnet").status == 200
    body = {"vault_id": "worse.testnet", "reason": "stolen"}
    with away(three):
        assert worker.post("/admin/ban-vault", body).status == 503
    refused(worker.pubkey(SEED, vault_id="worse.testnet"), 403, "")
    refused(verify(coordinator, "worse.testnet"), 409, "is banned: stolen")
    again = worker.post("/admin/ban-vault", body).json()
    assert again["already_banned"] is False and again["tx_hash"], "the DAO did not know it yet"


def test_without_a_key_nothing_is_verified(tmp_path, chain, three):
    server = start_keystore(tmp_path / "data", chain, three)
    reply = verify(Client(server, COORDINATOR))
    text = "MPC CKD context not configured — worker booted in non-TEE mode"
    assert (reply.status, json.loads(reply.body)) == (500, {"error": text}), reply
    assert server.terminate() == 0, server.output


def test_settings_that_are_of_no_use_are_named(tmp_path, signer):
    config = tmp_path / "attestry.toml"
    config.write_text(f'[keystore]\nlisten = "127.0.0.1:0"\ndao_key = "{signer}"\n')
    done = attestry("config", "check", "--config", config)
    assert (done.code != 0, "keystore.dao_key" in done.err) == (True, True), done
    config.write_text('[keystore]\nlisten = "127.0.0.1:0"\ndao_contract = "dao.testnet"\n')
    done = attestry("config", "check", "--config", config)
    assert (done.code != 0, "a contract, an operator's account or a DAO needs endpoints" in done.err) == (True, True)
    signer.chmod(0o644)
    config.write_text(f'[keystore]\nlisten = "127.0.0.1:0"\ndao_key = "{signer}"\n')
    done = attestry("config", "check", "--config", config)
    signer.chmod(0o600)
    assert "others may read" in done.err, done
