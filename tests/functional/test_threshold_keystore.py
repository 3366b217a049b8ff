"""A keystore whose MPC network is a threshold root of ours: its masters, and those of vaults, are what NEAR's scheme gives
their accounts. docs/how-to/use-a-threshold-root.md"""

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from harness import attestry
from key_servers import with_seed
from keystore import Client, Worker, start_keystore
from near import Chain
from near import nodes as near_nodes
from test_keystore_vaults import DAO, ON_CHAIN, OWNER, REPO, SECRETS, SEED, VAULT, Dao, refused
from test_threshold_server import SERVERS, settings_of
from test_threshold_server import is_ready as is_up
from threshold import NODES, approve, cluster, until
from workload import raw_public

OTHER = "other.testnet"


def hmac_of(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class House:
    """Nodes that let keystores have two accounts' keys, a chain, and keystores that are started by name."""

    def __init__(self, folder, nodes, chain, endpoints):
        self.folder, self.nodes, self.chain, self.endpoints, self.servers = folder, nodes, chain, endpoints, []

    def start(self, name="keystore", **settings):
        folder = self.folder / name
        fresh = not folder.exists()
        if fresh:
            with_seed(folder, self.nodes.vendor)
        settings = {
            **settings_of(self.nodes, folder),
            "keystore.master": "ckd",
            "keystore.mpc": "nodes",
            "keystore.dao_contract": DAO,
            **settings,
        }
        server = start_keystore(folder, self.chain, self.endpoints, **settings)
        self.servers.append(server)
        if fresh:
            approve(server, NODES)
        return server

    def workloads_key(self, account, path=""):
        """By the nodes' other door: what a workload that is approved for the account derives, in NEAR's scheme."""
        out = self.folder / f"{account}.key"
        done = self.nodes.derive(0, f"near:{account}", "--path", path, "--out", out)
        assert done.code == 0, done
        return bytes.fromhex(out.read_text())

    def accounts_in_logs(self):
        return [
            {leaf["app"] for leaf in node.leaves() if leaf["type"] == "threshold.server"} for node in self.running()
        ]

    def running(self):
        return self.nodes.nodes.values()

    def vault_is_stored(self, worker):
        self.chain.store(ON_CHAIN, "default", OWNER, worker.encrypted(SEED, SECRETS, vault_id=VAULT), "AllowAll", VAULT)


@pytest.fixture
def house(tmp_path):
    chain = Chain()
    Dao(chain)
    with cluster(tmp_path) as nodes, near_nodes(chain) as endpoints:
        nodes.generate(2, range(3), "--servers", SERVERS, "--near-accounts", f"{DAO},*.{VAULT},{VAULT}")
        made = House(tmp_path, nodes, chain, [endpoints[0]])
        try:
            yield made
        finally:
            for server in made.servers:
                server.kill()


def let_servers_in(house):
    for node in house.running():
        approve(node, SERVERS, node.operator)


def masters(server):
    return server.call("GET", "/v1/keystore/masters").json()


def is_ready(server):
    until(lambda: masters(server)["ready"], lambda: (masters(server), server.output))


def says(server, reason):
    until(lambda: reason in (masters(server)["reason"] or ""), lambda: (masters(server), server.output))


def public(master):
    """Of the seed under this master (docs/formats/keystore.md)."""
    return raw_public(X25519PrivateKey.from_private_bytes(hmac_of(master, "ecies:" + SEED))).hex()


def pubkeys(server):
    """Of the default master and of the vault's."""
    replies = [Client(server).pubkey(SEED), Client(server).pubkey(SEED, vault_id=VAULT)]
    assert [reply.status for reply in replies] == [200, 200], (replies, server.output)
    return [reply.json()["pubkey"] for reply in replies]


def opens(worker):
    return worker.decrypt(REPO, "default", OWNER)[1]


def test_masters_are_those_of_nears_scheme_and_stay_through_outages(house):
    server = house.start()
    assert Client(server).pubkey(SEED).status == 503, "no node lets this server in"
    assert house.accounts_in_logs() == [set()] * 3
    let_servers_in(house)
    is_ready(server)
    source = masters(server)["source"]
    assert source.startswith(f"ckd-nodes:{DAO}@"), source

    for account in (DAO, VAULT):
        for node in house.running():
            approve(node, f"near:{account}", node.operator)
    master = house.workloads_key(DAO)
    vaults = house.workloads_key(VAULT, hmac_of(master, f"secret-path:vault-master:{VAULT}").hex())
    assert pubkeys(server) == [public(master), public(vaults)]
    asked = house.accounts_in_logs()
    assert sum({f"near:{DAO}", f"near:{VAULT}"} <= apps for apps in asked) >= 2, asked

    worker = Worker(server, house.chain)
    assert worker.register().status == 200
    house.vault_is_stored(worker)
    assert opens(worker) == SECRETS
    assert server.terminate() == 0

    house.nodes.kill(0, 1, 2)
    server = house.start()
    is_ready(server)
    assert pubkeys(server) == [public(master), public(vaults)], "of what is sealed here"
    worker = Worker(server, house.chain)
    assert worker.register().status == 200
    assert opens(worker) == SECRETS
    assert server.terminate() == 0
    lone = house.start("lone")
    assert Client(lone).pubkey(SEED).status == 503, "there is nothing sealed here"

    for node in (0, 2):
        house.nodes.start(node)
    is_ready(lone)
    assert pubkeys(lone) == [public(master), public(vaults)], "whatever server: none of them has the root"
    assert lone.terminate() == 0


def test_accounts_that_nodes_do_not_name_are_never_refused_here_but_not_to_be_had(house):
    house.chain.accounts[OTHER] = 10**24
    let_servers_in(house)
    server = house.start(**{"keystore.dao_contract": OTHER})
    says(server, "node.near_accounts")
    assert Client(server).pubkey(SEED).status == 503
    assert house.accounts_in_logs() == [set()] * 3
    is_up(server)
    assert server.terminate() == 0


def test_a_keystore_keeps_its_source(house):
    let_servers_in(house)
    server = house.start()
    is_ready(server)
    assert server.terminate() == 0
    changed = ({"keystore.master": "derived", "keystore.mpc": "network"}, {"keystore.dao_contract": VAULT})
    for settings in changed:
        server = house.start(**settings)
        says(server, "masters come from elsewhere")
        refused(Client(server).pubkey(SEED), 503, "")
        assert server.terminate() == 0


def test_mistakes_of_the_settings_are_named(tmp_path):
    def mistakes(**said):
        sets = [f"--set={key.replace('__', '.')}={value}" for key, value in said.items()]
        done = attestry("config", "check", f"--set=server.data={tmp_path}/none", "--set=server.realm=simulated", *sets)
        assert done.code == 2, done
        return done.err

    ckd = {"keystore__listen": "127.0.0.1:0", "keystore__master": "ckd"}
    bare = mistakes(**ckd, keystore__mpc="nodes", keystore__init_account="init.testnet")
    for wanted in ("keys.source = threshold", "keystore.dao_contract", "threshold.master_public_key is"):
        assert wanted in bare, bare
    assert "network or nodes" in mistakes(keystore__mpc="others")
    node = {"node__listen": "127.0.0.1:0", "node__operators": "ab" * 32, "node__attestation": "http://127.0.0.1:1"}
    assert "node.servers" in mistakes(**node, node__near_accounts=DAO)
    for wrong in ("*", "*.", "a..b", "UPPER.near", "a.*.near", "near:a.near"):
        assert "all accounts below" in mistakes(**node, node__servers=SERVERS, node__near_accounts=wrong), wrong
