"""A new master for a keystore whose secrets lie in a contract: what owners must write, in whatever moment the server is
killed, and what keeps older masters from being erased."""

import base64
import json

import pytest
from harness import attestry
from keystore import Client, Worker, start_keystore
from near import Chain, Node
from test_keystore_masters import files_of, make_admins
from test_keystore_wallets import Wallets

ALICE = "alice.testnet"
SECRETS = 60  # more than a page of a walk
CHAINS = ("near", "ethereum", "solana")
POLICY = {"capabilities": {"evm_sign": True}}
OF_VAULT = {"X-Customer-Vault": "acme.near"}


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
        assert keystore(server, "retire", "--accept-loss").code == 0
        server.terminate()


def seen_of_wallets(server, chain):
    """What somebody who holds something there, or has a policy, must find again."""
    wallets = Wallets(server, chain)
    blob = base64.b64encode(wallets.encrypted("wallet-policy:w", json.dumps(POLICY).encode())).decode()
    signed = wallets.post("/wallet/evm/sign-message", {"wallet_id": "w", "message": "Hello World"})
    assert signed.status == 200, signed
    asked = {"wallet_id": "w", "encrypted_data": blob}
    assert wallets.post("/wallet/decrypt-policy", asked).json()["policy"] == POLICY
    return {
        "addresses": [wallets.post("/wallet/derive-address", {"wallet_id": "w", "chain": c}).json() for c in CHAINS],
        "never signed": wallets.key("x"),
        "of a vault": wallets.post("/wallet/derive-address", {"wallet_id": "w", "chain": "near"}, OF_VAULT).json(),
        "signature": signed.json()["signature"],
        "key of a vault": wallets.post("/derive-vault-tee-key", {"vault_id": "acme.near"}).json()["public_key"],
        "key of policies": wallets.pubkey("wallet-policy:w").json()["pubkey"],
    }


def test_wallets_outlive_rotations_retirements_restarts_and_machines(tmp_path, chain):
    admins, pairs = make_admins(tmp_path)
    with Node(chain) as node:
        server = start_keystore(tmp_path / "data", chain, [node], **{"keystore.raw_seeds": "true"})
        Wallets(server, chain).give_policy("w", POLICY)
        before = seen_of_wallets(server, chain)
        worker = Client(server)
        old = {"seed": seed(0), "encrypted_base64": base64.b64encode(worker.encrypted(seed(0), b"x")).decode()}
        registered = Worker(server, chain)
        assert registered.register().status == 200
        assert registered.in_session("/decrypt-raw", old).status == 200

        for oldest in (2, 3):
            assert keystore(server, "rotate").code == 0
            assert seen_of_wallets(server, chain) == before
            assert keystore(server, "retire", "--accept-loss").code == 0
            masters = server.call("GET", "/v1/keystore/masters").json()
            assert (masters["epochs"][0]["epoch"], masters["wallets_epoch"]) == (oldest, 1), masters
            assert seen_of_wallets(server, chain) == before
            gone = registered.in_session("/decrypt-raw", old)
            assert (gone.status, "Decryption failed" in gone.text) == (500, True), gone
        server.kill()
        server = start_keystore(tmp_path / "data", chain, [node])
        assert seen_of_wallets(server, chain) == before

        made = keystore(server, "backup", "--to", tmp_path / "backup", "--recipients", admins, "--threshold", "2")
        assert made.code == 0, made
        server.terminate()
        file, shares = tmp_path / "backup" / "keystore-backup.json", []
        for i, (private, public) in enumerate(pairs[:2]):
            words = ("open-share", "--backup", file, "--out", tmp_path / f"{i}.share")
            assert attestry("keystore", *words, *files_of(private, public)).code == 0
            shares += ["--share", tmp_path / f"{i}.share"]
        server = start_keystore(tmp_path / "other", chain, [node])
        assert Wallets(server, chain).key("x") != before["never signed"]
        assert keystore(server, "restore", "--backup", file, *shares, "--replace").code == 0
        assert seen_of_wallets(server, chain) == before
        server.terminate()
