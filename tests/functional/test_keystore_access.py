"""Who gets a stored secret: conditions evaluated against the chain, and what a chain that lies, lags or is dead does."""

import json

import pytest
from keystore import COORDINATOR, Client, Worker, start_keystore
from near import Chain, nodes

REPO = {"type": "Repo", "repo": "github.com/alice/project", "branch": None}
ON_CHAIN = {"Repo": {"repo": "github.com/alice/project", "branch": None}}
OWNER = "alice.testnet"
SEED = f"github.com/alice/project:{OWNER}"
SECRETS = b'{"API_KEY":"sk-test"}'


@pytest.fixture(scope="module")
def chain():
    made = Chain()
    made.accounts.update({"rich.testnet": 10**27, "poor.testnet": 10**20, "bob.testnet": 0})
    rich = "rich.testnet"
    made.views[("ft.testnet", "ft_balance_of")] = lambda args: "11" if args["account_id"] == rich else "10"
    made.views[("nft.testnet", "nft_token")] = lambda args: {"token_id": args["token_id"], "owner_id": rich}
    made.views[("nft.testnet", "nft_tokens_for_owner")] = lambda args: [{}] if args["account_id"] == rich else []
    made.views[("dao.testnet", "get_policy")] = lambda _: {"roles": ROLES}
    return made


@pytest.fixture(scope="module")
def three(chain):
    with nodes(chain, 3) as running:
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory, chain, three):
    made = start_keystore(tmp_path_factory.mktemp("access") / "data", chain, three)
    yield made
    assert made.terminate() == 0, made.output


@pytest.fixture(scope="module")
def worker(server, chain):
    made = Worker(server, chain)
    assert made.register().status == 200
    return made


@pytest.fixture
def store(chain, worker):
    def stored(access="AllowAll", accessor=ON_CHAIN, seed=SEED, profile="default", owner=OWNER, vault=None):
        more = {"vault_id": vault} if vault else {}
        chain.store(accessor, profile, owner, worker.encrypted(seed, SECRETS, **more), access, vault)

    yield stored
    chain.forget()


RICH = {"NearBalance": {"operator": "Gte", "value": str(10**24)}}
BOB = {"Whitelist": {"accounts": ["bob.testnet"]}}
ROLES = [{"name": "all", "kind": "Everyone"}, {"name": "council", "kind": {"Group": ["rich.testnet"]}}]


def refused(reply, status, text):
    assert (reply.status, text in reply.json()["error"]) == (status, True), reply


@pytest.mark.parametrize(
    ("access", "user", "allowed"),
    [
        ({"Whitelist": {"accounts": ["bob.testnet"]}}, "bob.testnet", True),
        ({"Whitelist": {"accounts": ["bob.testnet"]}}, "eve.testnet", False),
        ({"AccountPattern": {"pattern": "gov\\.testnet"}}, "gov.testnet", True),
        ({"AccountPattern": {"pattern": "gov\\.testnet"}}, "evilgov.testnet", False),
        ({"NearBalance": {"operator": "Gte", "value": str(10**24)}}, "rich.testnet", True),
        ({"NearBalance": {"operator": "Gte", "value": str(10**24)}}, "poor.testnet", False),
        ({"Not": {"condition": {"Whitelist": {"accounts": ["bob.testnet"]}}}}, "bob.testnet", False),
        ({"FtBalance": {"contract": "ft.testnet", "operator": "Gt", "value": "10"}}, "rich.testnet", True),
        ({"FtBalance": {"contract": "ft.testnet", "operator": "Gt", "value": "10"}}, "poor.testnet", False),
        ({"NftOwned": {"contract": "nft.testnet", "token_id": "7"}}, "rich.testnet", True),
        ({"NftOwned": {"contract": "nft.testnet", "token_id": "7"}}, "poor.testnet", False),
        ({"NftOwned": {"contract": "nft.testnet", "token_id": None}}, "rich.testnet", True),
        ({"DaoMember": {"dao_contract": "dao.testnet", "role": "council"}}, "rich.testnet", True),
        ({"DaoMember": {"dao_contract": "dao.testnet", "role": "council"}}, "poor.testnet", False),
        ({"Logic": {"operator": "And", "conditions": [RICH, BOB]}}, "rich.testnet", False),
        ({"Logic": {"operator": "Or", "conditions": [RICH, BOB]}}, "bob.testnet", True),
        ({"ValidUntil": {"until_ns": "9999999999000000000"}}, "eve.testnet", True),
        ({"ValidUntil": {"until_ns": "1000000000"}}, "eve.testnet", False),
        # The chain's own no is an answer, also under Not: there is no such account, and no such contract.
        ({"NearBalance": {"operator": "Lt", "value": str(10**24)}}, "nobody.testnet", False),
        ({"Not": {"condition": RICH}}, "nobody.testnet", False),
        ({"FtBalance": {"contract": "none.testnet", "operator": "Gte", "value": "0"}}, "rich.testnet", False),
        ({"Predecessor": {"condition": "AllowAll"}}, "rich.testnet", False),
    ],
)
def test_conditions(worker, store, access, user, allowed):
    store(access)
    reply, plaintext = worker.decrypt(REPO, "default", OWNER, user)
    if allowed:
        assert plaintext == SECRETS, reply
    else:
        refused(reply, 401, "Access denied by access condition")


def test_secrets_as_large_as_a_transaction_can_bring_and_larger(worker, chain, three):
    large = b'{"A":"' + b"x" * (1 << 20) + b'"}'
    chain.store(ON_CHAIN, "default", OWNER, worker.encrypted(SEED, large))
    reply, plaintext = worker.decrypt(REPO, "default", OWNER)
    assert plaintext == large, reply.status
    # No outage, and no endpoint's fault: waiting would not help.
    chain.store(ON_CHAIN, "default", OWNER, worker.encrypted(SEED, large * 3))
    reply, _ = worker.decrypt(REPO, "default", OWNER)
    refused(reply, 500, "Encrypted data too large: at most ")
    assert "Retry-After" not in reply.headers
    chain.forget()


@pytest.mark.parametrize("profile", ["", "a b", "x" * 65, "ä", "a.b"])
def test_profiles_that_are_none(worker, profile):
    refused(worker.decrypt(REPO, profile, OWNER)[0], 400, "profile")


def test_a_condition_that_is_none(worker, store):
    store({"Everybody": {}})
    reply, _ = worker.decrypt(REPO, "default", OWNER)
    refused(reply, 500, "Failed to parse access condition: ")


def test_a_request_for_a_branch_may_get_what_is_stored_for_all(worker, store):
    store()
    reply, plaintext = worker.decrypt({**REPO, "branch": "main"}, "default", OWNER)
    assert plaintext == SECRETS, reply


@pytest.mark.parametrize(
    ("accessor", "on_chain", "seed", "profile"),
    [
        (
            {"type": "WasmHash", "hash": "ab" * 32},
            {"WasmHash": {"hash": "ab" * 32}},
            f"wasm_hash:{'ab' * 32}:{OWNER}",
            "default",
        ),
        (
            {"type": "Project", "project_id": "alice.testnet/app"},
            {"Project": {"project_id": "alice.testnet/app"}},
            f"project:alice.testnet/app:{OWNER}",
            "default",
        ),
        (
            {"type": "System", "secret_type": "payment_key"},
            {"System": "PaymentKey"},
            f"system:payment_key:{OWNER}:1",
            "1",
        ),
    ],
)
def test_every_kind_of_accessor(worker, store, accessor, on_chain, seed, profile):
    store(accessor=on_chain, seed=seed, profile=profile)
    reply, plaintext = worker.decrypt(accessor, profile, OWNER)
    assert plaintext == SECRETS, reply


def test_what_agents_leave_is_for_themselves(worker, store):
    agent, other = "11" * 32, "22" * 32
    store(profile=agent, owner=agent, seed=f"github.com/alice/project:{agent}")
    reply, plaintext = worker.decrypt(REPO, agent, agent, agent)
    assert plaintext == SECRETS, reply
    reply, _ = worker.decrypt(REPO, agent, agent, other)
    refused(reply, 401, "This secret is addressed to a different agent.")
    store(profile=agent, owner=OWNER)
    reply, _ = worker.decrypt(REPO, agent, OWNER, agent)
    refused(reply, 401, "This secret was not left by the agent itself.")


def test_a_vaults_secrets_are_under_the_vaults_master(worker, store, server):
    store(vault="vault.testnet")
    reply, plaintext = worker.decrypt(REPO, "default", OWNER)
    assert plaintext == SECRETS, reply
    vaults = worker.call("GET", "/admin/loaded-vaults").json()
    assert vaults["vaults"] == ["vault.testnet"] and vaults["count"] == 1, vaults
    refused(worker.post("/admin/ban-vault", {"vault_id": "vault.testnet", "reason": ""}), 400, "reason is required")
    long = {"vault_id": "vault.testnet", "reason": "x" * 257}
    refused(worker.post("/admin/ban-vault", long), 400, "reason must be at most 256 bytes (got 257)")
    refused(Client(server, COORDINATOR).post("/admin/ban-vault", long), 401, "Invalid")
    banned = worker.post("/admin/ban-vault", {"vault_id": "vault.testnet", "reason": "stolen"})
    assert banned.json() == {"already_banned": False}, banned
    reply, _ = worker.decrypt(REPO, "default", OWNER)
    assert reply.status == 403, reply


def says_nothing_is_stored(method, _params, result):
    empty = list(json.dumps({"profile": None, "vault_id": None}).encode())
    return {**result, "result": empty} if method == "query" else result


def test_one_endpoint_may_lie_lag_or_be_dead(worker, store, three, chain):
    store()
    for vice in ("lie", "lag", "dead"):
        node = three[0]
        node.lie, node.lag, node.dead = None, 0, False
        if vice == "lie":
            node.lie = says_nothing_is_stored
        elif vice == "lag":
            node.lag = 5
        else:
            node.dead = True
        chain.move()
        reply, plaintext = worker.decrypt(REPO, "default", OWNER)
        node.lie, node.lag, node.dead = None, 0, False
        assert plaintext == SECRETS, (vice, reply)


def test_a_chain_that_is_away_is_no_denial(worker, store, three, chain):
    store({"NearBalance": {"operator": "Gte", "value": "1"}})
    for node in three:
        node.dead = True
    try:
        chain.move()
        reply, _ = worker.decrypt(REPO, "default", OWNER, "rich.testnet")
    finally:
        for node in three:
            node.dead = False
    refused(reply, 503, "Failed to read secrets from contract: ")
    assert reply.headers["Retry-After"]


def test_a_chain_that_is_away_looks_like_a_failure_of_the_server_where_that_is_wanted(tmp_path, worker, chain, three):
    server = start_keystore(tmp_path / "data", chain, three, **{"keystore.old_status": "true"})
    other = Worker(server, chain)
    assert other.register().status == 200
    chain.store(ON_CHAIN, "default", OWNER, other.encrypted(SEED, SECRETS))
    for node in three:
        node.dead = True
    try:
        chain.move()
        reply, _ = other.decrypt(REPO, "default", OWNER)
    finally:
        for node in three:
            node.dead = False
        chain.forget()
    refused(reply, 500, "Failed to read secrets from contract: ")
    assert server.terminate() == 0, server.output


def test_endpoints_that_disagree_about_a_condition_are_no_denial(worker, store, chain):
    answers = iter(range(1000, 100_000))
    chain.views[("torn.testnet", "ft_balance_of")] = lambda args: str(next(answers))
    store({"FtBalance": {"contract": "torn.testnet", "operator": "Gt", "value": "1"}})
    reply, _ = worker.decrypt(REPO, "default", OWNER, "rich.testnet")
    refused(reply, 503, "Access validation failed: ")
    chain.views[("torn.testnet", "ft_balance_of")] = lambda args: "perhaps"
    chain.move()
    reply, _ = worker.decrypt(REPO, "default", OWNER, "rich.testnet")
    refused(reply, 503, "Access validation failed: torn.testnet answers ft_balance_of with something else")
    chain.views[("torn.testnet", "ft_balance_of")] = lambda args: "2"
    chain.move()
    assert worker.decrypt(REPO, "default", OWNER, "rich.testnet")[1] == SECRETS


def test_what_the_owner_takes_back_is_gone_with_the_next_block(worker, store, chain):
    store()
    assert worker.decrypt(REPO, "default", OWNER)[1] == SECRETS
    chain.move()
    chain.forget()
    reply, _ = worker.decrypt(REPO, "default", OWNER)
    refused(reply, 400, "Secrets not found in contract")
