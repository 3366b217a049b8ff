"""Around the bytes that a key manager answers: content types, what may be kept, and what is not there, as
docs/formats/keymanager.md has them for each generation."""

import pytest
from harness import request
from key_managers import APP_DATA, JSON, ask, start_manager

TEXT, BYTES, DOCUMENT, PROBLEM = (
    "text/plain; charset=utf-8",
    "application/octet-stream",
    "application/json",
    "application/problem+json",
)
NATIVE, FIRST, SECOND = "native", "keymanager", "dstack-vm"


@pytest.fixture(scope="module", params=[NATIVE, FIRST, SECOND])
def manager(request, tmp_path_factory):
    """Of one server, whose workload is called web."""
    settings = {"keymanager.compat": request.param, "keymanager.sources": "127.0.0.1=web"}
    running = start_manager(tmp_path_factory.mktemp(request.param) / "data", **settings)
    running.generation = request.param
    running.before = {path: call(running, path) for path in ("/getkey", "/healthz", f"/attest/{APP_DATA}")}
    ask(running, "POST", "/bootstrap")
    yield running
    assert running.terminate() == 0, running.output


def call(server, path, headers=None, method="GET", host=False):
    return request(server.host if host else server.apps, method, path, headers=headers)


def kind(reply):
    return reply.status, reply.headers["Content-Type"]


def test_keymanager_wire_before_the_bootstrap(manager):
    for path, reply in manager.before.items():
        if path == "/healthz":
            assert kind(reply) == (503, TEXT), reply
        elif manager.generation == NATIVE:
            assert kind(reply) == (503, PROBLEM), reply
        else:
            assert kind(reply) == (500, TEXT) and not reply.text.startswith("{"), reply
        assert reply.headers["Cache-Control"] == "no-store", (path, reply)


def test_keymanager_wire_says_what_it_sends_and_that_nobody_keeps_it(manager):
    tagged = {FIRST: "web/server", SECOND: "web", NATIVE: "web/server"}[manager.generation].replace("/", "%2F")
    sent = {
        "/": TEXT,
        "/sealkey": TEXT,
        "/getkey": TEXT,
        f"/getkey/{tagged}": TEXT,
        f"/attest/{APP_DATA}": TEXT,
        f"/attest/{tagged}/{APP_DATA}": BYTES,
        f"/appdata/{tagged}/{APP_DATA}": BYTES,
        "/status": DOCUMENT,
        "/healthz": TEXT,
    }
    for path, wanted in sent.items():
        reply = call(manager, path)
        assert kind(reply) == (200, wanted), (path, reply)
        assert int(reply.headers["Content-Length"]) == len(reply.body)
        assert reply.headers["Cache-Control"] == "no-store", (path, reply)
        if wanted == TEXT and path not in ("/", "/healthz", "/status"):
            assert not reply.text.endswith("\n"), "hex alone, as there"
        if wanted in (TEXT, BYTES) and path not in ("/", "/healthz"):
            made = call(manager, path, JSON)
            assert kind(made) == (200, DOCUMENT) and made.json()["workload"] == "web", (path, made)
            assert made.headers["Cache-Control"] == "no-store", (path, made)
    sizes = [len(call(manager, path).body) for path in sent if sent[path] == BYTES]
    assert sizes == [65, 32]


def test_keymanager_wire_names_the_leaf_of_what_it_releases(manager):
    for path in ("/getkey", f"/attest/{APP_DATA}"):
        reply = call(manager, path)
        assert reply.headers["X-Attestry-Leaf"].isdigit() and len(reply.headers["X-Attestry-Leaf-Key"]) == 43, reply
    assert "X-Attestry-Leaf" not in call(manager, "/status").headers


def test_keymanager_wire_the_hosts_side(manager):
    again = call(manager, "/bootstrap", host=True)
    if manager.generation == NATIVE:
        assert kind(again) == (409, PROBLEM), again
    else:
        assert kind(again) == (200, TEXT) and again.text == "Already bootstrapped", again
    assert kind(call(manager, "/status", host=True)) == (200, DOCUMENT)
    assert kind(call(manager, "/healthz", host=True)) == (200, TEXT)
    for reply in (again, call(manager, "/status", host=True), call(manager, "/healthz", host=True)):
        assert reply.headers["Cache-Control"] == "no-store", reply


def not_there(manager, reply):
    """As the second generation says it (keymanager.md 4.2); natively a problem document."""
    if manager.generation == NATIVE:
        return kind(reply) == (404, PROBLEM) and reply.code == "not-found" and reply.json()["status"] == 404
    return kind(reply) == (404, TEXT) and reply.text == "Not Found"


@pytest.mark.parametrize(
    "path",
    ["/key/s", "/nothing", "/sealkey/web", "/attest", "/getkey/", "/appdata/web", "/a/b/c/d", "/%2e%2e%2fgetkey"],
)
def test_keymanager_wire_what_is_not_there(manager, path):
    for host in (False, True):
        for method in ("GET", "POST"):
            reply = call(manager, path, method=method, host=host)
            assert not_there(manager, reply), (path, host, method, reply)
            assert "X-Attestry-Leaf" not in reply.headers and reply.headers["Cache-Control"] == "no-store"


def test_keymanager_wire_no_side_has_the_others_routes(manager):
    for path in ("/sealkey", "/getkey", "/getkey/web", f"/attest/{APP_DATA}", f"/appdata/web/{APP_DATA}", "/"):
        assert not_there(manager, call(manager, path, host=True)), path
    for path in ("/bootstrap", "/register", "/register/00", "/helper/00"):
        assert not_there(manager, call(manager, path)), path
    for path in ("/bootstrap", "/register", "/onboard", "/requestKey", "/receiveKey", "/resign"):
        assert not_there(manager, call(manager, path, method="POST")), path


def test_keymanager_wire_methods_that_a_path_has_not(manager):
    for path, host in (("/sealkey", False), ("/getkey/web", False), ("/receiveKey", True), ("/onboard", True)):
        reply = call(manager, path, method="POST" if not host else "GET", host=host)
        if manager.generation == NATIVE:
            assert kind(reply) == (405, PROBLEM), (path, reply)
            assert reply.headers["Allow"] == ("POST" if host else "GET, HEAD"), (path, reply)
        else:
            assert not_there(manager, reply), (path, reply)


@pytest.mark.parametrize("path", [f"/attest/{APP_DATA[:-2]}", "/attest/zz", "/attest/web/zz", "/attest/other/00"])
def test_keymanager_wire_failures(manager, path):
    """Native: problem documents with their own status. There: 500 and text, but for who is refused."""
    reply = call(manager, path)
    other = path == "/attest/other/00"
    if manager.generation == NATIVE:
        assert kind(reply) == (403 if other else 400, PROBLEM), reply
    else:
        assert kind(reply) == (403 if other else 500, TEXT) and not reply.text.startswith("{"), reply
    assert reply.headers["Cache-Control"] == "no-store", reply


def test_keymanager_wire_a_parameter_that_is_not_known_natively(manager):
    """A slip of `purpose` would release another key than the one that was meant. The known services never looked."""
    paths = ("/sealkey?purpos=disk", "/getkey?x=", f"/attest/{APP_DATA}?purpse=x", "/status?x=1", "/?x=")
    for path in paths:
        reply = call(manager, path)
        if manager.generation == NATIVE:
            name = path.split("?")[1].split("=")[0]
            assert kind(reply) == (400, PROBLEM) and f'"{name}"'.replace('"', '\\"') in reply.text, (path, reply)
        else:
            assert reply.status == 200 and reply.text == call(manager, path.split("?")[0]).text, (path, reply)
    twice = call(manager, "/sealkey?purpose=a&purpose=b")
    assert twice.status == (400 if manager.generation == NATIVE else 200), twice
    for path in ("/bootstrap?rotat=true", "/register?paier=x"):
        reply = call(manager, path, method="POST", host=True)
        assert (reply.status == 400 and "unknown query parameter" in reply.text) == (manager.generation == NATIVE), (
            reply
        )


def test_keymanager_wire_a_second_bootstrap_says_that_nothing_is_to_be_done(manager):
    reply = call(manager, "/bootstrap", method="POST", host=True)
    if manager.generation == NATIVE:
        assert reply.status == 409 and "Nothing is to be done" in reply.text and "epoch 1" in reply.text, reply
    else:
        assert (reply.status, reply.text) == (200, "Already bootstrapped")
