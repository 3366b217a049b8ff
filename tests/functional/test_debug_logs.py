"""What the key services print at their most talkative holds no master, key, token or plaintext, whatever they are asked and
however it fails."""

import base64
import json
import os
import re

from harness import request
from key_managers import APP_DATA, JSON, ask, sealkey, start_manager
from keystore import COORDINATOR, TOKEN, Worker, start_keystore
from near import Chain, nodes
from vault import Vault

DEBUG = {"log.level": "debug"}


def forms(secret):
    """How bytes, or text, may stand in a text. Short of their ends, where base64 depends on what follows."""
    raw = secret.encode() if isinstance(secret, str) else secret
    encoded = base64.b64encode(raw).decode().rstrip("=")[:-2]
    found = {raw.hex(), raw.hex().upper(), encoded, encoded.translate(str.maketrans("+/", "-_"))}
    if isinstance(secret, str):
        found.add(secret)
    assert all(len(form) >= 8 for form in found), secret
    return found


def silent(server, secrets):
    """Ends the server. It did print something, and nothing of these."""
    assert server.terminate() == 0, server.output
    assert re.search(r"stopping|listen|keystore|key manager|vault", server.output)
    for name, secret in secrets.items():
        for form in forms(secret):
            assert form not in server.output, f"{name} is in the log"


def of_the_machine(server):
    """What every server has."""
    found = {"admin token": server.token}
    root = server.data / "root.key"
    if root.exists():
        found["unlock key"] = root.read_bytes()
    return found


def test_debug_logs_tell_a_secret_when_there_is_one():
    """The search itself: each form would be found."""
    for secret in ("hvs.some-token", os.urandom(32)):
        for form in forms(secret):
            assert any(one in f"x{form}y" for one in forms(secret))
    assert "5a" * 32 in forms(b"\x5a" * 32)


def test_debug_logs_of_a_key_manager(tmp_path):
    settings = {"keymanager.sources": "127.0.0.1=web", **DEBUG}
    manager = start_manager(tmp_path / "data", **settings)
    made = ask(manager, "POST", "/bootstrap")
    keys = {path: sealkey(manager, path) for path in ("/sealkey", "/sealkey?purpose=disk", "/getkey/tls")}
    secrets = {**of_the_machine(manager), **{path: bytes.fromhex(key) for path, key in keys.items()}}
    answer = request(manager.apps, "GET", "/sealkey?purpose=json", headers=JSON).json()
    secrets["key in JSON"] = bytes.fromhex(answer["key"])
    for path in (
        "/sealkey?epoch=9",
        "/sealkey?purpose=a%20b",
        "/sealkey?purpos=x",
        f"/attest/{APP_DATA}",
        "/attest/xx",
    ):
        request(manager.apps, "GET", path)
    stolen = keys["/sealkey"]
    # Keys where they do not belong: whoever calls wrongly must not have them written down.
    request(manager.apps, "GET", f"/getkey/{stolen}")
    request(manager.apps, "GET", "/sealkey", headers={"Authorization": f"Bearer {stolen}"})
    for path in ("/receiveKey", "/onboard", f"/register/{stolen}"):
        request(manager.host, "POST", path, {"pubk": stolen, "ciph": stolen})
    assert made["addr"]
    silent(manager, secrets)


def test_debug_logs_of_a_keystore(tmp_path):
    master, owner = os.urandom(32), "alice.testnet"
    file = tmp_path / "master"
    file.touch(mode=0o600)
    file.write_text(master.hex() + "\n")
    accessor = {"type": "Repo", "repo": "github.com/alice/project", "branch": None}
    chain, word = Chain(), "canary" + os.urandom(12).hex()
    with nodes(chain) as running:
        server = start_keystore(tmp_path / "data", chain, running, **{"keystore.master": f"file:{file}", **DEBUG})
        worker = Worker(server, chain)
        assert worker.register().status == 200
        plain = json.dumps({"API_KEY": word}).encode()
        on_chain = {"Repo": {"repo": accessor["repo"], "branch": None}}
        chain.store(on_chain, "default", owner, worker.encrypted(f"github.com/alice/project:{owner}", plain))
        reply, opened = worker.decrypt(accessor, "default", owner)
        assert opened == plain, reply
        secrets = {
            **of_the_machine(server),
            "master": master,
            "plaintext": word,
            "worker's token": TOKEN,
            "coordinator's token": COORDINATOR,
            "session": worker.session,
            "session's key": worker.session_key,
        }
        worker.decrypt(accessor, "no such", owner)
        worker.decrypt(accessor, "default", owner, session=word)
        worker.post("/decrypt", {"accessor": word, "encrypted_secrets": word})
        worker.post(f"/{word}", {})
        worker.post("/encrypt", f'{{"broken": "{word}'.encode(), {"Content-Type": "application/json"})
        for path, body in (("backup", {"admins": word}), ("restore", {"shares": [word], "backup": {}}), ("rotate", {})):
            server.call("POST", f"/v1/keystore/{path}", body)
        assert server.call("GET", "/v1/keystore/masters").status == 200
        silent(server, secrets)


def test_debug_logs_of_a_vault(tmp_path):
    vault = Vault.start(tmp_path / "data", "--set=log.level=debug")
    word, plain = "canary" + os.urandom(12).hex(), os.urandom(24)
    secrets = {**of_the_machine(vault.server), "root token": vault.root, "value": word, "transit's plaintext": plain}
    vault.policy("all", 'path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }')
    secrets["child's token"] = child = vault.token("all")
    vault.done("POST", "secret/data/app", {"data": {"password": word}}, token=child)
    assert vault.done("GET", "secret/data/app", token=child)["data"]["password"] == word
    vault.done("POST", "transit/keys/k", {"exportable": True})
    sealed = vault.done("POST", "transit/encrypt/k", {"plaintext": base64.b64encode(plain).decode()})["ciphertext"]
    assert base64.b64decode(vault.done("POST", "transit/decrypt/k", {"ciphertext": sealed})["plaintext"]) == plain
    secrets["transit's key"] = base64.b64decode(vault.done("GET", "transit/export/encryption-key/k")["keys"]["1"])
    secrets["data key"] = base64.b64decode(vault.done("POST", "transit/datakey/plaintext/k", {})["plaintext"])
    # Wrongly asked: values where names are expected, broken bodies, tokens of nobody, tokens in bodies and paths.
    for method, path, body in (
        ("POST", f"secret/data/{word}", {"data": word}),
        ("POST", "secret/data/app", {"data": {"x": 1}, "options": {"cas": word}}),
        ("POST", "transit/encrypt/k", {"plaintext": word + "!"}),
        ("POST", "transit/decrypt/k", {"ciphertext": f"vault:v1:{word}"}),
        ("PUT", "sys/policies/acl/x", {"policy": word}),
        ("POST", "auth/token/revoke", {"token": child + "x"}),
        ("POST", "auth/token/lookup", {"token": child}),
        ("POST", "auth/attestry/login", {"role": "none", "evidence": word}),
        ("GET", f"auth/token/{child}", None),
        ("GET", f"secret/data/app?x={word}", None),
    ):
        vault.call(method, path, body)
    vault.call("GET", "secret/data/app", token=child[:-1] + "x")
    request(vault.url, "POST", "/v1/secret/data/app", f'{{"data": {{"p": "{word}'.encode(), {"X-Vault-Token": child})
    silent(vault.server, secrets)
