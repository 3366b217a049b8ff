"""An operator's whole way on the command line, from an empty folder to a workload that has received what is its own,
and what the commands say to wrong input."""

import base64
import hashlib
import json
import subprocess

import pytest
from harness import ATTESTRY, attestry, clean_environment, start_serve
from workload import measurement

TEMPLATE = "password = ${secret:database-password}\nwho = ${app}\n"


class Shell:
    """Runs commands as an operator would, with the server in the environment."""

    def __init__(self, server, folder, token=True, tenant=None):
        self.folder = folder
        self.env = {"ATTESTRY_SERVER": server.admin}
        if token:
            self.env["ATTESTRY_TOKEN_FILE"] = str(server.data / "admin.token")
        if tenant:
            self.env["ATTESTRY_TENANT"] = tenant

    def run(self, *arguments, stdin=None):
        return attestry(*arguments, stdin=stdin, env=self.env, cwd=self.folder)

    def __call__(self, *arguments, stdin=None):
        done = self.run(*arguments, stdin=stdin)
        assert done.code == 0, done
        return done

    def json(self, *arguments, stdin=None):
        return self(*arguments, "--format", "json", stdin=stdin).json()

    def refused(self, code, *arguments, stdin=None):
        """Ends with that exit code, says why and what to do, and nothing on standard output."""
        done = self.run(*arguments, stdin=stdin)
        assert done.code == code, done
        assert done.out == "", done
        assert "what to do" in done.err, done
        return done.err

    def write(self, name, content):
        (self.folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
        return name

    def keygen(self, name):
        public = self("operator", "keygen", name).out.strip()
        self("operator", "add", public, "--name", name)
        return public


@pytest.fixture(scope="module")
def production(tmp_path_factory):
    server = start_serve(tmp_path_factory.mktemp("cli") / "data")
    yield server
    assert server.terminate() == 0, server.output


@pytest.fixture
def shell(production, tmp_path, request):
    """A tenant of its own for every test."""
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:12]
    return Shell(production, tmp_path, tenant=f"t{name}")


@pytest.fixture
def alice(shell):
    public = shell.keygen("alice.key")
    shell.env["ATTESTRY_OPERATOR_KEY"] = "alice.key"
    return public


@pytest.fixture
def web(shell, alice):
    shell("app", "create", "web")
    return "web"


def test_cli_from_an_empty_folder_to_a_workload_with_its_secrets(servers, tmp_path):
    server = servers.dev(tmp_path / "data")
    folder = tmp_path / "work"
    folder.mkdir()
    shell = Shell(server, folder)
    shell.keygen("alice.key")
    shell.env["ATTESTRY_OPERATOR_KEY"] = "alice.key"
    shell("app", "create", "web")
    shell("approve", "policy", "web", "default")
    shell.write("identity.json", {"name": "web 1.4.2", "claims": {"mrtd": [measurement(server.seed)]}})
    shell("approve", "identity", "web", "identity.json")
    shell.write("web.toml.template", TEMPLATE)
    shell("approve", "configuration", "web", "web.toml.template")
    secret = shell.json("secret", "put", "web", "database-password", "-", stdin=b"correct horse")
    instance = ["instance", "--server", server.public, "--trust", server.trust_file, "--app", "web"]
    instance += ["--simulated-tee", server.data / "forge.seed"]
    early = attestry(*instance, "--out", folder / "early")
    assert early.code != 0, early  # the template names a secret that nobody has approved
    assert not (folder / "early").exists() or not list((folder / "early").iterdir())
    shell("approve", "secret", "web", secret["id"])

    done = attestry(*instance, "--out", folder / "received")
    assert done.code == 0, done
    received = {path.name: path.read_bytes() for path in (folder / "received").rglob("*") if path.is_file()}
    assert any(b"password = correct horse\nwho = name:web\n" in content for content in received.values()), received
    verified = attestry(
        "audit", "verify", "--store", server.data / "store.db", "--checkpoint", server.data / "checkpoint",
        "--trust", server.trust_file, "--receipt", folder / "received" / "receipt",
    )  # fmt: skip
    assert verified.code == 0, verified

    # Taken back: the next one gets nothing.
    identity = shell.json("app", "show", "web")["identities"][0]
    preview = shell("approve", "revocation", "web", identity, "--dry-run", "--format", "json").json()
    (hit,) = preview["impact"]["instances"]
    assert preview["impact"]["identities_left"] == 0
    refused = shell.refused(2, "approve", "revocation", "web", identity)
    assert hit["instance"] in refused and "--confirm " + preview["sha256"][:16] in refused
    assert shell.run("approve", "revocation", "web", identity, "--confirm", "0" * 16).code == 1
    (alive,) = shell.json("app", "instances", "web")["instances"]
    assert (alive["state"], alive["source"]) == ("live", f"identity:{identity}")
    said = shell("approve", "revocation", "web", identity, "--confirm", preview["sha256"][:16])
    assert "attestry approve epoch web" in said.err
    (ended,) = shell.json("app", "instances", "web")["instances"]
    assert (ended["instance"], ended["state"]) == (hit["instance"], "ended")
    late = attestry(*instance, "--out", folder / "late")
    assert late.code == 1, late


def test_cli_operator_keygen_makes_a_private_file_and_never_overwrites(shell):
    public = shell("operator", "keygen", "bob.key").out.strip()
    assert len(bytes.fromhex(public)) == 32
    path = shell.folder / "bob.key"
    assert path.stat().st_mode & 0o777 == 0o600
    kept = path.read_bytes()
    assert "nothing was overwritten" in shell.refused(1, "operator", "keygen", "bob.key")
    assert path.read_bytes() == kept
    assert shell.run("operator", "keygen", "no/such/folder/key").code > 0


def test_cli_operator_add_list_remove(shell):
    first, second = shell.keygen("alice.key"), shell.keygen("bob.key")
    assert {(o["name"], o["public_key"]) for o in shell.json("operator", "list")["operators"]} == {
        ("alice.key", first),
        ("bob.key", second),
    }
    assert first in shell("operator", "list").out
    assert "removed" in shell("operator", "remove", first).out
    assert [o["public_key"] for o in shell.json("operator", "list")["operators"]] == [second]
    shell.refused(1, "operator", "remove", first)


@pytest.mark.parametrize("key", ["", "ab", "zz" * 32, "AB" * 33])
def test_cli_operator_add_refuses_what_is_no_key(shell, key):
    done = shell.run("operator", "add", key, "--name", "x")
    assert done.code in (1, 2), done
    assert done.out == "" and done.err


def test_cli_operator_commands_need_the_token(production, tmp_path):
    stranger = Shell(production, tmp_path, token=False)
    assert "token" in stranger.refused(1, "operator", "list")
    (tmp_path / "wrong.token").write_text("not the token\n")
    stranger.refused(1, "operator", "list", "--token-file", "wrong.token")
    stranger.refused(1, "operator", "list", "--token-file", "missing.token")


def test_cli_flags_win_over_the_environment(shell, web, production):
    other = Shell(production, shell.folder, tenant="no-such-tenant")
    other.env |= {"ATTESTRY_SERVER": "http://127.0.0.1:9", "ATTESTRY_TOKEN_FILE": "missing"}
    flags = ["--server", production.admin, "--token-file", production.data / "admin.token"]
    flags += ["--tenant", shell.env["ATTESTRY_TENANT"]]
    for command in (["operator", "list"], ["app", "list"], ["app", "show", web], ["app", "approvals", web]):
        assert other.json(*command, *flags) == shell.json(*command), command


def test_cli_an_unreachable_server_is_no_refusal(shell):
    shell.refused(3, "app", "list", "--server", "http://127.0.0.1:9")


def test_cli_a_key_that_others_can_read_is_not_used(shell, alice):
    (shell.folder / "alice.key").chmod(0o640)
    assert "chmod 600 alice.key" in shell.refused(2, "app", "create", "web")
    shell.write("noise.key", "attestry-operator-key-2 abc")
    (shell.folder / "noise.key").chmod(0o600)
    shell.refused(2, "app", "create", "web", "--key", "noise.key")
    shell.refused(1, "app", "create", "web", "--key", "missing.key")
    assert shell.json("app", "list")["apps"] == []


def test_cli_app_create_show_list_approvals(shell, web, alice):
    state = shell.json("app", "show", "web")
    assert (state["app"], state["tenant"], state["seq"]) == ("name:web", shell.env["ATTESTRY_TENANT"], 1)
    assert shell.json("app", "show", "name:web") == state
    assert [app["app"] for app in shell.json("app", "list")["apps"]] == ["name:web"]
    approvals = shell.json("app", "approvals", "web")["approvals"]
    said = json.loads(base64.b64decode(approvals[0]["payload"]))
    assert (said["action"], said["subject"], said["realm"]) == ("app.create", "name:web", "production")
    assert "name:web" in shell("app", "show", "web").out
    assert "exists already" in shell.refused(1, "app", "create", "web")
    assert "no app" in shell.refused(1, "app", "show", "other")
    shell.refused(2, "app", "create", "name:" + "x" * 200)


def test_cli_only_operators_can_approve(shell, web):
    shell("operator", "keygen", "mallory.key")
    assert "too few operators" in shell.refused(1, "approve", "policy", "web", "default", "--key", "mallory.key")
    assert shell.json("app", "show", "web")["policy"] is None


def test_cli_two_operators_when_the_threshold_is_two(shell, web):
    assert "number of operators" in shell.refused(2, "approve", "threshold", "web", "2")
    shell.keygen("bob.key")
    shell("approve", "threshold", "web", "2")
    assert shell.json("app", "show", "web")["threshold"] == 2
    assert "too few operators" in shell.refused(1, "approve", "policy", "web", "default")
    state = shell.json("approve", "policy", "web", "default", "--key", "alice.key", "--key", "bob.key")
    assert len(state["app"]["policy"]) == 64
    assert len(shell.json("app", "approvals", "web")["approvals"][-1]["signatures"]) == 2
    twice = shell.refused(1, "approve", "threshold", "web", "1", "--key", "bob.key", "--key", "bob.key")
    assert "signed the approval already: bob.key" in twice
    shell("approve", "threshold", "web", "1", "--key", "bob.key", "--key", "alice.key")
    assert shell.json("app", "show", "web")["threshold"] == 1


def test_cli_an_approval_goes_from_operator_to_operator_in_a_file(shell, web):
    shell.keygen("bob.key")
    shell.keygen("carol.key")
    shell("approve", "threshold", "web", "3", "--key", "alice.key")
    half = shell("approve", "policy", "web", "default", "--out", "one.json")
    assert "Not submitted: 1 signature is in one.json" in half.err
    assert "attestry approve add one.json" in half.err
    assert half.out == ""
    assert shell.json("app", "show", "web")["policy"] is None
    assert "too few operators" in shell.refused(1, "approve", "submit", "one.json")
    assert "already: alice.key" in shell.refused(1, "approve", "add", "one.json")
    assert "too few operators" in shell.refused(1, "approve", "add", "one.json", "--key", "bob.key")
    both = shell("approve", "add", "one.json", "--key", "bob.key", "--out", "one.json")
    assert "policy.approve" in both.err
    assert "name:web" in both.err
    assert "2 signatures are in one.json" in both.err
    shell("approve", "add", "one.json", "--key", "carol.key", "--out", "all.json")
    state = shell.json("approve", "submit", "all.json")
    assert len(state["app"]["policy"]) == 64
    shell.refused(1, "approve", "submit", "all.json")  # it was accepted once
    shell.refused(2, "approve", "add", "missing.json", "--key", "bob.key")
    shell.write("other.json", {"payloadType": "text/plain", "payload": "YQ==", "signatures": [{"sig": "AA=="}]})
    shell.refused(2, "approve", "add", "other.json", "--key", "bob.key")


@pytest.mark.parametrize("what", ["policy", "identity", "configuration"])
def test_cli_approve_of_a_missing_file_or_blob_changes_nothing(shell, web, what):
    before = shell.json("app", "show", "web")
    shell.refused(2, "approve", what, "web", "no-such-file")
    shell.refused(1, "approve", what, "web", "0" * 64)
    shell.refused(1, "approve", what, "unknown-app", "0" * 64)
    assert shell.json("app", "show", "web") == before


def test_cli_approve_refuses_documents_that_are_none(shell, web):
    for document in ("", "{", '{"format": 2}', '{"format": 1, "unknown": true}'):
        shell.refused(2, "approve", "policy", "web", shell.write("policy.json", document))
    for document in ("[]", '{"name": "x"}', '{"name": "x", "claims": {"mrtd": ["00"]}}', '{"name":"x","claims":{}}'):
        done = shell.run("approve", "identity", "web", shell.write("identity.json", document))
        assert done.code in (1, 2), (document, done)
    assert shell.json("app", "show", "web")["seq"] == 1


def test_cli_approve_epoch_goes_by_one(shell, web):
    assert shell.json("approve", "epoch", "web", "1")["app"]["epoch"] == 1
    for wrong in ("1", "3", "0", "many"):
        done = shell.run("approve", "epoch", "web", wrong)
        assert done.code in (1, 2), (wrong, done)
    assert shell.json("app", "show", "web")["epoch"] == 1


def test_cli_policy_show_is_what_the_server_appraises_by(shell, web):
    assert "no policy is approved" in shell.refused(1, "policy", "show", "web")
    shell("approve", "policy", "web", "default")
    mrtd = "ab" * 48
    shell("approve", "identity", "web", shell.write("i.json", {"name": "one", "claims": {"mrtd": [mrtd]}}))
    shown = shell.json("policy", "show", "web")
    assert mrtd in json.dumps(shown["policy"])
    assert len(shown["sha256"]) == 64


@pytest.mark.parametrize("name", ["genuine", "default", "strict"])
def test_cli_policy_builtin_is_a_policy(shell, name):
    text = shell("policy", "builtin", name).out
    shell.write("p.json", text)
    assert shell("policy", "check", "p.json").out.startswith(f"good: {json.loads(text)['name']}, sha256 ")
    assert shell("policy", "check", "-", stdin=text.encode()).code == 0


def test_cli_policy_check_names_the_mistake(shell):
    assert "minimum_tcb" in shell.refused(2, "policy", "check", shell.write("p.json", {"format": 1, "minimum_tcb": 1}))
    shell.refused(2, "policy", "check", shell.write("p.json", "{"))
    shell.refused(2, "policy", "check", "missing.json")
    assert "genuine, default or strict" in shell.refused(2, "policy", "builtin", "lenient")


def test_cli_blob_comes_back_byte_for_byte(shell):
    content = bytes(range(256)) * 64
    (shell.folder / "blob").write_bytes(content)
    name = shell("blob", "put", "blob").out.strip()
    assert name == hashlib.sha256(content).hexdigest()
    assert shell("blob", "put", "-", stdin=content).out.strip() == name
    command = [ATTESTRY, "blob", "get", name]
    got = subprocess.run(command, env={**clean_environment(), **shell.env}, capture_output=True, check=True, timeout=60)
    assert got.stdout == content
    shell.refused(1, "blob", "get", "0" * 64)
    shell.refused(2, "blob", "get", "xyz")
    shell.refused(2, "blob", "put", "missing")


def test_cli_blob_has_a_largest_size(shell):
    (shell.folder / "large").write_bytes(b"x" * (1024 * 1024 + 1))
    shell.refused(2, "blob", "put", "large")
    (shell.folder / "large").write_bytes(b"x" * (1024 * 1024))
    shell("blob", "put", "large")


def test_cli_secret_is_stored_and_never_shown(shell, web, production):
    value = b"a value that is nowhere else"
    made = shell.json("secret", "put", "web", "password", "-", stdin=value)
    assert (made["name"], made["size"]) == ("password", len(value))
    assert [secret["id"] for secret in shell.json("secret", "list", "web")["secrets"]] == [made["id"]]
    listed = shell("secret", "list", "web").out
    assert value.decode() not in listed and base64.urlsafe_b64encode(value).decode().rstrip("=") not in listed
    for name in ("store.db", "store.db-wal"):
        if (production.data / name).exists():
            assert value not in (production.data / name).read_bytes()
    assert value.decode() not in production.output
    shell("approve", "secret", "web", made["id"])
    assert shell.json("app", "show", "web")["secrets"] == [made["id"]]
    assert "no stored secret" in shell.refused(1, "approve", "secret", "web", "0" * 64)


def test_cli_secret_refuses_bad_names_and_sizes(shell, web):
    for name in ("", "Upper", "white space", "x" * 64, "a/b"):
        done = shell.run("secret", "put", "web", name, "-", stdin=b"v")
        assert done.code in (1, 2), (name, done)
    shell.refused(2, "secret", "put", "web", "big", "-", stdin=b"x" * (64 * 1024 + 1))
    shell.refused(2, "secret", "put", "web", "gone", "missing-file")
    assert shell.json("secret", "list", "web")["secrets"] == []


def test_cli_secret_remove_takes_out_what_is_not_approved(shell, web):
    first = shell.json("secret", "put", "web", "password", "-", stdin=b"one")["id"]
    second = shell.json("secret", "put", "web", "password", "-", stdin=b"two")["id"]
    shell("approve", "secret", "web", first)
    shell.refused(1, "secret", "remove", "web", "password", first)
    shell.refused(1, "secret", "remove", "web", "other", second)
    shell("secret", "remove", "web", "password", second)
    assert [secret["id"] for secret in shell.json("secret", "list", "web")["secrets"]] == [first]
    shell.refused(1, "secret", "remove", "web", "password", second)


@pytest.mark.parametrize(
    "command",
    [["operator"], ["operator", "ad"], ["app", "create"], ["app", "create", "web"], ["approve", "policy", "web"],
     ["approve", "polcy", "web", "x"], ["secret", "put", "web", "n"], ["secret", "put", "web", "n", "f", "--value=x"],
     ["blob", "get"], ["policy", "check"], ["app", "list", "--format", "xml"], ["operator", "add", "x"]],
    ids=" ".join,
)  # fmt: skip
def test_cli_wrong_use_is_exit_code_2(tmp_path, command):
    done = attestry(*command, cwd=tmp_path)
    assert done.code == 2, done
    assert done.out == "" and done.err


def test_cli_lists_are_for_people_and_a_revocation_of_nothing_says_so(shell, web):
    policy = hashlib.sha256(shell("policy", "builtin", "default").out.rstrip("\n").encode()).hexdigest()
    shell("approve", "policy", web, "default")
    said = shell("app", "approvals", web).out
    assert "app.create" in said and "policy.approve" in said and "alice.key" in said and "{" not in said
    assert "name:web" in shell("app", "list").out and "{" not in shell("operator", "list").out
    wrong = policy[:-4] + ("0000" if not policy.endswith("0000") else "1111")
    done = shell("approve", "revocation", web, wrong)
    assert "nothing approved now has this digest" in done.err and policy in done.err
