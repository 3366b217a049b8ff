"""A customer's vault on a keystore that runs: loaded when it is used, dropped when a worker says so, banned."""

import json

import pytest
from harness import attestry
from keystore import COORDINATOR, Client, start_keystore
from near import Chain, Node

VAULT = "acme.testnet"
SEED = "github.com/alice/project:alice.testnet"


@pytest.fixture
def server(tmp_path):
    chain = Chain()
    with Node(chain) as node:
        running = start_keystore(tmp_path / "data", chain, [node])
        yield running
        assert running.terminate() == 0, running.output


def loaded(client):
    reply = client.call("GET", "/admin/loaded-vaults")
    assert reply.status == 200, reply
    return reply.json()


def leaves(server):
    return [leaf["type"] for leaf in server.leaves()]


def test_a_vault_that_is_evicted_is_loaded_again_with_the_same_keys(server):
    client = Client(server)
    assert VAULT not in loaded(client)["vaults"]
    public = client.pubkey(SEED, vault_id=VAULT).json()["pubkey"]
    assert public != client.pubkey(SEED).json()["pubkey"]
    assert VAULT in loaded(client)["vaults"]
    gone = client.post("/admin/evict-customer", {"vault_id": VAULT, "reason": "moved"})
    assert (gone.status, gone.json()) == (200, {"ok": True}), gone
    assert VAULT not in loaded(client)["vaults"]
    assert leaves(server)[-1] == "keystore.evict"
    assert client.pubkey(SEED, vault_id=VAULT).json()["pubkey"] == public
    assert client.post("/admin/evict-customer", {"vault_id": "nobody.testnet", "reason": "moved"}).status == 200


def test_only_a_workers_token_evicts(server):
    client = Client(server)
    assert client.pubkey(SEED, vault_id=VAULT).status == 200
    for token in (COORDINATOR, "another", None):
        reply = Client(server, token).post("/admin/evict-customer", {"vault_id": VAULT, "reason": "moved"})
        assert reply.status == 401, (token, reply)
    assert client.post("/admin/evict-customer", {"vault_id": "", "reason": "moved"}).status == 400
    assert client.post("/admin/evict-customer", {"reason": "moved"}).status == 422
    assert VAULT in loaded(client)["vaults"]


def test_a_banned_vault_is_gone_and_stays_so(server):
    client = Client(server)
    assert client.pubkey(SEED, vault_id=VAULT).status == 200
    assert client.post("/admin/ban-vault", {"vault_id": VAULT, "reason": "stolen"}).status == 200
    assert VAULT not in loaded(client)["vaults"]
    assert client.pubkey(SEED, vault_id=VAULT).status == 403


def test_an_administrator_lifts_a_ban(server):
    """`attestry keystore bans` and `unban`, at the listener of administrators only."""

    def keystore(*words):
        where = ("--server", server.admin, "--token-file", server.data / "admin.token", "--format", "json")
        return attestry("keystore", *words, *where)

    client = Client(server)
    public = client.pubkey(SEED, vault_id=VAULT).json()["pubkey"]
    assert keystore("unban", VAULT).code != 0
    assert client.post("/admin/ban-vault", {"vault_id": VAULT, "reason": "stolen"}).status == 200
    assert client.pubkey(SEED, vault_id=VAULT).status == 403
    [ban] = json.loads(keystore("bans").out)["bans"]
    assert (ban["vault"], ban["reason"]) == (VAULT, "stolen")
    for path in ("/admin/unban-vault", "/v1/keystore/unban"):
        for token in (COORDINATOR, client.token):
            assert Client(server, token).post(path, {"vault_id": VAULT, "vault": VAULT}).status == 404, path
    assert client.pubkey(SEED, vault_id=VAULT).status == 403
    lifted = keystore("unban", VAULT)
    assert lifted.code == 0 and json.loads(lifted.out) == ban, lifted
    assert leaves(server)[-1] == "keystore.unban"
    assert client.pubkey(SEED, vault_id=VAULT).json()["pubkey"] == public
    assert json.loads(keystore("bans").out) == {"bans": []}
