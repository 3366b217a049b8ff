"""hvac (PyPI), unmodified: the methods for the system, for policies and for tokens, one test for each group."""

import hvac
import pytest
from hvac import exceptions
from vault import Vault

RULES = 'path "secret/data/x" { capabilities = ["read"] }'


@pytest.fixture(scope="module")
def vault(tmp_path_factory):
    vault = Vault.start(tmp_path_factory.mktemp("vault") / "data")
    yield vault
    vault.stop()


@pytest.fixture(scope="module")
def root(vault):
    return hvac.Client(url=vault.url, token=vault.root)


def test_mounts(root):
    root.sys.enable_secrets_engine("kv-v2", path="tuned", description="before")
    root.sys.tune_mount_configuration("tuned", description="after")
    assert root.sys.read_mount_configuration("tuned")["data"]["description"] == "after"
    assert root.sys.read_mount_configuration("tuned")["data"]["default_lease_ttl"] == 0
    assert root.sys.retrieve_mount_option("tuned", "version") == "2"
    with pytest.raises(exceptions.InvalidPath, match="no handler"):
        root.sys.move_backend("tuned", "moved")
    root.sys.disable_secrets_engine("tuned")
    with pytest.raises(exceptions.InvalidRequest):
        root.sys.read_mount_configuration("tuned")


def test_policies(root):
    root.sys.create_or_update_policy("old", RULES)
    assert {"default", "old", "root"} <= set(root.sys.list_policies()["data"]["policies"])
    root.sys.delete_policy("old")
    assert "old" not in root.sys.list_policies()["data"]["policies"]
    root.sys.create_or_update_acl_policy("new", RULES)
    assert "new" in root.sys.list_acl_policies()["data"]["keys"]
    assert root.sys.read_acl_policy("new")["data"]["policy"] == RULES
    root.sys.delete_acl_policy("new")
    with pytest.raises(exceptions.InvalidPath):
        root.sys.read_acl_policy("new")
    for name in ("default", "root"):
        with pytest.raises(exceptions.InvalidRequest, match="cannot delete"):
            root.sys.delete_policy(name)


def test_namespaces(root):
    root.sys.create_namespace("short-lived")
    inside = hvac.Client(url=root.url, token=root.token, namespace="short-lived")
    inside.secrets.kv.v2.create_or_update_secret(path="x", secret={"a": 1})
    with pytest.raises(exceptions.InvalidRequest, match="not empty"):
        root.sys.delete_namespace("short-lived")
    inside.secrets.kv.v2.delete_metadata_and_all_versions(path="x")
    root.sys.delete_namespace("short-lived")
    with pytest.raises(exceptions.Forbidden):
        inside.secrets.kv.v2.read_secret_version(path="x", raise_on_deleted_version=True)
    inside.adapter.close()


def test_state(root):
    assert root.sys.read_seal_status()["sealed"] is False
    assert root.sys.read_init_status()["initialized"] is True
    assert root.sys.read_leader_status()["ha_enabled"] is False
    assert root.sys.read_health_status(method="GET")["initialized"] is True
    assert set(root.sys.list_auth_methods()["data"]) == {"attestry/", "token/"}


def test_leases_there_are_none(root):
    with pytest.raises(exceptions.InvalidRequest, match="invalid lease"):
        root.sys.read_lease("secret/data/x/1")
    with pytest.raises(exceptions.InvalidRequest, match="invalid lease"):
        root.sys.renew_lease("secret/data/x/1")
    with pytest.raises(exceptions.InvalidPath):
        root.sys.list_leases("secret/")
    root.sys.revoke_lease("secret/data/x/1")
    root.sys.revoke_prefix("secret/")


def test_wrapping_is_refused(root):
    with pytest.raises(exceptions.InvalidRequest, match="wrapping"):
        root.auth.token.create(policies=["default"], wrap_ttl="1m")
    with pytest.raises(exceptions.VaultError):
        root.sys.unwrap("hvs.wrapped")


def test_capabilities(root):
    root.sys.create_or_update_policy("asked", RULES)
    made = root.auth.token.create(policies=["asked"])["auth"]
    own = hvac.Client(url=root.url, token=made["client_token"])
    paths = ["secret/data/x", "secret/data/y"]
    for answer in (
        own.sys.get_capabilities(paths),
        root.sys.get_capabilities(paths, token=made["client_token"]),
        root.sys.get_capabilities(paths, accessor=made["accessor"]),
    ):
        assert (answer["data"]["secret/data/x"], answer["data"]["secret/data/y"]) == (["read"], ["deny"])
    assert root.sys.get_capabilities(paths[:1])["data"]["capabilities"] == ["root"]
    own.adapter.close()


def test_tokens(root):
    made = root.auth.token.create_orphan(policies=["default"], ttl="10m")["auth"]
    assert made["orphan"] is True and made["accessor"] in root.auth.token.list_accessors()["data"]["keys"]
    assert root.auth.token.lookup(made["client_token"])["data"]["accessor"] == made["accessor"]
    assert root.auth.token.lookup_accessor(made["accessor"])["data"]["id"] == ""
    assert 0 < root.auth.token.renew(made["client_token"], increment="5m")["auth"]["lease_duration"] <= 300
    renewed = root.auth.token.renew_accessor(made["accessor"], increment="10m")["auth"]
    assert 300 < renewed["lease_duration"] <= 600 and renewed["client_token"] == ""
    root.auth.token.revoke(made["client_token"])
    with pytest.raises(exceptions.Forbidden):
        root.auth.token.lookup(made["client_token"])
    made = root.auth.token.create(policies=["default"])["auth"]
    root.auth.token.revoke_accessor(made["accessor"])
    made = root.auth.token.create(policies=["default"])["auth"]
    root.auth.token.revoke_and_orphan_children(made["client_token"])
    with pytest.raises(exceptions.VaultError):
        root.auth.token.lookup_accessor(made["accessor"])
    with pytest.raises(exceptions.InvalidPath, match="no handler"):
        root.auth.token.list_roles()


def test_secrets_are_read_by_the_newer_name(root):
    root.secrets.kv.v2.create_or_update_secret(path="newer", secret={"a": 1})
    found = root.secrets.kv.v2.read_secret(path="newer", raise_on_deleted_version=True)
    assert found["data"]["data"] == {"a": 1}
