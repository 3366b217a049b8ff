"""Two keystores, of which one serves: docs/how-to/run-a-standby-keystore.md. Both are the real program, each with a root key
and a data folder of its own."""

import base64
import os
import socket
import threading
import time
import uuid

import pytest
from harness import PATIENCE, attestry
from key_servers import with_seed
from keystore import Client, Worker, start_keystore
from near import Chain, nodes
from operators import Operator
from registry import rtmrs_of
from test_keystore_registration import World, asked_key, master_of, public_of, said
from test_keystore_wallets import Wallets
from test_registry_authorities import registers_document
from tpm import tpm
from workload import forge

APP = "name:keystore"
REPO = {"type": "Repo", "repo": "github.com/alice/project", "branch": None}
ON_CHAIN = {"Repo": {"repo": "github.com/alice/project", "branch": None}}
OWNER = "alice.testnet"
SEED = f"github.com/alice/project:{OWNER}"
SECRETS = b'{"API_KEY":"sk-test"}'
TAKEOVER = 5


@pytest.fixture
def chain():
    return Chain()


@pytest.fixture
def pair(tmp_path, chain):
    """starter(name, **settings): servers on machines of one simulated vendor, whose software operators have approved."""
    seed, running = os.urandom(16).hex() + "\n", []
    with nodes(chain) as started:

        def starter(name, approve=True, vendor=seed, **settings):
            folder = tmp_path / name
            fresh = not folder.exists()
            if fresh:
                with_seed(folder, vendor)
            chosen = {
                "keystore.standby_listen": "127.0.0.1:0",
                "keystore.standby_attestation": f"simulated:{folder}/forge.seed",
                "keystore.standby_takeover_seconds": TAKEOVER,
                "keystore.standby_sync": "true",
                "log.level": "info",
                **settings,
            }
            server = start_keystore(folder, chain, [started[0]], **chosen)
            running.append(server)
            server.channel = status(server)["listens"]
            if approve and fresh:
                server.operators = approve_servers(server)
            return server

        yield starter
        assert [one.output for one in running if one.running and one.terminate() != 0] == []


def approve_servers(server):
    approver = Operator(server)
    approver.approve(APP, "app.create", APP)
    approver.approve(APP, "policy.approve", approver.blob({"format": 1, "name": "servers", "identities": []}))
    quote = forge(server.seed, bytes(64))
    document = approver.blob(registers_document(rtmrs_of(quote), quote[184:232]))
    approver.approve(APP, "identity.approve", document)
    return lambda: approver.approve(APP, "revoke", document)


def status(server):
    reply = server.call("GET", "/v1/keystore/standby")
    assert reply.status == 200, reply
    return reply.json()


def until(look, what):
    end = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < end, what()
        time.sleep(0.05)


def until_status(server, **wanted):
    until(
        lambda: all(status(server)[name] == value for name, value in wanted.items()),
        lambda: (wanted, status(server), server.output),
    )


def command(server, *arguments):
    folder = ("--server", server.admin, "--token-file", server.data / "admin.token")
    return attestry("keystore", "standby", *arguments, *folder)


def started_pair(pair):
    primary = pair("a", **{"keystore.standby": "primary"})
    standby = pair("b", **{"keystore.standby": "standby", "keystore.standby_peer": primary.channel})
    until_status(standby, complete=True)
    until_status(primary, followed=True, serves=True)
    return primary, standby


def serves_nobody(server, chain, session=None):
    worker = Worker(server, chain)
    worker.session = session
    assert worker.call("GET", "/health").status == 200
    assert worker.pubkey(SEED).status == 503
    # Not even a challenge: nothing is looked up or verified for what would be refused.
    reply = worker.register()
    assert reply.status == 503 and "not ready" in reply.json()["error"], reply
    reply = worker.in_session("/vrf/generate", {"alpha": "a"}, session or str(uuid.uuid4()))
    assert reply.status == 503 and "not ready" in reply.json()["error"], reply
    reply = Client(server).post("/admin/ban-vault", {"vault_id": "other.testnet", "reason": "no"})
    assert reply.status == 503, reply


class Load:
    """Workers that register one after the other, and what was acknowledged to them."""

    def __init__(self, server, chain):
        self.server, self.chain, self.sessions = server, chain, []
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(2)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while not self.ended.is_set():
            worker = Worker(self.server, self.chain)
            try:
                if worker.register().status == 200:
                    self.sessions.append(worker)
            except OSError:
                return  # it was killed

    def end(self):
        self.ended.set()
        for thread in self.threads:
            thread.join()
        return self.sessions


def test_a_standby_takes_over_with_everything_that_was_acknowledged(pair, chain):
    primary, standby = started_pair(pair)
    serves_nobody(standby, chain)
    reply = standby.request("GET", "/health/ready")
    assert reply.status == 503 and "standby" in reply.text, reply

    worker = Worker(primary, chain)
    assert worker.register().status == 200
    chain.store(ON_CHAIN, "default", OWNER, worker.encrypted(SEED, SECRETS))
    assert worker.decrypt(REPO, "default", OWNER)[1] == SECRETS
    public = worker.pubkey(SEED).json()["pubkey"]
    ban = Client(primary).post("/admin/ban-vault", {"vault_id": "evil.testnet", "reason": "stolen"})
    assert ban.status == 200, ban
    mistake = {"vault": "good.testnet"}
    assert Client(primary).post("/admin/ban-vault", {"vault_id": "good.testnet", "reason": "mistake"}).status == 200
    assert standby.call("POST", "/v1/keystore/unban", mistake).status == 503, "bans are the primary's to lift"
    assert primary.call("POST", "/v1/keystore/unban", mistake).status == 200

    load = Load(primary, chain)
    until(lambda: len(load.sessions) >= 4, lambda: primary.output)
    primary.kill()
    workers = [worker, *load.end()]
    until_status(standby, role="primary", serves=True, term=2)
    assert standby.request("GET", "/health/ready").status == 200

    for one in workers:
        one.server = standby
        assert one.in_session("/vrf/generate", {"alpha": "a"}).status == 200
    reply, plaintext = worker.decrypt(REPO, "default", OWNER)
    assert plaintext == SECRETS, reply
    assert worker.pubkey(SEED).json()["pubkey"] == public
    again = Client(standby).post("/admin/ban-vault", {"vault_id": "evil.testnet", "reason": "stolen"})
    assert again.json() == {"already_banned": True}
    assert worker.pubkey(SEED, vault_id="evil.testnet").status == 403
    assert worker.pubkey(SEED, vault_id="good.testnet").status == 200
    assert [leaf["type"] for leaf in standby.leaves()].count("keystore.import") == 1
    assert Worker(standby, chain).register().status == 200, "nobody follows it, and nobody is waited for"

    # The old primary comes back.
    settings = {"keystore.standby": "primary", "keystore.standby_listen": primary.channel}
    old = pair("a", **settings, **{"keystore.standby_peer": standby.channel})
    serves_nobody(old, chain, worker.session)
    until_status(old, role="stood-down", term=2, serves=False)
    serves_nobody(old, chain, worker.session)
    done = command(old, "promote")
    assert done.code != 0 and "may serve still" in done.err, done

    # An operator makes it the standby, and then the primary again.
    done = command(old, "follow")
    assert done.code == 0, done
    until_status(old, role="standby", complete=True)
    done = command(old, "promote")
    assert done.code == 0 and "role        primary, term 3" in done.out, done
    assert status(standby)["role"] == "stood-down"
    serves_nobody(standby, chain, worker.session)
    worker.server = old
    assert worker.decrypt(REPO, "default", OWNER)[1] == SECRETS


def test_a_rotation_that_was_acknowledged_survives_the_primary(pair, chain):
    owned = [{"accessor": ON_CHAIN, "profile": "default"}]
    chain.views[(chain.contract, "list_user_secrets")] = lambda args: owned[args["from_index"] :][: args["limit"]]
    primary, standby = started_pair(pair)
    worker = Worker(primary, chain)
    assert worker.register().status == 200
    chain.store(ON_CHAIN, "default", OWNER, worker.encrypted(SEED, SECRETS))
    rotated = primary.call("POST", "/v1/keystore/rotate", {"owners": [OWNER]})
    assert rotated.status == 200 and rotated.json()["epoch"] == 2, rotated
    # Before anything else happens: nobody asks for a whole copy, and nothing else changes.
    ids = [epoch["key_id"] for epoch in primary.call("GET", "/v1/keystore/masters").json()["epochs"]]
    public = worker.pubkey(SEED).json()["pubkey"]
    primary.kill()
    until_status(standby, role="primary", serves=True)
    assert [one["key_id"] for one in standby.call("GET", "/v1/keystore/masters").json()["epochs"]] == ids
    worker.server = standby
    assert worker.pubkey(SEED).json()["pubkey"] == public
    assert worker.decrypt(REPO, "default", OWNER)[1] == SECRETS
    # What was encrypted anew was the old primary's; the new one walks again.
    until(
        lambda: standby.call("GET", "/v1/keystore/walk").json()["finished"],
        lambda: standby.output,
    )
    [anew] = standby.call("GET", "/v1/keystore/recrypted").json()["secrets"]
    assert anew["owner"] == OWNER and anew["epoch"] == 2, anew
    chain.store(ON_CHAIN, "default", OWNER, base64.b64decode(anew["encrypted_secrets_base64"]))
    assert worker.decrypt(REPO, "default", OWNER)[1] == SECRETS


def test_evidence_is_shown_anew_and_nobody_stops_meanwhile(pair):
    more = {"keystore.standby_session_seconds": 1}
    primary = pair("a", **{"keystore.standby": "primary"}, **more)
    standby = pair("b", **{"keystore.standby": "standby", "keystore.standby_peer": primary.channel}, **more)
    until_status(standby, complete=True)
    terms = []

    def renewed():
        terms.append((status(primary)["serves"], status(standby)["role"]))
        change = Client(primary).post("/admin/ban-vault", {"vault_id": "a.testnet", "reason": "again"})
        assert change.status == 200, change
        return sum(leaf["type"] == "keystore.standby" for leaf in primary.leaves()) >= 4

    until(renewed, lambda: primary.output)
    assert set(terms) == {(True, "standby")}, terms
    assert not status(standby)["problem"]
    assert standby.terminate() == 0
    assert "next session" not in standby.output, standby.output


def test_what_a_wallet_has_moved_survives_the_primary(pair, chain):
    primary, standby = started_pair(pair)
    wallets, op = Wallets(primary, chain), {"kind": "transfer", "to": "alice.near", "amount": "6"}
    wallets.give_policy("thrifty", {"rules": {"limits": {"monthly": "10"}}})
    wallets.has_account("thrifty")
    assert wallets.sign("thrifty", op).status == 200
    before = Wallets(standby, chain).sign("thrifty", op)
    assert before.status == 503, before
    primary.kill()
    until_status(standby, role="primary", serves=True)
    after = Wallets(standby, chain).sign("thrifty", op)
    assert (after.status, "limits.monthly" in after.text) == (403, True), after
    assert Wallets(standby, chain).sign("thrifty", {**op, "amount": "4"}).status == 200


def test_wallets_of_a_retired_epoch_survive_the_primary(pair, chain):
    primary, standby = started_pair(pair)
    wallets = Wallets(primary, chain)
    wallets.give_policy("old", {"capabilities": {"evm_sign": True}})
    message = {"wallet_id": "old", "message": "Hello World"}
    before = (wallets.key("old"), wallets.post("/wallet/evm/sign-message", message).json()["signature"])
    for path, body in (("rotate", {}), ("retire", {"accept_loss": True})):
        reply = primary.call("POST", f"/v1/keystore/{path}", body)
        assert reply.status == 200, reply
    primary.kill()
    until_status(standby, role="primary", serves=True)
    wallets = Wallets(standby, chain)
    assert (wallets.key("old"), wallets.post("/wallet/evm/sign-message", message).json()["signature"]) == before


def test_a_follow_that_is_refused_interrupts_nobody(pair):
    primary = pair("a", **{"keystore.standby": "primary", "keystore.standby_peer": "127.0.0.1:9"})
    client = Client(primary)
    for _ in range(5):
        refused = primary.call("POST", "/v1/keystore/standby/follow", {"discard": False})
        assert refused.status == 409, refused
        assert client.pubkey(SEED).status == 200


def test_strangers_that_say_nothing_do_not_keep_a_pair_apart(pair):
    primary = pair("a", **{"keystore.standby": "primary"})
    host, port = primary.channel.rsplit(":", 1)
    silent = [
        socket.create_connection((host, int(port)), source_address=(f"127.0.0.{2 + number}", 0)) for number in range(40)
    ]
    standby = pair("b", **{"keystore.standby": "standby", "keystore.standby_peer": primary.channel})
    until_status(standby, complete=True)
    for one in silent:  # more than there are places: those who came first have given way
        one.close()


def test_masters_leave_only_for_approved_software_and_with_a_leaf(pair, chain):
    primary = pair("a", **{"keystore.standby": "primary"})
    settings = {"keystore.standby": "standby", "keystore.standby_peer": primary.channel}
    stranger = pair("c", vendor=os.urandom(16).hex() + "\n", **settings)
    until(lambda: "the other end refuses" in status(stranger)["problem"], lambda: status(stranger)["problem"])
    assert not status(stranger)["complete"] and not status(primary)["followed"]
    assert "keystore.standby" not in [leaf["type"] for leaf in primary.leaves()]
    done = command(stranger, "promote", "--force")
    assert done.code != 0 and "has not got everything" in done.err, done
    stranger.kill()

    standby = pair("b", **settings)
    until_status(standby, complete=True)
    [leaf] = [leaf for leaf in primary.leaves() if leaf["type"] == "keystore.standby"]
    assert leaf["app"] == APP and leaf["governance"] and leaf["policy"] and leaf["binding"]
    assert Worker(primary, chain).register().status == 200
    # What was approved is taken back: the standby follows no more, and with sync nothing is acknowledged any more.
    primary.operators()
    until(
        lambda: "denied" in status(standby)["problem"] or "refuses" in status(standby)["problem"],
        lambda: standby.output,
    )


def test_a_primary_whose_standby_may_take_over_stops_without_it(pair, chain):
    primary, standby = started_pair(pair)
    worker = Worker(primary, chain)
    assert worker.register().status == 200
    standby.kill()
    until_status(primary, serves=False)
    serves_nobody(primary, chain, worker.session)
    assert primary.running
    done = command(primary, "promote", "--force")
    assert done.code == 0 and "term 2" in done.out, done
    assert worker.in_session("/vrf/generate", {"alpha": "a"}).status == 200


def test_without_a_takeover_time_operators_decide(pair, chain):
    more = {"keystore.standby_takeover_seconds": 0, "keystore.standby_sync": "false"}
    primary = pair("a", **{"keystore.standby": "primary"}, **more)
    settings = {"keystore.standby": "standby", "keystore.standby_peer": primary.channel, **more}
    standby = pair("b", **settings)
    until_status(standby, complete=True)
    worker = Worker(primary, chain)
    assert worker.register().status == 200
    until_status(primary, behind=0)
    primary.kill()
    done = command(standby, "promote", "--wait", "1")
    assert done.code != 0 and "has not handed over" in done.err, done
    done = command(standby, "promote", "--force")
    assert done.code == 0, done
    worker.server = standby
    assert worker.in_session("/vrf/generate", {"alpha": "a"}).status == 200


def test_a_device_that_is_away_at_the_takeover_is_asked_again_and_the_log_says_so_once(pair, chain, tmp_path):
    more = {"keystore.standby_takeover_seconds": 0, "keystore.standby_sync": "false"}
    with tpm(tmp_path / "chip") as chip:
        primary = pair("a", **{"keystore.standby": "primary"}, **more)
        more |= {"keystore.sealing": "tpm2:0,7", "keystore.sealing_tpm": chip.tcti}
        settings = {"keystore.standby": "standby", "keystore.standby_peer": primary.channel, **more}
        standby = pair("b", **settings)
        until_status(standby, complete=True)
        public = Client(primary).pubkey(SEED).json()["pubkey"]
        primary.kill()
        standby.kill()
        chip.stop()
        standby = pair("b", **settings)
        done = command(standby, "promote", "--force", "--wait", "1")
        assert done.code == 0, done
        said = "cannot serve what it has copied"
        standby.wait_for(said)
        for _ in range(4):  # it goes on trying meanwhile
            serves_nobody(standby, chain)
        chip.start()
        until_status(standby, serves=True)
        assert Client(standby).pubkey(SEED).json()["pubkey"] == public
        assert standby.terminate() == 0
        assert standby.output.count(said) == 1, standby.output


def test_each_of_a_pair_with_the_networks_master_is_voted_in_by_itself(pair, chain, tmp_path):
    world = World(tmp_path, [], chain)
    primary = pair("a", **world.settings(**{"keystore.standby": "primary"}))
    world.dao.vote(int(said(primary, r"Proposal ID: (\d+)")[1]))
    said(primary, "the keystore has its masters")
    follows = {"keystore.standby": "standby", "keystore.standby_peer": primary.channel}
    standby = pair("b", **world.settings(**follows))
    number = int(said(standby, r"Proposal ID: (\d+)")[1])
    assert len({proposal["public_key"] for proposal in world.dao.proposals}) == 2, "each has a key of its own"
    # Nobody has voted on this machine: no copy makes it ready.
    assert asked_key(primary) == public_of(master_of(world))
    until(lambda: "have not voted yet" in str(status(standby)), lambda: (status(standby), standby.output))
    assert not status(standby)["complete"]
    assert "keystore.import" not in [leaf["type"] for leaf in standby.leaves()]
    world.dao.vote(number)
    until_status(standby, complete=True)
    until_status(primary, followed=True, serves=True)
    serves_nobody(standby, chain)
    primary.kill()
    until_status(standby, role="primary", serves=True, term=2)
    assert asked_key(standby) == public_of(master_of(world))
    assert [call[2] for call in chain.calls].count("submit_keystore_registration") == 2


def test_settings_that_make_no_pair_are_refused(tmp_path):
    with_seed(tmp_path / "a", os.urandom(16).hex() + "\n")
    for given, text in (
        ({"standby": "both"}, "primary, standby or nothing"),
        ({"standby": "primary", "standby_attestation": "simulated:x"}, "standby_listen"),
        ({"standby": "standby", "standby_listen": "127.0.0.1:0", "standby_attestation": "x"}, "standby_peer"),
        ({"standby": "primary", "standby_listen": "127.0.0.1:0"}, "standby_attestation"),
        ({"standby_peer": "a.example:1"}, "standby_peer"),
        ({"standby": "primary", "standby_takeover_seconds": "4"}, "at least 5"),
    ):
        sets = [f"--set=keystore.{name}={value}" for name, value in given.items()]
        done = attestry("config", "check", "--set=keystore.listen=127.0.0.1:0", *sets)
        assert done.code != 0 and text in done.out + done.err, (given, done)
