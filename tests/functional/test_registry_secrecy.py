"""Templates with secrets through the server, in both modes and both forms of encryption; and that nothing of a secret is in
what a server logs, at its most talkative, or answers when it fails (rows 23 to 26)."""

import base64
import json
import os

import pytest
from cryptography.hazmat.primitives import serialization
from evm import Anvil
from harness import request
from registry import (
    Released,
    Workload,
    allow,
    bare,
    ecies2_seal,
    ecies_seal,
    put_blob,
    secret_context,
    start_registry,
)


@pytest.fixture(scope="module")
def chain():
    with Anvil() as node:
        yield node


class Vault:
    """A talkative server of one mode, an app's contract, and a word that must not get out."""

    def __init__(self, server, chain):
        self.server, self.chain, self.canaries, self.keys = server, chain, [], []

    def contract(self):
        return self.chain.deploy("Registry")

    def canary(self):
        word = "canary" + os.urandom(18).hex()
        self.canaries.append(word.encode())
        return word

    def app_key(self, contract):
        reply = request(self.server.registry, "GET", f"/api/public/pki/{bare(contract.address)}").json()
        return serialization.load_pem_public_key(base64.b64decode(reply["app_pubkey"]))

    def put(self, contract, blob, kind="secrets"):
        return put_blob(self.server, contract.address, kind, blob)

    def secret(self, contract, text, key_of=None):
        data = text if isinstance(text, bytes) else text.encode()
        return self.put(contract, ecies_seal(self.app_key(key_of or contract), data))

    def register(self, contract, template, path="register"):
        workload = Workload(self.server, contract.address, self.chain.accounts[0].key)
        allow(contract, workload, template.encode())
        return workload.register(path)

    def released(self, contract, template):
        released = Released(self.register(contract, template))
        self.keys.append(base64.b64encode(released.key.private_numbers().private_value.to_bytes(32)))
        self.keys.append(b"".join(released.key_pem.splitlines()[1:-1])[:64])
        return released.config

    def silent(self, text, words):
        for word in words:
            for form in (word, base64.b64encode(word)[:-4], word.hex().encode()):
                assert form not in text, word
        return True


def started(folder, chain, mode):
    running = start_registry(folder / "data", chain, **{"log.level": "debug", "registry.templates": mode})
    return running


@pytest.fixture(scope="module")
def text_mode(tmp_path_factory, chain):
    running = started(tmp_path_factory.mktemp("text"), chain, "text")
    yield Vault(running, chain)
    assert running.terminate() == 0


@pytest.fixture(scope="module")
def json_mode(tmp_path_factory, chain):
    running = started(tmp_path_factory.mktemp("json"), chain, "json")
    yield Vault(running, chain)
    assert running.terminate() == 0


@pytest.fixture(params=["text", "json"])
def vault(request):
    return request.getfixturevalue(f"{request.param}_mode")


# -- both forms, both modes


def test_registry_023_a_secret_of_the_second_form_opens_in_a_template(vault):
    contract = vault.contract()
    word = vault.canary()
    blob = ecies2_seal(
        vault.app_key(contract), json.dumps({"password": word}).encode(), secret_context(contract.address)
    )
    config = vault.released(contract, f'{{"db":"__SECRET_REF_{vault.put(contract, blob)}"}}')
    assert json.loads(config) == {"db": {"password": word}}


def test_registry_026_a_secret_of_the_second_form_is_for_one_contract(vault):
    """Under the right key with another contract's name: whoever copies it makes nothing of it."""
    contract, other = vault.contract(), vault.contract()
    blob = ecies2_seal(vault.app_key(contract), vault.canary().encode(), secret_context(other.address))
    secret = vault.put(contract, blob)
    reply = vault.register(contract, f'{{"db":"__SECRET_REF_{secret}"}}')
    assert (reply.status, f"failed to decrypt secret {secret}" in reply.text) == (500, True), reply


def test_registry_025_json_mode_on_a_server_gives_json_whatever_the_secret(json_mode):
    contract = json_mode.contract()
    nasty = '$1 "quoted" \\ \n' + json_mode.canary()
    alone, digits = json_mode.secret(contract, nasty), json_mode.secret(contract, "0123")
    inner = json_mode.put(contract, f'{{"alone":"__SECRET_REF_{alone}"}}'.encode(), "configs")
    template = (
        f'{{ "digits": "__SECRET_REF_{digits}", "url": "db://u:__SECRET_REF_{alone}@h", "in": "__CONFIG_REF_{inner}" }}'
    )
    config = json_mode.released(contract, template)
    assert json.loads(config) == {"digits": "0123", "url": f"db://u:{nasty}@h", "in": {"alone": nasty}}
    assert config.startswith(b'{ "digits": "0123", '), "what is not a reference stays as it is"


def test_registry_025_text_mode_is_the_default_and_no_json(text_mode, json_mode):
    for mode, expected in ((text_mode, '{"p":%s}'), (json_mode, '{"p":"%s"}')):
        contract, word = mode.contract(), mode.canary()
        secret = mode.secret(contract, word)
        assert mode.released(contract, f'{{"p":"__SECRET_REF_{secret}"}}').decode() == expected % word


def test_registry_json_mode_refuses_a_template_that_is_no_json(json_mode):
    contract = json_mode.contract()
    secret = json_mode.secret(contract, json_mode.canary())
    reply = json_mode.register(contract, f"password = __SECRET_REF_{secret}")
    assert (reply.status, "could not process config" in reply.text) == (500, True), reply


# -- what goes wrong


def changed(blob):
    return blob[:-1] + bytes([blob[-1] ^ 1])


def of_another_app(vault, contract, word):
    return f'{{"a":"__SECRET_REF_{vault.secret(contract, word, key_of=vault.contract())}"}}'


def with_a_changed_byte(vault, contract, word):
    blob = changed(ecies_seal(vault.app_key(contract), word.encode()))
    return f'{{"a":"__SECRET_REF_{vault.put(contract, blob)}"}}'


def not_encrypted(vault, contract, word):
    return f'{{"a":"__SECRET_REF_{vault.put(contract, word.encode())}"}}'


def as_a_configuration(vault, contract, word):
    blob = ecies_seal(vault.app_key(contract), word.encode())
    return f'{{"a":"__CONFIG_REF_{vault.put(contract, blob, "configs")}"}}'


def beside_what_is_missing(vault, contract, word):
    return f'{{"a":"__SECRET_REF_{vault.secret(contract, word)}","b":"__SECRET_REF_{"ab" * 32}"}}'


def beside_a_missing_configuration(vault, contract, word):
    inner = vault.put(contract, f'{{"b":"__CONFIG_REF_{"cd" * 32}"}}'.encode(), "configs")
    return f'{{"a":"__SECRET_REF_{vault.secret(contract, word)}","b":"__CONFIG_REF_{inner}"}}'


def too_long_together(vault, contract, word):
    reference = f'"__SECRET_REF_{vault.secret(contract, word * 500)}"'
    return "[" + ",".join([reference] * 60) + "]"


FAILURES = {
    of_another_app: "failed to decrypt secret",
    with_a_changed_byte: "failed to decrypt secret",
    not_encrypted: "failed to decrypt secret",
    as_a_configuration: "is an encrypted secret",
    beside_what_is_missing: "failed to fetch secret",
    beside_a_missing_configuration: "failed to fetch config",
    too_long_together: "too large",
}


@pytest.mark.parametrize("what", FAILURES, ids=lambda one: one.__name__)
def test_registry_026_a_refusal_names_the_reference_and_no_secret(vault, what):
    contract, word = vault.contract(), vault.canary()
    reply = vault.register(contract, what(vault, contract, word))
    assert (reply.status >= 500, FAILURES[what] in reply.text) == (True, True), reply
    assert vault.silent(reply.body + str(reply.headers).encode(), [word.encode()])


def test_registry_026_a_secret_that_is_no_text_in_json_mode(json_mode):
    contract, word = json_mode.contract(), json_mode.canary()
    secret = json_mode.secret(contract, b"\xff" + word.encode())
    reply = json_mode.register(contract, f'{{"a":"__SECRET_REF_{secret}"}}')
    assert (reply.status, "is no text" in reply.text) == (500, True), reply
    assert json_mode.silent(reply.body, [word.encode()])


@pytest.mark.parametrize("mode", ["text", "json"])
def test_registry_023_to_026_nothing_of_a_secret_is_in_the_log(tmp_path, chain, mode):
    """One server, everything that secrets can meet: those that are released, and each failure."""
    running = started(tmp_path, chain, mode)
    vault = Vault(running, chain)
    contract, word = vault.contract(), vault.canary()
    secret = vault.secret(contract, json.dumps({"password": word}))
    inner = vault.put(contract, f'{{"in":"__SECRET_REF_{secret}"}}'.encode(), "configs")
    assert word.encode() in vault.released(contract, f'{{"a":"__SECRET_REF_{secret}"}}')
    assert word.encode() in vault.released(contract, f'{{"a":"__CONFIG_REF_{inner}"}}')
    assert word.encode() in vault.released(
        contract, f'{{"a":"__SECRET_REF_{vault.secret(contract, word + "$1 {x}")}"}}'
    )
    for what, words in FAILURES.items():
        contract = vault.contract()
        reply = vault.register(contract, what(vault, contract, vault.canary()))
        assert words in reply.text, reply
    assert vault.register(contract, "{}", "secrets").status == 200
    # What is wrong with an app's storage goes into the log; the secret was opened all the same.
    contract = vault.contract()
    contract.send("setStorageBackend", "gopher://x")
    secret = vault.secret(contract, vault.canary())
    assert vault.released(contract, f'{{"a":"__SECRET_REF_{secret}"}}')
    assert running.terminate() == 0
    log = running.output.encode()
    assert b" info listening" in log and b"a storage backend of an app cannot be used" in log
    assert len(vault.canaries) == 2 + len(FAILURES) and vault.keys
    assert vault.silent(log, vault.canaries + vault.keys)
