"""To whom admins give their shares, and what of it holds at another server: evidence over the recovery key, signed
requests that are one server's, and what the command line says to people."""

import base64
import hashlib
import json
import urllib.request

import pytest
from harness import attestry, request
from loopback import Handler, Loopback
from registry_admin import (
    Admin,
    commitments,
    host_of,
    lp,
    server_id,
    start_registry,
    status,
    write_admins,
)

UNAUTHORIZED = (401, "Unauthorized\n")


class Registry:
    """Admins with their files, and servers for them."""

    def __init__(self, folder):
        self.folder = folder
        self.admins = [Admin() for _ in range(3)]
        self.flags = [
            admin.write(folder / name) for admin, name in zip(self.admins, ("ada", "bob", "cyd"), strict=True)
        ]
        self.file = write_admins(folder / "admins.json", self.admins, ("ada", "bob", "cyd"))
        self.running = []

    def start(self, data="data", **settings):
        self.running.append(start_registry(self.folder / data, self.file, **settings))
        return self.running[-1]

    def stop(self):
        for server in self.running:
            if server.running:
                assert server.terminate() == 0, server.output

    def command(self, server, who, command, *more):
        url = server if isinstance(server, str) else server.bootstrap
        return attestry("admin", command, "--server", url, *self.flags[who], *more)

    def generate(self, server):
        assert self.command(server, 0, "init-generate").code == 0
        for who in range(3):
            done = self.command(server, who, "fetch-share")
            assert done.code == 0, done

    def restart(self, server, **settings):
        server.kill()
        return self.start(**settings)


@pytest.fixture
def registry(tmp_path):
    made = Registry(tmp_path)
    yield made
    made.stop()


def test_registry_044_a_request_for_one_replica_is_none_for_another(registry):
    one, other = registry.start("one"), registry.start("other")
    ada, path = registry.admins[0], "/admin/init/generate"

    def post(server, headers, host=None):
        reply = request(server.bootstrap, "POST", path, headers={**headers, "Host": host or host_of(server.bootstrap)})
        return reply.status, reply.text

    # What was signed for the first, at the second: as it is, and where even the host is the second's.
    seen = ada.headers_v2("POST", host_of(one.bootstrap), path, server=server_id(one))
    assert post(other, seen) == UNAUTHORIZED
    assert post(other, seen, host_of(one.bootstrap)) == UNAUTHORIZED, "another port of this machine is not this server"
    elsewhere = ada.headers_v2("POST", host_of(other.bootstrap), path, server=server_id(one))
    assert post(other, elsewhere) == UNAUTHORIZED
    wrong_port = ada.headers_v2("POST", "localhost:1", path, server=server_id(other))
    assert post(other, wrong_port, "localhost:1") == UNAUTHORIZED
    assert status(other) == {"state": "initial"}
    assert post(one, seen)[0] == 200
    port = host_of(other.bootstrap).rsplit(":", 1)[1]
    named = ada.headers_v2("POST", f"localhost:{port}", path, server=server_id(other))
    assert post(other, named, f"localhost:{port}")[0] == 200


def test_registry_044_a_request_of_an_earlier_run_is_none_for_this_one(registry):
    server = registry.start()
    address = {"registry.admin_listen": host_of(server.bootstrap)}
    old = registry.admins[0].headers_v2(
        "POST", host_of(server.bootstrap), "/admin/init/generate", server=server_id(server)
    )
    server = registry.restart(server, **address)
    reply = request(server.bootstrap, "POST", "/admin/init/generate", headers=old)
    assert (reply.status, reply.text) == UNAUTHORIZED
    assert status(server) == {"state": "initial"}


class Tee(Loopback):
    """A quoting service in front of the forge's TEE, which counts what it was asked; `lie` changes the report data."""

    def __init__(self, folder):
        self.folder, self.asked, self.lie = folder, [], bytes
        tee = self

        class Quoting(Handler):
            def do_GET(self):
                data = bytes.fromhex(self.path.rsplit("/", 1)[1])
                tee.asked.append(data)
                self.answer(tee.quote(tee.lie(data)))

        super().__init__(Quoting)
        self.mrtd = self.quote(bytes(64))[48 + 136 : 48 + 136 + 48].hex()

    def quote(self, data):
        place = self.folder / hashlib.sha256(data).hexdigest()[:16]
        done = attestry("forge", "--seed", "registry", "--report-data", data.hex(), "--out", place)
        assert done.code == 0, done
        self.flags = ["--trust", place / "root.pem", "--collateral", place / "collateral.json", "--offline"]
        return (place / "quote.bin").read_bytes()

    def policy(self, mrtd=None):
        path = self.folder / f"policy-{(mrtd or self.mrtd)[:8]}.json"
        identity = {"name": "the registry", "claims": {"mrtd": [mrtd or self.mrtd]}}
        path.write_text(json.dumps({"format": 1, "name": "registry", "identities": [identity]}))
        return ["--policy", path, *self.flags]


@pytest.fixture
def tee(tmp_path):
    folder = tmp_path / "tee"
    folder.mkdir()
    with Tee(folder) as made:
        yield made


class InBetween(Loopback):
    """A man in the middle who puts a key of his own in the recovery key's place and passes everything else on."""

    def __init__(self, server):
        self.posts = []
        between, inner = self, server.bootstrap
        key = Admin().pem.decode()

        class Passing(Handler):
            def do_GET(self):
                with urllib.request.urlopen(inner + self.path) as reply:
                    body = reply.read()
                if self.path == "/admin/commitments":
                    body = json.dumps({**json.loads(body), "recovery_key": key}).encode()
                self.answer(body)

            def do_POST(self):
                between.posts.append(self.body())
                self.answer(b'{"message":"Share accepted, waiting for more shares"}')

        super().__init__(Passing)


def test_registry_admins_see_to_whom_they_give_their_shares(registry, tee):
    settings = {"registry.attestation": tee.url}
    server = registry.start(**settings)
    policy = tee.policy()
    done = registry.command(server, 0, "init-generate", *policy)
    assert done.code == 0, done
    for who in range(3):
        assert registry.command(server, who, "fetch-share", *policy).code == 0
    server = registry.restart(server, **settings)
    before = len(tee.asked)
    for _ in range(3):
        done = registry.command(server, 0, "status", *policy)
        assert done.code == 0 and "evidence    accepted" in done.out, done
    assert len(tee.asked) == before + 1, "strangers cannot keep the quoting enclave busy"
    # What it is asked for is the digest that the documentation says.
    public = commitments(server)
    spki = base64.b64decode("".join(public["recovery_key"].splitlines()[1:-1]))
    said = lp("attestry/recovery-key/1") + lp(bytes.fromhex(public["set_id"])) + lp(spki)
    assert tee.asked[-1] == hashlib.sha512(said).digest()

    assert registry.command(server, 0, "init-recovery", *policy).code == 0
    done = registry.command(server, 0, "submit-share", *tee.policy("11" * 48))
    assert done.code != 0 and "not believed" in done.err, done
    with InBetween(server) as between:
        done = registry.command(between.url, 0, "submit-share", *policy)
        assert done.code != 0 and "not believed" in done.err and "report_data" in done.err, done
        assert between.posts == [], "nothing was given to him"
        assert registry.command(between.url, 0, "submit-share").code == 0
        assert len(between.posts) == 1, "without a policy he has it: that is what the policy is for"
    for who in (0, 1):
        done = registry.command(server, who, "submit-share", *policy)
        assert done.code == 0, done
    assert status(server) == {"state": "complete"}


def test_registry_admins_hear_when_a_server_shows_no_evidence(registry, tee):
    server = registry.start()
    done = registry.command(server, 0, "init-generate", *tee.policy())
    assert done.code != 0 and "no source of evidence" in done.err, done
    assert status(server) == {"state": "initial"}
    server = registry.start("dummy", **{"registry.attestation": "dummy"})
    done = registry.command(server, 0, "init-generate", *tee.policy())
    assert done.code != 0 and "dummy" in done.err, done
    assert status(server) == {"state": "initial"}


def test_registry_admins_do_not_talk_to_other_machines_without_tls(registry):
    done = registry.command("http://registry.example:8081", 0, "status")
    assert done.code == 2 and "without TLS" in done.err and "--insecure" in done.err, done
    # Allowed, and then it is only the name that nobody knows.
    done = registry.command("http://registry.invalid:8081", 0, "status", "--insecure")
    assert done.code != 2 and "without TLS" not in done.err, done


def test_registry_053_status_says_whose_shares_are_in(registry):
    server = registry.start()
    done = registry.command(server, 0, "init-generate")
    assert done.code == 0 and "2 of 3 shares" in done.out and "{" not in done.out, done
    for who in range(3):
        assert registry.command(server, who, "fetch-share").code == 0
    server = registry.restart(server)
    done = registry.command(server, 0, "submit-share")
    assert done.code == 1 and "init-recovery" in done.err, done
    done = registry.command(server, 0, "init-recovery")
    assert done.code == 0 and "2 admins bring theirs" in done.out and "{" not in done.out, done
    out = registry.command(server, 0, "status").out
    assert "in          0 of 2\n" in out and "missing     2 more" in out, out
    assert "1 of 2" in registry.command(server, 0, "submit-share").out
    done = registry.command(server, 0, "submit-share")
    assert done.code == 0 and "had been brought already" in done.out, done
    ada = registry.admins[0].id[:8]
    out = registry.command(server, 2, "status").out
    assert f"in          1 of 2: ada ({ada})\n" in out, out
    assert "missing     1 more, of bob (" in out, out
    shares = registry.command(server, 2, "status", "--format", "json").json()["shares"]
    assert [(one["admin_name"], one["submitted"]) for one in shares] == [("ada", True), ("bob", False), ("cyd", False)]
    assert "unlocked" in registry.command(server, 2, "submit-share").out
    assert "state       complete" in registry.command(server, 2, "status").out
    # Other listeners, and none.
    done = registry.command(server.registry, 0, "status")
    assert done.code != 0 and "not the registry's listener for admins" in done.err, done
    done = registry.command("http://127.0.0.1:1", 0, "status")
    assert done.code == 3 and "registry.admin_listen" in done.err, done


def test_registry_053_names_of_admins(registry, tmp_path):
    publics = ",".join(str(flags[3]) for flags in registry.flags)
    config = ["admin", "generate-config", "--admin-pubkey-files", publics, "--shamir-admins-file"]
    assert attestry(*config, tmp_path / "few.json", "--admin-names", "ada,bob").code == 2
    done = attestry(*config, tmp_path / "twice.json", "--admin-names", "ada,bob,ada")
    assert done.code != 0 and "the name ada" in done.err, done
    assert attestry(*config, tmp_path / "named.json", "--admin-names", "ada,bob,cyd").code == 0
    assert [one["name"] for one in json.loads((tmp_path / "named.json").read_text())["admins"]] == ["ada", "bob", "cyd"]
