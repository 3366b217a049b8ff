"""Storage behind a registration, and what strangers may cost: rows 23 to 29, 36 and 65 through the server."""

import base64
import concurrent.futures
import contextlib
import hashlib
import json
import socket
import threading

import pytest
from cryptography.hazmat.primitives import serialization
from evm import Anvil
from harness import PATIENCE, request, split_url
from registry import Released, Workload, allow, bare, ecies_seal, put_blob, start_registry

CONFIG = b'{"a":1}'


class BlackHole:
    """Takes connections and says nothing."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.held = []
        self.taken = threading.Event()
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self):
        try:
            while True:
                self.held.append(self.socket.accept()[0])
                self.taken.set()
        except OSError:
            return


@pytest.fixture(scope="module")
def chain():
    with Anvil() as node:
        yield node


@pytest.fixture(scope="module")
def server(tmp_path_factory, chain):
    running = start_registry(tmp_path_factory.mktemp("limits") / "data", chain, **{"registry.storage_seconds": "1"})
    yield running
    assert running.terminate() == 0, running.output


@pytest.fixture
def contract(chain):
    return chain.deploy("Registry")


@pytest.fixture
def operator(chain):
    return chain.accounts[0].key


@pytest.fixture
def workload(server, contract, operator):
    return Workload(server, contract.address, operator)


def folder_of(server, contract):
    """Beneath which the file storage of that app lies."""
    return server.files / "default" / bare(contract.address)


def app_key(server, contract):
    reply = request(server.registry, "GET", f"/api/public/pki/{bare(contract.address)}").json()
    return serialization.load_pem_public_key(base64.b64decode(reply["app_pubkey"]))


def release(server, contract, workload, template, *storage):
    config = put_blob(server, contract.address, "configs", template)
    contract.send("setConfigForIdentity", workload.identity, bytes.fromhex(config))
    for uri in storage or ["file://./store/"]:
        contract.send("setStorageBackend", uri)
    return workload.register()


def test_registry_024_secrets_inside_included_configurations(server, contract, workload):
    secret = put_blob(server, contract.address, "secrets", ecies_seal(app_key(server, contract), b'"hunter2"'))
    inner = put_blob(server, contract.address, "configs", f'{{"password":"__SECRET_REF_{secret}"}}'.encode())
    outer = put_blob(server, contract.address, "configs", f'{{"db":"__CONFIG_REF_{inner}"}}'.encode())
    reply = release(server, contract, workload, f'{{"all":"__CONFIG_REF_{outer}"}}'.encode())
    assert json.loads(Released(reply).config) == {"all": {"db": {"password": "hunter2"}}}


def test_registry_025_every_character_of_a_secret_is_itself(server, contract, workload):
    nasty = b'$1 $$ ${x} \\ "quoted"\nnext line \x00'
    secret = put_blob(server, contract.address, "secrets", ecies_seal(app_key(server, contract), nasty))
    reply = release(server, contract, workload, f"before __SECRET_REF_{secret} after".encode())
    assert Released(reply).config == b"before " + nasty + b" after"


def test_registry_026_a_secret_of_another_app(server, chain, contract, workload):
    other = chain.deploy("Registry")
    secret = put_blob(server, contract.address, "secrets", ecies_seal(app_key(server, other), b"x"))
    reply = release(server, contract, workload, f"__SECRET_REF_{secret}".encode())
    assert reply.status == 500
    assert f"failed to decrypt secret {secret}" in reply.text


def test_registry_027_corrupt_content_is_refused_and_the_next_backend_asked(server, contract, workload):
    template = b"genuine " + workload.identity
    config = put_blob(server, contract.address, "configs", template, store="good")
    spoilt = folder_of(server, contract) / "bad" / "configs"
    spoilt.mkdir(parents=True, exist_ok=True)
    (spoilt / config).write_bytes(b"forged")
    contract.send("setConfigForIdentity", workload.identity, bytes.fromhex(config))
    contract.send("setStorageBackend", "file://./bad/")
    assert workload.register().status == 502
    contract.send("setStorageBackend", "file://./good/")
    again = Workload(server, contract.address, None)
    again.key, again.csr, again.quote = workload.key, workload.csr, workload.quote
    assert Released(again.register()).config == template


def test_registry_028_a_backend_that_lacks_it_and_one_that_has_it(server, contract, workload):
    (folder_of(server, contract) / "empty").mkdir(parents=True, exist_ok=True)
    reply = release(server, contract, workload, CONFIG, "file://./empty/", "file://./store/")
    assert Released(reply).config == CONFIG


def test_registry_029_when_all_fail_each_is_named(server, contract, workload):
    for name in ("one", "two"):
        (folder_of(server, contract) / name).mkdir(parents=True, exist_ok=True)
        contract.send("setStorageBackend", f"file://./{name}/")
    contract.send("setConfigForIdentity", workload.identity, hashlib.sha256(b"nowhere").digest())
    reply = workload.register()
    assert reply.status == 502
    assert "config template retrieval error" in reply.text
    assert "file-one" in reply.text
    assert "file-two" in reply.text


def test_registry_036_an_invalid_uri_among_good_ones(server, contract, workload):
    reply = release(server, contract, workload, CONFIG, "gopher://x", "not a uri", "file://./store/")
    assert Released(reply).config == CONFIG


def test_registry_no_usable_storage(server, contract, workload):
    contract.send("setConfigForIdentity", workload.identity, hashlib.sha256(CONFIG).digest())
    reply = workload.register()
    assert reply.status == 503
    assert "storage backend retrieval error: no valid storage backends created" in reply.text


def test_registry_flaw_04_storage_outside_of_its_folder(server, contract, workload, tmp_path):
    """A contract's owner is not this machine's administrator."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / hashlib.sha256(b"outside").hexdigest()).write_bytes(b"outside")
    contract.send("setConfigForIdentity", workload.identity, hashlib.sha256(b"outside").digest())
    for uri in (f"file://{tmp_path}/", "file://./../../../../../../../" + str(tmp_path) + "/"):
        contract.send("setStorageBackend", uri)
    assert workload.register().status in (502, 503)


def test_registry_storage_on_private_networks_is_not_called(tmp_path, chain, contract, operator):
    """Whoever owns a contract writes its storage URIs: they must not reach what only the server can reach."""
    hole = BlackHole()
    running = start_registry(tmp_path / "data", chain, **{"registry.storage_private": "false"})
    made = Workload(running, contract.address, operator)
    contract.send("setConfigForIdentity", made.identity, hashlib.sha256(CONFIG).digest())
    port = hole.url.split(":")[1]
    for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1", "169.254.169.254"):
        contract.send("setStorageBackend", f"ipfs://{host}:{port}/")
    assert made.register().status == 503
    assert hole.held == []
    assert running.terminate() == 0
    hole.socket.close()


def test_registry_flaw_08_the_files_of_another_app(server, chain, contract, operator):
    """What a contract names is public: another app's owner may map an identity of his to the same configuration."""
    victim = Workload(server, contract.address, operator)
    allow(contract, victim, CONFIG)
    assert Released(victim.register()).config == CONFIG
    thief_contract = chain.deploy("Registry")
    thief = Workload(server, thief_contract.address, operator)
    (folder_of(server, thief_contract) / "store").mkdir(parents=True)
    thief_contract.send("setConfigForIdentity", thief.identity, hashlib.sha256(CONFIG).digest())
    own = bare(contract.address)
    for uri in ("file://./store/", f"file://./../{own}/store/", f"file://{folder_of(server, contract)}/store/"):
        thief_contract.send("setStorageBackend", uri)
    assert thief.register().status == 502


def test_registry_065_large_bodies_are_refused_before_they_are_read(server, contract):
    host, port = split_url(server.registry)
    before = server.own_memory_kib()
    with socket.create_connection((host, port), timeout=30) as stream:
        stream.sendall(
            f"POST /api/attested/register/{bare(contract.address)} HTTP/1.1\r\nHost: x\r\n"
            f"Content-Length: {300 << 20}\r\n\r\n".encode()
        )
        assert stream.recv(64).startswith(b"HTTP/1.1 413 ")
    reply = request(server.registry, "POST", f"/api/attested/register/{bare(contract.address)}", b"x" * (10 << 20))
    assert reply.status == 413
    assert server.own_memory_kib() - before < 2048


def test_registry_065_three_hundred_mebibytes_of_unknown_length_take_no_memory(server, contract):
    host, port = split_url(server.registry)
    before = server.own_memory_kib()
    chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    path = f"/api/attested/register/{bare(contract.address)}"
    with socket.create_connection((host, port), timeout=PATIENCE) as stream:
        stream.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        with contextlib.suppress(OSError):
            for _ in range(300):  # what comes after the answer is thrown away, for as long as it takes to be read
                stream.sendall(chunk)
        assert stream.recv(64).startswith(b"HTTP/1.1 413 ")
    assert server.own_memory_kib() - before < 2048


def test_registry_065_a_client_that_never_ends_its_header_disturbs_nobody(tmp_path, chain, contract, operator):
    server = start_registry(tmp_path / "data", chain, **{"limits.header_seconds": "2"})
    host, port = split_url(server.registry)
    slow = [socket.create_connection((host, port), timeout=PATIENCE) for _ in range(50)]
    try:
        for stream in slow:
            stream.sendall(b"POST /api/attested/register/")
        assert release(server, contract, Workload(server, contract.address, operator), CONFIG).status == 200
        for stream in slow:
            assert stream.recv(64).startswith(b"HTTP/1.1 408 ")
    finally:
        for stream in slow:
            stream.close()
    assert server.terminate() == 0, server.output


def test_registry_065_a_thousand_at_once_beside_a_backend_that_hangs(tmp_path, chain, operator):
    """All get theirs, and each of them with its own key in the certificate."""
    hole = BlackHole()
    server = start_registry(tmp_path / "data", chain, **{"registry.evidence_once": "false"})
    apps = [chain.deploy("Registry") for _ in range(2)]
    workloads = []
    for contract in apps:
        contract.send("setStorageBackend", f"ipfs://{hole.url}/")
        workloads += [Workload(server, contract.address, operator) for _ in range(4)]
        allow(contract, workloads[-1], CONFIG)
    with concurrent.futures.ThreadPoolExecutor(250) as pool:
        replies = list(pool.map(lambda one: (one, one.register()), workloads * 125))
    assert len(replies) == 1000
    for workload, reply in replies:
        released = Released(reply)
        assert released.config == CONFIG
        assert released.certificate.public_key() == workload.key.public_key()
    hole.socket.close()
    assert server.terminate() == 0, server.output


def test_registry_065_a_hanging_backend_costs_its_own_app_a_hedge(server, chain, operator):
    """Many registrations of an app with a hanging backend, and of one without: all get theirs."""
    hole = BlackHole()
    apps = [chain.deploy("Registry") for _ in range(2)]
    workloads = []
    for number, contract in enumerate(apps):
        if number == 0:
            contract.send("setStorageBackend", f"ipfs://{hole.url}/")
        workloads += [Workload(server, contract.address, operator) for _ in range(10)]
        allow(contract, workloads[-1], CONFIG)
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda one: one.register().status, workloads))
    assert replies == [200] * 20
    hole.socket.close()


def test_registry_065_an_app_that_only_waits_holds_nobody_else_up(tmp_path, chain, operator):
    """More registrations than there are threads for them, of an app whose only backend never answers."""
    hole = BlackHole()
    server = start_registry(tmp_path / "data", chain, **{"registry.storage_seconds": "10"})
    stuck, other = chain.deploy("Registry"), chain.deploy("Registry")
    waiting = [Workload(server, stuck.address, operator) for _ in range(48)]
    allow(stuck, waiting[0], CONFIG, storage=f"ipfs://{hole.url}/")
    works = [Workload(server, other.address, operator) for _ in range(8)]
    allow(other, works[0], CONFIG)
    with concurrent.futures.ThreadPoolExecutor(len(waiting)) as pool:
        replies = [pool.submit(one.register) for one in waiting]
        assert hole.taken.wait(PATIENCE)
        assert [one.register().status for one in works] == [200] * len(works)
        assert not any(reply.done() for reply in replies), "they were answered while the others waited for nothing"
        hole.socket.close()
        for connection in hole.held:
            connection.close()
    assert {reply.result().status for reply in replies} == {503}
    assert server.terminate() == 0, server.output
