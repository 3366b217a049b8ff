"""hvac (PyPI), unmodified, against the transit engine: every kind of key and every method. Another program's
cryptography (pyca/cryptography) checks what comes out."""

import base64
import hashlib
import hmac as python_hmac

import hvac
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from hvac import exceptions
from vault import Vault


@pytest.fixture(scope="module")
def vault(tmp_path_factory):
    vault = Vault.start(tmp_path_factory.mktemp("vault") / "data")
    yield vault
    vault.stop()


@pytest.fixture(scope="module")
def transit(vault):
    return hvac.Client(url=vault.url, token=vault.root).secrets.transit


def b64(data):
    return base64.b64encode(data).decode()


def public_key(transit, name, version="1"):
    return load_pem_public_key(transit.read_key(name=name)["data"]["keys"][version]["public_key"].encode())


def raw(text):
    return base64.b64decode(text.split(":", 2)[2])


# -- RSA


RSA = ["rsa-2048", "rsa-3072", "rsa-4096"]
OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


@pytest.fixture(scope="module")
def rsa_keys(transit):
    for name in RSA:
        made = transit.create_key(name=name, key_type=name, exportable=True)["data"]
        assert made["type"] == name and made["supports_encryption"] and made["supports_signing"]
        assert not made["supports_derivation"]


@pytest.mark.usefixtures("rsa_keys")
@pytest.mark.parametrize("rsa", RSA)
def test_rsa_encrypts(transit, rsa):
    sealed = transit.encrypt_data(name=rsa, plaintext=b64(b"hello"))["data"]["ciphertext"]
    assert sealed.startswith("vault:v1:")
    assert transit.decrypt_data(name=rsa, ciphertext=sealed)["data"]["plaintext"] == b64(b"hello")
    key = public_key(transit, rsa)
    assert key.key_size == int(rsa[4:])
    theirs = "vault:v1:" + b64(key.encrypt(b"from outside", OAEP))
    assert transit.decrypt_data(name=rsa, ciphertext=theirs)["data"]["plaintext"] == b64(b"from outside")
    exported = transit.export_key(name=rsa, key_type="encryption-key")["data"]["keys"]["1"]
    private = load_pem_private_key(exported.encode(), None)
    assert private.decrypt(raw(sealed), OAEP) == b"hello"
    with pytest.raises(exceptions.InvalidRequest, match="at most"):
        transit.encrypt_data(name=rsa, plaintext=b64(b"x" * 600))
    with pytest.raises(exceptions.InvalidRequest, match="unable to decrypt"):
        transit.decrypt_data(name=rsa, ciphertext="vault:v1:" + b64(b"x" * (key.key_size // 8)))
    with pytest.raises(exceptions.InvalidRequest, match="associated_data"):
        transit.encrypt_data(name=rsa, plaintext=b64(b"x"), associated_data=b64(b"y"))


@pytest.mark.usefixtures("rsa_keys")
@pytest.mark.parametrize(
    ("rsa", "hashed"),
    [(name, "sha2-256") for name in RSA] + [("rsa-2048", f"sha2-{size}") for size in (224, 384, 512)],
)
@pytest.mark.parametrize("algorithm", ["pss", "pkcs1v15"])
@pytest.mark.parametrize("prehashed", [False, True])
def test_rsa_signs(transit, rsa, hashed, algorithm, prehashed):
    md = getattr(hashes, f"SHA{hashed[5:]}")()
    message = hashlib.new(f"sha{hashed[5:]}", b"m").digest() if prehashed else b"m"
    how = {"hash_algorithm": hashed, "signature_algorithm": algorithm, "prehashed": prehashed}
    signature = transit.sign_data(name=rsa, hash_input=b64(message), **how)["data"]["signature"]
    pads = padding.PSS(padding.MGF1(md), padding.PSS.MAX_LENGTH) if algorithm == "pss" else padding.PKCS1v15()
    key = public_key(transit, rsa)
    key.verify(raw(signature), b"m", pads, md)

    def valid(message, **changes):
        said = transit.verify_signed_data(name=rsa, hash_input=b64(message), signature=signature, **{**how, **changes})
        return said["data"]["valid"]

    assert valid(message)
    assert not valid(bytes(len(message)))
    assert not valid(message, signature_algorithm="pss" if algorithm == "pkcs1v15" else "pkcs1v15")


@pytest.mark.usefixtures("rsa_keys")
def test_rsa_salts(vault, transit):
    rsa = "rsa-2048"
    for salt, length in (("hash", 32), ("auto", padding.PSS.MAX_LENGTH), (20, 20), ("20", 20)):
        body = {"input": b64(b"m"), "signature_algorithm": "pss", "salt_length": salt}
        signature = vault.done("POST", f"transit/sign/{rsa}", body)["signature"]
        pads = padding.PSS(padding.MGF1(hashes.SHA256()), length)
        public_key(transit, rsa).verify(raw(signature), b"m", pads, hashes.SHA256())
        assert vault.done("POST", f"transit/verify/{rsa}", {**body, "signature": signature})["valid"] is True
        other = {**body, "signature": signature, "salt_length": 19}
        assert vault.done("POST", f"transit/verify/{rsa}", other)["valid"] is False
    for how, text in (
        ({"signature_algorithm": "raw"}, "signature_algorithm"),
        ({"hash_algorithm": "sha3-256"}, "sha2"),
        ({"salt_length": 300}, "salt"),
        ({"salt_length": "long"}, "salt_length"),
    ):
        refused = vault.call("POST", f"transit/sign/{rsa}", {"input": b64(b"m"), **how})
        assert refused.status == 400 and text in refused.text, refused


def test_rsa_keys_rotate_and_survive_a_restart(tmp_path):
    vault = Vault.start(tmp_path / "data")
    vault.done("POST", "transit/keys/r", {"type": "rsa-2048"})
    sealed = vault.done("POST", "transit/encrypt/r", {"plaintext": "aGk="})["ciphertext"]
    assert vault.done("POST", "transit/keys/r/rotate", {})["latest_version"] == 2
    vault.stop()
    again = Vault.start(tmp_path / "data")
    assert again.done("POST", "transit/decrypt/r", {"ciphertext": sealed})["plaintext"] == "aGk="
    rewrapped = again.done("POST", "transit/rewrap/r", {"ciphertext": sealed})["ciphertext"]
    assert rewrapped.startswith("vault:v2:")
    again.stop()


# -- the other kinds


@pytest.mark.parametrize(("kind", "size"), [("aes128-gcm96", 16), ("aes256-gcm96", 32), ("chacha20-poly1305", 32)])
def test_symmetric_keys_bind_associated_data(vault, transit, kind, size):
    vault.done("POST", f"transit/keys/{kind}", {"type": kind, "exportable": True})  # hvac knows no aes128
    sealed = transit.encrypt_data(name=kind, plaintext=b64(b"x"), associated_data=b64(b"for a"))["data"]["ciphertext"]
    opened = transit.decrypt_data(name=kind, ciphertext=sealed, associated_data=b64(b"for a"))["data"]["plaintext"]
    assert opened == b64(b"x")
    with pytest.raises(exceptions.InvalidRequest, match="unable to decrypt"):
        transit.decrypt_data(name=kind, ciphertext=sealed, associated_data=b64(b"for b"))
    key = base64.b64decode(transit.export_key(name=kind, key_type="encryption-key")["data"]["keys"]["1"])
    assert len(key) == size
    if kind.startswith("aes"):
        blob = raw(sealed)
        assert AESGCM(key).decrypt(blob[:12], blob[12:], b"for a") == b"x"


def test_aes128_keys_derive(vault, transit):
    vault.done("POST", "transit/keys/aes128-derived", {"type": "aes128-gcm96", "derived": True})
    how = {"name": "aes128-derived", "context": b64(b"c")}
    sealed = transit.encrypt_data(plaintext=b64(b"x"), **how)["data"]["ciphertext"]
    assert transit.decrypt_data(ciphertext=sealed, **how)["data"]["plaintext"] == b64(b"x")
    with pytest.raises(exceptions.InvalidRequest, match="unable to decrypt"):
        transit.decrypt_data(name="aes128-derived", ciphertext=sealed, context=b64(b"d"))


@pytest.mark.parametrize(("kind", "hashed"), [("ecdsa-p256", 256), ("ecdsa-p384", 384), ("ecdsa-p521", 512)])
def test_ecdsa_signs_digests(vault, transit, kind, hashed):
    transit.create_key(name=kind, key_type=kind, exportable=True)
    digest = hashlib.new(f"sha{hashed}", b"m").digest()
    how = {"name": kind, "hash_algorithm": f"sha2-{hashed}", "prehashed": True}
    signature = transit.sign_data(hash_input=b64(digest), **how)["data"]["signature"]
    md = getattr(hashes, f"SHA{hashed}")()
    public_key(transit, kind).verify(raw(signature), digest, ec.ECDSA(utils.Prehashed(md)))
    with pytest.raises(InvalidSignature):
        public_key(transit, kind).verify(raw(signature), bytes(len(digest)), ec.ECDSA(utils.Prehashed(md)))
    pem = transit.export_key(name=kind, key_type="signing-key")["data"]["keys"]["1"]
    assert load_pem_private_key(pem.encode(), None).public_key() == public_key(transit, kind)
    shown = vault.done("GET", f"transit/export/public-key/{kind}")["keys"]["1"]
    assert load_pem_public_key(shown.encode()) == public_key(transit, kind)


def test_hmac_keys(vault, transit):
    vault.done("POST", "transit/keys/mac", {"type": "hmac", "exportable": True})
    found = transit.generate_hmac(name="mac", hash_input=b64(b"m"), algorithm="sha2-384")["data"]["hmac"]
    key = base64.b64decode(transit.export_key(name="mac", key_type="hmac-key")["data"]["keys"]["1"])
    assert raw(found) == python_hmac.new(key, b"m", "sha384").digest()
    with pytest.raises(exceptions.InvalidRequest, match="not supported"):
        transit.encrypt_data(name="mac", plaintext=b64(b"x"))


def test_batches_of_signatures(vault, transit):
    transit.create_key(name="batch", key_type="ed25519")
    items = [{"input": b64(bytes([number])), "reference": str(number)} for number in range(200)]
    done = transit.sign_data(name="batch", batch_input=items)["data"]["batch_results"]
    assert [item["reference"] for item in done] == [str(number) for number in range(200)]
    signed = [{**item, "signature": made["signature"]} for item, made in zip(items, done, strict=True)]
    signed[7]["input"] = signed[8]["input"]
    checked = vault.done("POST", "transit/verify/batch", {"batch_input": signed})["batch_results"]
    assert [item["valid"] for item in checked] == [n != 7 for n in range(200)]
    macs = vault.done("POST", "transit/hmac/batch", {"batch_input": items[:2]})["batch_results"]
    assert macs[0]["hmac"] != macs[1]["hmac"]


def test_versions_are_chosen_and_trimmed(vault, transit):
    transit.create_key(name="old")
    first = transit.encrypt_data(name="old", plaintext=b64(b"x"))["data"]["ciphertext"]
    transit.rotate_key(name="old")
    chosen = transit.encrypt_data(name="old", plaintext=b64(b"x"), key_version=1)["data"]["ciphertext"]
    assert chosen.startswith("vault:v1:")
    vault.done("POST", "transit/keys/old/config", {"min_decryption_version": 2, "min_encryption_version": 2})
    transit.trim_key(name="old", min_version=2)
    with pytest.raises(exceptions.InvalidRequest, match="too old"):
        transit.decrypt_data(name="old", ciphertext=first)
    assert vault.call("POST", "transit/keys/old/config", {"min_decryption_version": 1}).status == 400


# -- backups


def test_a_key_comes_back_from_its_backup(vault, transit):
    transit.create_key(name="saved", key_type="rsa-2048", exportable=True, allow_plaintext_backup=True)
    assert transit.read_key(name="saved")["data"]["allow_plaintext_backup"] is True
    sealed = transit.encrypt_data(name="saved", plaintext=b64(b"x"))["data"]["ciphertext"]
    backup = transit.backup_key(name="saved")["data"]["backup"]
    assert vault.server.leaves()[-1]["type"] == "transit.backup"
    for secret in transit.export_key(name="saved", key_type="hmac-key")["data"]["keys"].values():
        assert base64.b64decode(secret) not in base64.b64decode(backup.rsplit(":", 1)[1])
    with pytest.raises(exceptions.InvalidRequest, match="already exists"):
        transit.restore_key(backup=backup)
    transit.update_key_configuration(name="saved", deletion_allowed=True)
    transit.delete_key(name="saved")
    transit.restore_key(backup=backup)
    assert transit.decrypt_data(name="saved", ciphertext=sealed)["data"]["plaintext"] == b64(b"x")
    transit.rotate_key(name="saved")
    transit.restore_key(backup=backup, force=True)
    assert transit.read_key(name="saved")["data"]["latest_version"] == 1
    transit.restore_key(backup=backup, name="copy")
    assert transit.decrypt_data(name="copy", ciphertext=sealed)["data"]["plaintext"] == b64(b"x")


def test_backups_are_for_keys_that_allow_them(vault, transit):
    transit.create_key(name="stays")
    with pytest.raises(exceptions.InvalidRequest, match="exporting is disallowed"):
        transit.backup_key(name="stays")
    transit.update_key_configuration(name="stays", exportable=True)
    with pytest.raises(exceptions.InvalidRequest, match="plaintext backup is disallowed"):
        transit.backup_key(name="stays")
    transit.update_key_configuration(name="stays", allow_plaintext_backup=True)
    backup = transit.backup_key(name="stays")["data"]["backup"]
    flipped = backup[:-8] + ("A" if backup[-8] != "A" else "B") + backup[-7:]
    for bad in (flipped, backup[:40], "attestry:v1:", "AAAA", "attestry:v1:!"):
        with pytest.raises(exceptions.InvalidRequest):
            transit.restore_key(backup=bad, name="other")
    vault.done("POST", "sys/namespaces/elsewhere", {})
    vault.done("POST", "transit/keys/any", {}, namespace="elsewhere")
    body = {"backup": backup}
    assert vault.call("POST", "transit/restore", body, namespace="elsewhere").status in (400, 403)
    assert vault.call("POST", "transit/restore/x", {**body, "name": "y"}).status == 400


# -- what takes long takes a thread of its own


def test_long_batches_leave_the_workers_alone(vault, transit):
    """Batches of 1,000 signatures on P-521 run beside requests that take no time."""
    transit.create_key(name="slow", key_type="ecdsa-p521")
    items = [{"input": b64(b"m")}] * 1000
    done = transit.sign_data(name="slow", hash_algorithm="sha2-512", batch_input=items)
    assert len(done["data"]["batch_results"]) == 1000
    assert vault.call("POST", "transit/sign/slow", {"batch_input": items + items[:1]}).status == 413
