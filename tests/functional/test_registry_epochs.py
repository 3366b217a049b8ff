"""Epochs of the keys that a server seals under what it keeps: rotated, killed at every step, gone on, retired. Everything
stays readable, and a retired key is on the disk no more."""

import base64
import sqlite3
import struct
import time

import pytest
import registry
from cryptography.hazmat.primitives import serialization
from harness import PATIENCE, attestry, request
from operators import Operator
from registry import Released, bare, ecies_seal, rtmrs_of, start_dev_registry
from test_cli_operator import Shell
from test_registry_authorities import CHAIN_ID, KEY, address_of, registers_document
from workload import Workload, measurement, unb64u

APP = "name:vault"
CONTRACT = "0x" + "17" * 20
FROZEN = 60_000  # the job rests so long before each step that the state in between can be looked at
VALUES, PARTS = 40, 9  # more than two steps of each
LEAVES = ["sealing-rotation", "sealing-settled", "sealing-retirement", "sealing-erased"]


class Keeper:
    """A server that keeps secrets, configurations and blobs of an app, and is started again on the same data."""

    def __init__(self, folder, cache=0):
        self.folder, self.data, self.cache = folder, folder / "data", cache
        self.start(FROZEN)
        self.operator = Operator(self.server)
        self.deposit()

    def start(self, pause):
        settings = {
            **registry.CHAIN_SETTINGS,
            "registry.governance": "local",
            "registry.chain_id": CHAIN_ID,
            "registry.storage_cache_bytes": self.cache,
            "state.reseal_pause_ms": pause,
        }
        self.server = start_dev_registry(self.data, settings)
        self.shell = Shell(self.server, self.folder)
        if hasattr(self, "operator"):
            self.operator.server = self.server

    def restart(self, pause):
        """kill -9, wherever the job is."""
        self.server.kill()
        self.start(pause)

    def deposit(self):
        self.values = {f"value-{i:02}": f"canary of value {i}".encode() for i in range(VALUES)}
        approved = {f"value-{i:02}": self.values[f"value-{i:02}"] for i in (0, 13, 26, VALUES - 1)}
        self.operator.make_app(APP, measurement(self.server.seed), secrets=approved)
        for name in self.values.keys() - approved.keys():
            self.operator.secret(APP, name, self.values[name])
        self.approved = approved

        name = f"evm:{CHAIN_ID}:{CONTRACT}"
        reply = self.server.call("PUT", f"/v1/tenants/default/operators/{address_of(KEY)}", {"name": "a wallet"})
        assert reply.status == 200, reply
        self.operator.approve(name, "app.create", name)
        policy = self.operator.blob({"format": 1, "name": "test", "identities": []})
        self.operator.approve(name, "policy.approve", policy)
        metadata = request(self.server.registry, "GET", f"/api/public/app_metadata/{bare(CONTRACT)}").json()
        key = serialization.load_pem_public_key(base64.b64decode(metadata["app_pubkey"]))
        (self.folder / "secret").write_bytes(ecies_seal(key, b"p$1w"))
        secret = self.shell("blob", "put", "secret", "--app", name, "--type", "secret").out.strip()
        parts = [
            self.shell("blob", "put", "-", "--app", name, "--type", "config", stdin=f"part {i}".encode()).out.strip()
            for i in range(PARTS)
        ]
        quote = registry.Workload(self.server, CONTRACT, KEY).quote
        self.operator.approve(
            name, "identity.approve", self.operator.blob(registers_document(rtmrs_of(quote), quote[184:232]))
        )
        template = " ".join([f"__CONFIG_REF_{part}" for part in parts] + [f"__SECRET_REF_{secret}"])
        self.operator.approve(name, "configuration.approve", self.operator.blob(template))
        self.rendered = " ".join([f"part {i}" for i in range(PARTS)] + ["p$1w"]).encode()

    def check(self):
        """Whatever was deposited is released."""
        one = Workload(self.server, APP)
        reply = one.send()
        assert reply.status == 201, reply
        assert {name: unb64u(value) for name, value in one.open(reply)["secrets"].items()} == self.approved
        listed = self.shell.json("secret", "list", APP)["secrets"]
        assert {entry["name"] for entry in listed} == set(self.values)
        assert Released(registry.Workload(self.server, CONTRACT, KEY).register()).config == self.rendered

    def status(self):
        return self.shell.json("sealing", "status")

    def wait(self, reached):
        deadline = time.monotonic() + PATIENCE
        while not reached(now := self.status()):
            assert time.monotonic() < deadline, now
        return now

    def leaves(self):
        return [leaf["type"] for leaf in self.server.leaves() if leaf["type"].startswith("sealing-")]

    def first_keys(self):
        """The wrapped keys from before the first rotation, as they lie on the disk."""
        name = b"default"
        record = b"\x70" + struct.pack(">I", len(name)) + name + struct.pack(">I", 7) + b"sealing"
        with sqlite3.connect(f"file:{self.data / 'store.db'}?mode=ro", uri=True) as store:
            (value,) = store.execute("SELECT value FROM kv WHERE key = ?", (record,)).fetchone()
        return [value, (self.data / "registry-keys" / "default.key").read_bytes()]

    def on_disk(self, needle):
        return [path for path in self.data.rglob("*") if path.is_file() and needle in path.read_bytes()]

    def files(self):
        return sorted(path for path in (self.data / "registry-local").rglob("*") if path.is_file())


@pytest.fixture(params=[0])
def keeper(request, tmp_path):
    made = Keeper(tmp_path, request.param)
    yield made
    if made.server.running:
        assert made.server.terminate() == 0, made.server.output


def test_registry_epochs_go_on_after_kill_at_every_step(keeper):
    keeper.check()
    keys = keeper.first_keys()
    assert all(keeper.on_disk(key) for key in keys), "this looks at the right bytes"
    old_file = keeper.files()[0].read_bytes()
    assert old_file.startswith(b"ATB3")
    assert keeper.shell.refused(1, "sealing", "retire").count("no older epoch") == 1

    said = keeper.shell("sealing", "rotate").out
    values = keeper.status()["values_left"]
    assert values > VALUES, "the server's own example has one, too"
    assert "epoch       1" in said and f"{values} left" in said and f"{PARTS + 1} left" in said, said
    assert "not done yet" in keeper.shell.refused(1, "sealing", "rotate")
    assert "not done yet" in keeper.shell.refused(1, "sealing", "retire")
    steps = [
        lambda now: now["phase"] == "values" and now["values"] == 0,
        lambda now: 0 < now["values"] < values,
        lambda now: now["phase"] == "files" and now["files"] == 0,
        lambda now: 0 < now["files"] < PARTS + 1,
        lambda now: now["phase"] == "settled",
    ]
    for step in steps:
        # Killed, gone on to the next step, killed there, and looked at where the job does not move.
        keeper.restart(200)
        keeper.wait(step)
        keeper.restart(FROZEN)
        assert step(keeper.status()), keeper.status()
        keeper.check()
    now = keeper.status()
    assert (now["values"], now["files"], now["values_left"], now["files_left"]) == (values, PARTS + 1, 0, 0)
    assert all(path.read_bytes().startswith(b"ATB4") for path in keeper.files())
    assert keeper.leaves() == LEAVES[:2]

    # What somebody put back from a backup needs the old key.
    new_file = keeper.files()[0].read_bytes()
    keeper.files()[0].write_bytes(old_file)
    keeper.check()
    assert "0 values and 1 files" in keeper.shell.refused(1, "sealing", "retire")
    assert keeper.status()["oldest"] == 0
    keeper.files()[0].write_bytes(new_file)

    said = keeper.shell("sealing", "retire").out
    assert "readable    from epoch 1" in said and "state       erasing" in said, said
    for _ in range(2):
        keeper.restart(FROZEN)
        assert keeper.status()["phase"] == "erasing"
        keeper.check()
    keeper.restart(0)
    keeper.wait(lambda now: now["phase"] == "settled")
    keeper.check()
    for key in keys:
        assert keeper.on_disk(key) == [], "the old key is gone"
    assert not (keeper.data / "registry-keys" / "default.key").exists()
    assert keeper.leaves() == LEAVES
    # A file of the retired epoch is not read any more, and says so.
    keeper.files()[0].write_bytes(old_file)
    assert registry.Workload(keeper.server, CONTRACT, KEY).register().status != 200
    keeper.files()[0].write_bytes(new_file)
    keeper.check()


@pytest.mark.parametrize("keeper", [0, 1 << 20], indirect=True, ids=["no cache", "cache"])
def test_registry_epochs_follow_one_another(keeper):
    keeper.restart(0)
    for epoch in (1, 2):
        keeper.shell("sealing", "rotate")
        now = keeper.wait(lambda now: now["phase"] == "settled")
        assert (now["epoch"], now["oldest"]) == (epoch, 0)
        keeper.check()
    # What is deposited now is of the present epoch, has an id of its own, and is released.
    secret = keeper.operator.secret(APP, "later", b"canary of a later value")
    keeper.operator.approve(APP, "secret.approve", secret)
    keeper.values["later"] = keeper.approved["later"] = b"canary of a later value"
    assert keeper.status()["values_left"] == 0
    keeper.check()
    keeper.shell("sealing", "retire")
    now = keeper.wait(lambda now: now["phase"] == "settled")
    assert (now["epoch"], now["oldest"]) == (2, 2)
    keeper.check()
    assert keeper.leaves() == [*LEAVES[:2], *LEAVES]
    for value in (*keeper.values.values(), b"part 1"):
        assert keeper.on_disk(value) == []


def test_registry_epochs_are_a_tenants_own(keeper):
    keeper.restart(0)
    other = Shell(keeper.server, keeper.folder, tenant="other")
    assert other.json("sealing", "rotate")["epoch"] == 1
    keeper.wait(lambda now: other.json("sealing", "status")["phase"] == "settled")
    assert keeper.status()["epoch"] == 0
    keeper.check()
    assert other.json("sealing", "retire")["oldest"] == 1
    keeper.wait(lambda now: other.json("sealing", "status")["phase"] == "settled")
    assert keeper.status()["oldest"] == 0
    keeper.check()


def test_registry_epochs_are_the_administrators_alone(keeper):
    path = "/v1/tenants/default/sealing"
    for method, rest in (("GET", ""), ("POST", "/rotate"), ("POST", "/retire")):
        assert request(keeper.server.admin, method, path + rest).status == 401
    assert keeper.status()["epoch"] == 0
    done = attestry("sealing", "status", "--server", keeper.server.admin, "--token-file", keeper.folder / "none")
    assert done.code != 0, done
