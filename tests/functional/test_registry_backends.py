"""A registration whose configuration and secret lie on S3, IPFS, the chain, GitHub or Vault: rows 31 to 35 through the
server, which reads what `attestry blob put` (or the owner) has stored there."""

import base64
import concurrent.futures
import contextlib
import hashlib

import pytest
from cryptography.hazmat.primitives import serialization
from evm import Anvil
from harness import attestry, request
from registry import Released, Workload, bare, ecies_seal, start_registry
from storage import GitHub
from vaults import open_vault

SECRET = b"p$1w\0\xff\xfe"  # no text in any encoding


def sha(content):
    return hashlib.sha256(content).hexdigest()


class World:
    """A chain, and a server that trusts the stand-ins."""

    def __init__(self, folder, stack, **settings):
        self.chain = stack.enter_context(Anvil())
        self.github = GitHub()
        stack.callback(self.github.stop)
        self.vault = open_vault(folder)
        stack.callback(self.vault.stop)
        settings |= {"registry.github_api": self.github.api, "registry.storage_ca": self.vault.ca_file}
        self.settings = settings
        self.server = start_registry(folder / "data", self.chain, **settings)
        self.key_file = folder / "owner.key"
        self.key_file.touch(mode=0o600)
        self.key_file.write_text(self.chain.accounts[0].key.hex())


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with contextlib.ExitStack() as stack:
        made = World(tmp_path_factory.mktemp("backends"), stack)
        yield made
        assert made.server.terminate() == 0, made.server.output


@pytest.fixture(scope="module")
def old_world(tmp_path_factory):
    """One that reads what the first registry's tools have stored."""
    with contextlib.ExitStack() as stack:
        made = World(tmp_path_factory.mktemp("old"), stack, **{"registry.seed_layout": "true"})
        yield made
        assert made.server.terminate() == 0, made.server.output


class App:
    """A contract, what its owner stores, and its workloads."""

    def __init__(self, world, *storage):
        self.world = world
        self.contract = world.chain.deploy("Registry")
        self.name = f"evm:{world.chain.chain_id}:{self.contract.address}"
        self.place = "tenants/default/" + self.name.replace(":", "-")
        for uri in storage:
            self.store_in(uri)

    def store_in(self, uri):
        self.contract.send("setStorageBackend", uri)

    def pki(self):
        reply = request(self.world.server.registry, "GET", f"/api/public/pki/{bare(self.contract.address)}").json()
        return {name: base64.b64decode(value) for name, value in reply.items()}

    def made(self):
        """(secret, template that refers to it), both as they are stored."""
        key = serialization.load_pem_public_key(self.pki()["app_pubkey"])
        secret = ecies_seal(key, SECRET)
        return secret, b"password: __SECRET_REF_" + sha(secret).encode()

    def put(self, uri, content, kind="config", *flags):
        done = attestry(
            *["blob", "put", "-", "--store", uri, "--app", self.name, "--type", kind, *flags], stdin=content
        )
        assert (done.code, done.out.strip()) == (0, sha(content)), done

    def register(self, template):
        workload = Workload(self.world.server, self.contract.address, self.world.chain.accounts[0].key)
        identifier = template if isinstance(template, str) else sha(template)
        self.contract.send("setConfigForIdentity", workload.identity, bytes.fromhex(identifier))
        return workload.register()

    def refused(self, template, status):
        reply = self.register(template)
        assert reply.status == status and reply.text.startswith("could not process config: "), reply
        return reply.text


def test_registry_031_a_configuration_and_a_secret_on_s3(world, swift, bucket):
    uri = swift.uri(bucket, "apps")
    app = App(world, uri)
    secret, template = app.made()
    app.put(uri, secret, "secret")
    app.put(uri, template)
    assert swift.s3("GET", f"/{bucket}/apps/{app.place}/secrets/{sha(secret)}") == (200, secret)
    assert Released(app.register(template)).config == b"password: " + SECRET
    assert "content not found" in app.refused(sha(b"absent"), 502)
    swift.s3("PUT", f"/{bucket}/apps/{app.place}/configs/{sha(b'swapped')}", b"something else")
    assert "content hash mismatch" in app.refused(b"swapped", 502)
    # The same bucket, named by another contract, holds nothing for that one's workloads.
    assert "content not found" in App(world, uri).refused(template, 502)


@pytest.mark.parametrize("wrong", ["secret", "region", "bucket"])
def test_registry_031_s3_that_cannot_be_used_is_an_outage(world, swift, bucket, wrong):
    uri = {
        "secret": swift.uri(bucket, secret="canary"),
        "region": swift.uri(bucket, region="eu-west-1"),
        "bucket": swift.uri("no-such-bucket"),
    }[wrong]
    text = App(world, uri).refused(sha(b"anything"), 503)
    assert "canary" not in text and swift.SECRET not in text


def test_registry_032_a_configuration_and_a_secret_on_ipfs(world, ipfs):
    app = App(world, ipfs.uri)
    secret, template = app.made()
    app.put(ipfs.uri, secret, "secret")
    app.put(ipfs.uri, template)
    assert Released(app.register(template)).config == b"password: " + SECRET
    # Through a gateway, which is believed no more than anybody else; other bytes, which are in no cache.
    gateway = App(world, f"{ipfs.uri}?gateway=true")
    gateway.put(ipfs.uri, b"by the gateway")
    assert Released(gateway.register(b"by the gateway")).config == b"by the gateway"
    assert "content not found" in gateway.refused(sha(b"absent"), 502)


def test_registry_033_a_configuration_and_a_secret_on_the_chain(world):
    app = App(world)
    uri = f"onchain://{app.contract.address}"
    app.store_in(uri)
    flags = ["--rpc", world.chain.url, "--finality", "depth:0", "--account-key", world.key_file]
    secret, template = app.made()
    app.put(uri, secret, "secret", *flags)
    app.put(uri, template, "config", *flags)
    assert app.contract.call("getArtifact", bytes.fromhex(sha(secret))) == secret
    assert Released(app.register(template)).config == b"password: " + SECRET
    # getArtifact reverts for what is not there: that is an answer.
    assert "content not found" in app.refused(sha(b"absent"), 502)
    largest = bytes(20 * 1024 - 1) + b"x"
    app.put(uri, largest, "config", *flags)
    assert Released(app.register(largest)).config == largest
    # Everybody may read them there, but another contract's workloads are given nothing of it.
    assert "another application's contract" in App(world, uri).refused(template, 503)


def test_registry_034_a_configuration_and_a_secret_on_github(world):
    app = App(world, "github://owner/repo")
    secret, template = app.made()
    world.github.files = {
        f"{app.place}/secrets/{sha(secret)}": secret,
        f"{app.place}/configs/{sha(template)}": template,
        f"{app.place}/configs/{sha(b'swapped')}": b"something else",
    }
    assert Released(app.register(template)).config == b"password: " + SECRET
    assert "content not found" in app.refused(sha(b"absent"), 502)
    assert "content hash mismatch" in app.refused(b"swapped", 502)
    world.github.limited = True
    assert "rate limit" in app.refused(sha(b"while limited"), 503)
    world.github.limited = False
    # No token of this server's own goes with a repository that a contract names.
    assert not [headers for _, _, headers in world.github.seen if "authorization" in {name.lower() for name in headers}]


def test_registry_035_a_configuration_and_a_secret_in_vault(world, tmp_path):
    vault = world.vault
    app = App(world, vault.uri)
    common_name = f"{bare(app.contract.address)}.app"
    secret, template = app.made()
    app.refused(template, 503)  # nobody has told this Vault of the app yet
    vault.trust(app.pki()["ca_cert"], common_name, f"data/{app.place}/")
    stored = {("secrets", sha(secret)): secret, ("configs", sha(template)): template}
    for (kind, identifier), content in stored.items():
        document = {"content_base64": base64.b64encode(content).decode()}
        vault.put(f"data/{app.place}/{kind}/{identifier}", document)
    # The role may read this app's folder only.
    assert Released(app.register(template)).config == b"password: " + SECRET
    assert "content not found" in app.refused(sha(b"absent"), 502)
    vault.put(f"data/{app.place}/configs/{sha(b'swapped')}", {"content": "something else"})
    assert "content hash mismatch" in app.refused(b"swapped", 502)
    # Another app's certificate opens nothing of this one, even when its owner names this app's folder.
    thief = App(world, f"{vault.uri}/{app.place}/configs")
    vault.trust(thief.pki()["ca_cert"], f"{bare(thief.contract.address)}.app", f"data/{thief.place}/")
    assert "permission denied" in thief.refused(template, 503)
    vault.seal()
    assert "Vault is sealed" in app.refused(sha(b"while sealed"), 503)
    vault.unseal()


def test_registry_065_apps_at_once_use_their_own_certificates_only(tmp_path):
    """Vault lets each app's role read that app's folder, so a login or token that went to the wrong request is refused."""
    with contextlib.ExitStack() as stack:
        world = World(tmp_path, stack, **{"registry.storage_cache_bytes": "0", "registry.evidence_once": "false"})
        made = []
        for number in range(3):
            app = App(world, world.vault.uri)
            world.vault.trust(app.pki()["ca_cert"], f"{bare(app.contract.address)}.app", f"data/{app.place}/")
            parts = [f"part {part} of app {number}".encode() for part in range(5)]
            template = " ".join(f"__CONFIG_REF_{sha(part)}" for part in parts).encode()
            for content in (*parts, template):
                world.vault.put(f"data/{app.place}/configs/{sha(content)}", {"content": content.decode()})
            workload = Workload(world.server, app.contract.address, world.chain.accounts[0].key)
            app.contract.send("setConfigForIdentity", workload.identity, bytes.fromhex(sha(template)))
            made.append((workload, b" ".join(parts)))
        with concurrent.futures.ThreadPoolExecutor(30) as pool:
            replies = list(pool.map(lambda one: (one[1], one[0].register()), made * 20))
        for expected, reply in replies:
            assert Released(reply).config == expected
        assert world.server.terminate() == 0, world.server.output


def test_registry_flaw_08_credentials_belong_to_one_app(tmp_path, swift, bucket):
    """They are not in the URI, which everybody can read, and another app that names the same place does not get them."""
    public = "s3://" + swift.uri(bucket, "apps").split("@")[1]
    file = tmp_path / "credentials"
    with contextlib.ExitStack() as stack:
        (tmp_path / "world").mkdir()
        file.touch(mode=0o600)
        file.write_text("# none yet\n")
        world = World(tmp_path / "world", stack, **{"registry.storage_credentials": file})
        app = App(world, public)
        app.put(swift.uri(bucket, "apps"), b"kept in a bucket that is not public")
        assert "a read was refused (HTTP 400)" in app.refused(b"kept in a bucket that is not public", 503), (
            "it asked unsigned"
        )
        assert world.server.terminate() == 0
        file.write_text(f"{app.contract.address} {public} {swift.ACCESS} {swift.SECRET}\n")
        world.server = start_registry(tmp_path / "world" / "data", world.chain, **world.settings)
        assert Released(app.register(b"kept in a bucket that is not public")).config
        assert "a read was refused (HTTP 400)" in App(world, public).refused(
            b"kept in a bucket that is not public", 503
        )
        assert world.server.terminate() == 0
        assert swift.SECRET not in world.server.output


def test_registry_flaw_08_a_token_goes_out_for_one_app(tmp_path):
    file = tmp_path / "credentials"
    with contextlib.ExitStack() as stack:
        (tmp_path / "world").mkdir()
        file.touch(mode=0o600)
        file.write_text("# none yet\n")
        world = World(tmp_path / "world", stack, **{"registry.storage_credentials": file})
        world.github.token = "ghp_right"
        app, private = App(world, "github://owner/repo"), b"in a private repository"
        world.github.files = {f"{app.place}/configs/{sha(private)}": private}
        assert "content not found" in app.refused(private, 502), "it does not say that there is one"
        assert world.server.terminate() == 0
        file.write_text(f"{app.contract.address} github://owner/repo ghp_right\n")
        world.server = start_registry(tmp_path / "world" / "data", world.chain, **world.settings)
        assert Released(app.register(private)).config == private
        before = len(world.github.seen)
        App(world, "github://owner/repo").refused(private, 502)
        asked = [headers for _, _, headers in world.github.seen[before:]]
        assert asked and not [headers for headers in asked if "authorization" in {name.lower() for name in headers}]
        assert world.server.terminate() == 0
        assert "ghp_right" not in world.server.output


def test_registry_what_was_read_from_storage_stands_nowhere_on_the_servers_disk(world, ipfs):
    canary = b"canary that only storage and the workload see"
    app = App(world, ipfs.uri)
    app.put(ipfs.uri, canary)
    assert Released(app.register(canary)).config == canary
    cached = [path for path in (world.server.data / "registry-cache").rglob("*") if path.is_file()]
    assert cached, "it was kept"
    for path in world.server.data.rglob("*"):
        assert not path.is_file() or canary not in path.read_bytes(), path


class Planted:
    """A configuration where the first registry's tools left theirs: under names that know no apps."""

    def __init__(self, world, swift, bucket, ipfs):
        self.world, self.swift, self.bucket, self.ipfs = world, swift, bucket, ipfs

    def s3(self, content):
        self.swift.s3("PUT", f"/{self.bucket}/old/{sha(content)}", content)
        return self.swift.uri(self.bucket, "old")

    def ipfs_node(self, content):
        self.ipfs.call("add", file=content, **{"cid-version": "1", "raw-leaves": "true"})
        return self.ipfs.uri

    def github(self, content):
        self.world.github.files = {f"configs/{sha(content)}": content}
        return "github://owner/repo"

    def vault(self, content):
        self.world.vault.put(f"data/{sha(content)}", {"content": content.decode()})
        return self.world.vault.uri


@pytest.mark.parametrize("backend", ["s3", "ipfs_node", "github", "vault"])
def test_registry_flaw_08_names_that_know_no_apps_are_read_where_that_is_switched_on(
    world, old_world, swift, bucket, ipfs, backend
):
    content = f"of no app, on {backend}".encode()
    for one, served in ((world, False), (old_world, True)):
        app = App(one, getattr(Planted(one, swift, bucket, ipfs), backend)(content))
        one.vault.trust(app.pki()["ca_cert"], f"{bare(app.contract.address)}.app", "data/")
        if served:
            assert Released(app.register(content)).config == content
        else:
            assert "content not found" in app.refused(content, 502)


def test_registry_flaw_08_types_are_apart(world, swift, bucket):
    uri = swift.uri(bucket, "apps")
    app = App(world, uri)
    app.put(uri, b"kept as a secret", "secret")
    assert "content not found" in app.refused(b"kept as a secret", 502)
