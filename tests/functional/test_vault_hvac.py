"""hvac (PyPI), unmodified, against the HTTP API in Vault's shapes: KV version 2, transit, tokens, policies, namespaces."""

import base64
import time

import hvac
import pytest
from harness import PATIENCE, request, start_dev
from hvac import exceptions


@pytest.fixture(scope="module")
def vault_server(tmp_path_factory):
    server = start_dev(tmp_path_factory.mktemp("vault") / "data", "--set=vault.listen=127.0.0.1:0")
    server.vault = next(line.split()[1] for line in server.lines if line.startswith("  vault "))
    yield server
    assert server.terminate() == 0, server.output


def token(server, *policies, **more):
    answer = server.call("POST", "/v1/vault/tokens", {"policies": list(policies), **more})
    assert answer.status == 200, answer
    return answer.json()["auth"]["client_token"]


@pytest.fixture(scope="module")
def root(vault_server):
    return hvac.Client(url=vault_server.vault, token=token(vault_server, "root"))


@pytest.fixture
def kv(root):
    return root.secrets.kv.v2


def read(kv, path, **more):
    return kv.read_secret_version(path=path, raise_on_deleted_version=True, **more)["data"]


def b64(data):
    return base64.b64encode(data).decode()


# -- KV version 2


def test_a_secret_is_written_and_read(vault_server, root, kv):
    assert root.is_authenticated()
    made = kv.create_or_update_secret(path="team/db", secret={"user": "a", "password": "b"})
    assert made["data"]["version"] == 1
    found = read(kv, "team/db")
    assert found["data"] == {"user": "a", "password": "b"}
    assert found["metadata"]["version"] == 1
    assert vault_server.leaves()[-1]["type"] == "kv.read"


def test_nothing_is_allowed_without_a_policy(vault_server, kv):
    kv.create_or_update_secret(path="closed", secret={"a": "b"})
    poor = hvac.Client(url=vault_server.vault, token=token(vault_server, "default"))
    with pytest.raises(exceptions.Forbidden):
        read(poor.secrets.kv.v2, "closed")
    with pytest.raises(exceptions.Forbidden):
        hvac.Client(url=vault_server.vault, token="hvs.none").secrets.kv.v2.list_secrets(path="")


def test_versions_delete_undelete_destroy(kv):
    for number in range(1, 4):
        assert kv.create_or_update_secret(path="v", secret={"n": number})["data"]["version"] == number
    assert read(kv, "v", version=2)["data"] == {"n": 2}
    kv.delete_latest_version_of_secret(path="v")
    with pytest.raises(exceptions.InvalidPath):
        read(kv, "v")
    kv.undelete_secret_versions(path="v", versions=[3])
    assert read(kv, "v")["data"] == {"n": 3}
    kv.delete_secret_versions(path="v", versions=[1])
    kv.destroy_secret_versions(path="v", versions=[2])
    kv.undelete_secret_versions(path="v", versions=[2])
    with pytest.raises(exceptions.InvalidPath):
        read(kv, "v", version=2)
    versions = kv.read_secret_metadata(path="v")["data"]["versions"]
    assert versions["2"]["destroyed"] and versions["1"]["deletion_time"] and not versions["3"]["deletion_time"]


def test_check_and_set(kv):
    assert kv.create_or_update_secret(path="cas", secret={"a": 1}, cas=0)["data"]["version"] == 1
    for wrong in (0, 2):
        with pytest.raises(exceptions.InvalidRequest, match="did not match the current version"):
            kv.create_or_update_secret(path="cas", secret={"a": 2}, cas=wrong)
    assert kv.create_or_update_secret(path="cas", secret={"a": 2}, cas=1)["data"]["version"] == 2
    kv.update_metadata(path="cas", cas_required=True)
    with pytest.raises(exceptions.InvalidRequest, match="parameter required"):
        kv.create_or_update_secret(path="cas", secret={"a": 3})
    assert read(kv, "cas")["data"] == {"a": 2}


def test_metadata_and_max_versions(kv):
    kv.update_metadata(path="meta", max_versions=2, delete_version_after="1h", custom_metadata={"owner": "me"})
    for number in range(3):
        kv.create_or_update_secret(path="meta", secret={"n": number})
    found = kv.read_secret_metadata(path="meta")["data"]
    assert (found["max_versions"], found["current_version"], found["oldest_version"]) == (2, 3, 2)
    assert found["custom_metadata"] == {"owner": "me"} and sorted(found["versions"]) == ["2", "3"]
    assert found["versions"]["3"]["deletion_time"] and found["delete_version_after"] == "1h0m0s"
    kv.delete_metadata_and_all_versions(path="meta")
    with pytest.raises(exceptions.InvalidPath):
        kv.read_secret_metadata(path="meta")


def test_patch_merges(vault_server, root, kv):
    kv.create_or_update_secret(path="patched", secret={"a": {"b": 1, "c": 2}, "d": 3})
    kv.patch(path="patched", secret={"d": 4})
    assert read(kv, "patched")["data"] == {"a": {"b": 1, "c": 2}, "d": 4}
    # hvac merges by itself; the server does as RFC 7396 says.
    headers = {"X-Vault-Token": root.token, "Content-Type": "application/merge-patch+json"}
    body = '{"data": {"a": {"b": null, "e": 5}, "f": [6]}, "options": {"cas": 2}}'
    assert request(vault_server.vault, "PATCH", "/v1/secret/data/patched", body, headers).status == 200
    assert read(kv, "patched")["data"] == {"a": {"c": 2, "e": 5}, "d": 4, "f": [6]}
    assert request(vault_server.vault, "PATCH", "/v1/secret/data/patched", body, headers).status == 400
    assert request(vault_server.vault, "PATCH", "/v1/secret/data/not-there", body, headers).status == 404
    shape = request(vault_server.vault, "GET", "/v1/secret/subkeys/patched?depth=1", headers=headers).json()["data"]
    assert shape["subkeys"] == {"a": None, "d": None, "f": None}


def test_list_shows_names_and_folders(kv):
    for path in ("ls/a", "ls/b/c", "ls/b/d", "ls/b", "ls/z"):
        kv.create_or_update_secret(path=path, secret={"x": "y"})
    assert kv.list_secrets(path="ls")["data"]["keys"] == ["a", "b", "b/", "z"]
    assert kv.list_secrets(path="ls/b")["data"]["keys"] == ["c", "d"]
    with pytest.raises(exceptions.InvalidPath):
        kv.list_secrets(path="ls/none")


def test_configuration_of_a_mount(root):
    root.sys.enable_secrets_engine("kv", path="second", options={"version": "2"})
    kv = root.secrets.kv.v2
    kv.configure(max_versions=1, cas_required=True, mount_point="second")
    assert kv.read_configuration(mount_point="second")["data"]["max_versions"] == 1
    with pytest.raises(exceptions.InvalidRequest):
        kv.create_or_update_secret(path="x", secret={}, mount_point="second")
    kv.create_or_update_secret(path="x", secret={"a": 1}, cas=0, mount_point="second")
    with pytest.raises(exceptions.InvalidRequest, match="not empty"):
        root.sys.disable_secrets_engine("second")
    kv.delete_metadata_and_all_versions(path="x", mount_point="second")
    root.sys.disable_secrets_engine("second")
    assert "second/" not in root.sys.list_mounted_secrets_engines()["data"]


# -- transit


@pytest.fixture
def transit(root):
    return root.secrets.transit


@pytest.mark.parametrize("kind", ["aes256-gcm96", "chacha20-poly1305"])
def test_encrypt_rotate_rewrap(transit, kind):
    name = f"enc-{kind}"
    transit.create_key(name=name, key_type=kind)
    first = transit.encrypt_data(name=name, plaintext=b64(b"hello"))["data"]["ciphertext"]
    assert first.startswith("vault:v1:")
    transit.rotate_key(name=name)
    second = transit.rewrap_data(name=name, ciphertext=first)["data"]["ciphertext"]
    assert second.startswith("vault:v2:")
    assert transit.decrypt_data(name=name, ciphertext=first)["data"]["plaintext"] == b64(b"hello")
    transit.update_key_configuration(name=name, min_decryption_version=2)
    with pytest.raises(exceptions.InvalidRequest, match="too old"):
        transit.decrypt_data(name=name, ciphertext=first)
    assert transit.decrypt_data(name=name, ciphertext=second)["data"]["plaintext"] == b64(b"hello")
    with pytest.raises(exceptions.InvalidRequest):
        transit.decrypt_data(name=name, ciphertext=second[:-4] + "AAA=")
    assert transit.read_key(name=name)["data"]["latest_version"] == 2


def test_batches_and_derived_keys(transit):
    transit.create_key(name="derived", derived=True, convergent_encryption=True)
    items = [{"plaintext": b64(b"x"), "context": b64(b"c")}, {"plaintext": b64(b"x"), "context": b64(b"d")}]
    done = transit.encrypt_data(name="derived", plaintext="", batch_input=[*items, items[0]])["data"]["batch_results"]
    one, two, three = (item["ciphertext"] for item in done)
    assert one == three != two
    back = [{"ciphertext": one, "context": b64(b"c")}]
    done = transit.decrypt_data(name="derived", ciphertext="", batch_input=back)["data"]["batch_results"]
    assert done[0]["plaintext"] == b64(b"x")
    with pytest.raises(exceptions.InvalidRequest, match="context"):
        transit.encrypt_data(name="derived", plaintext=b64(b"x"))


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa-p256", "ecdsa-p384"])
@pytest.mark.parametrize("marshaling", ["asn1", "jws"])
def test_sign_and_verify(transit, kind, marshaling):
    name = f"sign-{kind}"
    transit.create_key(name=name, key_type=kind)
    how = {"marshaling_algorithm": marshaling}
    signature = transit.sign_data(name=name, hash_input=b64(b"m"), **how)["data"]["signature"]

    def valid(message, text):
        return transit.verify_signed_data(name=name, hash_input=b64(message), signature=text, **how)["data"]["valid"]

    assert valid(b"m", signature) and not valid(b"n", signature)
    hmac = transit.generate_hmac(name=name, hash_input=b64(b"m"), algorithm="sha2-512")["data"]["hmac"]
    found = transit.verify_signed_data(name=name, hash_input=b64(b"m"), hmac=hmac, hash_algorithm="sha2-512")
    assert found["data"]["valid"]


def test_only_exportable_keys_leave(transit):
    transit.create_key(name="kept")
    with pytest.raises(exceptions.InvalidRequest, match="not exportable"):
        transit.export_key(name="kept", key_type="encryption-key")
    transit.create_key(name="given", exportable=True)
    keys = transit.export_key(name="given", key_type="encryption-key")["data"]["keys"]
    assert len(base64.b64decode(keys["1"])) == 32


def test_keys_are_deleted_only_when_allowed(transit):
    transit.create_key(name="gone")
    with pytest.raises(exceptions.InvalidRequest, match="deletion is not allowed"):
        transit.delete_key(name="gone")
    transit.update_key_configuration(name="gone", deletion_allowed=True)
    transit.delete_key(name="gone")
    assert "gone" not in transit.list_keys()["data"]["keys"]


def test_data_keys_random_and_hash(transit):
    transit.create_key(name="data")
    made = transit.generate_data_key(name="data", key_type="plaintext")["data"]
    assert transit.decrypt_data(name="data", ciphertext=made["ciphertext"])["data"]["plaintext"] == made["plaintext"]
    assert "plaintext" not in transit.generate_data_key(name="data", key_type="wrapped")["data"]
    assert len(base64.b64decode(transit.generate_random_bytes(n_bytes=20)["data"]["random_bytes"])) == 20
    found = transit.hash_data(hash_input=b64(b"abc"), algorithm="sha2-256", output_format="hex")["data"]["sum"]
    assert found == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


# -- tokens, policies, namespaces


def test_policies_decide(vault_server, root):
    rules = """
        path "secret/data/p/+/x" { capabilities = ["read", "create"] }
        path "secret/data/p/no/*" { capabilities = ["deny"] }  # wins: its first wildcard comes later
    """
    root.sys.create_or_update_policy(name="p", policy=rules)
    assert root.sys.read_policy(name="p")["data"]["rules"] == rules
    client = hvac.Client(url=vault_server.vault, token=token(vault_server, "p"))
    kv = client.secrets.kv.v2
    kv.create_or_update_secret(path="p/1/x", secret={"a": 1})
    assert read(kv, "p/1/x")["data"] == {"a": 1}
    with pytest.raises(exceptions.Forbidden):
        kv.create_or_update_secret(path="p/1/x", secret={"a": 2})  # create is not update
    for path in ("p/1/y", "p/no/x", "p/1/2/x"):
        with pytest.raises(exceptions.Forbidden):
            read(kv, path)
    with pytest.raises(exceptions.InvalidRequest, match="capabilities"):
        root.sys.create_or_update_policy(name="q", policy='path "x" { allowed_parameters = {} }')


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "secret/data/hidden/x", 403),
        ("GET", "secret//data/hidden/x", 400),
        ("GET", "secret/%2Fdata/hidden/x", 400),
        ("GET", "secret/data//hidden/x", 400),
        ("GET", "/secret/data/hidden/x", 403),
        ("POST", "transit/decrypt/hidden", 403),
        ("POST", "transit//decrypt/hidden", 400),
        ("POST", "transit/decrypt/hidden/x", 404),
        ("POST", "transit/sign/hidden/sha2-256/x", 404),
        ("POST", "transit/keys/hidden/rotate/x", 404),
        ("GET", "transit/export/encryption-key/hidden/1/x", 404),
    ],
)
def test_no_other_path_leads_past_a_policy(vault_server, root, method, path, status):
    """The policy allows all but what is hidden; a path that is written otherwise must not reach it."""
    rules = """
        path "secret/*" { capabilities = ["create", "read", "update"] }
        path "secret/data/hidden/*" { capabilities = ["deny"] }
        path "transit/*" { capabilities = ["create", "read", "update"] }
        path "transit/decrypt/hidden" { capabilities = ["deny"] }
        path "transit/sign/hidden/sha2-256" { capabilities = ["deny"] }
        path "transit/keys/hidden/rotate" { capabilities = ["deny"] }
        path "transit/export/encryption-key/hidden/1" { capabilities = ["deny"] }
    """
    root.sys.create_or_update_policy(name="all-but", policy=rules)
    root.secrets.kv.v2.create_or_update_secret(path="hidden/x", secret={"a": 1})
    root.secrets.transit.create_key(name="hidden", exportable=True)
    headers = {"X-Vault-Token": token(vault_server, "all-but")}
    body = {"ciphertext": "vault:v1:AAAA", "input": "AAAA"} if method == "POST" else None
    assert request(vault_server.vault, method, f"/v1/{path}", body, headers).status == status


def test_tokens_are_made_renewed_and_revoked_with_their_children(vault_server, root):
    made = root.auth.token.create(policies=["default"], ttl="10m", meta={"for": "test"})["auth"]
    client = hvac.Client(url=vault_server.vault, token=made["client_token"])
    assert client.auth.token.lookup_self()["data"]["meta"] == {"for": "test"}
    assert 0 < client.auth.token.renew_self(increment="5m")["auth"]["lease_duration"] <= 300
    assert root.auth.token.lookup_accessor(made["accessor"])["data"]["policies"] == ["default"]
    root.sys.create_or_update_policy(name="maker", policy='path "auth/token/create" { capabilities = ["update"] }')
    maker = hvac.Client(
        url=vault_server.vault, token=root.auth.token.create(policies=["maker"])["auth"]["client_token"]
    )
    child = maker.auth.token.create(policies=["maker"])["auth"]["client_token"]
    with pytest.raises(exceptions.InvalidRequest, match="subset of parent"):
        maker.auth.token.create(policies=["p"])
    maker.auth.token.revoke_self()
    for gone in (maker.token, child):
        assert not hvac.Client(url=vault_server.vault, token=gone).is_authenticated()


def test_namespaces_are_apart_and_have_quotas(vault_server, root):
    root.sys.create_namespace("team")
    assert "team/" in root.sys.list_namespaces()["data"]["keys"]
    inside = hvac.Client(url=vault_server.vault, token=root.token, namespace="team")
    inside.secrets.kv.v2.create_or_update_secret(path="only", secret={"here": 1})
    with pytest.raises(exceptions.InvalidPath):
        read(root.secrets.kv.v2, "only")
    own = hvac.Client(url=vault_server.vault, token=token(vault_server, "default", namespace="team"), namespace="team")
    assert own.is_authenticated()
    own.adapter.namespace = None
    assert not own.is_authenticated()  # not above its namespace
    root.adapter.post("/v1/sys/namespaces/team", json={"quotas": {"secrets": 1}})
    with pytest.raises(exceptions.VaultError, match="quota of secrets"):
        inside.secrets.kv.v2.create_or_update_secret(path="second", secret={})
    inside.secrets.kv.v2.create_or_update_secret(path="only", secret={"here": 2})


def test_health_and_what_is_not_offered(vault_server, root):
    assert root.sys.is_initialized() and not root.sys.is_sealed()
    assert root.sys.read_health_status(method="GET")["sealed"] is False
    with pytest.raises(exceptions.InvalidRequest, match="wrapping"):
        root.adapter.get("/v1/secret/data/x", wrap_ttl="1m")
    with pytest.raises(exceptions.InvalidPath, match="no handler"):
        root.adapter.get("/v1/nowhere/x")


def test_secrets_survive_a_restart(tmp_path):
    data = tmp_path / "data"
    server = start_dev(data, "--set=vault.listen=127.0.0.1:0")
    url = next(line.split()[1] for line in server.lines if line.startswith("  vault "))
    client = hvac.Client(url=url, token=token(server, "root"))
    client.secrets.kv.v2.create_or_update_secret(path="kept", secret={"a": 1})
    client.adapter.close()
    assert server.kill() != 0
    server = start_dev(data, "--set=vault.listen=127.0.0.1:0")
    url = next(line.split()[1] for line in server.lines if line.startswith("  vault "))
    client = hvac.Client(url=url, token=client.token)
    assert read(client.secrets.kv.v2, "kept")["data"] == {"a": 1}
    client.adapter.close()
    assert server.terminate() == 0


def test_rotation_of_sealing_keys_takes_secrets_and_keys_along(tmp_path):
    server = start_dev(tmp_path / "data", "--set=vault.listen=127.0.0.1:0")
    url = next(line.split()[1] for line in server.lines if line.startswith("  vault "))
    client = hvac.Client(url=url, token=token(server, "root"))
    kv, transit = client.secrets.kv.v2, client.secrets.transit
    for number in range(40):  # more than one step of the rotation
        kv.create_or_update_secret(path=f"s/{number}", secret={"n": number})
    transit.create_key(name="k")
    sealed = transit.encrypt_data(name="k", plaintext=b64(b"x"))["data"]["ciphertext"]
    path = "/v1/tenants/default/sealing"
    assert server.call("POST", path + "/rotate").status == 200
    deadline = time.monotonic() + PATIENCE
    while (now := server.call("GET", path).json())["phase"] != "settled":
        assert time.monotonic() < deadline, now
    assert now["values"] >= 41 and now["values_left"] == 0
    assert server.call("POST", path + "/retire").status == 200
    assert [read(kv, f"s/{number}")["data"]["n"] for number in range(40)] == list(range(40))
    assert transit.decrypt_data(name="k", ciphertext=sealed)["data"]["plaintext"] == b64(b"x")
    client.adapter.close()
    assert server.terminate() == 0
