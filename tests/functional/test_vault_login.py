"""auth/attestry/login: tokens for attested workloads, over Vault's HTTP API."""

import http.client
import ssl

import hvac
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from harness import PATIENCE, request, split_url, start_dev
from operators import Operator
from registry import self_signed
from workload import b64u, binding, forge, measurement, unb64u

POLICY = """
    path "secret/data/app/*" { capabilities = ["read"] }
    path "transit/+/app" { capabilities = ["update"] }
"""


class VaultServer:
    def __init__(self, server):
        self.server = server
        self.url = next(line.split()[1] for line in server.lines if line.startswith("  vault "))
        answer = server.call("POST", "/v1/vault/tokens", {"policies": ["root"]})
        self.root = answer.json()["auth"]["client_token"]
        server.mrtd = measurement(server.seed)
        self.operator = Operator(server)

    def call(self, method, path, body=None, token=None):
        headers = {"X-Vault-Token": token or self.root}
        return request(self.url, method, "/v1/" + path, body, headers)

    def prepare(self, app):
        ids = self.operator.make_app(app, self.server.mrtd)
        assert self.call("PUT", "sys/policies/acl/app", {"policy": POLICY}).status == 204
        role = {"app": app, "token_policies": ["app"], "token_ttl": "10m"}
        assert self.call("POST", f"auth/attestry/role/{app[5:]}", role).status == 204
        assert self.call("POST", "secret/data/app/db", {"data": {"k": "v"}}).status == 200
        return ids

    def attest(self, app, key, **changes):
        said = self.call("POST", "auth/attestry/challenge").json()["data"]
        spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        nonce = unb64u(said["nonce"])
        bound = binding(said["audience"], nonce, said["tenant"], app, spki, b"", purpose=5)
        body = {"role": app[5:], "nonce": b64u(nonce), "public_key": b64u(spki)}
        return {**body, "evidence": b64u(forge(self.server.seed, bound)), **changes}

    def login(self, app, key, **changes):
        return self.call("POST", "auth/attestry/login", self.attest(app, key, **changes))


@pytest.fixture(scope="module")
def vault(tmp_path_factory):
    """Where TLS ends somewhere else: tokens are good without a certificate."""
    data = tmp_path_factory.mktemp("vault") / "data"
    server = start_dev(data, "--set=vault.listen=127.0.0.1:0", "--set=vault.bind_tokens=false")
    yield VaultServer(server)
    assert server.terminate() == 0, server.output


@pytest.fixture
def key():
    return ec.generate_private_key(ec.SECP256R1())


def test_an_attested_workload_reads_what_its_role_says(vault, key):
    vault.prepare("name:login-reads")
    reply = vault.login("name:login-reads", key)
    assert reply.status == 200, reply
    auth = reply.json()["auth"]
    assert auth["policies"] == ["app", "default"] and 0 < auth["lease_duration"] <= 600
    read = vault.call("GET", "secret/data/app/db", token=auth["client_token"])
    assert read.status == 200 and read.json()["data"]["data"] == {"k": "v"}
    assert vault.call("POST", "secret/data/app/db", {"data": {}}, auth["client_token"]).status == 403
    assert vault.call("GET", "secret/data/other", token=auth["client_token"]).status == 403
    leaves = vault.server.leaves()
    login = next(leaf for leaf in leaves if leaf["type"] == "vault.login")
    assert login["app"] == "name:login-reads" and login["appraisal"]
    assert [leaf["app"] for leaf in leaves if leaf["type"] == "kv.read"][-1] == "name:login-reads"


def test_revoking_the_identity_ends_the_token(vault, key):
    app = "name:login-revoked"
    ids = vault.prepare(app)
    token = vault.login(app, key).json()["auth"]["client_token"]
    assert vault.call("GET", "secret/data/app/db", token=token).status == 200
    vault.operator.approve(app, "revoke", ids["identity"])
    assert vault.call("GET", "secret/data/app/db", token=token).status == 403
    assert vault.call("POST", "auth/token/renew-self", {}, token).status == 403
    assert vault.login(app, key).status == 403


def test_a_challenge_is_used_once_and_for_one_key(vault, key):
    app = "name:login-once"
    vault.prepare(app)
    body = vault.attest(app, key)
    assert vault.call("POST", "auth/attestry/login", body).status == 200
    assert vault.call("POST", "auth/attestry/login", body).status == 400
    other = ec.generate_private_key(ec.SECP256R1())
    spki = other.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert vault.login(app, key, public_key=b64u(spki)).status == 400
    assert vault.login(app, key, role="nobody").status == 400


def test_a_login_renews_and_survives_nothing_of_another_purpose(vault, key):
    app = "name:login-purpose"
    vault.prepare(app)
    token = vault.login(app, key).json()["auth"]["client_token"]
    renewed = vault.call("POST", "auth/token/renew-self", {}, token)
    assert renewed.status == 200 and renewed.json()["auth"]["renewable"] is True
    reply = vault.server.request("POST", "/v1/challenges", {"purpose": 1})
    assert vault.login(app, key, nonce=reply.json()["nonce"]).status in (400, 403)


def test_a_token_is_no_bearer_token(tmp_path, key):
    """By default it is good only over TLS with a certificate of the attested key."""
    app = "name:login-bound"
    data = tmp_path / "data"
    server = start_dev(data, "--set=vault.listen=127.0.0.1:0")
    vault = VaultServer(server)
    vault.prepare(app)
    token = vault.login(app, key).json()["auth"]["client_token"]
    assert vault.call("GET", "secret/data/app/db", token=token).status == 403
    assert server.terminate() == 0
    server = start_dev(data, "--set=vault.listen=127.0.0.1:0", "--set=tls.mode=auto")
    url = next(line.split()[1] for line in server.lines if line.startswith("  vault "))

    def status(shown):
        context = ssl.create_default_context(cafile=str(data / "tls.pem"))
        if shown is not None:
            pem = tmp_path / "client.pem"
            private = shown.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            pem.write_bytes(self_signed(shown) + private)
            context.load_cert_chain(pem)
        connection = http.client.HTTPSConnection(*split_url(url), context=context, timeout=PATIENCE)
        connection.request("GET", "/v1/secret/data/app/db", headers={"X-Vault-Token": token})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status

    assert status(key) == 200
    assert status(ec.generate_private_key(ec.SECP256R1())) == 403
    assert status(None) == 403
    assert server.terminate() == 0


def test_hvac_logs_in_with_evidence(tmp_path, key):
    """The whole way of a workload with another program's client: challenge, login, KV and transit, over TLS with a
    certificate of the attested key, and not without."""
    app = "name:login-hvac"
    data = tmp_path / "data"
    server = start_dev(data, "--set=vault.listen=127.0.0.1:0")
    vault = VaultServer(server)
    vault.prepare(app)
    assert vault.call("POST", "transit/keys/app", {}).status == 200
    seed = server.seed
    assert server.terminate() == 0
    server = start_dev(data, "--set=vault.listen=127.0.0.1:0", "--set=tls.mode=auto")
    url = next(line.split()[1] for line in server.lines if line.startswith("  vault "))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "client.pem").write_bytes(self_signed(key))
    (tmp_path / "client.key").write_bytes(private)
    shown = (str(tmp_path / "client.pem"), str(tmp_path / "client.key"))
    client = hvac.Client(url=url, verify=str(data / "tls.pem"), cert=shown)
    said = client.adapter.post("/v1/auth/attestry/challenge")["data"]
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    bound = binding(said["audience"], unb64u(said["nonce"]), said["tenant"], app, spki, b"", purpose=5)
    body = {
        "role": app[5:],
        "nonce": said["nonce"],
        "public_key": b64u(spki),
        "evidence": b64u(forge(seed, bound)),
    }
    client.login("/v1/auth/attestry/login", json=body)
    assert client.is_authenticated()
    found = client.secrets.kv.v2.read_secret_version(path="app/db", raise_on_deleted_version=True)
    assert found["data"]["data"] == {"k": "v"}
    sealed = client.secrets.transit.encrypt_data(name="app", plaintext="aGk=")["data"]["ciphertext"]
    assert client.secrets.transit.decrypt_data(name="app", ciphertext=sealed)["data"]["plaintext"] == "aGk="
    bearer = hvac.Client(url=url, verify=str(data / "tls.pem"), token=client.token)
    with pytest.raises(hvac.exceptions.Forbidden):
        bearer.secrets.kv.v2.read_secret_version(path="app/db", raise_on_deleted_version=True)
    client.auth.token.revoke_self()
    assert not client.is_authenticated()
    for one in (client, bearer):
        one.adapter.close()
    assert server.terminate() == 0


def test_a_key_that_is_none_is_refused(vault, key):
    """Before the evidence is looked at: a record of it could not be read again."""
    app = "name:login-long-key"
    vault.prepare(app)
    for bad in (b"x" * 5000, b"", b"\x30\x03\x02\x01\x00"):
        reply = vault.login(app, key, public_key=b64u(bad))
        assert reply.status == 400 and "public_key" in reply.text, reply


def test_a_login_with_a_key_takes_the_place_of_old_ones(vault, key):
    app = "name:login-loop"
    vault.prepare(app)
    tokens = [vault.login(app, key).json()["auth"]["client_token"] for _ in range(17)]
    statuses = [vault.call("GET", "secret/data/app/db", token=token).status for token in tokens]
    assert statuses.count(200) == 16 and statuses.count(403) == 1 and statuses[-1] == 200


def test_lives_of_tokens_are_settings(tmp_path, key):
    app = "name:login-lives"
    settings = ("--set=vault.token_seconds=120", "--set=vault.login_seconds=90", "--set=vault.bind_tokens=false")
    server = start_dev(tmp_path / "data", "--set=vault.listen=127.0.0.1:0", *settings)
    vault = VaultServer(server)
    vault.prepare(app)
    assert vault.call("POST", "auth/attestry/role/login-lives", {"app": app}).status == 204
    made = vault.call("POST", "auth/token/create", {"policies": ["default"]}).json()["auth"]
    assert 110 < made["lease_duration"] <= 120
    login = vault.login(app, key).json()["auth"]
    assert 80 < login["lease_duration"] <= 90
    assert server.terminate() == 0
