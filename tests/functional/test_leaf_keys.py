"""X-Attestry-Leaf-Key of Vault's shapes opens a leaf's commitments, in the one spelling that every dialect has."""

import base64
import hmac
import re

from harness import request, start_dev
from workload import lp


def test_the_key_of_a_vault_leaf_is_base64url(tmp_path):
    server = start_dev(tmp_path / "data", "--set=vault.listen=127.0.0.1:0")
    url = next(line.split()[1] for line in server.lines if line.startswith("  vault "))
    token = server.call("POST", "/v1/vault/tokens", {"policies": ["root"]}).json()["auth"]["client_token"]

    def call(method, path, body=None):
        return request(url, method, f"/v1/{path}", body, {"X-Vault-Token": token})

    accessor = call("GET", "auth/token/lookup-self").json()["data"]["accessor"]
    assert call("POST", "secret/data/db", {"data": {"k": "v"}}).status == 200
    read = call("GET", "secret/data/db")
    spelled = read.headers["X-Attestry-Leaf-Key"]
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", spelled), spelled
    key = base64.urlsafe_b64decode(spelled + "=")
    leaf = server.leaves()[int(read.headers["X-Attestry-Leaf"])]
    assert leaf["outputs"]["accessor"] == hmac.digest(key, lp(b"accessor") + accessor.encode(), "sha256").hex()
    assert server.terminate() == 0, server.output
