"""Who may do what by Vault's HTTP API: capabilities, tokens and their children, namespaces, quotas."""

import pytest
from vault import Vault

MAKER = 'path "auth/token/*" { capabilities = ["update", "sudo"] }'


@pytest.fixture(scope="module")
def vault(tmp_path_factory):
    vault = Vault.start(tmp_path_factory.mktemp("vault") / "data")
    yield vault
    vault.stop()


# -- what a write is


WRITES = [
    ("POST", "secret/data/there", {"data": {}}, 403),
    ("POST", "secret/data/fresh", {"data": {}}, 200),
    ("POST", "secret/metadata/there", {"max_versions": 1}, 403),
    ("POST", "secret/metadata/fresh-too", {"max_versions": 1}, 204),
    ("POST", "secret/delete/there", {"versions": [1]}, 403),
    ("POST", "secret/undelete/there", {"versions": [1]}, 403),
    ("POST", "secret/destroy/there", {"versions": [1]}, 403),
    ("POST", "secret/config", {"max_versions": 1}, 403),
    ("POST", "transit/keys/there", {}, 403),
    ("POST", "transit/keys/fresh", {}, 200),
    ("POST", "transit/keys/there/rotate", {}, 403),
    ("POST", "transit/keys/there/config", {"exportable": True}, 403),
    ("POST", "transit/encrypt/there", {"plaintext": "AAAA"}, 403),
    ("POST", "transit/encrypt/fresh-too", {"plaintext": "AAAA"}, 200),
    ("POST", "transit/decrypt/there", {"ciphertext": "vault:v1:AAAA"}, 403),
    ("POST", "transit/rewrap/there", {"ciphertext": "vault:v1:AAAA"}, 403),
    ("POST", "transit/sign/there", {"input": "AAAA"}, 403),
    ("POST", "transit/hmac/there", {"input": "AAAA"}, 403),
    ("POST", "transit/datakey/plaintext/there", {}, 403),
    ("POST", "transit/random", {}, 403),
    ("POST", "sys/policies/acl/there", {"policy": 'path "x" { capabilities = ["read"] }'}, 403),
    ("POST", "sys/policies/acl/fresh", {"policy": 'path "x" { capabilities = ["read"] }'}, 204),
    ("POST", "sys/mounts/secret/tune", {"description": "x"}, 403),
    ("POST", "sys/namespaces/there", {"quotas": {"secrets": 1}}, 403),
    ("POST", "auth/attestry/role/there", {"app": "name:x"}, 403),
    ("POST", "auth/token/create", {"policies": ["drop-box"]}, 403),
    ("POST", "auth/token/revoke", {"token": "hvs.x"}, 403),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), WRITES)
def test_create_is_not_update(vault, method, path, body, status):
    """A drop box: whoever may create may change and use nothing that is there."""
    if vault.call("GET", "secret/data/there").status == 404:
        vault.policy("drop-box", 'path "*" { capabilities = ["create"] }')
        vault.policy("there", 'path "x" { capabilities = ["read"] }')
        vault.done("POST", "secret/data/there", {"data": {"a": 1}})
        vault.done("POST", "transit/keys/there", {})
        vault.done("POST", "sys/namespaces/there", {})
        vault.done("POST", "auth/attestry/role/there", {"app": "name:there"})
    token = vault.operator_token("drop-box")
    assert vault.call(method, path, body, token=token).status == status


def test_paths_of_sys_have_no_second_spelling(vault):
    vault.policy("ui", 'path "sys/*" { capabilities = ["read", "update"] }')
    token = vault.operator_token("ui")
    assert vault.call("POST", "sys/capabilities-self", {"path": "x"}, token=token).status == 200
    assert vault.call("POST", "sys/capabilitiesX", {"path": "x"}, token=token).status == 404
    assert vault.call("POST", "sys/capabilities-self/x", {"path": "x"}, token=token).status == 404
    assert vault.call("GET", "sys/internal/ui/mountsX", token=token).status == 404


def test_mounts_are_shown_to_whom_may_use_them(vault):
    vault.policy("one", 'path "secret/data/one" { capabilities = ["read"] }')
    token = vault.operator_token("one", "default")
    shown = vault.done("GET", "sys/internal/ui/mounts", token=token)["secret"]
    assert list(shown) == ["secret/"]
    assert vault.call("GET", "sys/internal/ui/mounts/secret/data/one", token=token).status == 200
    assert vault.call("GET", "sys/internal/ui/mounts/transit", token=token).status == 403


# -- tokens and their children


def test_a_token_that_says_too_much_is_refused(vault):
    long = "x" * 5000
    for meta in ({"a": long}, {long: "a"}, {str(number): "x" for number in range(65)}):
        assert vault.call("POST", "auth/token/create", {"policies": ["default"], "meta": meta}).status == 400
    many = [f"p{number}" for number in range(300)]
    assert vault.call("POST", "auth/token/create", {"policies": many}).status == 400


def test_tokens_with_much_in_them_survive_a_restart(tmp_path):
    vault = Vault.start(tmp_path / "data")
    meta = {f"{number:02}" * 256: "v" * 512 for number in range(64)}
    token = vault.token("default", meta=meta)
    vault.stop()
    again = Vault.start(tmp_path / "data")
    assert again.done("GET", "auth/token/lookup-self", token=token)["meta"] == meta
    again.stop()


def test_a_child_ends_with_its_parent(vault):
    """Also one that an expired parent left behind, and that nobody finds by the parent any more."""
    vault.policy("maker", MAKER)
    parent = vault.token("maker", explicit_max_ttl="1h")
    child = vault.token("maker", token=parent)
    grandchild = vault.token("maker", token=child)
    assert vault.alive(grandchild)
    vault.done("POST", "auth/token/renew-self", {"increment": "1s"}, token=parent)
    while vault.alive(parent):
        pass
    for token in (child, grandchild):
        assert not vault.alive(token)
        assert vault.call("POST", "auth/token/renew-self", {}, token=token).status == 403
        assert vault.call("POST", "auth/token/renew", {"token": token}).status == 403


def test_revoking_reaches_all_below_and_orphans_live_on(vault):
    vault.policy("maker", MAKER)
    parent = vault.token("maker")
    child = vault.token("maker", token=parent)
    grandchild = vault.token("maker", token=child)
    vault.done("POST", "auth/token/revoke-orphan", {"token": child})
    assert not vault.alive(child) and vault.alive(grandchild) and vault.alive(parent)
    vault.done("POST", "auth/token/revoke", {"token": parent})
    assert not vault.alive(parent) and vault.alive(grandchild)
    orphan = vault.done("GET", "auth/token/lookup-self", token=grandchild)
    assert orphan["orphan"] is True
    deep = grandchild
    for _ in range(16):
        deep = vault.token("maker", token=deep)
    answer = vault.call("POST", "auth/token/create", {"policies": ["maker"]}, token=deep)
    assert answer.status == 400 and "ancestors" in answer.text
    vault.done("POST", "auth/token/revoke", {"token": grandchild})
    assert not vault.alive(deep)


def test_revoke_orphan_needs_sudo(vault):
    vault.policy("revoker", 'path "auth/token/*" { capabilities = ["update"] }')
    revoker, other = vault.operator_token("revoker"), vault.token("default")
    assert vault.call("POST", "auth/token/revoke-orphan", {"token": other}, token=revoker).status == 403
    assert vault.alive(other)


def test_policies_of_another_namespace_are_not_held(vault):
    vault.done("POST", "sys/namespaces/held", {})
    vault.policy("web", 'path "secret/*" { capabilities = ["read"] }', namespace="held")
    vault.policy("web", 'path "held/auth/token/create" { capabilities = ["update"] }')
    token = vault.operator_token("web")
    for body in ({"policies": ["web"]}, {}):
        answer = vault.call("POST", "auth/token/create", body, token=token, namespace="held")
        assert answer.status == 400 and "subset of parent" in answer.text, answer


def test_tokens_of_another_namespace_are_not_looked_at(vault):
    for name in ("left", "right"):
        vault.done("POST", f"sys/namespaces/{name}", {})
        vault.policy("asker", 'path "sys/*" { capabilities = ["update"] }', namespace=name)
    left = vault.operator_token("asker", namespace="left")
    right = vault.operator_token("asker", namespace="right")
    about = {"path": "secret/data/x", "token": right}
    assert vault.call("POST", "sys/capabilities", about, token=left, namespace="left").status == 400
    assert vault.call("POST", "sys/capabilities", about, token=right, namespace="right").status == 200


# -- namespaces


def test_a_namespace_made_again_is_another_one(vault):
    vault.done("POST", "sys/namespaces/moved", {})
    vault.policy("all", 'path "*" { capabilities = ["read", "create", "update", "sudo"] }', namespace="moved")
    vault.done("POST", "auth/attestry/role/web", {"app": "name:web", "token_policies": ["all"]}, namespace="moved")
    old = vault.operator_token("all", namespace="moved")
    assert vault.alive(old, "moved")
    vault.done("DELETE", "sys/namespaces/moved")
    vault.done("POST", "sys/namespaces/moved", {})
    vault.done("POST", "secret/data/new", {"data": {"of": "the next"}}, namespace="moved")
    assert not vault.alive(old, "moved")
    assert vault.call("GET", "secret/data/new", token=old, namespace="moved").status == 403
    assert vault.call("GET", "sys/policies/acl/all", namespace="moved").status == 404
    assert vault.call("GET", "auth/attestry/role/web", namespace="moved").status == 404


def test_namespaces_survive_a_restart(tmp_path):
    vault = Vault.start(tmp_path / "data")
    vault.done("POST", "secret/data/x", {"data": {"in": "the root"}})
    for name in ("first", "first/below", "second"):
        vault.done("POST", f"sys/namespaces/{name}", {"quotas": {"secrets": 5}})
        vault.done("POST", "secret/data/x", {"data": {"in": name}}, namespace=name)
    vault.policy("reader", 'path "secret/*" { capabilities = ["read"] }', namespace="first")
    reader = vault.operator_token("reader", namespace="first")
    vault.stop()
    again = Vault.start(tmp_path / "data")
    assert again.done("GET", "secret/data/x")["data"] == {"in": "the root"}
    for name in ("first", "first/below", "second"):
        assert again.done("GET", "secret/data/x", namespace=name)["data"] == {"in": name}
    assert again.done("GET", "sys/namespaces/first")["usage"]["secrets"] == 2
    assert again.done("GET", "secret/data/x", token=reader, namespace="first")["data"] == {"in": "first"}
    assert again.call("GET", "secret/data/x", token=reader).status == 403
    again.stop()


def test_namespaces_and_mounts_do_not_hide_each_other(vault):
    vault.done("POST", "sys/namespaces/apart", {})
    for path in ("sys/namespaces/secret", "sys/namespaces/apart/transit"):
        assert vault.call("POST", path, {}).status == 400
    for path in ("sys/mounts/apart", "sys/mounts/apart/kv"):
        answer = vault.call("POST", path, {"type": "kv-v2"})
        assert answer.status == 400 and "already in use" in answer.text
    vault.done("POST", "sys/mounts/team/kv", {"type": "kv-v2"})
    assert vault.call("POST", "sys/namespaces/team", {}).status == 400


def test_changes_of_one_record_do_not_undo_each_other(vault):
    vault.done("POST", "sys/namespaces/both", {})
    vault.done("POST", "sys/mounts/kv", {"type": "kv-v2"}, namespace="both")
    vault.done("POST", "sys/namespaces/both", {"quotas": {"secrets": 7}})
    vault.done("POST", "kv/config", {"max_versions": 3}, namespace="both")
    assert "kv/" in vault.done("GET", "sys/mounts", namespace="both")
    assert vault.done("GET", "sys/namespaces/both")["quotas"]["secrets"] == 7
    assert vault.done("GET", "kv/config", namespace="both")["max_versions"] == 3


def test_quotas_hold_for_namespaces_below(vault):
    vault.done("POST", "sys/namespaces/limited", {"quotas": {"secrets": 2}})
    vault.done("POST", "sys/namespaces/limited/below", {})
    vault.done("POST", "secret/data/a", {"data": {}}, namespace="limited")
    vault.done("POST", "secret/data/b", {"data": {}}, namespace="limited/below")
    answer = vault.call("POST", "secret/data/c", {"data": {}}, namespace="limited/below")
    assert answer.status == 413 and "quota of secrets" in answer.text
    assert vault.done("GET", "sys/namespaces/limited")["usage"]["secrets"] == 2
    vault.done("DELETE", "secret/metadata/b", namespace="limited/below")
    vault.done("POST", "secret/data/c", {"data": {}}, namespace="limited/below")
    vault.done("POST", "sys/namespaces/limited", {"quotas": {"requests_per_second": 1}})
    statuses = {vault.call("GET", "secret/data/c", namespace="limited/below").status for _ in range(20)}
    assert statuses == {200, 429}


def test_a_tenant_is_ones_own(vault):
    def tenant(path):
        return vault.done("GET", f"sys/namespaces/{path}")["custom_metadata"]["tenant"]

    vault.policy("spaces", 'path "sys/namespaces/*" { capabilities = ["create", "read", "update"] }')
    poor = vault.operator_token("spaces")
    for path in ("own", "own/a", "own-a", "own_a", "OWN-a"):
        vault.done("POST", f"sys/namespaces/{path}", {}, token=poor)
    tenants = [tenant(path) for path in ("own", "own/a", "own-a", "own_a", "OWN-a")]
    assert len(set(tenants)) == 5 and tenants[0] == "own" and tenants[2] == "own-a"
    named = {"custom_metadata": {"tenant": "own"}}
    assert vault.call("POST", "sys/namespaces/thief", named, token=poor).status == 403
    vault.done("POST", "sys/namespaces/chosen", {"custom_metadata": {"tenant": "theirs"}})
    assert tenant("chosen") == "theirs"
    assert vault.call("POST", "sys/namespaces/theirs", {}, token=poor).status == 400
    assert vault.call("POST", "sys/namespaces/default", {}, token=poor).status == 400


def test_strangers_use_up_nobodys_rate(vault):
    vault.done("POST", "sys/namespaces/calm", {"quotas": {"requests_per_second": 2}})
    for _ in range(20):
        assert vault.call("GET", "secret/data/x", token="hvs.stranger", namespace="calm").status == 403
    assert vault.call("GET", "secret/metadata/x", namespace="calm").status == 404


def test_a_stranger_learns_of_no_namespace(vault):
    vault.done("POST", "sys/namespaces/known", {})
    login = {"role": "web", "evidence": "AAAA", "nonce": "AAAA", "public_key": "AAAA"}
    answers = []
    for name in ("known", "unknown"):
        said = vault.call("POST", "auth/attestry/challenge", token="", namespace=name)
        refused = vault.call("POST", "auth/attestry/login", login, token="", namespace=name)
        answers.append((said.status, said.json()["data"]["tenant"] == name, refused.status, refused.text))
    assert answers[0] == answers[1]


# -- KV


def test_metadata_that_could_not_be_read_is_not_written(vault):
    vault.done("POST", "secret/data/meta", {"data": {"a": 1}})
    for custom in ({"k": "v" * 513}, {"k" * 129: "v"}, {"k": ""}, {str(number): "v" for number in range(65)}):
        for method in ("PATCH", "POST"):
            assert vault.call(method, "secret/metadata/meta", {"custom_metadata": custom}).status == 400
    vault.done("PATCH", "secret/metadata/meta", {"custom_metadata": {"k" * 128: "v" * 512}})
    assert vault.done("GET", "secret/data/meta")["data"] == {"a": 1}
    vault.done("DELETE", "secret/metadata/meta")


def test_numbers_are_no_durations(vault):
    vault.done("POST", "secret/data/numbers", {"data": {"a": {"b": 1}}})
    assert vault.call("GET", "secret/subkeys/numbers?depth=1m").status == 400
    assert vault.call("POST", "secret/delete/numbers", {"versions": "1h"}).status == 400
    assert vault.call("POST", "transit/random/1h", {}).status == 400
    assert vault.call("POST", "secret/config", {"delete_version_after": "-1s"}).status == 400
    vault.done("POST", "secret/metadata/kept", {"delete_version_after": "1h"})
    vault.done("POST", "secret/data/kept", {"data": {"a": 1}})
    assert vault.done("GET", "secret/data/kept")["data"] == {"a": 1}


def test_patches_of_many_names_are_merged(vault):
    there = {f"name-{number}": {"n": number} for number in range(9000)}
    vault.done("POST", "secret/data/wide", {"data": there})
    patch = {f"name-{number}": None if number % 2 else {"m": 1} for number in range(9000)}
    vault.done("PATCH", "secret/data/wide", {"data": patch})
    found = vault.done("GET", "secret/data/wide")["data"]
    assert found == {f"name-{number}": {"n": number, "m": 1} for number in range(0, 9000, 2)}


# -- what to do


def test_refusals_do_not_speak_of_a_command_line(vault):
    for path, body in (
        ("auth/token/create", {"num_uses": 1}),
        ("auth/token/create", {"type": "batch"}),
        ("auth/token/create", {"entity_alias": "x"}),
        ("transit/keys/rotated", {"auto_rotate_period": "1h"}),
    ):
        answer = vault.call("POST", path, body)
        assert answer.status == 400 and "Correct what is named" in answer.text, answer
        assert "--help" not in answer.text, answer
