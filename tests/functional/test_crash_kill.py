"""kill -9 of the real process, again and again, during a load of registrations: what was acknowledged is still there,
every receipt still fits the log, and no nonce can be used for a second release.

Where the program of tests/crash is built (the same server on a disk that forgets unsynced writes when it is killed),
it is killed too, and must fail here when one of its syncs is left out."""

import concurrent.futures
import contextlib
import http.client
import json
import pathlib
import random
import threading

import harness
import pytest
from operators import Operator
from transparency import Receipt, verify_log
from workload import Workload, forge, measurement

APP = "name:crash"
CLIENTS = 4
ROUNDS = 5
CRASHTEST = pathlib.Path(harness.ATTESTRY).parent / "attestry-crashtest"
PROGRAMS = [harness.ATTESTRY, *([str(CRASHTEST)] if CRASHTEST.exists() else [])]


class Load:
    """Clients that register as fast as they can, with evidence made before, and remember every reply."""

    def __init__(self, server, kill_after):
        self.server, self.kill_after = server, kill_after
        self.lock = threading.Lock()
        self.acknowledged = []  # (workload, body, reply)
        self.sent = []  # (workload, body): maybe done, maybe not

    def prepare(self, seed):
        workload = Workload(self.server, APP)
        return workload, workload.body(evidence=forge(seed, workload.binding))

    def register(self, workload, body):
        with contextlib.suppress(OSError, http.client.HTTPException):
            self.sent.append((workload, body))
            reply = workload.send(body)
            assert reply.status == 201, reply
            with self.lock:
                self.acknowledged.append((workload, body, reply))
                if len(self.acknowledged) == self.kill_after:
                    self.server.process.kill()

    def run(self, seed):
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            ready = list(pool.map(lambda _: self.prepare(seed), range(self.kill_after + CLIENTS)))
            for done in [pool.submit(self.register, *one) for one in ready]:
                done.result()
        assert self.server.end() < 0


def releases(leaves):
    return [leaf for leaf in leaves if leaf["type"] == "release"]


def kill_again_and_again(servers, data, env=None):
    moments = random.Random(7)
    server = servers.dev(data, env=env)
    log_key, seed = server.log_key, server.seed
    Operator(server).make_app(APP, measurement(seed))
    acknowledged, sent = [], []
    for _ in range(ROUNDS):
        load = Load(server, moments.randint(1, 12))
        load.run(seed)
        acknowledged += load.acknowledged
        sent += load.sent

        # dev registers once itself, so a start also proves that the server still releases.
        server = servers.dev(data, env=env)
        leaves = verify_log(server)
        bindings = [leaf["binding"] for leaf in releases(leaves)]
        assert len(bindings) == len(set(bindings)), "a nonce released twice"
        for workload, _, reply in acknowledged:
            receipt = Receipt(reply.json()["receipt"], log_key)
            assert leaves[receipt.index] == receipt.leaf, "an acknowledged release is not in the log"
            assert receipt.leaf["binding"] == workload.binding.hex()

    # Every request is told again what it was told, or released once if it never was; then the log holds one leaf each.
    told = {body: reply.json()["sealed"] for _, body, reply in acknowledged}
    for workload, body in sent:
        workload.server = server
        reply = workload.send(body)
        assert reply.status == 201, reply
        assert reply.json()["sealed"] == told.get(body, reply.json()["sealed"])
        assert workload.send(json.dumps({**json.loads(body), "tenant": "other"})).status == 409
    bindings = [leaf["binding"] for leaf in releases(verify_log(server))]
    assert len(bindings) == len(set(bindings))
    assert set(bindings) >= {workload.binding.hex() for workload, _ in sent}
    assert len(sent) >= ROUNDS


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: pathlib.Path(program).name)
def test_crash_kill_loses_nothing_and_repeats_nothing(servers, tmp_path, monkeypatch, program):
    monkeypatch.setattr(harness, "ATTESTRY", program)
    kill_again_and_again(servers, tmp_path / "data")


if CRASHTEST.exists():

    @pytest.mark.parametrize("sync", ["database", "file", "folder"])
    def test_crash_kill_notices_that_a_sync_is_missing(servers, tmp_path, monkeypatch, sync):
        monkeypatch.setattr(harness, "ATTESTRY", str(CRASHTEST))
        with pytest.raises(AssertionError):
            kill_again_and_again(servers, tmp_path / "data", {"ATTESTRY_CRASH_OMIT": sync})
