"""kill -9 of the real process, again and again, during a load of registrations: what was acknowledged is still there,
every receipt still fits the log, and no nonce can be used for a second release.

Where the program of tests/crash is built (the same server on a disk that forgets unsynced writes when it is killed),
it is killed too. That leaving out a sync is noticed is proved beside it, in tests/crash/server_kill_test.cpp."""

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
from workload import Workload, forge, measurement, new_nonce

APP = "name:crash"
CLIENTS = 4
ROUNDS = 5
CRASHTEST = pathlib.Path(harness.ATTESTRY).parent / "attestry-crashtest"
PROGRAMS = [harness.ATTESTRY, *([str(CRASHTEST)] if CRASHTEST.exists() else [])]


class Load:
    """Clients that register as fast as they can and remember every reply."""

    def __init__(self, server, kill_after):
        self.server, self.kill_after = server, kill_after
        self.lock = threading.Lock()
        self.acknowledged = []  # (workload, body, reply)
        self.sent = []  # (workload, body): maybe done, maybe not

    def client(self, seed):
        """One registration after the other until the server is gone."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                workload = Workload(self.server, APP, nonce=new_nonce(self.server))
                body = workload.body(evidence=forge(seed, workload.binding))
                with self.lock:
                    self.sent.append((workload, body))
                reply = workload.send(body)
                assert reply.status == 201, reply
                with self.lock:
                    self.acknowledged.append((workload, body, reply))
                    if len(self.acknowledged) == self.kill_after:
                        self.server.process.kill()

    def run(self, seed):
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            for done in [pool.submit(self.client, seed) for _ in range(CLIENTS)]:
                done.result()
        assert self.server.end() < 0


def releases(leaves):
    return [leaf for leaf in leaves if leaf["type"] == "release"]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: pathlib.Path(program).name)
def test_crash_kill_loses_nothing_and_repeats_nothing(servers, tmp_path, monkeypatch, program):
    monkeypatch.setattr(harness, "ATTESTRY", program)
    moments = random.Random(7)
    data = tmp_path / "data"
    server = servers.dev(data)
    log_key, seed = server.log_key, server.seed
    Operator(server).make_app(APP, measurement(seed))
    acknowledged, sent = [], []
    for _ in range(ROUNDS):
        load = Load(server, moments.randint(1, 12))
        load.run(seed)
        acknowledged += load.acknowledged
        sent += load.sent

        server = servers.dev(data)  # dev registers once itself, so it also proves that the server still releases
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
