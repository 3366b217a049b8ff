"""The stand-ins for storage refuse what the real servers refuse. Those for Vault run against the real one where
ATTESTRY_VAULT names it (CONTRIBUTING.md)."""

import base64
import http.client
import json

import pytest
from harness import PATIENCE
from storage import GitHub
from vaults import open_vault


@pytest.fixture
def vault(tmp_path):
    server = open_vault(tmp_path)
    yield server
    server.stop()


def login(vault, certificate, body=None):
    return vault.call("POST", "auth/cert/login", {} if body is None else body, certificate=certificate)


def refused(ask):
    """In the handshake, or by Vault's answer."""
    try:
        return ask()[0] == 400
    except (OSError, http.client.HTTPException):
        return True


def token_of(vault, certificate):
    status, answer = login(vault, certificate)
    assert status == 200 and answer["auth"]["lease_duration"] > 0, answer
    return answer["auth"]["client_token"]


def test_vault_lets_in_a_certificate_of_a_role_alone(vault):
    certificate = vault.client("app", "data/app/")
    assert token_of(vault, certificate)
    assert login(vault, certificate, {"name": "app"})[0] == 200
    assert login(vault, certificate, {"name": "other"})[0] == 400
    assert login(vault, None)[0] == 400
    stranger = vault.clients.issue(vault.folder, "stranger")
    assert login(vault, stranger)[0] == 400, "a certificate of the same CA that no role names"


def test_vault_lets_in_what_a_trusted_ca_has_named(vault):
    authority = type(vault.clients)("an app's own CA")
    vault.trust(authority.pem, "one.app", "data/one/")
    assert login(vault, authority.issue(vault.folder, "one.app"))[0] == 200
    assert login(vault, authority.issue(vault.folder, "two.app"))[0] == 400
    forged = type(vault.clients)("an app's own CA").issue(vault.folder, "one.app")
    assert refused(lambda: login(vault, forged)), "the same names, another key"


def test_vault_keeps_roles_to_their_paths(vault):
    certificate = vault.client("app", "data/app/")
    token = token_of(vault, certificate)

    def call(*request):
        return vault.call(*request, token=token, certificate=certificate)

    assert call("POST", "secret/data/data/app/x", {"data": {"content": "1"}})[0] == 200
    status, answer = call("GET", "secret/data/data/app/x")
    assert (status, answer["data"]["data"]) == (200, {"content": "1"})
    for denied in (
        call("GET", "secret/data/data/other/x"),
        call("POST", "secret/data/data/other/x", {"data": {}}),
        call("GET", "secret/metadata/data/other?list=true"),
        vault.call("GET", "secret/data/data/app/x", certificate=certificate),
        vault.call("GET", "secret/data/data/app/x", token="hvs.made-up", certificate=certificate),
    ):
        assert denied[0] == 403, denied
        assert "permission denied" in " ".join(denied[1]["errors"]), denied


def test_vault_tells_nothing_there_from_no_such_engine_and_nonsense(vault):
    certificate = vault.client("app", "data/app/")
    token = token_of(vault, certificate)

    def call(*request):
        return vault.call(*request, token=token, certificate=certificate)

    status, answer = call("GET", "secret/data/data/app/absent")
    assert status == 404 and not answer.get("errors"), answer
    status, answer = call("GET", "secret/metadata/data/app/absent?list=true")
    assert status == 404 and not answer.get("errors"), answer
    everything = vault.token("")
    status, answer = vault.call("GET", "nothing/data/x", token=everything)
    assert status == 403 and "permission denied" in answer["errors"][0], answer
    status, answer = call("POST", "secret/data/data/app/x", {"content": "beside data"})
    assert status == 400 and "no data provided" in answer["errors"][0], answer
    call("POST", "secret/data/data/app/dir/x", {"data": {}})
    status, answer = call("GET", "secret/metadata/data/app/dir?list=true")
    assert (status, answer["data"]["keys"]) == (200, ["x"])


def test_vault_does_nothing_while_it_is_sealed(vault):
    certificate = vault.client("app", "data/app/")
    token = token_of(vault, certificate)
    vault.seal()
    status, answer = vault.call("GET", "secret/data/data/app/x", token=token, certificate=certificate)
    assert status == 503 and "Vault is sealed" in answer["errors"][0], answer
    assert login(vault, certificate)[0] == 503
    assert vault.call("GET", "sys/health")[0] == 503
    vault.unseal()
    assert login(vault, certificate)[0] == 200


# -- GitHub


@pytest.fixture
def github():
    server = GitHub("owner/repo", token="ghp_right")
    server.files["configs/x"] = b"content"
    yield server
    server.stop()


def ask(github, path, token=None, accept="application/vnd.github.raw+json", agent="a test"):
    connection = http.client.HTTPConnection("127.0.0.1", github.port, timeout=PATIENCE)
    headers = {"accept": accept} | ({"user-agent": agent} if agent else {})
    headers |= {"authorization": f"Bearer {token}"} if token else {}
    connection.request("GET", path, headers=headers)
    reply = connection.getresponse()
    return reply.status, reply.read()


def test_github_shows_a_private_repository_to_its_token_alone(github):
    path = "/repos/owner/repo/contents/configs/x"
    assert ask(github, path, "ghp_right") == (200, b"content")
    assert ask(github, path)[0] == 404, "it does not say that there is one"
    assert ask(github, path, "ghp_wrong")[0] == 401
    assert ask(github, "/repos/owner/other/contents/configs/x", "ghp_right")[0] == 404
    assert ask(github, "/repos/owner/repo/contents/configs/y", "ghp_right")[0] == 404


def test_github_stops_who_asks_too_often(github):
    github.limited = True
    status, body = ask(github, "/repos/owner/repo/contents/configs/x", "ghp_right")
    assert status == 403 and "rate limit" in json.loads(body)["message"]


def test_github_gives_bytes_for_the_raw_media_type_and_no_large_ones_in_json(github):
    path = "/repos/owner/repo/contents/configs/"
    github.files["configs/large"] = large = bytes((1 << 20) + 1)
    small = json.loads(ask(github, path + "x", "ghp_right", "application/vnd.github+json")[1])
    assert (small["encoding"], base64.b64decode(small["content"])) == ("base64", b"content")
    assert ask(github, path + "large", "ghp_right") == (200, large)
    assert json.loads(ask(github, path + "large", "ghp_right", "application/json")[1])["encoding"] == "none"


def test_github_lists_a_folder_whatever_is_accepted(github):
    for accept in ("application/vnd.github.raw+json", "application/vnd.github+json"):
        status, body = ask(github, "/repos/owner/repo/contents/configs", "ghp_right", accept)
        assert (status, [entry["name"] for entry in json.loads(body)]) == (200, ["x"])


def test_github_knows_its_branches_and_serves_nobody_without_a_name(github):
    path = "/repos/owner/repo/contents/configs/x"
    assert ask(github, path + "?ref=released", "ghp_right")[0] == 200
    status, body = ask(github, path + "?ref=absent", "ghp_right")
    assert status == 404 and "No commit found" in json.loads(body)["message"]
    assert ask(github, path, "ghp_right", agent=None)[0] == 403
