#!/usr/bin/env python3
"""Registrations in the registry's dialect: anvil, a contract, a template with five references, a simulated TD.

bench/registry.py [COUNT]      after `cmake --build` of build/bench and tools/deps/npm.sh; JSON on standard output"""

import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("ATTESTRY_BENCH_BUILD", ROOT / "build" / "bench"))
os.environ.setdefault("ATTESTRY", str(BUILD / "attestry"))
sys.path.insert(0, str(ROOT / "tests" / "functional"))

from cryptography.hazmat.primitives import serialization  # noqa: E402
from evm import Anvil  # noqa: E402
from harness import request  # noqa: E402
from registry import Workload, allow, bare, ecies_seal, put_blob, start_registry  # noqa: E402


def template(server, contract):
    """Three configurations and two secrets."""
    pki = request(server.registry, "GET", f"/api/public/pki/{bare(contract.address)}").json()
    app_key = serialization.load_pem_public_key(base64.b64decode(pki["app_pubkey"]))
    members = [
        f'"c{i}":"__CONFIG_REF_{put_blob(server, contract.address, "configs", f"[{i}]".encode())}"' for i in range(3)
    ]
    for i in range(2):
        secret = put_blob(server, contract.address, "secrets", ecies_seal(app_key, f'"secret {i}"'.encode()))
        members.append(f'"s{i}":"__SECRET_REF_{secret}"')
    return ("{" + ",".join(members) + "}").encode()


def main():
    count = sys.argv[1] if len(sys.argv) > 1 else "2000"
    with Anvil() as chain, tempfile.TemporaryDirectory() as folder:
        server = start_registry(
            pathlib.Path(folder) / "data", chain, **{"registry.head_ms": "1000", "log.level": "error"}
        )
        contract = chain.deploy("Registry")
        operator = chain.accounts[0].key
        allow(contract, Workload(server, contract.address, operator), template(server, contract))
        while Workload(server, contract.address, operator).register().status != 200:
            pass  # the newest block is believed to be the newest for registry.head_ms
        arguments = [server.registry, bare(contract.address), operator.hex(), server.data / "forge.seed"]
        done = subprocess.run(
            [BUILD / "bench" / "registry_load", *map(str, arguments), str(server.process.pid), count],
            stdout=subprocess.PIPE,
            check=True,
        )
        server.terminate()
    print(json.dumps(json.loads(done.stdout)))


main()
