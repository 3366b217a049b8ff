"""Settings of a keystore that have no page of tests of their own: what each changes, and what is so without it."""

import contextlib
import pathlib
import re
import ssl
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from endpoints import until
from harness import attestry
from keystore import COORDINATOR, Client, OverTls, Owner, Worker, client_certificate, forge, start_keystore
from near import Chain, Node, base58, nodes
from registry import key_report_data
from storage import Authority
from test_keystore_wallets import TRANSFER, Wallets
from workload import raw_public

REPO = {"type": "Repo", "repo": "github.com/alice/project", "branch": None}
ON_CHAIN = {"Repo": {"repo": "github.com/alice/project", "branch": None}}
OWNER = "alice.testnet"
SEED = f"github.com/alice/project:{OWNER}"
SECRETS = b'{"API_KEY":"sk-test"}'
AUTH = {"kind": "auth", "purpose": "bearer", "seed": "s"}


@pytest.fixture(scope="module")
def chain():
    return Chain()


@pytest.fixture(scope="module")
def three(chain):
    with nodes(chain, 3) as running:
        yield running


@contextlib.contextmanager
def running(folder, chain, endpoints, **settings):
    server = start_keystore(
        folder / "data", chain, endpoints, **{f"keystore.{name}": settings[name] for name in settings}
    )
    try:
        yield server
    finally:
        ended = server.terminate()
    assert ended == 0, server.output


@pytest.fixture(scope="module")
def plain(tmp_path_factory, chain, three):
    """With every setting of this page at its default."""
    with running(tmp_path_factory.mktemp("plain"), chain, three) as server:
        yield server


@pytest.fixture(scope="module")
def changed(tmp_path_factory, chain, three):
    settings = {
        "seed_colons": "true",
        "empty_allow_all": "true",
        "export_keys": "true",
        "update_recipients": "front.testnet,other.testnet",
        "wallet_policy_method": "policy_of",
    }
    with running(tmp_path_factory.mktemp("changed"), chain, three, **settings) as server:
        yield server


def worker_of(server, chain):
    made = Worker(server, chain)
    assert made.register().status == 200
    return made


def refused(reply, status, text):
    assert (reply.status, text in reply.json()["error"]) == (status, True), reply


def sees(worker):
    """Status of a decrypt of what is stored in this test."""
    worker.chain.move()
    return worker.decrypt(REPO, "default", OWNER)[0].status


@contextlib.contextmanager
def vices(endpoints, **wanted):
    """Attributes of nodes, for a while."""
    for node in endpoints:
        for name, value in wanted.items():
            setattr(node, name, value)
    try:
        yield
    finally:
        for node in endpoints:
            node.dead, node.age = False, 0


def test_keystore_switches_that_give_something_away_are_said_at_the_start(plain, tmp_path, chain, three):
    """Each that the guide names."""
    guide = (pathlib.Path(__file__).parents[2] / "docs/how-to/run-a-keystore.md").read_text()
    table = guide.split("## Switches that are off\n")[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    names = re.findall(r"`keystore\.(\w+)`", " ".join(cells))
    assert len(names) >= 12 and "bind_channel" in names
    on = {name: "false" if name == "bind_channel" else "true" for name in names}
    with running(tmp_path, chain, three, **on) as server:
        pass
    assert [name for name in names if f'"keystore.{name}: ' not in server.output] == [], server.output
    assert [name for name in names if f"keystore.{name}" in plain.output] == []


# ---- what callers name, and what is stored


@pytest.mark.parametrize(
    ("repo", "branch"), [("host.example:8443/alice/project", None), ("github.com/alice/project", "fix:1")]
)
def test_keystore_seed_colons_takes_repositories_and_branches_with_colons(plain, changed, chain, repo, branch):
    accessor = {"type": "Repo", "repo": repo, "branch": branch}
    seed = ":".join(filter(None, [repo, OWNER, branch]))
    for server, taken in ((plain, False), (changed, True)):
        worker = worker_of(server, chain)
        chain.store({"Repo": {"repo": repo, "branch": branch}}, "default", OWNER, worker.encrypted(seed, SECRETS))
        reply, plaintext = worker.decrypt(accessor, "default", OWNER)
        if taken:
            assert plaintext == SECRETS, reply
        else:
            refused(reply, 400, "expected no ':', which separates the components of a seed")
    chain.forget()
    assert "keystore.seed_colons: two owners may share a key" in changed.output
    assert "keystore.seed_colons" not in plain.output


def test_keystore_seed_colons_takes_sub_paths_with_colons(changed, tmp_path, chain, three):
    asked = {"wallet_id": "w", "chain": "near", "sub_path": "a:b"}
    with running(tmp_path, chain, three, export_keys="true", wallets_without_policy="true") as strict:
        refused(Client(strict, COORDINATOR).post("/wallet/derive-ephemeral-key", asked), 400, "no ':'")
    chain.views[(chain.contract, "policy_of")] = lambda args: None
    reply = Client(changed, COORDINATOR).post("/wallet/derive-ephemeral-key", asked)
    assert reply.status in (200, 403) and "no ':'" not in reply.text, reply


def test_keystore_empty_allow_all_takes_the_condition_of_early_scripts(plain, changed, chain):
    for server in (plain, changed):
        worker = worker_of(server, chain)
        blob = worker.encrypted(SEED, SECRETS)
        chain.store(ON_CHAIN, "default", OWNER, blob, {"AllowAll": {}})
        reply, plaintext = worker.decrypt(REPO, "default", OWNER)
        if server is changed:
            assert plaintext == SECRETS, reply
        else:
            refused(reply, 500, "Failed to parse access condition: ")
        for other in ({"AllowAll": {"x": 1}}, {"AllowAll": None}, {"Not": {}}):
            chain.store(ON_CHAIN, "default", OWNER, blob, other)
            refused(worker.decrypt(REPO, "default", OWNER)[0], 500, "Failed to parse access condition: ")
    chain.forget()


def test_keystore_update_recipients_are_whom_owners_sign_for(plain, changed, chain):
    owner = Owner(chain)
    chain.add_key(OWNER, owner.public)
    taken = {plain: [chain.contract], changed: ["front.testnet", "other.testnet"]}
    for server, recipients in taken.items():
        coordinator = Client(server, COORDINATOR)
        for recipient in (chain.contract, "front.testnet", "other.testnet"):
            asked = owner.asked(secrets={"NEW": "2"}, recipient=recipient)
            reply = coordinator.post("/update_user_secrets", asked)
            if recipient in recipients:
                assert reply.status == 200, (recipient, reply)
            else:
                refused(reply, 400, f"the signature is for '{recipient}', not for this keystore's contract")


def test_keystore_wallet_policy_method_is_where_policies_are_read(plain, changed, chain):
    asked = []

    def policy_of(args):
        asked.append(args)
        return chain.policies.get(args["wallet_pubkey"])

    chain.views[(chain.contract, "policy_of")] = policy_of
    for server in (plain, changed):
        wallets = Wallets(server, chain)
        wallets.has_account("reader")
        refused(wallets.sign("reader", TRANSFER), 403, "this wallet has no policy")
        wallets.give_policy("reader", {"rules": {"transaction_types": ["transfer"]}})
        assert wallets.sign("reader", TRANSFER).status == 200
        assert bool(asked) == (server is changed)
    assert all(set(args) == {"wallet_pubkey"} for args in asked)


# ---- sessions


def test_keystore_session_seconds_is_how_long_a_session_lives(plain, tmp_path, chain, three):
    worker = Worker(plain, chain)
    before = time.time()
    reply = worker.register().json()
    assert before + 86399 <= reply["expires_at"] <= time.time() + 86401, reply
    with running(tmp_path, chain, three, session_seconds=2) as server:
        worker = Worker(server, chain)
        before = int(time.time())
        reply = worker.register().json()
        assert before + 2 <= reply["expires_at"] <= time.time() + 2, reply
        until(lambda: worker.in_session("/vrf/generate", {"alpha": "a"}).status == 403)
        assert time.time() >= reply["expires_at"], "not before"
        refused(worker.in_session("/vrf/generate", {"alpha": "a"}), 403, "TEE session not found or expired")
        assert worker.register().status == 200, "as often as it likes"


def test_keystore_bind_channel_off_lets_sessions_be_used_over_other_connections(tmp_path, chain, three):
    """As with the default in test_keystore_sessions; what a channel vouches for stays with it all the same."""
    asked = {"alpha": "a"}
    server = start_keystore(tmp_path / "data", chain, three, **{"tls.mode": "auto", "keystore.bind_channel": "false"})
    first, second, old = OverTls(server, chain), OverTls(server, chain), OverTls(server, chain, ssl.TLSVersion.TLSv1_2)
    for worker in (first, old):
        assert worker.register().status == 200
        for over in (first, second, old):
            assert over.in_session("/vrf/generate", asked, worker.session).status == 200
    key = ec.generate_private_key(ec.SECP256R1())
    quote = forge(server.seed, key_report_data(key), "tdx-v4")
    vouched = OverTls(server, chain, certificate=client_certificate(tmp_path, key, quote))
    assert vouched.register(kind=None).status == 200
    assert vouched.in_session("/vrf/generate", asked).status == 200
    refused(second.in_session("/vrf/generate", asked, vouched.session), 403, "TEE session not found or expired")
    for one in (first, second, old, vouched):
        one.connection.close()
    assert server.terminate() == 0, server.output


# ---- the DAO


def key_of(chain, account, folder):
    """A file with a key of that account which may call the DAO."""
    key = Ed25519PrivateKey.generate()
    path = folder / f"{account}.key"
    path.touch(mode=0o600)
    path.write_text("ed25519:" + base58(key.private_bytes_raw() + raw_public(key)) + "\n")
    methods = {"allowance": None, "receiver_id": "dao.testnet", "method_names": ["ban_vault"]}
    chain.accounts[account] = 10**25
    chain.keys[account] = {"ed25519:" + base58(raw_public(key)): {"FunctionCall": methods}}
    return path


def test_keystore_dao_account_is_who_tells_the_dao(tmp_path, chain, three):
    chain.accounts["dao.testnet"] = 10**25
    chain.views[("dao.testnet", "is_vault_banned")] = lambda args: False
    settings = {"dao_contract": "dao.testnet", "mpc_contract": "mpc.testnet"}
    settings["dao_key"] = key_of(chain, "teller.testnet", tmp_path)
    chain.move()
    ban = {"vault_id": "bad.testnet", "reason": "stolen"}
    with running(tmp_path, chain, three, **settings) as server:
        before = len(chain.calls)
        reply = Client(server).post("/admin/ban-vault", ban)
        assert reply.status in (500, 503) and len(chain.calls) == before, "the DAO itself has not got this key"
    with running(tmp_path, chain, three, dao_account="teller.testnet", **settings) as server:
        assert Client(server).post("/admin/ban-vault", ban).json()["tx_hash"]
        assert chain.calls[before:] == [("teller.testnet", "dao.testnet", "ban_vault", ban)]


# ---- endpoints


@pytest.fixture
def stored(chain):
    def by(worker):
        chain.store(ON_CHAIN, "default", OWNER, worker.encrypted(SEED, SECRETS))
        worker.chain = chain
        return worker

    yield by
    chain.forget()


@pytest.mark.parametrize(("quorum", "dead"), [(0, [200, 200, 503]), (1, [200, 200, 200]), (3, [200, 503, 503])])
def test_keystore_quorum_is_how_many_endpoints_must_agree(tmp_path, chain, three, stored, quorum, dead):
    with running(tmp_path, chain, three, quorum=quorum) as server:
        worker = stored(worker_of(server, chain))
        for count, status in enumerate(dead):
            with vices(three[:count], dead=True):
                assert sees(worker) == status, (quorum, count)
        assert sees(worker) == 200, "and they are back"


def test_keystore_quorum_is_at_most_all_endpoints(tmp_path):
    config = tmp_path / "attestry.toml"
    rpc = "https://a.example,https://b.example"
    config.write_text(f'[keystore]\nlisten = "127.0.0.1:0"\nrpc = "{rpc}"\nquorum = 3\n')
    done = attestry("config", "check", "--config", config)
    assert done.code != 0 and "quorum" in done.err, done


@pytest.mark.parametrize(
    ("most", "ages"),
    [
        (None, {0: 200, 60: 200, 600: 503}),
        (3600, {600: 200, 7200: 503}),
        (0, {7200: 200, 10_000_000: 200}),
    ],
)
def test_keystore_max_head_age_is_how_old_the_final_block_may_be(tmp_path, chain, three, stored, most, ages):
    with running(tmp_path, chain, three, max_head_age=most) as server:
        worker = stored(worker_of(server, chain))
        for age, status in ages.items():
            with vices(three, age=age):
                assert sees(worker) == status, (most, age)


@pytest.mark.parametrize("trusted", ["ours", "theirs", ""])
def test_keystore_rpc_ca_is_whom_the_endpoints_are_believed_by(tmp_path, chain, trusted):
    authorities = {name: Authority(name) for name in ("ours", "theirs")}
    for name, authority in authorities.items():
        (tmp_path / f"{name}.pem").write_bytes(authority.pem)
    files = authorities["ours"].issue(tmp_path, "endpoint", ["127.0.0.1"])
    with Node(chain, files) as node:
        ca = tmp_path / f"{trusted}.pem" if trusted else ""
        with running(tmp_path, chain, [node], rpc_ca=ca) as server:
            reply = Worker(server, chain).register()
            assert reply.status == (200 if trusted == "ours" else 503), reply
            assert bool(node.asked) == (trusted == "ours")


def test_keystore_rpc_ca_that_is_no_file_ends_the_start(tmp_path):
    config = tmp_path / "attestry.toml"
    (tmp_path / "none.pem").write_text("no certificate")
    for name, text in (("no-such.pem", "there is no file"), ("none.pem", "a PEM file with a certificate")):
        config.write_text(f'[keystore]\nlisten = "127.0.0.1:0"\nrpc_ca = "{tmp_path}/{name}"\n')
        done = attestry("config", "check", "--config", config)
        assert done.code != 0 and "keystore.rpc_ca" in done.err and text in done.err, done
