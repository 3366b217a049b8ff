"""The key service's master that a server received is kept under the sealing epochs, like everything else of the standard
tenant: sealed anew by a rotation, killed at every step, gone on, retired."""

import sqlite3
import struct
import time

import pytest
from evm import Anvil
from harness import PATIENCE, request
from key_servers import GENERATE, authorize, signed
from registry import bare, start_registry
from test_cli_operator import Shell

FROZEN = 60_000  # the job rests so long before each step that the state in between can be looked at


class Holder:
    """A server with a master of its own, started again on the same data."""

    def __init__(self, folder, chain):
        self.folder, self.data, self.chain = folder, folder / "data", chain
        self.kms = chain.deploy("Kms")
        self.start(FROZEN)
        assert authorize(self.server, chain.accounts[0]).status == 200
        assert signed(self.server, chain.accounts[0], GENERATE).status == 200
        self.key = self.served()

    def start(self, pause):
        settings = {
            "registry.kms": "onboard",
            "registry.kms_contract": self.kms.address,
            "state.reseal_pause_ms": pause,
        }
        self.server = start_registry(self.data, self.chain, **settings)
        self.server.kms = self.kms
        self.shell = Shell(self.server, self.folder)

    def restart(self, pause):
        """kill -9, wherever the job is."""
        self.server.kill()
        self.start(pause)

    def served(self):
        reply = request(self.server.registry, "GET", f"/api/public/pki/{bare(self.kms.address)}")
        assert reply.status == 200, reply
        return reply.json()["app_pubkey"]

    def status(self):
        return self.shell.json("sealing", "status")

    def wait(self, reached):
        deadline = time.monotonic() + PATIENCE
        while not reached(now := self.status()):
            assert time.monotonic() < deadline, now
        return now

    def record(self):
        """As it lies in the store: version, epoch from version 2 on, sealed bytes."""
        name = b"default"
        key = b"\x70" + struct.pack(">I", len(name)) + name + struct.pack(">I", 15) + b"registry master"
        with sqlite3.connect(f"file:{self.data / 'store.db'}?mode=ro", uri=True) as store:
            (value,) = store.execute("SELECT value FROM kv WHERE key = ?", (key,)).fetchone()
        return value

    def epoch(self):
        value = self.record()
        return 0 if value[0] == 1 else struct.unpack(">I", value[1:5])[0]

    def on_disk(self, needle):
        return [path for path in self.data.rglob("*") if path.is_file() and needle in path.read_bytes()]


@pytest.fixture
def holder(tmp_path):
    with Anvil() as chain:
        made = Holder(tmp_path, chain)
        yield made
        if made.server.running:
            assert made.server.terminate() == 0, made.server.output


def test_registry_epochs_of_the_received_master_go_on_after_kill_at_every_step(holder):
    first = holder.record()
    assert holder.epoch() == 0 and holder.on_disk(first[5:])
    left = holder.shell.json("sealing", "rotate")["values_left"]
    assert left >= 1
    steps = [
        (lambda now: now["phase"] == "values" and now["values"] == 0, 0),
        (lambda now: now["phase"] == "files", 1),
        (lambda now: now["phase"] == "settled", 1),
    ]
    for step, epoch in steps:
        # Killed, gone on to the next step, killed there, and looked at where the job does not move.
        holder.restart(200)
        holder.wait(step)
        holder.restart(FROZEN)
        assert step(holder.status()), holder.status()
        assert holder.epoch() == epoch
        assert holder.served() == holder.key
    now = holder.status()
    assert (now["values"], now["values_left"]) == (left, 0)
    holder.shell("sealing", "retire")
    for _ in range(2):
        holder.restart(FROZEN)
        assert holder.status()["phase"] == "erasing"
        assert holder.served() == holder.key
    holder.restart(0)
    holder.wait(lambda now: now["phase"] == "settled")
    assert holder.served() == holder.key
    assert holder.on_disk(first[5:]) == [], "what was sealed under the old key is gone"


def test_registry_epochs_a_master_that_is_not_sealed_anew_keeps_its_epoch(holder):
    """Put back from a backup of before the rotation: readable, counted, and what retiring waits for."""
    first = holder.record()
    holder.restart(0)
    holder.shell("sealing", "rotate")
    holder.wait(lambda now: now["phase"] == "settled")
    now = holder.record()
    holder.server.kill()
    for record, refused in ((first, True), (now, False)):
        with sqlite3.connect(holder.data / "store.db") as store:
            store.execute("UPDATE kv SET value = ? WHERE value = ?", (record, holder.record()))
        holder.start(0)
        assert holder.served() == holder.key
        if refused:
            assert "1 values and 0 files" in holder.shell.refused(1, "sealing", "retire")
            holder.server.kill()
    holder.shell("sealing", "retire")
    holder.wait(lambda now: now["oldest"] == 1 and now["phase"] == "settled")
    holder.restart(0)
    assert holder.served() == holder.key
