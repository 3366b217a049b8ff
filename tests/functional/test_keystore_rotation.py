"""A new master for a keystore whose secrets lie in a contract: what owners must write, in whatever moment the server is
killed, and what keeps older masters from being erased."""

import base64
import json

import pytest
from harness import attestry
from keystore import COORDINATOR, Client, start_keystore
from near import Chain, Node

ALICE = "alice.testnet"
SECRETS = 60  # more than a page of a walk


def accessor(number):
    return {"Repo": {"repo": f"github.com/alice/project{number}", "branch": None}}


def seed(number):
    return f"github.com/alice/project{number}:{ALICE}"


def owned(chain, owner):
    return [
        {"accessor": entry["profile"]["accessor"], "profile": profile}
        for (_, profile, who), entry in chain.secrets.items()
        if who == owner
    ]


@pytest.fixture
def chain():
    made = Chain()
    made.views[(made.contract, "list_user_secrets")] = lambda args: owned(made, args["account_id"])[
        args["from_index"] : args["from_index"] + args["limit"]
    ]
    return made


def keystore(server, *command):
    return attestry("keystore", *command, "--server", server.admin, "--token-file", server.data / "admin.token")


def walked(server):
    """The walk, once it is done."""
    while True:
        now = server.call("GET", "/v1/keystore/walk").json()
        if now["finished"]:
            return now


def test_every_secret_comes_out_under_the_new_master_though_the_server_is_killed(tmp_path, chain):
    with Node(chain) as node:
        server = start_keystore(tmp_path / "data", chain, [node])
        client = Client(server)
        for number in range(SECRETS):
            chain.store(accessor(number), "default", ALICE, client.encrypted(seed(number), b'{"A":"%d"}' % number))
        before = client.pubkey(seed(0)).json()["pubkey"]
        assert keystore(server, "rotate", "--owners", ALICE).code == 0
        assert client.pubkey(seed(0)).json()["pubkey"] != before, "what comes is encrypted under the new master"
        server.kill()
        server = start_keystore(tmp_path / "data", chain, [node])
        now = walked(server)
        assert (now["walked"], now["anew"], now["failed"], now["epoch"]) == (SECRETS, SECRETS, 0, 2), now
        early = keystore(server, "retire")
        assert early.code == 1 and f"{SECRETS} of older epochs" in early.err, early

        assert keystore(server, "recrypted", "--out", tmp_path / "anew.jsonl").code == 0
        lines = [json.loads(line) for line in (tmp_path / "anew.jsonl").read_text().splitlines()]
        assert len(lines) == SECRETS
        for line in lines:
            blob = base64.b64decode(line["encrypted_secrets_base64"])
            chain.store(json.loads(line["accessor"]), line["profile"], line["owner"], blob)
        assert keystore(server, "walk", "--owners", ALICE).code == 0
        now = walked(server)
        assert (now["walked"], now["current"], now["anew"]) == (SECRETS, SECRETS, 0), now
        assert keystore(server, "retire").code == 0
        epochs = server.call("GET", "/v1/keystore/masters").json()["epochs"]
        assert [epoch["epoch"] for epoch in epochs] == [2]
        assert server.terminate() == 0


def test_a_walk_waits_for_the_chain_and_counts_what_does_not_open(tmp_path, chain):
    with Node(chain) as node:
        server = start_keystore(tmp_path / "data", chain, [node])
        chain.store(accessor(0), "default", ALICE, b"\1" + b"x" * 80)
        node.dead = True
        assert keystore(server, "rotate", "--owners", ALICE).code == 0
        server.wait_for("the walk over secrets has to wait")
        assert not server.call("GET", "/v1/keystore/walk").json()["finished"]
        node.dead = False
        assert walked(server)["failed"] == 1
        refused = keystore(server, "retire")
        assert refused.code == 1 and "1 that could not be encrypted anew" in refused.err, refused
        wallets, asked = Client(server, COORDINATOR), {"wallet_id": "w", "chain": "near"}
        before = wallets.post("/wallet/derive-address", asked).json()
        op = {"kind": "auth", "purpose": "bearer", "seed": "s"}
        assert wallets.post("/wallet/sign", {"wallet_id": "w", "op": op}).status == 200
        assert keystore(server, "rotate").code == 0
        assert wallets.post("/wallet/derive-address", asked).json() == before, "what a wallet holds stays there"
        assert "wallets have signed here" in keystore(server, "retire").err
        assert keystore(server, "retire", "--accept-loss").code == 0
        server.terminate()
