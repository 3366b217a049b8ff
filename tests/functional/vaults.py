"""Vault for tests: a stand-in that refuses what the real server refuses, or, where ATTESTRY_VAULT names the program, the
real server itself. Both have the same methods, and test_storage_stand_ins.py holds them to the same answers."""

import base64
import json
import os
import pathlib
import re
import ssl
import subprocess
import time
import urllib.error
import urllib.request

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from harness import PATIENCE
from ports import free_ports
from storage import Authority, Served

REAL = os.environ.get("ATTESTRY_VAULT")


def open_vault(folder):
    return RealVault(folder) if REAL else VaultStandIn(folder)


class _Vault:
    """Certificates and addresses, alike for both."""

    def __init__(self, folder):
        self.folder = folder
        self.authority = Authority("test CA of Vault")
        self.clients = Authority("test CA of apps")
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(self.authority.pem)
        self.certificate = self.authority.issue(folder, "vault", ["127.0.0.1"])

    @property
    def uri(self):
        return f"vault://127.0.0.1:{self.port}/secret/data"

    def call(self, method, path, body=None, token=None, certificate=None):
        """(status, JSON) of one request over TLS, as any client would send it."""
        context = ssl.create_default_context(cafile=self.ca_file)
        if certificate:
            context.load_cert_chain(*certificate)
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"X-Vault-Request": "true"} | ({"X-Vault-Token": token} if token else {})
        asked = urllib.request.Request(
            f"https://127.0.0.1:{self.port}/v1/{path}", data=data, headers=headers, method=method
        )
        try:
            with urllib.request.urlopen(asked, context=context, timeout=PATIENCE) as reply:
                status, content = reply.status, reply.read()
        except urllib.error.HTTPError as refusal:
            status, content = refusal.code, refusal.read()
        return status, json.loads(content) if content else {}


class VaultStandIn(_Vault, Served):
    """Vault's KV version 2 engine behind certificate login: what it lets a client do hangs on the certificate that the
    TLS handshake proved, and on the token that this certificate got."""

    def __init__(self, folder):
        _Vault.__init__(self, folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.certificate)
        (folder / "clients.pem").write_bytes(self.clients.pem)
        context.load_verify_locations(folder / "clients.pem")
        context.verify_mode = ssl.CERT_OPTIONAL
        self._context = context
        self._roles = {}  # certificate (DER) -> (role, prefix of the paths it may use)
        self._named = {}  # common name -> (CA, prefix)
        self._tokens = {}  # token -> (certificate that it belongs to or None, prefix)
        self._documents = {}
        self._sealed = False
        Served.__init__(self, context)

    def client(self, name, prefix):
        """(certificate file, key file) of a role that may use paths below `prefix`."""
        files = self.clients.issue(self.folder, name)
        certificate = x509.load_pem_x509_certificate(files[0].read_bytes())
        self._roles[certificate.public_bytes(serialization.Encoding.DER)] = (name, prefix)
        return files

    def trust(self, ca_pem, common_name, prefix):
        """A role for whatever certificate of that CA has the name."""
        self._context.load_verify_locations(cadata=ca_pem.decode())
        self._named[common_name] = (x509.load_pem_x509_certificate(ca_pem), prefix)

    def token(self, prefix):
        """One that needs no certificate."""
        made = f"hvs.file.{len(self._tokens)}"
        self._tokens[made] = (None, prefix)
        return made

    def names(self):
        return list(self._documents)

    def document(self, name):
        return self._documents[name]

    def put(self, name, document):
        self._documents[name] = document

    def seal(self):
        self._sealed = True

    def unseal(self):
        self._sealed = False

    def _role_of(self, peer):
        """(role, prefix), or None."""
        if peer is None or peer in self._roles:
            return self._roles.get(peer)
        certificate = x509.load_der_x509_certificate(peer)
        name = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
        ca, prefix = self._named.get(name, (None, None))
        if ca is None or certificate.issuer != ca.subject:
            return None
        certificate.verify_directly_issued_by(ca)
        return name, prefix

    def answer(self, method, path, query, headers, body, peer):
        def errors(status, *texts):
            return status, {"content-type": "application/json"}, {"errors": list(texts)}

        if path == "/v1/sys/health":
            return (503 if self._sealed else 200), {}, {"initialized": True, "sealed": self._sealed}
        if self._sealed:
            return errors(503, "Vault is sealed")
        if path == "/v1/auth/cert/login":
            found = self._role_of(peer)
            if method not in ("POST", "PUT") or found is None:
                return errors(400, "invalid certificate or no client certificate supplied")
            role, prefix = found
            if json.loads(body or b"{}").get("name", role) != role:
                return errors(400, "no certificate role of that name")
            token = f"hvs.{role}.{len(self._tokens)}"
            self._tokens[token] = (peer, prefix)
            return 200, {}, {"auth": {"client_token": token, "lease_duration": 3600}}
        token = headers.get("x-vault-token")
        if token not in self._tokens:
            return errors(403, "permission denied")
        owner, prefix = self._tokens[token]
        if owner is not None and owner != peer:
            return errors(403, "permission denied")  # a token that left its certificate
        found = re.fullmatch(r"/v1/secret/(data|metadata)/(.*)", path)
        if not found:
            return errors(403, "1 error occurred:\n\t* permission denied\n\n")  # no policy here covers another mount
        kind, name = found.groups()
        if not name.startswith(prefix):
            return errors(403, "1 error occurred:\n\t* permission denied\n\n")
        if kind == "metadata":
            keys = [item[len(name) + 1 :] for item in self._documents if item.startswith(name + "/")]
            return (200, {}, {"data": {"keys": keys}}) if keys and "list" in query else errors(404)
        if method == "GET":
            if name not in self._documents:
                return errors(404)
            return 200, {}, {"data": {"data": self._documents[name], "metadata": {"version": 1}}}
        data = json.loads(body).get("data")
        if not isinstance(data, dict):
            return errors(400, "no data provided")
        self._documents[name] = data
        return 200, {}, {"data": {"version": 1}}


class RealVault(_Vault):
    """HashiCorp's server in one process, with everything in memory: an oracle for what the stand-in says."""

    def __init__(self, folder):
        super().__init__(folder)
        (self.port,) = free_ports(1)
        certificate, key = self.certificate
        settings = {
            "storage": {"inmem": {}},
            "listener": {
                "tcp": {
                    "address": f"127.0.0.1:{self.port}",
                    "tls_cert_file": str(certificate),
                    "tls_key_file": str(key),
                }
            },
            "disable_mlock": True,
            "api_addr": f"https://127.0.0.1:{self.port}",
        }
        (folder / "vault.json").write_text(json.dumps(settings))
        with open(folder / "vault.log", "wb") as log:
            self._process = subprocess.Popen(
                [REAL, "server", "-config", folder / "vault.json"], stdout=log, stderr=subprocess.STDOUT
            )
        self._wait_until_it_listens()
        made = self._done("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
        self._key, self._root = made["keys"][0], made["root_token"]
        self.unseal()
        self._done("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
        self._done("POST", "sys/auth/cert", {"type": "cert"})
        self._wait_until_the_engine_is_there()

    def _wait_until_it_listens(self):
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return self.call("GET", "sys/seal-status")
            except OSError:
                if self._process.poll() is not None or time.monotonic() > until:
                    raise AssertionError(pathlib.Path(self.folder / "vault.log").read_text()) from None

    def _wait_until_the_engine_is_there(self):
        """A KV engine upgrades itself to version 2 in the background and refuses everything meanwhile."""
        until = time.monotonic() + PATIENCE
        while self.call("POST", "secret/data/made", {"data": {}}, self._root)[0] != 200:
            assert time.monotonic() < until
        self._done("DELETE", "secret/metadata/made")

    def _done(self, method, path, body=None):
        status, answer = self.call(method, path, body, getattr(self, "_root", None))
        assert status in (200, 204), (method, path, status, answer)
        return answer

    def _policy(self, name, prefix):
        rules = {
            f"secret/data/{prefix}*": {"capabilities": ["create", "update", "read"]},
            f"secret/metadata/{prefix}*": {"capabilities": ["list", "read"]},
        }
        self._done("PUT", f"sys/policies/acl/{name}", {"policy": json.dumps({"path": rules})})
        return name

    def client(self, name, prefix):
        files = self.clients.issue(self.folder, name)
        body = {"certificate": files[0].read_text(), "token_policies": [self._policy(name, prefix)]}
        self._done("POST", f"auth/cert/certs/{name}", body)
        return files

    def trust(self, ca_pem, common_name, prefix):
        body = {
            "certificate": ca_pem.decode(),
            "allowed_common_names": [common_name],
            "token_policies": [self._policy(common_name, prefix)],
        }
        self._done("POST", f"auth/cert/certs/{common_name}", body)

    def token(self, prefix):
        policy = self._policy("file-" + base64.b16encode(prefix.encode()).decode().lower(), prefix)
        body = {"policies": [policy], "no_parent": True}
        return self._done("POST", "auth/token/create", body)["auth"]["client_token"]

    def names(self, folder=""):
        status, answer = self.call("GET", f"secret/metadata/{folder}?list=true", token=self._root)
        keys = answer["data"]["keys"] if status == 200 else []
        return [name for key in keys for name in (self.names(folder + key) if key.endswith("/") else [folder + key])]

    def document(self, name):
        return self._done("GET", f"secret/data/{name}")["data"]["data"]

    def put(self, name, document):
        self._done("POST", f"secret/data/{name}", {"data": document})

    def seal(self):
        self._done("PUT", "sys/seal")

    def unseal(self):
        assert not self._done("PUT", "sys/unseal", {"key": self._key})["sealed"]

    def stop(self):
        self._process.terminate()
        self._process.wait(timeout=PATIENCE)
