"""Other admins, or another threshold, for the same master key: through the command line, over crashes, and with a
recovery by the new ones afterwards."""

import json
import os

import pytest
from harness import attestry, request
from registry_admin import (
    Admin,
    commitments,
    host_of,
    pki,
    served_spki,
    server_id,
    start_registry,
    status,
    write_admins,
)

NAMES = ("ada", "bob", "cyd", "dan", "eve")


class Registry:
    """Five people. The first three hold the key, two of them are enough."""

    def __init__(self, folder):
        self.folder = folder
        self.people = {name: Admin() for name in NAMES}
        self.flags = {name: admin.write(folder / name)[:4] for name, admin in self.people.items()}
        self.old = self.file("old.json", NAMES[:3])
        self.new = self.file("new.json", ("cyd", "dan", "eve"))
        self.configured, self.threshold = self.old, 2
        self.server = None

    def file(self, name, who):
        return write_admins(self.folder / name, [self.people[one] for one in who], who)

    def start(self, data="data", **settings):
        self.server = start_registry(
            self.folder / data, self.configured, **{"registry.threshold": self.threshold, **settings}
        )

    def kill(self, **settings):
        self.server.kill()
        self.start(**settings)

    def __call__(self, who, command, *more, share="share.json"):
        flags = [*self.flags[who], "--shamir-share-file", self.folder / who / share]
        return attestry("admin", command, "--server", self.server.bootstrap, *flags, *more)

    def ask(self, who, file, threshold):
        return self(who, "reshare", "--shamir-admins-file", file, "--shamir-threshold", threshold)

    def bring(self, *who, share="share.json"):
        assert self(who[0], "init-recovery").code == 0
        for one in who:
            done = self(one, "submit-share", share=share)
            assert done.code == 0, done
        assert status(self.server)["state"] == "complete"

    def leaves(self):
        return [leaf["type"] for leaf in self.server.leaves() if leaf["type"].startswith("admins-")]


@pytest.fixture
def registry(tmp_path):
    made = Registry(tmp_path)
    made.start()
    assert made("ada", "init-generate").code == 0
    for who in NAMES[:3]:
        assert made(who, "fetch-share").code == 0
    made.key = served_spki(pki(made.server))
    yield made
    if made.server.running:
        assert made.server.terminate() == 0, made.server.output


def test_registry_reshare_gives_the_same_key_to_other_admins(registry):
    before = commitments(registry.server)
    done = registry.ask("ada", registry.new, 3)
    assert done.code == 3 and "1 of the 2" in done.out and "dan (" in done.out, done
    assert registry.ask("ada", registry.new, 3).code == 3, "one admin is one voice however often he asks"
    assert registry.ask("bob", registry.new, 2).code == 3, "another threshold is another change"
    assert "next" not in commitments(registry.server)
    assert registry.ask("dan", registry.new, 3).code != 0, "a new admin has no voice yet"
    done = registry.ask("bob", registry.new, 3)
    assert done.code == 0 and "split anew" in done.out, done
    assert registry.leaves() == ["admins-reshare"]
    # Served all the while, and until the last new admin has his share the old ones count.
    assert served_spki(pki(registry.server)) == registry.key
    assert commitments(registry.server)["set_id"] == before["set_id"]
    assert registry("dan", "fetch-share", share="new.json").code == 0
    out = registry("ada", "status").out
    assert "to come     3 of 3" in out and "with its admin  dan" in out and "not fetched yet eve" in out, out
    registry.kill()
    early = registry("dan", "init-recovery")
    assert early.code != 0 and "only a present admin" in early.err, early
    registry.bring("ada", "bob")
    assert served_spki(pki(registry.server)) == registry.key
    for who in ("cyd", "eve"):
        done = registry(who, "fetch-share", share="new.json")
        assert done.code == 0, done
    assert status(registry.server)["state"] == "complete"
    assert served_spki(pki(registry.server)) == registry.key
    assert registry.leaves() == ["admins-reshare", "admins-changed"]
    after = commitments(registry.server)
    assert after["set_id"] != before["set_id"] and "next" not in after
    assert (after["threshold"], [one["admin_name"] for one in after["shares"]]) == (3, ["cyd", "dan", "eve"])
    assert registry.ask("ada", registry.old, 2).code != 0, "who went has no voice"

    # The file of before is still there at the next start: the change counts, and it is said.
    registry.kill()
    assert "still is the file from before" in registry.server.output
    registry.configured, registry.threshold = registry.new, 3
    registry.kill()
    assert registry("ada", "init-recovery").code != 0
    assert registry("eve", "init-recovery").code == 0
    done = registry("cyd", "submit-share")
    assert done.code != 0 and "another set" in done.err, "his old share is none any more"
    for who in ("cyd", "dan", "eve"):
        assert status(registry.server)["state"] == "recovering"
        assert registry(who, "submit-share", share="new.json").code == 0
    assert status(registry.server)["state"] == "complete"
    assert served_spki(pki(registry.server)) == registry.key


def test_registry_reshare_another_threshold_and_another_change(registry):
    """A change that is not finished is replaced by the next one; the shares of the first are never those that count."""
    for who in ("ada", "bob"):
        registry.ask(who, registry.new, 2)
    assert registry("dan", "fetch-share", share="first.json").code == 0
    for who in ("ada", "cyd"):
        registry.ask(who, registry.old, 3)
    for who in NAMES[:3]:
        assert registry(who, "fetch-share", share="second.json").code == 0
    assert commitments(registry.server)["threshold"] == 3
    assert registry("dan", "fetch-share", share="third.json").code != 0
    assert registry("eve", "fetch-share", share="third.json").code != 0
    registry.threshold = 3
    registry.kill()
    registry.bring("ada", "bob", "cyd", share="second.json")
    assert served_spki(pki(registry.server)) == registry.key


def test_registry_reshare_former_admins_have_no_say_in_the_next_change(registry):
    """Not even by what they asked for while they still were admins."""
    back = registry.file("back.json", ("ada", "bob", "dan"))
    for who in ("ada", "bob"):
        registry.ask(who, registry.new, 2)
    assert registry.ask("ada", back, 2).code == 3
    for who in ("cyd", "dan", "eve"):
        assert registry(who, "fetch-share", share="new.json").code == 0
    assert registry.leaves() == ["admins-reshare", "admins-changed"]
    done = registry.ask("dan", back, 2)
    assert done.code == 3 and "1 of the 2" in done.out, done
    assert "next" not in commitments(registry.server)
    registry.configured = registry.new


def test_registry_reshare_needs_the_key_and_sound_requests(registry):
    refused = registry.ask("ada", registry.old, 2)
    assert refused.code != 0 and "These are the present admins" in refused.err, refused
    for threshold in (1, 4):
        assert registry.ask("ada", registry.new, threshold).code != 0
    imposter = registry.folder / "imposter.json"
    entries = json.loads(registry.new.read_text())["admins"]
    entries[0]["id"] = registry.people["ada"].id
    imposter.write_text(json.dumps({"admins": entries}))
    for who in ("ada", "bob"):
        done = registry.ask(who, imposter, 2)
    assert done.code != 0 and "another key" in done.err, done
    assert "next" not in commitments(registry.server)
    for body in (b"", b"{}", b'{"admins":[],"threshold":2}', os.urandom(64)):
        assert registry.people["ada"].call_v2(registry.server, "POST", "/admin/reshare", body).status == 400
    assert request(registry.server.bootstrap, "POST", "/admin/reshare", b"{}").status == 401
    # Signed by an admin's key, but nothing that could be sent twice.
    body = json.dumps({**json.loads(registry.new.read_text()), "threshold": 2}).encode()
    headers = registry.people["ada"].headers_v2(
        "POST", host_of(registry.server.bootstrap), "/admin/reshare", body, server=server_id(registry.server)
    )
    assert request(registry.server.bootstrap, "POST", "/admin/reshare", body, headers).status == 200
    assert request(registry.server.bootstrap, "POST", "/admin/reshare", body, headers).status == 401
    registry.kill()
    done = registry.ask("ada", registry.new, 2)
    assert done.code != 0 and "only while the state is complete" in done.err, done
    assert registry.leaves() == []
