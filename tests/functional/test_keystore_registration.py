"""A keystore that has its masters from NEAR's MPC network, once its DAO has approved it (keystore.master = ckd)."""

import contextlib
import http.server
import json
import re
import socketserver
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from endpoints import until
from harness import PATIENCE, Program, attestry, request, serve_arguments
from keystore import COORDINATOR, TOKEN, Client, forge, settings_for, start_keystore, token_hash
from mpc import METHODS, Dao, Mpc, VaultContract, hmac_sha256, near_secret, vault_key, vault_path
from near import Chain, Panic, base58, nodes, unbase58
from test_keystore_masters import files_of, make_admins
from workload import raw_public

SEED = "github.com/alice/project:alice.testnet"
# The x of points of G1: on the curve and outside the subgroup; of none.
OUTSIDE, NOWHERE = ("bls12381g1:" + base58(b"\x80" + bytes(46) + bytes([x])) for x in (4, 1))
IDENTITY = "bls12381g1:" + base58(b"\xc0" + bytes(47))
NOT_READY = "Keystore not ready. Waiting for DAO approval and master key from MPC."


class World:
    """A chain with a DAO and an MPC network, and nodes that show it."""

    def __init__(self, folder, shown_by, chain):
        self.folder, self.nodes, self.chain = folder, shown_by, chain
        self.mpc = Mpc()
        self.dao = Dao(chain, self.mpc)
        chain.views["mpc.testnet", "public_key"] = self.public_key
        self.init_key = folder / "init.key"
        self.init_key.write_text(self.dao.init_key_text())
        self.init_key.chmod(0o600)

    def public_key(self, args):
        assert args == {"domain_id": self.mpc.domain}, args
        return self.mpc.public_key()

    def settings(self, **more):
        return {
            "keystore.master": "ckd",
            "log.level": "info",
            "keystore.dao_contract": self.dao.account,
            "keystore.mpc_contract": "mpc.testnet",
            "keystore.mpc_public_key": self.mpc.public_key(),
            "keystore.init_account": self.dao.init,
            "keystore.init_key": self.init_key,
            "keystore.registration_poll_ms": 20,
            "keystore.registration_lookup_ms": 20,
            **more,
        }

    def start(self, name="data", **more):
        return start_keystore(self.folder / name, self.chain, self.nodes, **self.settings(**more))

    def refused(self, **more):
        """What a server says that does not start."""
        settings = settings_for(self.chain, self.nodes, **self.settings(**more))
        sets = [f"--set={name}={value}" for name, value in settings.items()]
        server = Program("dev", "--data", self.folder / "data", "--any-port", *sets)
        assert server.end() != 0, server.output
        return server.output


@pytest.fixture
def world(tmp_path):
    chain = Chain()
    with nodes(chain) as shown_by:
        yield World(tmp_path, shown_by, chain)


def master_of(world):
    return world.mpc.master(world.dao.account)


def public_of(master, seed=SEED):
    """What POST /pubkey says of a seed under a master."""
    return raw_public(X25519PrivateKey.from_private_bytes(hmac_sha256(master, f"ecies:{seed}"))).hex()


def asked_key(server, **more):
    reply = Client(server, **({"token": COORDINATOR} if more else {})).pubkey(SEED, **more)
    return reply.json()["pubkey"] if reply.status == 200 else (reply.status, reply.json()["error"])


def methods_called(world):
    return [call[2] for call in world.chain.calls]


def said(server, pattern):
    """The match of a line that the server has logged, or will."""
    for line in server.lines:
        if found := re.search(pattern, line):
            return found
    return server.wait_for(pattern)


@contextlib.contextmanager
def running(server):
    try:
        yield server
    finally:
        assert server.terminate() == 0, server.output


def voted_in(world, server):
    world.dao.vote(int(said(server, r"Proposal ID: (\d+)")[1]))
    said(server, "the keystore has its masters")


def ends_well(world, server):
    """Whatever was wrong is over: it goes on by itself, without another submission."""
    said(server, "the keystore has its masters")
    assert asked_key(server) == public_of(master_of(world))
    assert methods_called(world).count("submit_keystore_registration") <= 1


def key_of_seed(world, master):
    """What a keystore says that was given this master."""
    path = world.folder / "master"
    path.write_text(master.hex())
    path.chmod(0o600)
    server = start_keystore(world.folder / "seeded", world.chain, world.nodes, **{"keystore.master": f"file:{path}"})
    with running(server):
        return asked_key(server)


# ---- the way in


def test_a_new_keystore_is_voted_in_and_has_the_networks_master(world):
    with running(world.start()) as server:
        assert request(server.keystore, "GET", "/health").status == 200
        assert asked_key(server) == (503, NOT_READY)
        voted_in(world, server)
        assert asked_key(server) == public_of(master_of(world)) == key_of_seed(world, master_of(world))
    assert methods_called(world) == ["submit_keystore_registration", "request_key"]
    assert world.mpc.asked == [(world.dao.account, "")]


def test_before_it_is_ready_the_original_answers_401(world):
    with running(world.start(**{"keystore.old_status": "true"})) as server:
        assert asked_key(server) == (401, NOT_READY)


def test_an_approved_keystore_asks_the_network_again_and_submits_nothing(world):
    key = Ed25519PrivateKey.generate()
    file = world.folder / "registered.key"
    file.write_text(near_secret(key))
    file.chmod(0o600)
    world.dao.approve("ed25519:" + base58(raw_public(key)))
    for _ in range(2):
        with running(world.start(**{"keystore.registration_key": file})) as server:
            said(server, "the keystore has its masters")
            assert asked_key(server) == public_of(master_of(world))
    assert methods_called(world) == ["request_key", "request_key"]


def test_the_key_that_is_registered_is_kept_outside_a_tee(world):
    with running(world.start()) as server:
        voted_in(world, server)
    assert (world.folder / "data" / "keystore-registration.key").stat().st_mode & 0o777 == 0o600
    with running(world.start()) as server:
        ends_well(world, server)


def test_a_key_that_others_may_read_is_refused(world):
    file = world.folder / "registered.key"
    file.write_text(near_secret(Ed25519PrivateKey.generate()))
    file.chmod(0o644)
    done = world.refused(**{"keystore.registration_key": file})
    assert "chmod 600" in done, done


@pytest.mark.parametrize("kind", ["ed25519", "ml-dsa-65"])
def test_the_key_that_is_registered_is_of_the_chosen_kind(world, kind):
    settings = {"keystore.registration_key_type": kind}
    file = world.folder / "data" / "keystore-registration.key"
    with running(world.start(**settings)) as server:
        voted_in(world, server)
        assert asked_key(server) == public_of(master_of(world))
        assert world.dao.proposals[0]["public_key"].startswith(f"{kind}:")
    assert file.read_text().startswith(f"{kind}:") and file.stat().st_mode & 0o777 == 0o600
    with running(world.start(**settings)) as server:
        ends_well(world, server)
    other = {"ed25519": "ml-dsa-65", "ml-dsa-65": "ed25519"}[kind]
    said_why = world.refused(**{"keystore.registration_key_type": other})
    assert "no key of the kind that is to be registered" in said_why, said_why
    assert file.read_text().split(":")[1].strip() not in said_why


def test_a_kind_of_key_that_nobody_registers_is_refused(world):
    assert "keystore.registration_key_type" in world.refused(**{"keystore.registration_key_type": "ml-dsa-44"})


# ---- evidence


def measured(server):
    names = "MRTD RTMR0 RTMR1 RTMR2 RTMR3".split()
    found = said(server, "TDX Measurements: " + ", ".join(f"{name}=([0-9a-f]{{96}})" for name in names))
    return {name.lower(): found[number] for number, name in enumerate(names, 1)}


@pytest.mark.parametrize("kind", ["ed25519", "ml-dsa-65"])
def test_evidence_is_shown_once_the_dao_approves_what_it_measures(world, kind):
    world.dao.without_tee = False
    seed = world.folder / "tee.seed"
    seed.write_text("a TD")
    settings = {"keystore.registration_key_type": kind, "keystore.registration_attestation": f"simulated:{seed}"}
    with running(world.start(**settings)) as server:
        values = measured(server)
        said(server, "Worker measurements not approved")
        assert methods_called(world) == []
        world.dao.measurements.append(values)
        world.chain.move()
        voted_in(world, server)
        ends_well(world, server)
    assert not (world.folder / "data" / "keystore-registration.key").exists()


def test_in_a_tee_each_start_has_a_key_of_its_own_and_is_voted_on(world):
    seed = world.folder / "tee.seed"
    seed.write_text("a TD")
    world.dao.without_tee = False
    for number in range(2):
        with running(world.start(**{"keystore.registration_attestation": f"simulated:{seed}"})) as server:
            world.dao.measurements.append(measured(server))
            world.chain.move()
            voted_in(world, server)
            assert asked_key(server) == public_of(master_of(world))
        assert len(world.dao.proposals) == number + 1
    assert world.dao.proposals[0]["public_key"] != world.dao.proposals[1]["public_key"]


class GuestAgent(http.server.BaseHTTPRequestHandler):
    """dstack's, as far as a quote is asked of it."""

    protocol_version = "HTTP/1.1"
    reports = []
    broken = None

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/GetQuote" and set(body) == {"report_data"}, (self.path, body)
        self.reports.append(body["report_data"])
        quote = forge("a TD", bytes.fromhex(body["report_data"]), "tdx-v4").hex()
        answer = self.broken or json.dumps({"quote": quote, "event_log": "[]"})
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def address_string(self):
        return "unix"

    def log_message(self, *_):
        pass


@pytest.fixture
def guest_agent(tmp_path):
    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True

    class Agent(GuestAgent):
        reports = []

    path = tmp_path / "dstack.sock"
    with Server(str(path), Agent) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        Agent.path_of = path
        yield Agent
        server.shutdown()


def test_dstacks_guest_agent_makes_the_evidence(world, guest_agent):
    world.dao.without_tee = False
    guest_agent.broken = '{"event_log": "[]"}'
    settings = {"keystore.registration_attestation": "dstack", "keystore.sealing_dstack": guest_agent.path_of}
    with running(world.start(**settings)) as server:
        said(server, "answer of dstack's guest agent")
        guest_agent.broken = None
        world.dao.measurements.append(measured(server))
        world.chain.move()
        voted_in(world, server)
        ends_well(world, server)
    key = unbase58(world.dao.proposals[0]["public_key"].removeprefix("ed25519:"))
    assert guest_agent.reports[-1] == (key + bytes(32)).hex()


# ---- votes


@pytest.mark.parametrize(
    ("settings", "words"),
    [({}, "Proposal rejected by DAO"), ({"keystore.registration_seconds": 0}, "Timeout waiting for DAO approval")],
)
def test_a_proposal_that_fails_is_not_submitted_again(world, settings, words):
    with running(world.start(**settings)) as server:
        number = int(said(server, r"Proposal ID: (\d+)")[1])
        if not settings:
            world.dao.vote(number, approve=False)
        said(server, words)
        assert asked_key(server) == (503, NOT_READY)
        assert words in server.call("GET", "/v1/keystore/masters").json()["reason"]
        # It goes on looking, at a new block each time.
        looks = world.nodes[0].asked["block"]
        until(lambda: world.nodes[0].asked["block"] > looks + 3)
        assert len(world.dao.proposals) == 1
        # The DAO may think better of it.
        with world.chain.lock:
            world.dao.approve(world.dao.proposals[number]["public_key"])
        ends_well(world, server)
    assert len(world.dao.proposals) == 1


def test_a_submission_that_the_contract_refuses_is_not_made_again_at_once(world):
    world.dao.without_tee = False
    with running(world.start(**{"keystore.registration_poll_ms": 60_000})) as server:
        said(server, "Failed to parse TDX quote")
        assert asked_key(server) == (503, NOT_READY)
    assert methods_called(world) == ["submit_keystore_registration"]


def test_an_init_account_that_cannot_pay(world):
    world.chain.poor.add(world.dao.init)
    with running(world.start()) as server:
        said(server, "NotEnoughBalance")
        world.chain.poor.clear()
        voted_in(world, server)
        ends_well(world, server)


def test_a_dao_that_cannot_pay_for_the_request(world):
    with running(world.start()) as server:
        number = int(said(server, r"Proposal ID: (\d+)")[1])
        world.chain.poor.add(world.dao.account)
        world.dao.vote(number)
        said(server, "NotEnoughBalance")
        assert asked_key(server) == (503, NOT_READY) and world.mpc.asked == []
        world.chain.poor.clear()
        ends_well(world, server)


def test_a_key_that_the_dao_has_revoked(world):
    with running(world.start()) as server:
        voted_in(world, server)
    key = world.dao.proposals[0]["public_key"]
    world.dao.approved.remove(key)
    world.chain.remove_key(world.dao.account, key)
    with running(world.start()) as server:
        number = int(said(server, r"Proposal ID: (\d+)")[1])
        assert asked_key(server) == (503, NOT_READY)
        world.dao.vote(number)
        said(server, "the keystore has its masters")


# ---- the access key


def test_an_access_key_without_one_of_the_methods(world):
    world.dao.methods = ["request_key", "ban_vault"]
    with running(world.start()) as server:
        world.dao.vote(int(said(server, r"Proposal ID: (\d+)")[1]))
        said(server, "lacks the method mark_vault_verified")
        assert asked_key(server) == (503, NOT_READY) and world.mpc.asked == []
        world.dao.methods = METHODS
        world.dao.give_key(world.dao.proposals[0]["public_key"])
        ends_well(world, server)


@pytest.mark.parametrize(
    ("permission", "words"),
    [("FullAccess", "is none for calls of a function"), ({"receiver_id": "other.testnet"}, "is for another contract")],
)
def test_an_access_key_for_something_else(world, permission, words):
    world.dao.grants = False
    with running(world.start()) as server:
        number = int(said(server, r"Proposal ID: (\d+)")[1])
        key = world.dao.proposals[number]["public_key"]
        if permission == "FullAccess":
            world.chain.grant(world.dao.account, key, permission)
        else:
            world.dao.give_key(key, **permission)
        world.dao.vote(number)
        said(server, words)
        assert asked_key(server) == (503, NOT_READY) and world.mpc.asked == []


def test_an_access_key_that_nodes_show_later(world):
    world.dao.grants = False
    with running(world.start()) as server:
        number = int(said(server, r"Proposal ID: (\d+)")[1])
        world.dao.vote(number)
        said(server, "reason=.*not-found")
        world.dao.give_key(world.dao.proposals[number]["public_key"])
        ends_well(world, server)


# ---- the network


def cut(text, change):
    return "bls12381g1:" + base58(change(unbase58(text.split(":")[1])))


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        (lambda a: {**a, "big_c": a["big_y"]}, "MPC signature verification failed"),
        (lambda a: {"big_y": IDENTITY, "big_c": IDENTITY}, "MPC signature verification failed"),
        (lambda a: {**a, "big_y": OUTSIDE}, "MPC signature verification failed"),
        (lambda a: {**a, "big_c": OUTSIDE}, "MPC signature verification failed"),
        (lambda a: {**a, "big_c": NOWHERE}, "MPC signature verification failed"),
        (lambda a: {**a, "big_c": cut(a["big_c"], lambda raw: raw[:-1])}, "answer of CKD: big_c"),
        (lambda a: {**a, "big_y": cut(a["big_y"], lambda raw: raw + b"\0")}, "answer of CKD: big_y"),
        (lambda a: {**a, "big_y": a["big_y"].replace("g1:", "g2:")}, "answer of CKD: big_y"),
        (lambda a: {"big_y": a["big_y"]}, "answer of CKD"),
        (lambda a: None, "answer of CKD"),
    ],
)
def test_a_network_that_lies_is_not_believed_and_asked_again(world, lie, words):
    world.mpc.lie = lie
    with running(world.start()) as server:
        world.dao.vote(int(said(server, r"Proposal ID: (\d+)")[1]))
        said(server, words)
        assert asked_key(server) == (503, NOT_READY)
        world.mpc.lie = None
        ends_well(world, server)


def test_another_networks_key_opens_nothing(world):
    """Of a contract that names the pinned key, too: it is not believed."""
    other = Mpc(secret=99)
    world.chain.views["mpc.testnet", "public_key"] = lambda args: other.public_key()
    with running(world.start(**{"keystore.mpc_public_key": other.public_key()})) as server:
        world.dao.vote(int(said(server, r"Proposal ID: (\d+)")[1]))
        said(server, "MPC signature verification failed")
        assert asked_key(server) == (503, NOT_READY)


def test_another_networks_key_is_seen_before_anything_is_paid_for(world):
    other = Mpc(secret=99)
    with running(world.start(**{"keystore.mpc_public_key": other.public_key()})) as server:
        said(server, "the MPC contract names another key than keystore.mpc_public_key")
        assert asked_key(server) == (503, NOT_READY)
        assert methods_called(world) == []
        world.mpc.secret, world.mpc.public = 99, other.public
        world.chain.move()
        voted_in(world, server)


def test_a_server_that_is_started_over_and_over_pays_ever_less_often(world):
    seed = world.folder / "tee.seed"
    seed.write_text("a TD")
    settings = {"keystore.registration_attestation": f"simulated:{seed}"}
    with running(world.start(**settings)) as server:
        world.dao.measurements.append(measured(server))
        world.chain.move()
        said(server, r"Proposal ID: 0")
    with running(world.start(**settings, **{"keystore.registration_poll_ms": 600_000})) as server:
        said(server, "was submitted a moment ago and brought no master yet")
        assert asked_key(server) == (503, NOT_READY)
    assert len(world.dao.proposals) == 1
    with running(world.start(**settings)) as server:
        voted_in(world, server)
    with running(world.start(**settings, **{"keystore.registration_poll_ms": 2000})) as server:
        said(server, r"Proposal ID: 2")  # there was a master since


def test_a_network_that_has_no_answer_in_time(world):
    def late(answer):
        raise Panic("Request has timed out.")

    world.mpc.lie = late
    with running(world.start()) as server:
        world.dao.vote(int(said(server, r"Proposal ID: (\d+)")[1]))
        said(server, "Request has timed out")
        world.mpc.lie = None
        ends_well(world, server)


def test_nodes_that_are_away_are_asked_again(world):
    for node in world.nodes:
        node.dead = True
    with running(world.start()) as server:
        said(server, "the keystore has no master and tries again")
        assert request(server.keystore, "GET", "/health").status == 200
        assert asked_key(server) == (503, NOT_READY)
        for node in world.nodes:
            node.dead = False
        voted_in(world, server)
        ends_well(world, server)


def test_a_keystore_does_not_change_its_master_behind_its_data(world):
    with running(world.start()) as server:
        voted_in(world, server)
    world.mpc.secret = 99
    world.mpc.public = Mpc(secret=99).public
    with running(world.start()) as server:
        said(server, "the ckd master is not the one that this keystore has")
        assert asked_key(server) == (503, NOT_READY)


def test_a_master_of_the_network_has_one_epoch(world):
    with running(world.start()) as server:
        voted_in(world, server)
        done = attestry("keystore", "rotate", "--server", server.admin, "--token-file", server.data / "admin.token")
        assert done.code != 0 and "has one epoch" in done.err, done
        assert asked_key(server) == public_of(master_of(world))


# ---- vaults


@pytest.fixture
def vault(world):
    contract = VaultContract(world.chain, world.dao)
    contract.give_key("ed25519:" + base58(raw_public(vault_key(master_of(world), contract.account))))
    world.dao.verified.add(contract.account)
    return contract


def masters_of_vault(world, vault):
    path = vault_path(master_of(world), vault.account)
    return path, world.mpc.master(vault.account, path)


def test_a_vaults_master_is_the_networks_and_the_same_for_every_approved_keystore(world, vault):
    path, master = masters_of_vault(world, vault)
    for name in ("first", "second"):
        with running(world.start(name)) as server:
            voted_in(world, server)
            assert asked_key(server, vault_id=vault.account) == public_of(master)
            assert asked_key(server, vault_id=vault.account) == public_of(master)
            assert asked_key(server) == public_of(master_of(world))
    asked = [entry for entry in world.mpc.asked if entry[0] == vault.account]
    assert asked == [(vault.account, path)] * 2, "once by each"


def test_a_vaults_master_is_kept_and_asked_for_again_once_it_was_evicted(world, vault):
    def asked():
        return sum(account == vault.account for account, _ in world.mpc.asked)

    with running(world.start()) as server:
        voted_in(world, server)
        asked_key(server, vault_id=vault.account)
    with running(world.start()) as server:
        said(server, "the keystore has its masters")
        assert asked_key(server, vault_id=vault.account) == public_of(masters_of_vault(world, vault)[1])
        assert asked() == 1
        body = {"vault_id": vault.account, "reason": "a test"}
        assert Client(server).post("/admin/evict-customer", body).status == 200
        assert asked_key(server, vault_id=vault.account) == public_of(masters_of_vault(world, vault)[1])
        assert asked() == 2


def test_a_vault_that_is_not_served_costs_it_nothing(world, vault):
    world.dao.verified.clear()
    with running(world.start()) as server:
        voted_in(world, server)
        assert asked_key(server, vault_id=vault.account)[0] == 403
    assert methods_called(world).count("request_master") == 0


def test_a_vault_that_cannot_pay(world, vault):
    world.chain.poor.add(vault.account)
    with running(world.start()) as server:
        voted_in(world, server)
        assert asked_key(server, vault_id=vault.account) == (
            402,
            f"Vault {vault.account}: insufficient NEAR balance to register the vault on the network. "
            "Recommended balance: 0.5+ NEAR.",
        )
        world.chain.poor.clear()


def test_a_vault_whose_network_lies(world, vault):
    with running(world.start()) as server:
        voted_in(world, server)
        world.mpc.lie = lambda answer: {**answer, "big_c": answer["big_y"]}
        status, text = asked_key(server, vault_id=vault.account)
        assert (status, text) == (500, "Key derivation failed: MPC signature verification failed")
        assert asked_key(server) == public_of(master_of(world))


@pytest.mark.parametrize("kind", ["ed25519", "ml-dsa-65"])
def test_the_dao_is_told_about_vaults_with_the_registered_key(world, vault, kind):
    world.dao.verified.clear()
    with running(world.start(**{"keystore.registration_key_type": kind})) as server:
        assert Client(server, COORDINATOR).post("/sign-vault-verification", {"vault_id": vault.account}).status == 503
        voted_in(world, server)
        reply = Client(server, COORDINATOR).post("/sign-vault-verification", {"vault_id": vault.account})
        assert reply.status == 200 and not reply.json()["already_verified"], reply
        assert vault.account in world.dao.verified
        assert asked_key(server, vault_id=vault.account) == public_of(masters_of_vault(world, vault)[1])


# ---- copies


def test_the_networks_masters_go_into_no_backup(world):
    """Whoever opened it would have the masters of every keystore of the DAO, and no vote could take that back."""
    admins, _ = make_admins(world.folder)
    command = ["keystore", "backup", "--to", world.folder / "backup", "--recipients", admins, "--threshold", "2"]
    with running(world.start()) as server:
        voted_in(world, server)
        done = attestry(*command, "--server", server.admin, "--token-file", server.data / "admin.token")
        assert done.code == 1 and "go into no backup" in done.err, done
        assert "keystore.backup" not in [leaf["type"] for leaf in server.leaves()]
    assert not (world.folder / "backup" / "keystore-backup.json").exists()


def test_a_backup_of_another_keystore_goes_around_no_vote(world):
    admins, pairs = make_admins(world.folder)
    other = start_keystore(world.folder / "other", world.chain, world.nodes, **{"keystore.master": "generated"})
    with running(other):
        reach = ["--server", other.admin, "--token-file", other.data / "admin.token"]
        to = ["--to", world.folder / "backup", "--recipients", admins, "--threshold", "2"]
        done = attestry("keystore", "backup", *to, *reach)
        assert done.code == 0, done
    backup = ["--backup", world.folder / "backup" / "keystore-backup.json"]
    shares = []
    for number, (private, public) in enumerate(pairs[:2]):
        share = world.folder / f"{number}.share"
        shares += ["--share", share]
        assert attestry("keystore", "open-share", *backup, "--out", share, *files_of(private, public)).code == 0
    with running(world.start()) as server:
        restore = ["keystore", "restore", *backup, *shares, "--replace", "--server", server.admin]
        restore += ["--token-file", server.data / "admin.token"]
        said(server, r"Proposal ID: 0")
        done = attestry(*restore)
        assert done.code == 3 and "have not voted yet" in done.err, done
        assert asked_key(server) == (503, NOT_READY)
        voted_in(world, server)
        done = attestry(*restore)
        assert done.code == 1 and "the ckd master is not the one" in done.err, done
        assert asked_key(server) == public_of(master_of(world))
        assert "keystore.import" not in [leaf["type"] for leaf in server.leaves()]


def test_a_server_that_stops_does_not_wait_for_a_transaction(world):
    asked, released = threading.Event(), threading.Event()

    def never(answer):
        asked.set()
        released.wait()
        return answer

    world.mpc.lie = never
    with running(world.start()) as server:
        world.dao.vote(int(said(server, r"Proposal ID: (\d+)")[1]))
        assert asked.wait(PATIENCE)
    released.set()
    # Who had waited would have said that it took too long.
    assert "deadline_exceeded" not in server.output, server.output


# ---- settings


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"keystore.init_account": ""}, "keystore.init_account"),
        ({"keystore.init_key": ""}, "keystore.init_key"),
        ({"keystore.mpc_public_key": ""}, "keystore.mpc_public_key"),
        ({"keystore.mpc_public_key": IDENTITY.replace("g1:", "g2:")}, "keystore.mpc_public_key"),
        ({"keystore.dao_contract": ""}, "keystore.dao_contract"),
        ({"keystore.mpc_contract": ""}, "keystore.mpc_contract"),
        ({"keystore.dao_account": "other.testnet"}, "keystore.dao_account"),
        ({"keystore.master": "derived"}, "is of no use without keystore.master = ckd"),
        ({"keystore.mpc_domain": "-1"}, "keystore.mpc_domain"),
    ],
)
def test_settings_that_are_missing_or_contradict_each_other(world, settings, words):
    assert words in world.refused(**settings)


def test_what_has_no_evidence_is_for_the_simulated_realm(world):
    sets = world.settings(**{"keystore.tee_mode": "evidence", "keystore.sealing": "key-file"})
    data = world.folder / "production"
    done = attestry(*serve_arguments(data, **{**settings_for(world.chain, world.nodes), **sets}))
    assert done.code != 0 and "keystore.registration_attestation" in done.err, done


def test_the_root_file_alone_does_not_guard_the_master_of_all(world):
    sets = world.settings(**{"keystore.tee_mode": "evidence", "keystore.registration_attestation": "dstack"})

    def checked(**more):
        settings = {**settings_for(world.chain, world.nodes), **sets, **more}
        return attestry("config", "check", *serve_arguments(world.folder / "production", **settings)[1:])

    done = checked()
    assert done.code != 0 and "keystore.sealing" in done.err and "sealed_by_root_alone = true" in done.err, done
    assert checked(**{"keystore.sealing": "key-file"}).code == 0
    assert checked(**{"keystore.sealed_by_root_alone": "true"}).code == 0


@pytest.mark.parametrize("kind", ["ed25519", "ml-dsa-65"])
def test_a_server_from_the_originals_environment(world, kind):
    variables = {
        "SERVER_HOST": "127.0.0.1",
        "SERVER_PORT": "0",
        "NEAR_RPC_URL": world.nodes[0].url,
        "OFFCHAINVM_CONTRACT_ID": "outlayer.testnet",
        "ALLOWED_WORKER_TOKEN_HASHES": token_hash(TOKEN),
        "TEE_MODE": "none",
        "USE_TEE_REGISTRATION": "true",
        "KEYSTORE_DAO_CONTRACT": world.dao.account,
        "INIT_ACCOUNT_ID": world.dao.init,
        "INIT_ACCOUNT_PRIVATE_KEY": world.dao.init_key_text(),
        "MPC_CONTRACT_ID": "mpc.testnet",
        "MPC_PUBLIC_KEY": world.mpc.public_key(),
        "MPC_DOMAIN_ID": "2",
        "KEYSTORE_KEY_TYPE": kind,
    }
    file = world.folder / "keystore.env"
    file.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
    file.chmod(0o644)
    command = ["keystore", "--env-file", file, "--data", world.folder / "data", "--simulated"]
    done = attestry(*command)
    assert done.code != 0 and "chmod 600" in done.err, done
    file.chmod(0o600)
    more = ["keystore.registration_poll_ms=20", "keystore.registration_lookup_ms=20", "log.level=info"]
    with running(Program(*command, *(f"--with=--set={one}" for one in more))) as server:
        server.keystore = said(server, r"^  keystore +(\S+)$")[1]
        voted_in(world, server)
        assert asked_key(server) == public_of(master_of(world))
    assert world.dao.proposals[0]["public_key"].startswith(f"{kind}:")
    assert world.dao.init_key_text() not in server.output
    assert (world.folder / "data.init-key").stat().st_mode & 0o777 == 0o600
