"""Bootstrap and recovery of the registry's master key by its admins, on the wire of the seed's clients, through our
command line, and by those who should get nowhere. Rows and flaws have the numbers of the registry's description."""

import base64
import hashlib
import http.server
import itertools
import json
import os
import pathlib
import re
import stat
import subprocess
import threading

import pytest
from harness import ATTESTRY, Program, attestry, clean_environment, request, serve_arguments
from registry_admin import (
    CONTRACT,
    Admin,
    combine,
    commitment,
    commitments,
    derived_spki,
    files_of,
    malleated,
    pki,
    served_spki,
    server_id,
    settings_of,
    split,
    start_registry,
    status,
    write_admins,
)

UNAUTHORIZED = (401, "Unauthorized\n")
IN_PROGRESS = (400, "Bootstrap already in progress or complete\n")
NO_SHARES = (400, "No shares available for retrieval\n")
V1 = {"registry.admin_v1": "true"}


def answer(reply):
    return reply.status, reply.text


class Registry:
    """Three admins, and a server that is started anew on the same data as often as a test likes."""

    def __init__(self, folder):
        self.folder = folder
        self.admins = [Admin() for _ in range(3)]
        self.file = write_admins(folder / "admins.json", self.admins)
        self.server = None

    def start(self, data="data", **settings):
        self.stop()
        self.server = start_registry(self.folder / data, self.file, **settings)
        return self.server

    def stop(self):
        if self.server and self.server.running:
            assert self.server.terminate() == 0, self.server.output

    def kill(self, **settings):
        """kill -9, and a new start on the same data."""
        self.server.kill()
        return self.start(**settings)

    def generate(self):
        reply = self.admins[0].post(self.server, "/admin/init/generate")
        assert reply.status == 200, reply
        return reply

    def generate_and_fetch(self):
        self.generate()
        return dict(admin.fetch(self.server) for admin in self.admins)


@pytest.fixture
def registry(tmp_path):
    made = Registry(tmp_path)
    yield made
    made.stop()


def test_registry_037_admin_authentication(registry):
    server = registry.start(**V1)
    admin, stranger = registry.admins[0], Admin()
    path = "/admin/init/generate"

    def post(headers, at=path, body=b""):
        return answer(request(server.bootstrap, "POST", at, body=body, headers=headers))

    good = admin.headers_v1(path)
    assert post({}) == UNAUTHORIZED
    assert post({**good, "X-Admin-ID": registry.admins[1].id}) == UNAUTHORIZED
    assert post({**good, "X-Admin-ID": "nobody"}) == UNAUTHORIZED
    assert post({**stranger.headers_v1(path), "X-Admin-ID": admin.id}) == UNAUTHORIZED
    assert post(good, body=b"{}") == UNAUTHORIZED
    assert post(good, at="/admin/init/recover") == UNAUTHORIZED
    assert post({**good, "X-Admin-Signature": "no base64"}) == UNAUTHORIZED
    reply = request(server.bootstrap, "POST", path, headers={**good, "X-Admin-Signature": ""})
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert status(server) == {"state": "initial"}
    assert post(good)[0] == 200


def test_registry_038_generate_two_of_three(registry):
    server = registry.start(**V1)
    assert status(server) == {"state": "initial"}
    reply = registry.generate()
    told = reply.json()
    assert told["message"] == "KMS initialized and shares generated successfully"
    assert told["instructions"] == "Each admin must retrieve their share using GET /admin/share"
    assert (told["threshold"], told["total_shares"]) == (2, 3)
    assert sorted(one["admin_id"] for one in told["share_assignments"]) == sorted(a.id for a in registry.admins)
    assert sorted(one["share_index"] for one in told["share_assignments"]) == [0, 1, 2]
    shares = {}
    for admin in registry.admins:
        assert status(server) == {"state": "generating_shares", "threshold": 2, "total_shares": 3}
        index, share = admin.fetch(server)
        assert {"admin_id": admin.id, "share_index": index} in told["share_assignments"]
        assert len(share) == 33
        shares[index] = share
    assert status(server) == {"state": "complete"}
    public = commitments(server)
    set_id = bytes.fromhex(public["set_id"])
    for index, share in shares.items():
        assert public["shares"][index]["commitment"] == commitment("share", set_id, share)
    served = served_spki(pki(server))
    for two in itertools.combinations(shares.values(), 2):
        master = combine(two)
        assert public["secret_commitment"] == commitment("secret", set_id, master)
        assert served == (derived_spki(master, "ca"), derived_spki(master, "app"))


def test_registry_038_sizes_of_old_bodies_are_looked_at(registry):
    server = registry.start(**V1)
    admin = registry.admins[0]

    def generate(body):
        return answer(admin.post(server, "/admin/init/generate", body))

    assert generate({"threshold": 1, "total_shares": 3}) == (400, "Threshold must be at least 2\n")
    assert generate({"threshold": 3, "total_shares": 2}) == (
        400,
        "Total shares must be at least equal to threshold\n",
    )
    assert generate({"threshold": 2, "total_shares": 4}) == (
        400,
        "Not enough admins (3) for the requested number of shares (4)\n",
    )
    assert generate(b"{") == (400, "Invalid request body\n")
    assert generate({"threshold": 3, "total_shares": 3})[0] == 200
    assert status(server)["threshold"] == 3
    assert generate({"threshold": 3, "total_shares": 3}) == IN_PROGRESS


def test_registry_039_rules_of_fetching(registry):
    server = registry.start(**V1)
    ada, bob, cyd = registry.admins
    assert answer(ada.get(server, "/admin/share")) == NO_SHARES
    assert ada.post(server, "/admin/init/generate", {"threshold": 2, "total_shares": 2}).status == 200
    assert answer(cyd.get(server, "/admin/share")) == (404, "No share assigned to this admin\n")
    first = ada.fetch(server)
    assert ada.fetch(server) == first, "again, before everybody has his"
    bob.fetch(server)
    assert status(server) == {"state": "complete"}
    assert answer(ada.get(server, "/admin/share")) == NO_SHARES
    assert answer(ada.submit(server, 0, first[1])) == (400, "KMS not in recovery mode\n")


def test_registry_040_recovery_after_a_crash_gives_the_same_key(registry):
    registry.start(**V1)
    shares = registry.generate_and_fetch()
    before, keys = commitments(registry.server), served_spki(pki(registry.server))
    server = registry.kill(**V1)
    assert status(server) == {"state": "initial"}
    assert pki(server).status >= 500, "no key of any app before the master is back"
    waits = request(server.registry, "GET", "/readyz")
    assert (waits.status, waits.json()["reason"]) == (503, "the master key is not there yet")
    server.wait_for("LOCKED")
    reply = registry.admins[0].post(server, "/admin/init/recover")
    assert reply.json() == {
        "instructions": "Admins must submit their shares using POST /admin/share",
        "message": "Recovery mode initiated",
        "threshold": 2,
    }
    assert status(server) == {"state": "recovering", "threshold": 2, "total_shares": 3}
    reply = registry.admins[0].submit(server, 0, shares[0])
    assert reply.json() == {"message": "Share accepted, waiting for more shares"}
    # The digest of the oldest clients.
    digest = hashlib.sha256(shares[2]).digest()
    reply = registry.admins[2].submit(server, 2, shares[2], digest=digest)
    assert reply.json() == {"message": "KMS unlocked successfully - recovery complete"}
    assert status(server) == {"state": "complete"}
    assert request(server.registry, "GET", "/readyz").status == 200
    assert served_spki(pki(server)) == keys
    after = commitments(server)
    assert after["secret_commitment"] == before["secret_commitment"]
    assert after["secret_commitment"] == commitment(
        "secret", bytes.fromhex(after["set_id"]), combine([shares[0], shares[1]])
    )


def test_registry_040_goes_on_after_kill_at_every_step(registry):
    registry.start(**V1)
    registry.generate()
    shares = {}
    for admin in registry.admins:
        server = registry.kill(**V1)
        assert status(server)["state"] == "generating_shares"
        index, shares[index] = admin.fetch(server)
    server = registry.kill(**V1)
    assert status(server) == {"state": "initial"}
    assert answer(registry.admins[0].post(server, "/admin/init/generate")) == IN_PROGRESS
    assert registry.admins[0].post(server, "/admin/init/recover").status == 200
    server = registry.kill(**V1)
    assert status(server)["state"] == "recovering"
    assert registry.admins[0].submit(server, 0, shares[0]).status == 200
    server = registry.kill(**V1)
    assert status(server)["state"] == "recovering"
    for index in (1, 2):
        reply = registry.admins[index].submit(server, index, shares[index])
        assert reply.status == 200
    assert status(server) == {"state": "complete"}


def test_registry_041_bad_share_signature(registry):
    registry.start(**V1)
    shares = registry.generate_and_fetch()
    server = registry.kill(**V1)
    ada, bob, _ = registry.admins
    assert ada.post(server, "/admin/init/recover").status == 200
    refusal = (400, "Share submission failed: invalid signature\n")
    assert answer(ada.submit(server, 0, shares[0], signer=bob)) == refusal
    assert answer(ada.submit(server, 0, shares[0], digest=bytes(32))) == refusal
    good = ada.submission(0, shares[0])
    for change, text in (
        ({"share": "*"}, "Invalid share encoding\n"),
        ({"signature": "*"}, "Invalid signature encoding\n"),
        ({"share_index": "zero"}, "Invalid request body\n"),
    ):
        assert answer(ada.post(server, "/admin/share", {**good, **change})) == (400, text)
    assert answer(ada.post(server, "/admin/share", b"[")) == (400, "Invalid request body\n")
    assert ada.submit(server, 0, shares[0]).status == 200


def test_registry_042_wrong_shares_are_named_and_the_service_stays_recoverable(registry):
    registry.start(**V1)
    shares = registry.generate_and_fetch()
    server = registry.kill(**V1)
    ada, bob, cyd = registry.admins
    assert ada.post(server, "/admin/init/recover").status == 200
    assert ada.submit(server, 0, shares[0]).status == 200
    wrong = (
        shares[1][:20],  # another length
        shares[0],  # the same x as a share that is there
        bytes([shares[1][0] ^ 1]) + shares[1][1:],
        os.urandom(33),
    )
    for share in wrong:
        reply = bob.submit(server, 1, share, digest=hashlib.sha256(share).digest())
        assert reply.status == 400
        assert reply.text.startswith("Share submission failed: failed to reconstruct master key: "), reply
        assert f"share 1 of admin {bob.id}" in reply.text
    assert status(server)["state"] == "recovering"
    assert cyd.submit(server, 2, shares[2]).json()["message"].startswith("KMS unlocked")


def test_registry_042_on_a_new_machine_kept_commitments_name_a_wrong_share(registry, tmp_path):
    registry.start(**V1)
    shares = registry.generate_and_fetch()
    keys = served_spki(pki(registry.server))
    kept = tmp_path / "shamir-commitments.json"
    kept.write_bytes(request(registry.server.bootstrap, "GET", "/admin/commitments").body)
    ada, bob, cyd = registry.admins
    server = registry.start("new machine", **V1)
    assert ada.post(server, "/admin/init/recover").status != 200, "nothing to know a true share by"
    server = registry.start("another machine", **V1, **{"registry.commitments": kept})
    assert ada.post(server, "/admin/init/recover").status == 200
    assert ada.submit(server, 0, shares[0]).status == 200
    forged = split(os.urandom(32), 2, [shares[1][-1]])[0]
    reply = bob.submit(server, 1, forged)
    assert reply.status == 400 and f"share 1 of admin {bob.id}" in reply.text, reply
    assert cyd.submit(server, 2, shares[2]).json()["message"].startswith("KMS unlocked")
    assert served_spki(pki(server)) == keys


def test_registry_043_one_admin_with_many_indexes_does_not_unlock(registry):
    registry.start(**V1)
    shares = registry.generate_and_fetch()
    server = registry.kill(**V1)
    ada = registry.admins[0]
    assert ada.post(server, "/admin/init/recover").status == 200
    assert ada.submit(server, 0, shares[0]).status == 200
    for index in (1, 2, 3):
        reply = ada.submit(server, index, shares.get(index, shares[1]))
        assert reply.status == 400 and "not this admin's" in reply.text
    assert ada.submit(server, 0, shares[0]).json()["message"].startswith("Share accepted")
    assert status(server)["state"] == "recovering"


def test_registry_044_replay_of_admin_requests(registry):
    server = registry.start()
    ada = registry.admins[0]
    path = "/admin/init/generate"
    # Strict: the first version is not there at all.
    assert answer(ada.post(server, path)) == UNAUTHORIZED
    nonce = os.urandom(16)
    own = server_id(server)
    headers = ada.headers_v2("GET", "127.0.0.1:1", "/admin/share", nonce=nonce, server=own)
    assert answer(request(server.bootstrap, "GET", "/admin/share", headers=headers)) == UNAUTHORIZED, "for another host"
    assert answer(ada.call_v2(server, "GET", "/admin/share", at=1_700_000_000)) == UNAUTHORIZED, "too old"
    host = server.bootstrap.split("//")[1]
    headers = {**ada.headers_v2("POST", host, path, server=own), "Host": host}
    assert answer(request(server.bootstrap, "GET", "/admin/share", headers=headers)) == UNAUTHORIZED
    assert request(server.bootstrap, "POST", path, headers=headers).status == 200
    assert answer(request(server.bootstrap, "POST", path, headers=headers)) == UNAUTHORIZED
    server = registry.kill()
    assert answer(request(server.bootstrap, "POST", path, headers=headers)) == UNAUTHORIZED
    # The switch: each signature is good once, in whatever form it comes back.
    server = registry.start(**V1)
    headers = ada.headers_v1("/admin/share")
    assert request(server.bootstrap, "GET", "/admin/share", headers=headers).status == 400, "made without the switch"
    assert answer(request(server.bootstrap, "GET", "/admin/share", headers=headers)) == UNAUTHORIZED
    assert answer(request(server.bootstrap, "GET", "/admin/share", headers=malleated(headers))) == UNAUTHORIZED


def test_registry_045_shares_of_vaults_scheme(registry):
    """Shares that were made elsewhere, by the reference's arithmetic, and ours put together by it (038)."""
    secret = bytes(range(32))
    known = json.loads(
        '{"1": "041b123920677e555c33cad1f8ffd6adb48b82699097ae858ce3fac1a8af465d01",'
        ' "200": "66a8ee69c802aa2d70326677407a8e624a266046a4fbf1bce1e6f1426f558a9bc8",'
        ' "255": "a0b5badc0cc0c5a3c8d9441df254ea4970333c046d89da3853d5f1fe2a8c5900ff"}'
    )
    shares = [bytes.fromhex(share) for share in known.values()]
    assert combine(shares) == secret
    settings = {**V1, "registry.threshold": 3, "registry.foreign_shares": "true"}
    server = registry.start(**settings)
    assert registry.admins[0].post(server, "/admin/init/recover").json()["threshold"] == 3
    for index, share in enumerate(shares):
        reply = registry.admins[index].submit(server, index, share)
        assert reply.status == 200, reply
    assert status(server) == {"state": "complete"}
    public = commitments(server)
    assert public["secret_commitment"] == commitment("secret", bytes.fromhex(public["set_id"]), secret)
    # Now they are known: the switch is not needed any more, and a forged one is named.
    server = registry.start(**{**V1, "registry.threshold": 3})
    assert registry.admins[0].post(server, "/admin/init/recover").status == 200
    reply = registry.admins[0].submit(server, 0, split(secret, 3, [7])[0])
    assert reply.status == 400 and "does not match its commitment" in reply.text


def test_registry_046_bad_seed(tmp_path):
    for text in ("00" * 31, "00" * 33, "zz" * 32, ""):
        seed = tmp_path / "seed"
        seed.write_text(text)
        seed.chmod(0o600)
        settings = {"registry.kms": "simple", "registry.master": seed, "registry.listen": "127.0.0.1:0"}
        settings["registry.contracts"] = "any"
        done = attestry(*serve_arguments(tmp_path / "data", **settings))
        assert done.code == 2, done
        assert "registry.master" in done.err and "ready" not in done.out
        assert not text or text not in done.err
    done = attestry(*serve_arguments(tmp_path / "data", **{"registry.kms": "other"}))
    assert done.code == 2 and "derived, simple, shamir or onboard" in done.err


def test_registry_047_nobody_unlocks_in_time(registry):
    settings = settings_of(registry.file, **{"registry.bootstrap_timeout": 1})
    server = Program(*serve_arguments(registry.folder / "data", **settings))
    assert server.end() == 3, server.output
    assert "brought the registry's master key in time" in server.output


def test_registry_047_admins_of_a_started_server_are_checked(registry):
    for text, complaint in (
        ("{", "registry.admins"),
        (json.dumps({"admins": []}), "registry.admins"),
        (
            json.dumps({"admins": [{"id": n, "pubkey": registry.admins[0].pem.decode()} for n in "ab"]}),
            "registry.admins",
        ),
    ):
        registry.file.write_text(text)
        done = attestry(*serve_arguments(registry.folder / "data", **settings_of(registry.file)))
        assert done.code == 2 and complaint in done.err, done
    write_admins(registry.file, registry.admins[:2])
    done = attestry(
        *serve_arguments(registry.folder / "data", **settings_of(registry.file, **{"registry.threshold": 3}))
    )
    assert done.code == 2 and "registry.threshold" in done.err


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_registry_053_admin_command_line(registry, tmp_path):
    folders = [tmp_path / name for name in ("ada", "bob", "cyd")]
    for folder in folders:
        folder.mkdir()
        done = attestry("admin", "generate-admin", *files_of(folder))
        assert done.code == 0, done
        assert mode(folder / "admin-private.pem") == mode(folder / "admin-public.pem") == 0o600
        assert "BEGIN EC PRIVATE KEY" in (folder / "admin-private.pem").read_text()
        again = attestry("admin", "generate-admin", *files_of(folder))
        assert again.code == 1, again
    publics = ",".join(str(folder / "admin-public.pem") for folder in folders)
    config = tmp_path / "shamir-admins.json"
    done = attestry("admin", "generate-config", "--admin-pubkey-files", publics, "--shamir-admins-file", config)
    assert done.code == 0, done
    assert mode(config) == 0o600
    listed = json.loads(config.read_text())["admins"]
    assert [one["id"] for one in listed] == [
        hashlib.sha256((folder / "admin-public.pem").read_bytes()).hexdigest() for folder in folders
    ]
    assert [one["pubkey"] for one in listed] == [(folder / "admin-public.pem").read_text() for folder in folders]

    registry.file = config
    server = registry.start()

    def admin(who, command, *more):
        return attestry(
            "admin", command, "--provisioning-server-addr", server.bootstrap, *files_of(folders[who]), *more
        )

    assert "init-generate" in attestry("admin", "--provisioning-server-addr", server.bootstrap).out
    assert admin(0, "init-generate", "--format", "json").json()["total_shares"] == 3
    for who in range(3):
        done = admin(who, "fetch-share")
        assert done.code == 0, done
        share = folders[who] / "shamir-share.json"
        assert mode(share) == 0o600 and json.loads(share.read_text())["share_index"] == who
        assert admin(who, "fetch-share").code == 1, "nothing is overwritten"
    assert admin(0, "status", "--format", "json").json()["state"] == "complete"
    assert all(share["received"] for share in commitments(server)["shares"])
    before = commitments(server)["secret_commitment"]

    server = registry.kill()
    assert "init-recovery" in admin(0, "status").out
    assert admin(0, "init-recovery").code == 0
    assert "waiting for more" in admin(0, "submit-share").out
    # Another admin's share: it opens for nobody else, and his own file with another index is not his.
    flags = files_of(folders[2])[:4]
    stolen = folders[1] / "shamir-share.json"
    address = ["--provisioning-server-addr", server.bootstrap]
    done = attestry("admin", "submit-share", *address, *flags, "--shamir-share-file", stolen)
    assert done.code != 0 and "does not open" in done.err, done
    assert "unlocked" in admin(1, "submit-share").out
    assert admin(0, "status", "--format", "json").json()["state"] == "complete"
    assert commitments(server)["secret_commitment"] == before


def test_registry_053_old_command_line_of_the_first_version(registry, tmp_path):
    """The same tool against a server that takes the seed's requests."""
    server = registry.start(**V1)
    flags = [admin.write(tmp_path / str(i)) for i, admin in enumerate(registry.admins)]

    def admin(who, command):
        return attestry("admin", "--server", server.bootstrap, "--seed-dialect", *flags[who], command)

    assert admin(0, "init-generate").code == 0
    for who in range(3):
        assert admin(who, "fetch-share").code == 0
    assert status(server) == {"state": "complete"}
    server = registry.kill(**V1)
    assert admin(1, "init-recovery").code == 0
    assert "waiting" in admin(1, "submit-share").out
    assert "unlocked" in admin(2, "submit-share").out


def test_registry_053_ceremony_goes_on_where_it_stopped(registry, tmp_path):
    folder = tmp_path / "ceremony"
    ceremony = ["admin", "ceremony", "--folder", folder, "--yes"]
    done = attestry(*ceremony, "--server", "http://127.0.0.1:1")
    assert done.code == 3, "no server yet"
    assert "registry.admins" in done.out
    registry.file = folder / "shamir-admins.json"
    server = registry.start()
    done = attestry(*ceremony, "--server", server.bootstrap)
    assert done.code == 0, done
    assert "3 choices of 2 shares tried, each gives the key" in done.out
    assert status(server) == {"state": "complete"}
    share = folder / "admin-2" / "shamir-share.json"
    for again in range(2):
        done = attestry(*ceremony, "--server", server.bootstrap)
        assert done.code == 0 and "nothing is made anew" in done.out, done
        assert attestry(*ceremony, "--dry-run").code == 0
        server = registry.kill()
        if again:
            share.unlink()
    # Two are enough, and whose share is gone is said.
    done = attestry(*ceremony, "--server", server.bootstrap)
    assert done.code == 0 and "admin-2  HAS LOST his share" in done.out, done
    assert status(server) == {"state": "complete"}
    # A share that was changed on its medium is named.
    share = folder / "admin-1" / "shamir-share.json"
    text = json.loads(share.read_text())
    blob = bytearray(base64.b64decode(text["encrypted_share"]))
    blob[-1] ^= 1
    text["encrypted_share"] = base64.b64encode(blob).decode()
    share.chmod(0o600)
    share.write_text(json.dumps(text))
    done = attestry(*ceremony, "--dry-run")
    assert done.code != 0 and "admin-1" in done.err and "does not open" in done.err, done


def test_registry_053_ceremony_asks_and_stops_where_the_answers_end(registry, tmp_path):
    folder = tmp_path / "ceremony"
    ceremony = ["admin", "ceremony", "--folder", folder, "--server", "http://127.0.0.1:1"]
    done = attestry(*ceremony, stdin=b"y\ny\n")
    assert done.code == 2 and "goes on where it stopped" in done.err, done
    assert (folder / "admin-2" / "admin-private.pem").exists()
    assert not (folder / "admin-3" / "admin-private.pem").exists()
    keys = (folder / "admin-1" / "admin-public.pem").read_bytes()
    done = attestry(*ceremony, stdin=b"y\nn\n")
    assert "No server answers" in done.out and done.code == 3, done
    assert (folder / "admin-1" / "admin-public.pem").read_bytes() == keys


def test_registry_flaw_02_one_admin_does_not_choose_the_key(registry):
    """Self-made shares of a key of his own, submitted under several indexes: with commitments and without."""
    mine = split(bytes(32), 2, [1, 2, 3])
    for settings in (V1, {**V1, "registry.foreign_shares": "true"}):
        ada = registry.admins[0]
        foreign = "registry.foreign_shares" in settings
        server = registry.start("foreign" if foreign else "data", **settings)
        if not foreign:
            registry.generate_and_fetch()
            server = registry.kill(**settings)
        assert ada.post(server, "/admin/init/recover").status == 200
        taken = [ada.submit(server, index, share).status for index, share in enumerate(mine)]
        assert taken.count(200) <= 1 and taken[1:] == [400, 400]
        assert status(server)["state"] == "recovering"
    # And a server that knows of no shares takes none unless somebody said so.
    server = registry.start("empty", **V1)
    reply = ada.post(server, "/admin/init/recover")
    assert answer(reply) == (400, "No shares are known to this server\n")


def test_registry_flaw_03_replays_end_no_distribution_and_begin_nothing(registry):
    server = registry.start(**V1)
    ada, bob, cyd = registry.admins
    # Seen on the wire while nothing was there to fetch: the attacker has cyd's constant signature.
    seen = cyd.headers_v1("/admin/share")
    assert request(server.bootstrap, "GET", "/admin/share", headers=seen).status == 400
    started = ada.headers_v1("/admin/init/generate")
    assert request(server.bootstrap, "POST", "/admin/init/generate", headers=started).status == 200
    ada.fetch(server)
    bob.fetch(server)
    for headers in (seen, malleated(seen)):
        assert answer(request(server.bootstrap, "GET", "/admin/share", headers=headers)) == UNAUTHORIZED
    assert status(server)["state"] == "generating_shares", "cyd has not got his share, and it waits for him"
    server = registry.kill(**V1)
    assert answer(request(server.bootstrap, "GET", "/admin/share", headers=seen)) == UNAUTHORIZED
    cyd.fetch(server)
    # A node that was started again is not initialised anew, neither by a replay nor by a fresh request.
    server = registry.kill(**V1)
    assert answer(request(server.bootstrap, "POST", "/admin/init/generate", headers=started)) == UNAUTHORIZED
    assert answer(ada.post(server, "/admin/init/generate")) == IN_PROGRESS
    # Whose answer was lost may ask again, by a request that cannot be a replay.
    assert answer(cyd.get(server, "/admin/share")) == NO_SHARES
    assert cyd.call_v2(server, "GET", "/admin/share").status == 200
    nonce = os.urandom(16)
    host = server.bootstrap.split("//")[1]
    headers = cyd.headers_v2("GET", host, "/admin/share", nonce=nonce, server=server_id(server))
    assert request(server.bootstrap, "GET", "/admin/share", headers=headers).status == 200
    assert answer(request(server.bootstrap, "GET", "/admin/share", headers=headers)) == UNAUTHORIZED


def memory_of(pid):
    """Everything readable of a process, piece by piece."""
    maps = pathlib.Path(f"/proc/{pid}/maps").read_text()
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps.splitlines():
            begin, end, rights = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line).groups()
            if not rights.startswith("rw"):
                continue
            try:
                memory.seek(int(begin, 16))
                yield memory.read(int(end, 16) - int(begin, 16))
            except OSError:
                continue


def test_registry_flaw_11_shares_are_wiped_and_never_travel_in_clear(registry, tmp_path):
    server = registry.start()
    flags = [admin.write(tmp_path / str(i)) for i, admin in enumerate(registry.admins)]
    base = ["admin", "--server", server.bootstrap]
    assert attestry(*base, "init-generate", *flags[0]).code == 0
    for flag in flags:
        assert attestry(*base, "fetch-share", *flag).code == 0
    # The first version's own form is not even stored without the switch, so the tool's files are opened by the tool.
    stored = [json.loads((tmp_path / str(i) / "shamir-share.json").read_text()) for i in range(3)]
    assert all(base64.b64decode(one["encrypted_share"]).startswith(b"ATE2") for one in stored)
    # In clear: refused, whoever signs.
    server = registry.kill()
    base = ["admin", "--server", server.bootstrap]
    assert attestry(*base, "init-recovery", *flags[0]).code == 0
    share = os.urandom(33)
    body = json.dumps(registry.admins[0].submission(0, share)).encode()
    reply = registry.admins[0].call_v2(server, "POST", "/admin/share", body)
    assert reply.status == 400 and "shares in clear are not taken" in reply.text
    for who in (0, 1):
        assert attestry(*base, "submit-share", *flags[who]).code == 0
    assert status(server) == {"state": "complete"}
    # A server with the switch gives shares that this test can open; after the split none of them is in its memory.
    server = registry.start("switched", **V1)
    registry.generate()
    opened = [admin.fetch(server)[1] for admin in registry.admins]
    pieces = b"".join(memory_of(server.process.pid))
    master = combine(opened[:2])
    assert master in pieces, "the key itself is in memory, so this looked at the right place"
    for share in opened:
        assert share not in pieces
    for path in filter(pathlib.Path.is_file, (registry.folder / "switched").rglob("*")):
        content = path.read_bytes()
        assert master not in content and not any(share[:32] in content for share in opened)


def test_registry_flaw_13_after_generating_the_server_answers(registry):
    """With no provider of evidence at all: the seed's server crashes on the first question about a contract."""
    server = registry.start(**V1, **{"registry.attestation": "none"})
    shares = registry.generate_and_fetch()
    for _ in range(2):
        reply = pki(server)
        assert reply.status == 200, reply
        assert reply.json()["attestation"] == ""
        assert served_spki(reply)[1] == derived_spki(combine([shares[0], shares[1]]), "app")


class Quoter(http.server.BaseHTTPRequestHandler):
    """A provider of evidence, which says what it was asked for."""

    def do_GET(self):
        body = b"quote over " + self.path.rsplit("/", 1)[1].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_registry_flaw_14_recovery_keeps_the_provider_of_evidence(registry):
    quoter = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quoter)
    threading.Thread(target=quoter.serve_forever, daemon=True).start()
    try:
        settings = {**V1, "registry.attestation": f"http://127.0.0.1:{quoter.server_port}"}
        server = registry.start(**settings)
        shares = registry.generate_and_fetch()
        first = pki(server).json()
        server = registry.kill(**settings)
        assert registry.admins[0].post(server, "/admin/init/recover").status == 200
        for index in (0, 1):
            assert registry.admins[index].submit(server, index, shares[index]).status == 200
        again = pki(server).json()
        assert served_spki(pki(server))[1] == derived_spki(combine([shares[0], shares[1]]), "app")
    finally:
        quoter.shutdown()
        quoter.server_close()
    for body in (first, again):
        told = [base64.b64decode(body[name]) for name in ("ca_cert", "app_pubkey")]
        data = bytes.fromhex(CONTRACT) + hashlib.sha256(b"".join(told)).digest() + bytes(12)
        assert base64.b64decode(body["attestation"]) == b"quote over " + data.hex().encode()


def test_registry_053_help_names_every_command():
    out = subprocess.run(
        [ATTESTRY, "admin", "--help"], capture_output=True, text=True, env=clean_environment(), check=True
    ).stdout
    for command in (
        "status",
        "generate-admin",
        "generate-config",
        "init-generate",
        "init-recovery",
        "fetch-share",
        "submit-share",
        "ceremony",
    ):
        assert command in out
