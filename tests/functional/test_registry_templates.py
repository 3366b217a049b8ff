"""Configuration templates of the registry, rendered by the real program from a folder of content; and secrets sealed for
an app's key that a registry names. The other side of the encryption is written here from its format."""

import base64
import datetime
import hashlib
import http.server
import json
import os
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from harness import attestry

ADDRESS = "0123456789abcdef0123456789abcdef01234567"


def public_pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def shared_key(private, public):
    x = private.exchange(ec.ECDH(), public)
    return hashlib.sha256(x.lstrip(b"\0")).digest()


def seal(public, plaintext):
    """Version 1: length of the ephemeral point, the point, nonce, AES-256-GCM."""
    ephemeral = ec.generate_private_key(public.curve)
    point = ephemeral.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    nonce = os.urandom(12)
    return (
        len(point).to_bytes(2, "big")
        + point
        + nonce
        + AESGCM(shared_key(ephemeral, public)).encrypt(nonce, plaintext, None)
    )


def unseal(private, blob):
    size = int.from_bytes(blob[:2], "big")
    public = ec.EllipticCurvePublicKey.from_encoded_point(private.curve, blob[2 : 2 + size])
    nonce = blob[2 + size : 14 + size]
    return AESGCM(shared_key(private, public)).decrypt(nonce, blob[14 + size :], None)


class Storage:
    """A folder of content and an app's key."""

    def __init__(self, folder):
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.key_file = folder / "app-key.pem"
        self.key_file.write_bytes(
            self.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        )
        for kind in ("configs", "secrets"):
            (folder / kind).mkdir()

    def put(self, kind, content):
        digest = hashlib.sha256(content).hexdigest()
        (self.folder / kind / digest).write_bytes(content)
        return digest

    def config(self, text):
        return "__CONFIG_REF_" + self.put("configs", text.encode())

    def secret(self, text, key=None):
        content = text if isinstance(text, bytes) else text.encode()
        return "__SECRET_REF_" + self.put("secrets", seal((key or self.key).public_key(), content))

    def render(self, template, *arguments, key=True):
        with_key = ["--key", self.key_file] if key else []
        return attestry(
            "template", "render", "-", "--content", self.folder, *with_key, *arguments, stdin=template.encode()
        )

    def text(self, template):
        done = self.render(template)
        assert done.code == 0, done
        return done.out

    def json(self, template):
        done = self.render(json.dumps(template), "--mode", "json")
        assert done.code == 0, done
        return json.loads(done.out)


@pytest.fixture
def storage(tmp_path):
    return Storage(tmp_path)


def test_registry_023_a_secret_object_takes_the_place_of_its_quoted_reference(storage):
    ref = storage.secret('{"user":"u","port":1}')
    assert storage.text(f'{{"db": "{ref}"}}') == '{"db": {"user":"u","port":1}}'
    assert storage.json({"db": ref}) == {"db": {"user": "u", "port": 1}}


def test_registry_023_the_worked_example(storage):
    """config_example of the format: `$` in content means nothing."""
    config, secret = storage.config('{"x":1}'), storage.secret('"p$1w"')
    template = f'{{"a":"{config}","b":"{secret}"}}'
    assert storage.text(template) == '{"a":{"x":1},"b":"p$1w"}'


def test_registry_024_configurations_include_configurations_and_secrets(storage):
    inner = storage.config(json.dumps({"password": storage.secret('"pw"')}))
    outer = storage.config(json.dumps({"db": inner}, separators=(",", ":")))
    expected = {"app": {"db": {"password": "pw"}}}
    assert json.loads(storage.text(f'{{"app":"{outer}"}}')) == expected
    assert storage.json({"app": outer}) == expected
    # As the servers of the dialect did it: one level, and secrets within.
    done = storage.render(f'{{"app":"{outer}"}}', "--keep-nested")
    assert done.out == f'{{"app":{{"db":"{inner}"}}}}'
    done = storage.render(f'{{"app":"{inner}"}}', "--keep-nested")
    assert json.loads(done.out) == {"app": {"password": "pw"}}


@pytest.mark.parametrize("value", ["$$ $1 ${0} $name", 'a"b', "one\ntwo\n", "\\1\\n", "pässword", "12345", "true", ""])
def test_registry_025_content_goes_in_literally(storage, value):
    assert storage.text(f"k = {storage.secret(value)};") == f"k = {value};"
    assert storage.text(f"k = {storage.config(value)};") == f"k = {value};"
    assert storage.json({"k": storage.secret(value), "u": "x:" + storage.secret(value)}) == {
        "k": value,
        "u": "x:" + value,
    }


def test_registry_025_references_inside_a_secret_stay_text(storage):
    other = storage.secret("other")
    assert storage.text(f"{storage.secret('see ' + other)}") == f"see {other}"


@pytest.mark.parametrize("mode", ["text", "json"])
def test_registry_026_a_secret_for_another_key_names_its_id(storage, mode):
    ref = storage.secret("canary", key=ec.generate_private_key(ec.SECP256R1()))
    done = storage.render(f'{{"k":"{ref}"}}', "--mode", mode)
    assert done.code != 0
    assert f"failed to decrypt secret {ref[-64:]}: " in done.err
    assert done.out == ""
    assert "canary" not in done.err


def test_registry_026_every_changed_byte_of_a_secret_is_noticed(storage):
    blob = bytearray(seal(storage.key.public_key(), b"canary"))
    for place in (0, 1, 2, 40, 67, 70, 79, len(blob) - 1):
        changed = bytearray(blob)
        changed[place] ^= 1
        ref = "__SECRET_REF_" + storage.put("secrets", bytes(changed))
        done = storage.render(ref)
        assert done.code != 0, place
        assert "failed to decrypt secret" in done.err


def test_a_plain_text_secret_stays_a_string_in_json_mode_only(storage):
    ref = storage.secret("not json")
    assert storage.text(f'{{"k":"{ref}"}}') == '{"k":not json}'
    assert storage.json({"k": ref}) == {"k": "not json"}


def test_missing_content_names_type_and_id(storage):
    digest = "ab" * 32
    for kind in ("config", "secret"):
        done = storage.render(f"__{kind.upper()}_REF_{digest}")
        assert done.code == 1
        assert f"failed to fetch {kind} {digest}: content not found" in done.err


def test_a_reference_of_the_wrong_type_is_refused_with_the_right_one(storage):
    secret, config = storage.secret("s"), storage.config("c")
    done = storage.render("__CONFIG_REF_" + secret[-64:])
    assert done.code == 1
    assert f"Write {secret}" in done.err
    done = storage.render("__SECRET_REF_" + config[-64:])
    assert done.code == 1
    assert f"Write {config}" in done.err
    # The same content in both folders does not help either.
    blob = (storage.folder / "secrets" / secret[-64:]).read_bytes()
    storage.put("configs", blob)
    done = storage.render("__CONFIG_REF_" + secret[-64:])
    assert "is an encrypted secret" in done.err


def test_registry_flaw_04_content_with_another_hash_is_refused(storage):
    ref = storage.config("true content")
    (storage.folder / "configs" / ref[-64:]).write_text("swapped content")
    done = storage.render(ref)
    assert done.code != 0
    assert f"failed to fetch config {ref[-64:]}: content does not have the hash" in done.err
    assert "swapped content" not in done.out


def test_files_named_by_the_hex_of_the_hex_are_found(storage):
    ref = storage.config("old registry")
    plain = storage.folder / "configs" / ref[-64:]
    plain.rename(plain.with_name(ref[-64:].encode().hex()))
    assert storage.text(ref) == "old registry"


def test_depth_and_size_are_bounded(storage):
    ref = storage.config('"end"')
    for _ in range(16):
        ref = storage.config(f'"{ref}"')
    done = storage.render(f'"{ref}"')
    assert done.code == 2
    assert "too deep" in done.err
    ref = storage.config('"ha"')
    for _ in range(12):
        ref = storage.config("[" + ",".join([f'"{ref}"'] * 10) + "]")
    for mode in ("text", "json"):
        done = storage.render(f'"{ref}"', "--mode", mode)
        assert done.code == 2
        assert "inserts too often" in done.err or "too large" in done.err


def test_explain_shows_the_tree_and_no_secret(storage):
    secret = storage.secret("canary-value")
    config = storage.config(f'{{"p":"{secret}"}}')
    template = json.dumps({"a": [config], "u": "x-" + secret})
    for key in (True, False):
        done = storage.render(template, "--mode", "json", "--explain", key=key)
        assert done.code == 0, done
        assert "canary-value" not in done.out + done.err
        assert f"  config {config[-64:]}\n    at /a/0, " in done.out
        assert f"    secret {secret[-64:]}\n      at /p, " in done.out
        assert str(storage.folder / "secrets" / secret[-64:]) in done.out
    assert "not opened, no --key" in done.out
    done = storage.render(template, "--mode", "json", "--explain", "--format", "json")
    assert [(r["type"], r["depth"], r["place"], r["inserted"]) for r in done.json()["references"]] == [
        ("config", 0, "/a/0", "as JSON value"),
        ("secret", 1, "/p", "as JSON string"),
        ("secret", 0, "/u", "inside a string"),
    ]
    assert done.json()["rounds"] == 1
    assert "canary-value" not in done.out


def test_explain_lists_references_of_native_templates(tmp_path):
    done = attestry("template", "render", "-", "--mode", "native", "--explain", stdin=b"p=${secret:db} $${x} ${app}")
    assert done.code == 0, done
    assert "  ${secret:db}\n  ${app}\n" in done.out
    done = attestry("template", "render", "-", "--mode", "native", stdin=b"${app}")
    assert done.code == 2


def test_the_result_goes_into_a_file_of_ones_own(storage, tmp_path):
    out = tmp_path / "result"
    done = storage.render(storage.secret("pw"), "--out", out)
    assert (done.code, done.out) == (0, "")
    assert out.read_text() == "pw"
    assert out.stat().st_mode & 0o777 == 0o600


def test_without_a_key_secrets_stay_closed(storage):
    done = storage.render(storage.secret("pw"), key=False)
    assert done.code == 2
    assert "--key" in done.err


# `attestry secret seal`


def ca_certificate():
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"CA for {ADDRESS}.app")])
    now = datetime.datetime(2026, 1, 1)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )


class Registry:
    """A strict stand-in of a registry's public routes: exact paths, GET only, and answers as the dialect spells them."""

    def __init__(self, app_key, attestation, old=False):
        self.ca, self.pubkey, self.old = ca_certificate(), public_pem(app_key), old
        self.attestation = attestation
        self.calls = []
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                registry.calls.append(self.path)
                status, body = registry.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", "application/json" if status == 200 else "text/plain; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def report_data(self):
        return bytes.fromhex(ADDRESS) + hashlib.sha256(self.ca + self.pubkey).digest() + bytes(12)

    def answer(self, path):
        route = "/api/public/app_metadata/" if self.old else "/api/public/pki/"
        if not path.startswith(route):
            return 404, b"404 page not found\n"
        if path != route + ADDRESS:
            return 400, b"Invalid contract address format\n"
        texts = {"ca_cert": self.ca, "app_pubkey": self.pubkey}
        texts["attestaion" if self.old else "attestation"] = self.attestation(self.report_data())
        answer = {name: base64.b64encode(value).decode() for name, value in texts.items()}
        if self.old:
            answer["domain_names"] = []
        return 200, json.dumps(answer).encode() + b"\n"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Tee:
    """The forge's TEE that the stand-in runs in."""

    def __init__(self, folder):
        self.folder = folder
        self.trust = None

    def __call__(self, report_data):
        place = self.folder / hashlib.sha256(report_data).hexdigest()[:16]
        done = attestry("forge", "--seed", "registry", "--report-data", report_data.hex(), "--out", place)
        assert done.code == 0, done
        self.flags = ["--trust", place / "root.pem", "--collateral", place / "collateral.json"]
        return (place / "quote.bin").read_bytes()


@pytest.fixture
def tee(tmp_path):
    made = Tee(tmp_path / "tee")
    made.folder.mkdir()
    made(bytes(64))
    return made


@pytest.fixture
def policy(tee, tmp_path):
    """Names the measurement of the forge's TEE."""
    mrtd = tee(bytes(64))[48 + 136 : 48 + 136 + 48].hex()

    def make(value=mrtd):
        path = tmp_path / f"policy-{value[:8]}.json"
        identity = {"name": "the registry", "claims": {"mrtd": [value]}}
        path.write_text(json.dumps({"format": 1, "name": "registry", "identities": [identity]}))
        return path

    return make


def seal_command(storage, *arguments, secret=b"canary-p$1w"):
    return attestry("secret", "seal", "-", "--content", storage.folder, *arguments, stdin=secret)


def sealed(storage, done):
    assert done.code == 0, done
    reference = done.out.strip()
    assert reference.startswith("__SECRET_REF_"), done
    blob = (storage.folder / "secrets" / reference[-64:]).read_bytes()
    assert hashlib.sha256(blob).hexdigest() == reference[-64:]
    assert "canary" not in done.out + done.err
    return reference, blob


def test_a_secret_is_sealed_for_a_key_in_a_file(storage, tmp_path):
    pem = tmp_path / "app.pem"
    pem.write_bytes(public_pem(storage.key))
    reference, blob = sealed(storage, seal_command(storage, "--app", pem))
    assert unseal(storage.key, blob) == b"canary-p$1w"
    assert storage.text(reference) == "canary-p$1w"
    assert b"canary" not in blob


def test_format_version_2_belongs_to_a_contract(storage, tmp_path):
    pem = tmp_path / "app.pem"
    pem.write_bytes(public_pem(storage.key))
    done = seal_command(storage, "--app", pem, "--format-version", "2")
    assert done.code == 2
    assert "--contract" in done.err
    reference, blob = sealed(
        storage, seal_command(storage, "--app", pem, "--format-version", "2", "--contract", ADDRESS)
    )
    assert blob.startswith(b"ATE2")
    assert storage.render(reference, "--app", ADDRESS).out == "canary-p$1w"
    for arguments in ([], ["--app", "ff" * 20]):
        done = storage.render(reference, *arguments)
        assert done.code != 0
        assert "failed to decrypt secret" in done.err


def test_a_registrys_key_is_believed_by_its_evidence(storage, tee, policy):
    for old in (False, True):
        with Registry(storage.key, tee, old) as registry:
            done = seal_command(
                storage, "--app", "0x" + ADDRESS, "--server", registry.url, "--policy", policy(), *flags(tee, registry)
            )
            reference, blob = sealed(storage, done)
            assert unseal(storage.key, blob) == b"canary-p$1w"
            assert "attested under policy" in done.err
            assert "warning" not in done.err


def flags(tee, registry):
    tee(registry.report_data())
    return tee.flags


def test_an_unverified_key_is_refused(storage, tee):
    with Registry(storage.key, tee) as registry:
        where = ["--app", ADDRESS, "--server", registry.url]
        done = seal_command(storage, *where, *flags(tee, registry))
        assert done.code == 2
        assert "--policy" in done.err
        # Intel's own roots know nothing of this TEE.
        done = seal_command(storage, *where, "--policy", "genuine", "--offline")
        assert done.code != 0
        assert "the registry's key is not verified" in done.err
        assert list((storage.folder / "secrets").iterdir()) == []
        done = seal_command(storage, *where, "--unverified")
        sealed(storage, done)
        assert "nobody has verified this key" in done.err


def test_evidence_of_another_tee_key_or_contract_is_refused(storage, tee, policy):
    other = ec.generate_private_key(ec.SECP256R1())
    cases = {
        "another measurement": (tee, policy("11" * 48)),
        "another key": (lambda data: tee(data[:20] + hashlib.sha256(public_pem(other)).digest() + bytes(12)), policy()),
        "another contract": (lambda data: tee(bytes(20) + data[20:]), policy()),
        "a dummy": (lambda data: b"Attestation for CA " + data.hex().encode(), policy()),
        "nothing": (lambda data: b"", policy()),
    }
    for name, (attestation, wanted) in cases.items():
        with Registry(storage.key, attestation) as registry:
            done = seal_command(
                storage,
                "--app",
                ADDRESS,
                "--server",
                registry.url,
                "--policy",
                wanted,
                *flags(tee, registry),
            )
            assert done.code == 1, (name, done)
            assert "the registry's key is not verified" in done.err, name
    assert list((storage.folder / "secrets").iterdir()) == []


def test_a_builtin_policy_is_warned_of(storage, tee):
    with Registry(storage.key, tee) as registry:
        done = seal_command(
            storage, "--app", ADDRESS, "--server", registry.url, "--policy", "genuine", *flags(tee, registry)
        )
        sealed(storage, done)
        assert "accepts any genuine TEE" in done.err


def test_a_pinned_key_needs_no_evidence_and_no_other_key_passes(storage, tmp_path):
    other = ec.generate_private_key(ec.SECP256R1())
    pems = {}
    for name, key in {"right": storage.key, "wrong": other}.items():
        pems[name] = tmp_path / f"{name}.pem"
        pems[name].write_bytes(public_pem(key))
    spki = storage.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with Registry(storage.key, lambda _: b"Attestation for CA x") as registry:
        where = ["--app", ADDRESS, "--server", registry.url]
        for pin in (["--app-pubkey", pems["right"]], ["--fingerprint", hashlib.sha256(spki).hexdigest()]):
            sealed(storage, seal_command(storage, *where, *pin))
        for pin in (["--app-pubkey", pems["wrong"]], ["--fingerprint", "00" * 32]):
            done = seal_command(storage, *where, *pin, "--unverified")
            assert done.code == 1
            assert "is not the pinned one" in done.err


def test_a_server_that_is_no_registry_or_away_is_named(storage, tee):
    with Registry(storage.key, tee) as registry:
        registry.answer = lambda path: (404, b"404 page not found\n")
        done = seal_command(storage, "--app", ADDRESS, "--server", registry.url, "--unverified")
        assert "this server is no registry" in done.err
        assert registry.calls == [f"/api/public/{name}/{ADDRESS}" for name in ("pki", "app_metadata")]
        registry.answer = lambda path: (500, b"Failed to get PKI: no key\n")
        done = seal_command(storage, "--app", ADDRESS, "--server", registry.url, "--unverified")
        assert done.code == 3
        assert "500 Failed to get PKI: no key" in done.err
        registry.answer = lambda path: (200, b"{}")
        done = seal_command(storage, "--app", ADDRESS, "--server", registry.url, "--unverified")
        assert done.code == 2
        assert "ca_cert" in done.err
        url = registry.url
    done = seal_command(storage, "--app", ADDRESS, "--server", url, "--unverified")
    assert done.code == 3


def test_app_is_an_address_or_a_file(storage):
    done = seal_command(storage, "--app", "no-such-file")
    assert done.code == 2
    assert "neither an address nor a file" in done.err
    done = seal_command(storage, "--app", ADDRESS)
    assert done.code == 2
    assert "--server" in done.err
