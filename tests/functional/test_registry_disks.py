"""Keys of workloads' disks: the two derivations, against another implementation, and the newline that cut the first one."""

import base64
import itertools

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from harness import ATTESTRY, attestry, clean_environment, subprocess

CSR = b"-----BEGIN CERTIFICATE REQUEST-----\nAA==\n-----END CERTIFICATE REQUEST-----\n"


@pytest.fixture
def app_key(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    file = tmp_path / "app.key"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    return file


def argon2(pem, csr):
    return Argon2id(salt=b"TEE-DISK-KEY-" + csr, length=32, iterations=1, lanes=4, memory_cost=64 * 1024).derive(pem)


def raw(*arguments):
    done = subprocess.run([ATTESTRY, *map(str, arguments)], capture_output=True, env=clean_environment(), check=True)
    return done.stdout


def test_registry_056_the_key_of_a_disk(app_key):
    label = bytes.fromhex("0102030405060708")
    derived = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"").derive(app_key.read_bytes() + label)
    done = attestry("registry", "disk-key", "--app-key", app_key, "--label", label.hex())
    assert (done.code, done.out, done.err) == (0, base64.b32encode(derived).decode() + "\n", "")
    assert raw("registry", "disk-key", "--app-key", app_key, "--label", label.hex(), "--raw") == base64.b32encode(
        derived
    )


def test_registry_056_the_key_of_a_first_generation_disk(app_key, tmp_path):
    seen = set()
    for number in itertools.count():
        csr = tmp_path / f"{number}.pem"
        csr.write_bytes(CSR + b"\n" * number)
        key = argon2(app_key.read_bytes(), csr.read_bytes())
        cut = b"\n" in key
        if cut in seen:
            continue
        seen.add(cut)
        command = ["registry", "disk-key", "--dialect", "g0", "--app-key", app_key, "--csr", csr]
        done = attestry(*command)
        assert done.code == 0 and bytes.fromhex(done.out) == key, done
        assert raw(*command, "--raw") == key
        if cut:
            assert f"the first {key.index(10)} of 32 bytes" in done.err and "without --key-file" in done.err, done
        else:
            assert done.err == "", done
        if len(seen) == 2:
            break


def test_registry_056_what_is_missing_is_said(app_key, tmp_path):
    command = ["registry", "disk-key", "--app-key"]
    csr = tmp_path / "csr.pem"
    csr.write_bytes(CSR)
    for arguments, text in (
        ([app_key], "16 hex digits"),
        ([app_key, "--label", "0102"], "16 hex digits"),
        ([app_key, "--dialect", "g0"], "--csr FILE"),
        ([app_key, "--dialect", "g0", "--csr", app_key.with_suffix(".no")], "--csr"),
        ([csr, "--dialect", "g0", "--csr", csr], "no private key"),
    ):
        done = attestry(*command, *arguments)
        assert done.code != 0 and text in done.err and done.out == "", done
