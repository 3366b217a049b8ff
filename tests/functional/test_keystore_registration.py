"""A keystore that has its masters from NEAR's MPC network, once its DAO has approved it (keystore.master = ckd)."""

import os

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from keystore import Client, start_keystore
from mpc import Dao, Mpc, near_secret
from near import Chain, base58, nodes
from workload import raw_public

SEED = "github.com/alice/project:alice.testnet"
NOT_READY = "Keystore not ready. Waiting for DAO approval and master key from MPC."


class World:
    """A chain with a DAO and an MPC network, and nodes that show it."""

    def __init__(self, folder, running, chain):
        self.folder, self.running, self.chain = folder, running, chain
        self.mpc = Mpc()
        self.dao = Dao(chain, self.mpc)
        self.init_key = folder / "init.key"
        self.init_key.write_text(self.dao.init_key_text())
        self.init_key.chmod(0o600)

    def start(self, name="data", **more):
        return start_keystore(
            self.folder / name,
            self.chain,
            self.running,
            **{
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
            },
        )


@pytest.fixture
def world(tmp_path):
    chain = Chain()
    with nodes(chain) as running:
        yield World(tmp_path, running, chain)


def asked_key(server):
    reply = Client(server).pubkey(SEED)
    return reply.json()["pubkey"] if reply.status == 200 else (reply.status, reply.json()["error"])


def key_of_seed(world, master):
    """What a keystore says that was given this master."""
    path = world.folder / f"master-{os.urandom(4).hex()}"
    path.write_text(master.hex())
    path.chmod(0o600)
    server = start_keystore(
        world.folder / path.name.replace("master", "seed"),
        world.chain,
        world.running,
        **{"keystore.master": f"file:{path}"},
    )
    try:
        return asked_key(server)
    finally:
        assert server.terminate() == 0, server.output


def test_a_new_keystore_is_voted_in_and_has_the_networks_master(world):
    server = world.start()
    try:
        assert asked_key(server) == (503, NOT_READY)
        number = int(server.wait_for(r"Proposal ID: (\d+)")[1])
        world.dao.vote(number)
        server.wait_for("the keystore has its masters")
        assert asked_key(server) == key_of_seed(world, world.mpc.master(world.dao.account))
    finally:
        assert server.terminate() == 0, server.output
    assert [call[2] for call in world.chain.calls] == ["submit_keystore_registration", "request_key"]


def test_an_approved_keystore_asks_the_network_again_and_submits_nothing(world):
    key = Ed25519PrivateKey.generate()
    file = world.folder / "registered.key"
    file.write_text(near_secret(key))
    file.chmod(0o600)
    world.dao.approve("ed25519:" + base58(raw_public(key)))
    server = world.start(**{"keystore.registration_key": file})
    try:
        server.wait_for("the keystore has its masters")
        assert asked_key(server) == key_of_seed(world, world.mpc.master(world.dao.account))
    finally:
        assert server.terminate() == 0, server.output
    assert [call[2] for call in world.chain.calls] == ["request_key"]
