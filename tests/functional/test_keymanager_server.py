"""The key manager for workloads: who they are, what they get, and that each key is in the log."""

import base64
import hmac
import http.client
import json
import os
import ssl

import pytest
from harness import PATIENCE, Reply, Server, request, split_url
from key_managers import (
    APP_DATA,
    JSON,
    ask,
    attested_client,
    identity_policy,
    over_unix,
    sealkey,
    start_manager,
)
from operators import Operator
from workload import lp, measurement


@pytest.fixture(scope="module")
def manager(tmp_path_factory):
    """Of one server, without a contract, which only the simulated realm has."""
    data = tmp_path_factory.mktemp("manager") / "data"
    running = start_manager(data, **{"keymanager.sources": "127.0.0.1=web"})
    assert request(running.apps, "GET", "/sealkey").status == 503
    ask(running, "POST", "/bootstrap")
    yield running
    assert running.terminate() == 0, running.output


def test_keymanager_server_gives_an_approved_source_its_key_and_logs_it(manager):
    before = len(manager.leaves())
    reply = request(manager.apps, "GET", "/sealkey")
    assert reply.status == 200 and len(bytes.fromhex(reply.text)) == 32, reply
    assert reply.headers["Cache-Control"] == "no-store"
    leaf = manager.leaves()[int(reply.headers["X-Attestry-Leaf"])]
    assert len(manager.leaves()) == before + 1
    assert (leaf["type"], leaf["epoch"]) == ("keymanager.key", 1)
    k = base64.urlsafe_b64decode(reply.headers["X-Attestry-Leaf-Key"] + "=")
    said = {"workload": b"web", "purpose": b"sealing", "key": bytes.fromhex(reply.text)}
    committed = {name: hmac.digest(k, lp(name.encode()) + value, "sha256").hex() for name, value in said.items()}
    assert leaf["outputs"] == committed, "and nothing else says what was given to whom"
    found = request(manager.apps, "GET", "/sealkey", headers=JSON).json()
    assert found == {"key": reply.text, "workload": "web", "purpose": "sealing", "epoch": 1, "by": "source"}


def test_keymanager_server_keys_differ_by_purpose(manager):
    keys = {sealkey(manager, path) for path in ("/sealkey", "/sealkey?purpose=disk", "/getkey/tls")}
    assert len(keys) == 3
    assert sealkey(manager, "/getkey") == sealkey(manager, "/sealkey?purpose=sealing") == sealkey(manager)
    assert sealkey(manager, "/sealkey?purpose=tls") == sealkey(manager, "/getkey/tls")


@pytest.mark.parametrize(
    "path", ["/sealkey?purpose=", "/sealkey?purpose=a%20b", "/sealkey?epoch=0", "/sealkey?epoch=x"]
)
def test_keymanager_server_refuses_what_is_no_purpose_or_epoch(manager, path):
    assert request(manager.apps, "GET", path).status == 400


def test_keymanager_server_has_no_key_of_an_epoch_that_it_was_no_member_of(manager):
    assert request(manager.apps, "GET", "/sealkey?epoch=2").status == 404


@pytest.mark.parametrize("data", ["00", "zz" * 32, APP_DATA + "00"])
def test_keymanager_server_attests_32_bytes_only(manager, data):
    assert request(manager.apps, "GET", f"/attest/{data}").status == 400


def test_keymanager_server_says_where_it_stands(manager):
    for url in (manager.apps, manager.host):
        status = request(url, "GET", "/status").json()
        assert status["state"] == "member" and status["epoch"] == 1
        assert request(url, "GET", "/healthz").text == "ok\n"
    assert status["epochs"] == [1]
    assert request(manager.apps, "GET", "/").text == "keymanager"


def test_keymanager_server_who_comes_from_nowhere_gets_nothing(tmp_path):
    running = start_manager(tmp_path / "data", **{"keymanager.sources": "10.1.2.3=web,10.0.0.0/8=batch"})
    ask(running, "POST", "/bootstrap")
    before = len(running.leaves())
    for path in ("/sealkey", "/getkey", f"/attest/{APP_DATA}"):
        reply = request(running.apps, "GET", path)
        assert reply.status == 401 and "which workload" in reply.json()["detail"], reply
    assert len(running.leaves()) == before
    assert running.terminate() == 0, running.output


def test_keymanager_server_knows_processes_by_their_user(tmp_path):
    socket = f"unix:{tmp_path}/apps.sock"
    users = f"{os.getuid()}=batch,4000000000=nobody"
    listen = f"127.0.0.1:0,{socket}"
    running = start_manager(tmp_path / "data", **{"keymanager.listen": listen, "keymanager.users": users})
    ask(running, "POST", "/bootstrap")
    found = over_unix(socket, "/sealkey", JSON)
    assert found.status == 200 and (found.json()["workload"], found.json()["by"]) == ("batch", "process")
    assert request(running.apps, "GET", "/sealkey").status == 401, "a socket's users are not the network's"
    assert running.terminate() == 0, running.output
    other = start_manager(tmp_path / "data", **{"keymanager.listen": listen, "keymanager.users": "4000000000=nobody"})
    assert over_unix(socket, "/sealkey").status == 401
    assert other.terminate() == 0, other.output


def test_keymanager_server_knows_processes_by_their_group(tmp_path):
    """The user counts first; a group that nobody named is nobody's."""
    socket = f"unix:{tmp_path}/apps.sock"
    for users, name in ((f"gid:{os.getgid()}=batch", "batch"), (f"gid:{os.getgid()}=batch,{os.getuid()}=web", "web")):
        settings = {"keymanager.listen": f"127.0.0.1:0,{socket}", "keymanager.users": users}
        running = start_manager(tmp_path / name, **settings)
        ask(running, "POST", "/bootstrap")
        found = over_unix(socket, "/sealkey", JSON).json()
        assert (found["workload"], found["by"]) == (name, "process")
        assert running.terminate() == 0, running.output
    other = start_manager(tmp_path / "other", **{**settings, "keymanager.users": "gid:4000000000=web"})
    ask(other, "POST", "/bootstrap")
    assert over_unix(socket, "/sealkey").status == 401
    assert other.terminate() == 0, other.output


@pytest.fixture
def attested(tmp_path):
    """A server over TLS that knows the workload "web" by its evidence, and that of the same seed by its address."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "forge.seed").write_text(os.urandom(16).hex() + "\n")
    policy = identity_policy(tmp_path, (data / "forge.seed").read_text(), "web")
    settings = {"tls.mode": "auto", "keymanager.workloads": policy, "keymanager.sources": "127.0.0.1=neighbour"}
    running = start_manager(data, **settings)
    ask(running, "POST", "/bootstrap")
    yield running
    assert running.terminate() == 0, running.output


def test_keymanager_server_knows_workloads_by_evidence_in_tls(attested, tmp_path):
    client = attested_client(attested, tmp_path)
    first = client.get("/sealkey", JSON)
    assert first.status == 200 and (first.json()["workload"], first.json()["by"]) == ("web", "evidence"), first
    assert [client.get("/sealkey").text for _ in range(3)] == [first.json()["key"]] * 3
    again = attested_client(attested, tmp_path).get("/sealkey")
    assert again.text == first.json()["key"], "another instance of the same workload"


def test_keymanager_server_bad_evidence_is_not_made_up_for_by_an_address(attested, tmp_path):
    stolen = attested_client(attested, tmp_path, report_data=bytes(64)).get("/sealkey")
    assert stolen.status == 422 and stolen.code == "evidence-false", stolen
    foreign = attested_client(attested, tmp_path, seed=os.urandom(16).hex()).get("/sealkey")
    assert foreign.status in (403, 422, 503), foreign
    assert foreign.status != 200


class OverTls:
    """The operators and the public of a server with TLS."""

    def __init__(self, server):
        self.server = server
        self.context = ssl.create_default_context(cafile=str(server.data / "tls.pem"))

    def _ask(self, url, method, path, body, headers):
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers = {"Content-Type": "application/json", **headers}
        connection = http.client.HTTPSConnection("localhost", split_url(url)[1], context=self.context, timeout=PATIENCE)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return Reply(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def request(self, method, path, body=None, headers=None):
        return self._ask(self.server.public, method, path, body, headers or {})

    def call(self, method, path, body=None, headers=None):
        token = {"Authorization": f"Bearer {self.server.token}"}
        return self._ask(self.server.admin, method, path, body, {**token, **(headers or {})})

    leaves = Server.leaves

    def __getattr__(self, name):
        return getattr(self.server, name)


def test_keymanager_server_knows_workloads_by_what_operators_approved(tmp_path):
    """Its revision is in the leaf; a revocation ends it, also for a connection whose evidence is known."""
    running = start_manager(tmp_path / "data", **{"tls.mode": "auto", "keymanager.apps": "name:other,name:shop"})
    ask(running, "POST", "/bootstrap")
    operator = Operator(OverTls(running))
    client = attested_client(running, tmp_path)
    assert client.get("/sealkey").status == 403, "nothing is approved"
    ids = operator.make_app("name:shop", measurement(running.seed))
    first = client.get("/sealkey", JSON)
    assert first.status == 200 and (first.json()["workload"], first.json()["by"]) == ("shop", "approval"), first
    leaf = OverTls(running).leaves()[int(first.headers["X-Attestry-Leaf"])]
    assert (leaf["app"], leaf["tenant"]) == ("name:shop", "default") and len(leaf["policy"]) == 64
    key = base64.urlsafe_b64decode(first.headers["X-Attestry-Leaf-Key"] + "=")
    version = str(operator.app("name:shop")["version"]).encode()
    assert leaf["outputs"]["revision"] == hmac.digest(key, lp(b"revision") + version, "sha256").hex()
    operator.approve("name:shop", "revoke", ids["identity"])
    refused = client.get("/sealkey")
    assert refused.status == 403, refused
    assert attested_client(running, tmp_path).get("/sealkey").status == 403
    assert running.terminate() == 0, running.output
