"""Vault's HTTP API under requests that meet each other: what was taken away is gone for those on their way, too."""

import itertools
import threading

import pytest
from vault import Vault

CLIENTS = 8
ROUNDS = 10


@pytest.fixture(scope="module")
def vault(tmp_path_factory):
    vault = Vault.start(tmp_path_factory.mktemp("vault") / "data")
    yield vault
    vault.stop()


class Crowd:
    """Clients that repeat `work` until the end of the block, or until it gives None, and what they got."""

    def __init__(self, work):
        self.ended = threading.Event()
        self.begun = threading.Barrier(CLIENTS + 1)
        self.results = []
        self.threads = [threading.Thread(target=self._run, args=(work,)) for _ in range(CLIENTS)]

    def _run(self, work):
        self.results.append(work())
        self.begun.wait()
        while not self.ended.is_set() and self.results[-1] is not None:
            self.results.append(work())

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.begun.wait()
        return self

    def __exit__(self, *error):
        self.ended.set()
        for thread in self.threads:
            thread.join()


def test_no_read_is_behind_the_change_that_forbids_it(vault):
    vault.done("POST", "secret/data/race", {"data": {"a": 1}})
    token = vault.operator_token("race")
    for _ in range(ROUNDS):
        vault.policy("race", 'path "secret/data/race" { capabilities = ["read"] }')
        with Crowd(lambda: vault.call("GET", "secret/data/race", token=token).status) as crowd:
            vault.policy("race", 'path "secret/data/race" { capabilities = ["deny"] }')
        assert set(crowd.results) <= {200, 403}
        types = [leaf["type"] for leaf in vault.server.leaves()]
        last = len(types) - 1 - types[::-1].index("vault.policy")
        assert "kv.read" not in types[last:]


def test_no_child_survives_the_revocation_of_its_parent(vault):
    vault.policy("maker", 'path "auth/token/create" { capabilities = ["update"] }')
    body = {"policies": ["maker"]}
    for _ in range(ROUNDS):
        parent = vault.operator_token("maker")

        def make(parent=parent):
            answer = vault.call("POST", "auth/token/create", body, token=parent)
            return answer.json()["auth"]["client_token"] if answer.status == 200 else None

        with Crowd(make) as crowd:
            vault.done("POST", "auth/token/revoke", {"token": parent})
        children = [token for token in crowd.results if token]
        assert len(children) >= CLIENTS
        assert not any(vault.alive(token) for token in children)
        assert make(children[-1]) is None


def test_changes_of_a_namespace_are_all_kept(vault):
    vault.done("POST", "sys/namespaces/changed", {})
    numbers = itertools.count()

    def mount():
        number = next(numbers)
        if number >= 50:
            return None
        vault.done("POST", f"sys/mounts/kv-{number}", {"type": "kv-v2"}, namespace="changed")
        return f"kv-{number}/"

    with Crowd(mount) as crowd:
        for number in range(1, 30):
            vault.done("POST", "sys/namespaces/changed", {"quotas": {"secrets": 1000 + number}})
            vault.done("POST", "secret/config", {"max_versions": number}, namespace="changed")
    mounts = set(vault.done("GET", "sys/mounts", namespace="changed"))
    assert {path for path in crowd.results if path} <= mounts
    assert vault.done("GET", "sys/namespaces/changed")["quotas"]["secrets"] == 1029
    assert vault.done("GET", "secret/config", namespace="changed")["max_versions"] == 29


def at_once(*works):
    """Runs them at the same moment; what each gave."""
    start = threading.Barrier(len(works))
    results = [None] * len(works)

    def run(at, work):
        start.wait()
        results[at] = work()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_nothing_is_written_into_a_mount_that_is_gone(vault):
    """Removed is what is empty: when the removal came first, no write was acknowledged."""
    for number in range(40):
        path = f"fleeting-{number}"
        vault.done("POST", f"sys/mounts/{path}", {"type": "kv-v2"})

        def write(path=path):
            return vault.call("POST", f"{path}/data/x", {"data": {"a": 1}}).status

        removed, *written = at_once(
            lambda path=path: vault.call("DELETE", f"sys/mounts/{path}").status, *[write] * CLIENTS
        )
        assert set(written) == ({404} if removed == 204 else {200}), (removed, written)


def test_patches_that_meet_are_all_there(vault):
    vault.done("POST", "secret/data/met", {"data": {"begin": 0}})
    numbers = itertools.count()

    def patch():
        number = next(numbers)
        return number, vault.call("PATCH", "secret/data/met", {"data": {f"n{number}": number}}).status

    with Crowd(patch) as crowd:
        patch()
    found = vault.done("GET", "secret/data/met")["data"]
    assert {status for _, status in crowd.results} <= {200, 503}
    assert {f"n{number}" for number, status in crowd.results if status == 200} <= set(found)
