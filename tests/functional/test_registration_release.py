"""The main job from outside: a registration gives keys, certificate, configuration and secrets to the one workload that
the evidence binds, and a leaf in the log before the reply."""

import base64
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from harness import attestry
from transparency import Receipt, verify_log
from workload import Workload, commitment, unb64u


def register(dev, app):
    workload = Workload(dev, app)
    reply = workload.send()
    assert reply.status == 201, reply
    return workload, reply


def test_registration_gives_everything_that_is_approved(dev, operator, app):
    ids = operator.make_app(app, dev.mrtd, "password=${secret:db} app=${app}\n", {"db": b"hunter2"})
    workload, reply = register(dev, app)
    assert reply.headers["Cache-Control"] == "no-store"
    release = workload.open(reply)
    assert (release["app"], release["tenant"], release["realm"]) == (app, "default", "simulated")
    assert unb64u(release["configuration"]) == f"password=hunter2 app={app}\n".encode()
    assert release["configuration_id"] == ids["configuration"]
    assert {name: unb64u(value) for name, value in release["secrets"].items()} == {"db": b"hunter2"}
    keys = {key["algorithm"]: key for key in release["keys"]}
    assert sorted(keys) == ["aes256", "ed25519", "p256", "secp256k1", "x25519"]
    ed25519 = Ed25519PrivateKey.from_private_bytes(unb64u(keys["ed25519"]["private"]))
    assert ed25519.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw) == unb64u(keys["ed25519"]["public"])


def test_registration_certificate_is_for_the_bound_key_and_verifies(dev, operator, app):
    operator.make_app(app, dev.mrtd)
    workload, reply = register(dev, app)
    release = workload.open(reply)
    chain = x509.load_pem_x509_certificates(release["certificate_chain"].encode())
    leaf, issuer = chain[0], chain[-1]
    spki = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert spki == workload.spki
    for child, parent in zip(chain, chain[1:], strict=False):
        child.verify_directly_issued_by(parent)
    assert len(chain) >= 2
    issuer.verify_directly_issued_by(issuer)
    assert leaf.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ") == release["expires"]
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_registration_keys_belong_to_the_app_not_to_the_instance(dev, operator, app):
    operator.make_app(app, dev.mrtd)
    other = app + "-other"
    operator.make_app(other, dev.mrtd)

    def of(name):
        workload, reply = register(dev, name)
        release = workload.open(reply)
        return release["instance"], {key["algorithm"]: key["private"] for key in release["keys"]}

    first, second, third = of(app), of(app), of(other)
    assert first[0] != second[0]
    assert first[1] == second[1]
    assert all(first[1][name] != third[1][name] for name in first[1])


def test_registration_receipt_proves_the_leaf_of_this_very_reply(dev, operator, app):
    operator.make_app(app, dev.mrtd, "x=${secret:db}\n", {"db": b"value"})
    workload, reply = register(dev, app)
    receipt = Receipt(reply.json()["receipt"], dev.log_key)
    leaf = receipt.leaf
    assert leaf["type"] == "release"
    assert (leaf["app"], leaf["tenant"], leaf["audience"], leaf["realm"]) == (app, "default", dev.origin, "simulated")
    assert leaf["binding"] == workload.binding.hex()
    assert leaf["reply"] == hashlib.sha256(unb64u(reply.json()["sealed"])).hexdigest()
    release = workload.open(reply)
    key = unb64u(release["leaf_key"])
    assert leaf["outputs"]["secret/db"] == commitment(key, "secret/db", b"value")
    assert leaf["outputs"]["configuration"] == commitment(key, "configuration", b"x=value\n")
    chain = release["certificate_chain"].encode()
    assert leaf["outputs"]["certificate"] == commitment(key, "certificate", chain)
    assert verify_log(dev)[receipt.index] == leaf


def test_registration_log_hides_what_was_released(dev, operator, app):
    operator.make_app(app, dev.mrtd, "x=${secret:pin}\n", {"pin": b"0000"})
    _, reply = register(dev, app)
    leaf = Receipt(reply.json()["receipt"], dev.log_key).leaf_bytes
    assert hashlib.sha256(b"0000").hexdigest().encode() not in leaf
    assert b"0000" not in base64.b64decode(reply.json()["sealed"] + "==", altchars=b"-_")


def test_registration_secret_without_approval_stays_in_the_store(dev, operator, app):
    operator.make_app(app, dev.mrtd, None, {"approved": b"a"})
    operator.secret(app, "deposited", b"b")
    workload, reply = register(dev, app)
    assert sorted(workload.open(reply)["secrets"]) == ["approved"]


def test_registration_of_every_kind_of_simulated_tee(dev, operator, app):
    operator.approve(app, "app.create", app)
    operator.approve(app, "policy.approve", operator.blob({"format": 1, "name": "any"}))
    for kind in ["tdx-v4", "tdx-v5", "tdx-v5-td10", "tdx-v5-td15ex", "sgx-v3", "sgx-v4", "sgx-v5"]:
        workload = Workload(dev, app)
        quote = workload.evidence(kind)
        verdict = dev.request("POST", "/v1/verify", {"evidence": base64.urlsafe_b64encode(quote).decode().rstrip("=")})
        assert verdict.json()["verdict"] == "accepted", (kind, verdict)
        claims = verdict.json()["claims"]
        name = "mrtd" if kind.startswith("tdx") else "mrenclave"
        identity = operator.blob({"name": kind, "claims": {name: [claims[name]]}})
        operator.approve(app, "identity.approve", identity)
        reply = workload.send(workload.body(evidence=quote))
        assert reply.status == 201, (kind, reply)


def test_registration_by_the_instance_command_writes_private_files(dev, tmp_path):
    out = tmp_path / "received"
    trust, seed = dev.trust_file, dev.data / "forge.seed"
    command = ["instance", "--server", dev.public, "--trust", trust, "--simulated-tee", seed]
    done = attestry(*command, "--app", "name:hello", "--out", out, "--format", "json")
    assert done.code == 0, done
    said = done.json()
    assert said["simulated"] is True
    assert {file.name for file in out.iterdir()} >= {
        "certificate.pem",
        "key.pem",
        "configuration",
        "receipt",
        "app.p256.key",
        "secret.database-password",
    }
    assert {oct(file.stat().st_mode & 0o777) for file in out.iterdir()} == {"0o600"}
    assert oct(out.stat().st_mode & 0o777) == "0o700"
    receipt = Receipt((out / "receipt").read_text(), dev.log_key)
    assert receipt.index == said["leaf_index"]
    assert receipt.leaf["app"] == "name:hello"
    certificate = x509.load_pem_x509_certificates((out / "certificate.pem").read_bytes())[0]
    key = load_pem_private_key((out / "key.pem").read_bytes(), None)
    assert certificate.public_key() == key.public_key()
    secret = (out / "secret.database-password").read_bytes()
    assert secret in (out / "configuration").read_bytes()
    assert secret.decode() not in done.out + done.err
