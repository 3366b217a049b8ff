#!/usr/bin/env python3
"""A thousand registrations at once of an app whose first storage backend never answers, and what another app on the same
server feels of it: the same load with a healthy backend is the control. In rounds that take turns, because a p99 of one
round would rest on two requests.

bench/registry_hanging.py [ROUNDS]      environment as for bench/registry.py; JSON on standard output"""

import concurrent.futures
import json
import os
import pathlib
import socket
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
os.environ.setdefault(
    "ATTESTRY", str(pathlib.Path(os.environ.get("ATTESTRY_BENCH_BUILD", ROOT / "build/bench")) / "attestry")
)
sys.path.insert(0, str(ROOT / "tests" / "functional"))

from evm import Anvil  # noqa: E402
from registry import Workload, allow, start_registry  # noqa: E402

AT_ONCE, OTHERS, DIFFERENT = 1000, 200, 20


def hole():
    """The address of a server that takes connections and says nothing."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    held = []
    threading.Thread(target=lambda: [held.append(listener.accept()) for _ in iter(int, 1)], daemon=True).start()
    return f"127.0.0.1:{listener.getsockname()[1]}"


def seconds(workload):
    started = time.monotonic()
    reply = workload.register()
    assert reply.status == 200, reply
    return time.monotonic() - started


def figures(values):
    values = sorted(values)
    return {"p50_ms": round(1000 * values[len(values) // 2]), "p99_ms": round(1000 * values[len(values) * 99 // 100])}


def apps(server, chain, backend):
    """Workloads of the app that is loaded, and of the one that is not."""
    operator, out = chain.accounts[0].key, []
    for storage in (backend, None):
        contract = chain.deploy("Registry")
        if storage:
            contract.send("setStorageBackend", storage)
        workloads = [Workload(server, contract.address, operator) for _ in range(DIFFERENT)]
        allow(contract, workloads[0], b"listen = 1")
        out.append(workloads)
    return out


def measure(chain, backend):
    """Seconds of each request: of the app that is loaded, of the other."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"registry.head_ms": "1000", "log.level": "error", "registry.evidence_once": "false"}
        server = start_registry(pathlib.Path(folder) / "data", chain, **settings)
        loaded, other = apps(server, chain, backend)
        while {workloads[0].register().status for workloads in (loaded, other)} != {200}:
            pass  # the newest block is believed to be the newest for registry.head_ms
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as crowd, concurrent.futures.ThreadPoolExecutor(4) as few:
            crowded = crowd.map(seconds, (loaded[i % DIFFERENT] for i in range(AT_ONCE)))
            quiet = few.map(seconds, (other[i % DIFFERENT] for i in range(OTHERS)))
            out = list(crowded), list(quiet)
        server.terminate()
    return out


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    backends = {"healthy_backend": "file://./store/", "hanging_backend": f"ipfs://{hole()}/"}
    taken = {name: ([], []) for name in backends}
    with Anvil() as chain:
        for _ in range(rounds):
            for name, backend in backends.items():
                for all_of_it, more in zip(taken[name], measure(chain, backend), strict=True):
                    all_of_it += more
    out = {name: {"loaded": figures(loaded), "other": figures(other)} for name, (loaded, other) in taken.items()}
    print(json.dumps({"at_once": AT_ONCE, "rounds": rounds} | out))


main()
