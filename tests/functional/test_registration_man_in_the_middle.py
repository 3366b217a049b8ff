"""FORMATS 4: whoever stands between workload and server, even with a server, a log and a CA of his own, gets the
workload to open nothing and to write nothing."""

import base64
import hashlib
import json
import shutil

import pytest
from harness import attestry
from proxy import Proxy
from workload import Workload, b64u, unb64u


@pytest.fixture(scope="module")
def trust(dev):
    return json.loads(dev.trust_file.read_text())


def instance(url, trust, seed, tmp_path, app="name:hello"):
    trust_file = tmp_path / "trust-of-the-workload.json"
    trust_file.write_text(json.dumps(trust))
    out = tmp_path / "received"
    done = attestry(
        "instance", "--server", url, "--trust", trust_file, "--simulated-tee", seed, "--app", app, "--out", out
    )
    if done.code != 0:
        assert not out.exists()
        assert "registered" not in done.out
    return done


def vkey_of(name, raw):
    """C2SP signed-note: name, first bytes of a hash, base64 of type and key."""
    id_ = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4].hex()
    return f"{name}+{id_}+{base64.b64encode(raw).decode()}"


def key_of_the_same_name(vkey, name):
    """The key of `vkey`, as the key of a log of another name."""
    raw = base64.b64decode(vkey.split("+", 2)[2])
    return vkey_of(name, raw)


def test_mitm_nobody_in_the_middle_is_accepted(dev, trust, tmp_path):
    with Proxy(dev.public) as proxy:
        done = instance(proxy.url, trust, dev.data / "forge.seed", tmp_path)
    assert done.code == 0, done
    assert proxy.seen == ["/v1/challenges", "/v1/instances"]
    assert (tmp_path / "received" / "key.pem").exists()


def test_mitm_another_server_with_its_own_log_and_ca_is_refused(dev, trust, servers, tmp_path):
    rogue = servers.dev()
    done = instance(rogue.public, trust, dev.data / "forge.seed", tmp_path)
    assert done.code == 1, done


def test_mitm_a_server_of_the_same_origin_that_accepts_the_evidence_is_refused(dev, servers, tmp_path):
    # The rogue trusts the same hardware, calls itself like the honest server and releases. Only its log key is another.
    (tmp_path / "rogue").mkdir()
    shutil.copy(dev.data / "forge.seed", tmp_path / "rogue" / "forge.seed")
    rogue = servers.dev(tmp_path / "rogue")
    honest = {
        "origin": rogue.origin,
        "log_keys": [key_of_the_same_name(dev.log_key, rogue.origin)],
        "simulated": True,
    }
    before = len(rogue.leaves())
    done = instance(rogue.public, honest, rogue.data / "forge.seed", tmp_path)
    assert done.code == 1, done
    assert "receipt" in done.err
    # It did release, so it was the receipt alone that saved the workload.
    assert [leaf["type"] for leaf in rogue.leaves()[before:]] == ["release"]
    honest["log_keys"] = [rogue.log_key]
    assert instance(rogue.public, honest, rogue.data / "forge.seed", tmp_path).code == 0


def on_instances(change):
    return lambda path, document: change(document) if path == "/v1/instances" else document


def flip(text, place):
    data = bytearray(unb64u(text))
    data[place] ^= 1
    return b64u(bytes(data))


def edit_receipt(change):
    def edit(document):
        lines = document["receipt"].split("\n")
        change(lines)
        return {**document, "receipt": "\n".join(lines)}

    return edit


def edit_leaf(**changes):
    def edit(lines):
        leaf = {**json.loads(base64.b64decode(lines[1][6:])), **changes}
        text = json.dumps(leaf, separators=(",", ":"), sort_keys=True)
        lines[1] = "extra " + base64.b64encode(text.encode()).decode()

    return edit_receipt(edit)


def shift_index(lines):
    lines[2] = f"index {int(lines[2][6:]) - 1}"


def drop_proof(lines):
    del lines[3]


def drop_signatures(lines):
    del lines[lines.index("") + 5 :]


def break_signature(lines):
    name, signature = lines[-2].rsplit(" ", 1)
    raw = bytearray(base64.b64decode(signature))
    raw[-1] ^= 1
    lines[-2] = f"{name} {base64.b64encode(bytes(raw)).decode()}"


def grow_tree(lines):
    at = lines.index("") + 2
    lines[at] = str(int(lines[at]) + 1)


REPLIES = {
    "first sealed byte": lambda d: {**d, "sealed": flip(d["sealed"], 0)},
    "last sealed byte": lambda d: {**d, "sealed": flip(d["sealed"], -1)},
    "a byte of the ciphertext": lambda d: {**d, "sealed": flip(d["sealed"], 100)},
    "sealed cut short": lambda d: {**d, "sealed": b64u(unb64u(d["sealed"])[:-1])},
    "nothing sealed": lambda d: {**d, "sealed": ""},
    "no receipt": lambda d: {"sealed": d["sealed"]},
    "empty receipt": lambda d: {**d, "receipt": ""},
    "leaf of another app": edit_leaf(app="name:other"),
    "leaf of another binding": edit_leaf(binding="00" * 64),
    "leaf of another type": edit_leaf(type="refusal"),
    "index": edit_receipt(shift_index),
    "inclusion proof": edit_receipt(drop_proof),
    "no signature": edit_receipt(drop_signatures),
    "broken signature": edit_receipt(break_signature),
    "tree size": edit_receipt(grow_tree),
    "not JSON": lambda d: b"<html>",
    "array": lambda d: [],
    "duplicate member": lambda d: json.dumps(d).encode()[:-1] + b',"sealed":"AAAA"}',
}


@pytest.mark.parametrize("what", REPLIES)
def test_mitm_altered_reply_is_refused(dev, trust, tmp_path, what):
    with Proxy(dev.public, change_reply=on_instances(REPLIES[what])) as proxy:
        done = instance(proxy.url, trust, dev.data / "forge.seed", tmp_path)
    assert done.code in (1, 2), done
    assert done.err.strip()


def test_mitm_reply_of_another_registration_is_refused(dev, trust, tmp_path):
    # Genuine, in the log, and not for this workload.
    other = Workload(dev, "name:hello").send()
    assert other.status == 201
    with Proxy(dev.public, change_reply=on_instances(lambda _: other.json())) as proxy:
        done = instance(proxy.url, trust, dev.data / "forge.seed", tmp_path)
    assert done.code == 1, done
    assert "binding" in done.err


def test_mitm_receipt_of_another_registration_is_refused(dev, trust, tmp_path):
    other = Workload(dev, "name:hello").send().json()["receipt"]
    with Proxy(dev.public, change_reply=on_instances(lambda d: {**d, "receipt": other})) as proxy:
        done = instance(proxy.url, trust, dev.data / "forge.seed", tmp_path)
    assert done.code == 1, done


def thief_requests(dev):
    thief = Workload(dev, "name:hello")
    return {
        "his recipient key": lambda d: {**d, "recipient": b64u(thief.recipient)},
        "his CSR": lambda d: {**d, "csr": b64u(thief.csr)},
        "his nonce": lambda d: {**d, "nonce": b64u(thief.nonce)},
        "another app": lambda d: {**d, "app": "name:other"},
    }


@pytest.mark.parametrize("what", ["his recipient key", "his CSR", "his nonce", "another app"])
def test_mitm_altered_request_is_refused_by_the_server(dev, trust, tmp_path, what):
    before = len(dev.leaves())
    with Proxy(dev.public, change_request=on_instances(thief_requests(dev)[what])) as proxy:
        done = instance(proxy.url, trust, dev.data / "forge.seed", tmp_path)
    assert done.code == 1, done
    assert len(dev.leaves()) == before


def test_mitm_redirect_is_not_followed(dev, trust, tmp_path):
    headers = {"Location": dev.public + "/v1/instances"}
    with Proxy(dev.public, status={"/v1/instances": 307}, headers=headers) as proxy:
        done = instance(proxy.url, trust, dev.data / "forge.seed", tmp_path)
    assert done.code != 0, done


def test_mitm_simulated_server_is_refused_by_a_workload_that_did_not_ask_for_one(dev, trust, tmp_path):
    for settings in ({**trust, "simulated": False}, {k: v for k, v in trust.items() if k != "simulated"}):
        done = instance(dev.public, settings, dev.data / "forge.seed", tmp_path)
        assert done.code != 0, done
        assert "simulated" in done.err


def test_mitm_missing_witness_is_refused(dev, trust, tmp_path):
    raw = bytes([4]) + bytes(range(32))
    settings = {**trust, "witnesses": [vkey_of("witness.example", raw)], "witness_threshold": 1}
    done = instance(dev.public, settings, dev.data / "forge.seed", tmp_path)
    assert done.code == 1, done
    assert "witness" in done.err


@pytest.mark.parametrize(
    "change",
    [{"log_keys": []}, {"origin": 1}, {"log_keys": ["x"]}, {"surprise": True}],
    ids=lambda change: next(iter(change)) + str(next(iter(change.values()))),
)
def test_mitm_trust_settings_that_cannot_be_read_are_refused_before_anything_is_sent(dev, trust, tmp_path, change):
    with Proxy(dev.public) as proxy:
        done = instance(proxy.url, {**trust, **change}, dev.data / "forge.seed", tmp_path)
    assert done.code == 2, done
    assert proxy.seen == []
