#!/usr/bin/env python3
"""The figures of a threshold root that need processes: a whole derivation by seven nodes on loopback with their sessions
up, and what an idle node needs.

build/venv/bin/python bench/threshold_root.py [--derivations 100]

after `cmake --preset release` and `cmake --build build/release --target attestry`. A derivation is the request for
nonces and the request for the key, at one node, as a workload with a connection makes them; making the evidence is the
TEE's and not counted. Each node verifies the evidence and has its leaf durable before it answers. The cores are shared
by the seven nodes and this script. P is one P-256 verification of the system's OpenSSL 3. Prints JSON."""

import argparse
import hashlib
import http.client
import json
import os
import pathlib
import re
import statistics
import sys
import tempfile
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("ATTESTRY_BENCH_BUILD", ROOT / "build" / "release"))
os.environ.setdefault("ATTESTRY", str(BUILD / "attestry"))
sys.path[:0] = [str(ROOT / "tests" / "functional"), str(ROOT / "bench")]

import harness  # noqa: E402
import threshold  # noqa: E402
from near import base58  # noqa: E402
from workload import b64u, binding, forge, lp, unb64u  # noqa: E402

from keys import p256_us  # noqa: E402

# A = a G1 with a = 1: whose scalar it is makes no difference to the nodes.
GENERATOR = bytes.fromhex(
    "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
)


IDLE_SECONDS = 15


class Caller:
    """One connection that stays."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)

    def post(self, path, body):
        started = time.perf_counter()
        self.connection.request("POST", path, body, {"Content-Type": "application/json"} if body else {})
        reply = self.connection.getresponse()
        text = reply.read()
        taken = time.perf_counter() - started
        if reply.status not in (200, 201):
            raise SystemExit(f"bench: {path}: {reply.status} {text}")
        return json.loads(text), taken


def application(cluster, gathered, vendor):
    pairs = [(one["node"], unb64u(one["nonce"])) for one in gathered["nonces"]]
    message = lp(b"attestry/nonces/1") + b"".join(lp(node.to_bytes(4)) + lp(nonce) for node, nonce in pairs)
    recipient = b"\xff\x01" + GENERATOR
    audience = "threshold:" + gathered["master_public_key"]
    report_data = binding(
        audience, hashlib.sha256(message).digest(), "default", threshold.APP, b"", recipient, purpose=4
    )
    return json.dumps(
        {
            "nonces": gathered["nonces"],
            "evidence": b64u(forge(vendor, report_data)),
            "app": threshold.APP,
            "epoch": 0,
            "app_public_key": "bls12381g1:" + base58(GENERATOR),
        }
    )


def derivations(cluster, count):
    caller = Caller(cluster.nodes[0].public)
    vendor = cluster.vendor
    nonces, keys = [], []
    for _ in range(count):
        gathered, first = caller.post("/v1/threshold/challenges", None)
        body = application(cluster, gathered, vendor)
        answer, second = caller.post("/v1/threshold/derivations", body)
        if answer["failing"]:
            raise SystemExit(f"bench: {answer}")
        nonces.append(first * 1000)
        keys.append(second * 1000)
    both = sorted(a + b for a, b in zip(nonces, keys, strict=True))
    return {
        "derivations": count,
        "challenges_ms": round(statistics.median(nonces), 2),
        "derivation_ms": round(statistics.median(keys), 2),
        "whole_ms": {"p50": round(statistics.median(both), 2), "p90": round(both[int(count * 0.9)], 2)},
    }


def in_rounds(cluster, options):
    """The median of the rounds, and all of them."""
    rounds = [derivations(cluster, options.derivations) for _ in range(options.rounds)]
    return {**sorted(rounds, key=lambda one: one["whole_ms"]["p50"])[len(rounds) // 2], "rounds": rounds}


def memory(server):
    """MiB, and whose: pages of files (the program, its libraries) are shared by all processes that map them."""
    text = pathlib.Path(f"/proc/{server.process.pid}/smaps_rollup").read_text()
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()

    def mib(name, of):
        return round(int(re.search(rf"^{name}:\s+(\d+) kB", of, re.MULTILINE)[1]) / 1024, 1)

    return {
        "resident": mib("VmRSS", status),
        "anonymous": mib("RssAnon", status),
        "of_files": mib("RssFile", status),
        "pss": mib("Pss", text),
        "threads": int(re.search(r"Threads:\s+(\d+)", status)[1]),
    }


def idle_nodes(folder):
    """Of the production realm, in no cluster; of the simulated one, which serves its vendor's documents, too; and a
    simulated member of seven: what being a member costs is the difference of these two. Idle is what has come to rest
    and given its code back (src/app/resting.h)."""
    settings = {"node.listen": "127.0.0.1:0", "node.operators": "11" * 32, "node.attestation": "http://127.0.0.1:1"}
    figures = {}
    server = harness.start_serve(pathlib.Path(folder) / "idle", **settings)
    try:
        figures["production_at_start"] = memory(server)
        time.sleep(IDLE_SECONDS)
        figures["production_alone"] = memory(server)
    finally:
        server.terminate()
    alone = pathlib.Path(folder) / "alone"
    alone.mkdir()
    with threshold.cluster(alone) as cluster:
        server = cluster.start(0)
        time.sleep(IDLE_SECONDS)
        figures["simulated_alone"] = memory(server)
    return figures


def idle_member(cluster):
    """One that did not lead, once what came after the change has come to rest."""
    time.sleep(IDLE_SECONDS)
    return memory(cluster.nodes[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--derivations", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("ATTESTRY_BENCH_FOLDER")) as folder:
        before = p256_us()
        idle = idle_nodes(folder)
        figures = {"idle_mib": idle}
        with threshold.cluster(folder) as cluster:
            cluster.generate(4, range(7))
            idle["simulated_member_of_seven"] = idle_member(cluster)
            figures["four_of_seven"] = in_rounds(cluster, options)
            done = cluster.reshare(0, "--threshold", 7)
            if done.code != 0:
                raise SystemExit(f"bench: {done}")
            figures["seven_of_seven"] = in_rounds(cluster, options)
        figures["p_us"] = round((before + p256_us()) / 2, 1)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
