"""Storage of configurations and secrets, through `attestry blob` on real servers (storage.py): rows 27 to 36 of the
registry's features, and the flaws of the first registry that concern storage."""

import hashlib
import json
import os
import stat

import pytest
from evm import Anvil
from harness import attestry
from storage import Altering, GitHub, Hanging
from vaults import open_vault

CONTENT = b'{"service":"web","secret":"__SECRET_REF_' + b"0" * 64 + b'"}\n'
BINARY = bytes(range(256)) * 4
PLACE = "tenants/default/name-web"


def sha(content):
    return hashlib.sha256(content).hexdigest()


def doubled(content):
    """The first registry's own name for an object: the hex of its hex id."""
    return sha(content).encode().hex()


def blob(command, *arguments, store=(), app="name:web", code=0, stdin=None, env=None):
    stores = [store] if isinstance(store, (str, os.PathLike)) else store
    flags = [item for uri in stores for item in ("--store", uri)]
    done = attestry("blob", command, *arguments, *flags, "--app", app, stdin=stdin, env=env)
    assert done.code == code, done
    return done


def put(store, content=CONTENT, **options):
    arguments = options.pop("arguments", [])
    done = blob("put", "-", *arguments, store=store, stdin=content, **options)
    assert done.out.strip() == sha(content)
    assert done.err == "", "one of the backends has not taken it"
    return done.out.strip()


def get(store, identifier, *arguments, **options):
    return blob("get", identifier, *arguments, store=store, **options).out


@pytest.fixture
def folder(tmp_path):
    """A file store: folder.uri, folder.path."""

    class Folder:
        def __init__(self, name):
            self.path = tmp_path / name
            self.uri = f"file://{self.path}/"

        def __call__(self, name):
            return Folder(name)

        def object(self, content, kind="configs", place=PLACE):
            return self.path / place / kind / sha(content)

    return Folder("store")


@pytest.fixture(scope="module")
def chain():
    with Anvil() as node:
        yield node


@pytest.fixture
def vault(tmp_path):
    server = open_vault(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def github():
    server = GitHub()
    yield server
    server.stop()


# -- several backends


def test_registry_027_corrupt_content_is_refused_and_the_next_backend_tried(folder):
    first, second = folder("first"), folder("second")
    identifier = put([first.uri, second.uri])
    first.object(CONTENT).write_bytes(CONTENT + b"x")
    refused = blob("get", identifier, store=first.uri, code=4)
    assert "content hash mismatch" in refused.err
    done = blob("get", identifier, store=[first.uri, second.uri])
    assert done.out.encode() == CONTENT
    assert "corrupt" in done.err, "the backend that lies is named"
    assert str(first.path) in done.err


def test_registry_028_what_one_backend_misses_comes_from_the_next(folder):
    first, second = folder("first"), folder("second")
    put(first.uri, b"something else")
    identifier = put(second.uri)
    assert get([first.uri, second.uri], identifier).encode() == CONTENT


def test_registry_029_the_error_lists_every_backend(folder):
    first, second = folder("first"), folder("second")
    put([first.uri, second.uri], b"something else")
    identifier = sha(CONTENT)
    missing = blob("get", identifier, store=[first.uri, second.uri], code=1)
    assert f"all backends failed to fetch {identifier[:16]}" in missing.err
    assert "file-first" in missing.err and "file-second" in missing.err
    away = blob("get", identifier, store=[first.uri, f"file://{folder.path}-absent/"], code=3)
    assert "file-first: content not found" in away.err
    assert "No such file or directory" in away.err


def test_registry_036_an_invalid_uri_among_good_ones_is_left_out(folder):
    identifier = put(folder.uri)
    done = blob("get", identifier, store=["nonsense", "ftp://user:topsecret@host/", folder.uri])
    assert done.out.encode() == CONTENT
    assert "left out: ftp://host/" in done.err
    assert "topsecret" not in done.err
    assert blob("get", identifier, store="nonsense", code=2).err


def test_registry_storage_a_hanging_backend_costs_a_moment(folder):
    hanging = Hanging()
    identifier = put(folder.uri)
    stores = [f"ipfs://127.0.0.1:{hanging.port}/", folder.uri]
    # The hanging backend may take as long as it likes within its second; the answer is there at once.
    done = blob("get", identifier, "--timeout", "1", store=stores)
    assert done.out.encode() == CONTENT
    alone = blob("get", identifier, "--timeout", "0.2", store=stores[0], code=3)
    assert "in time" in alone.err
    hanging.stop()


def test_registry_storage_scrub_names_and_repair_heals(folder, swift, bucket):
    first, second = folder("first"), folder("second")
    stores = [first.uri, second.uri, swift.uri(bucket, "scrubbed")]
    identifiers = {content: put(stores, content) for content in (b"one", b"two", b"three", BINARY)}
    assert blob("scrub", store=stores).out.strip() == "4 blobs of name:web, type config, on 3 backends, 12 ok"
    first.object(b"one").write_bytes(b"damaged")
    second.object(b"two").unlink()
    swift.s3("DELETE", f"/{bucket}/scrubbed/{PLACE}/configs/{identifiers[BINARY]}")
    report = json.loads(blob("scrub", "--format", "json", store=stores, code=1).out)
    found = {
        (entry["id"], backend["name"]): backend["state"]
        for entry in report["ids"]
        for backend in entry["backends"]
        if backend["state"] != "ok"
    }
    assert found == {
        (identifiers[b"one"], "file-first"): "corrupt",
        (identifiers[b"two"], "file-second"): "missing",
        (identifiers[BINARY], f"s3-{bucket}"): "missing",
    }
    assert report["summary"]["ok"] == 9
    repaired = blob("repair", store=stores)
    assert "3 repaired" in repaired.out
    assert blob("scrub", store=stores).out.strip() == "4 blobs of name:web, type config, on 3 backends, 12 ok"
    first.object(b"three").write_bytes(b"damaged")
    second.object(b"three").write_bytes(b"damaged")
    hopeless = blob("repair", "--id", identifiers[b"three"], store=stores[:2], code=1)
    assert "2 corrupt" in hopeless.out


@pytest.mark.parametrize("command", ["scrub", "repair"])
def test_registry_storage_a_misspelt_app_is_not_all_well(folder, command):
    one, two = folder("one"), folder("two")
    stores = [one.uri, two.uri]
    put(stores)
    put(stores, app="name:a-b")
    wrong = blob(command, store=stores, app="name:wbe", code=1)
    assert "no blobs of name:wbe, type config" in wrong.err
    assert "these backends hold something of name:a-b, name:web" in wrong.err
    allowed = blob(command, "--allow-empty", store=stores, app="name:wbe")
    assert allowed.out.strip() == "0 blobs of name:wbe, type config, on 2 backends"
    assert "no blobs of name:web, type secret" in blob(command, "--type", "secret", store=stores, code=1).err
    # A backend that says nothing leaves it open, whatever the others hold.
    gone = f"file://{folder.path}-absent/"
    open_question = blob(command, store=[one.uri, gone], app="name:wbe", code=3)
    assert "not listed" in open_question.err
    assert "not listed" in blob(command, store=[one.uri, gone], code=3).err
    assert "left out" in blob(command, store=[one.uri, "nonsense"], code=3).err
    assert "list-backends" in blob(command, store=gone, code=3).err


def test_registry_storage_list_backends_says_who_answers(folder):
    put(folder.uri)
    done = blob("list-backends", "--format", "json", store=[folder.uri, "file:///nowhere/at/all", "x://"], code=3)
    states = [entry["state"] for entry in json.loads(done.out)["backends"]]
    assert states == ["ok", "unavailable", "invalid"]


# -- file


def test_registry_030_file_backend(folder, tmp_path):
    for name, kind in ((sha(CONTENT), "config"), (doubled(CONTENT), "config"), (sha(BINARY), "secret")):
        content = BINARY if kind == "secret" else CONTENT
        path = folder.path / f"{kind}s" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        out = tmp_path / "out"
        relative = "file://./" + os.path.relpath(folder.path) + "/"
        for uri in (folder.uri, relative):
            get(uri, sha(content), "--seed-layout", "--type", kind, "--out", out)
            assert out.read_bytes() == content
        other = "secret" if kind == "config" else "config"
        blob("get", sha(content), "--seed-layout", "--type", other, store=folder.uri, code=1)
        blob("get", sha(content), "--type", kind, store=folder.uri, code=1)
        path.unlink()


def test_registry_flaw_16_files_are_for_their_owner_only(folder):
    put(folder.uri)
    assert folder.object(CONTENT).read_bytes() == CONTENT
    for path in [folder.path, *folder.path.rglob("*")]:
        expected = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == expected, path


def test_registry_flaw_08_apps_types_and_tenants_are_apart(folder, swift, bucket, ipfs):
    for store in (folder.uri, swift.uri(bucket), ipfs.uri):
        identifier = put(store, BINARY, app="name:alice", arguments=["--type", "secret"])
        blob("get", identifier, store=store, app="name:alice", code=1)
        blob("get", identifier, "--type", "secret", store=store, app="name:bob", code=1)
        blob("get", identifier, "--type", "secret", "--tenant", "acme", store=store, app="name:alice", code=1)
        # Nor by storing the record that would make it his.
        marker = b"attestry-place-v1" + bytes(40)
        assert "record of ownership" in blob("put", "-", store=store, app="name:bob", stdin=marker, code=1).err


# -- S3


def test_registry_031_s3_layout_signature_and_names(swift, bucket, tmp_path):
    identifier = put(swift.uri(bucket, "some%20prefix"))
    key = f"/{bucket}/some prefix/{PLACE}/configs/{identifier}"
    assert swift.s3("GET", key) == (200, CONTENT)
    assert get(swift.uri(bucket, "some%20prefix"), identifier).encode() == CONTENT
    blob("get", identifier, store=swift.uri(bucket, "other"), code=1)
    swift.s3("PUT", f"/{bucket}/seed/{doubled(BINARY)}", BINARY)
    swift.s3("PUT", f"/{bucket}/seed/{sha(b'plain')}", b"plain")
    assert get(swift.uri(bucket, "seed"), sha(b"plain"), "--seed-layout") == "plain"
    out = tmp_path / "binary"
    get(swift.uri(bucket, "seed"), sha(BINARY), "--seed-layout", "--out", out)
    assert out.read_bytes() == BINARY
    blob("get", sha(b"plain"), store=swift.uri(bucket, "seed"), code=1)


def test_registry_031_s3_refuses_what_is_not_signed_right(swift, bucket):
    identifier = put(swift.uri(bucket))
    for uri, reason in (
        (swift.uri(bucket, secret="wrong"), "SignatureDoesNotMatch"),
        (swift.uri(bucket, access="nobody:x"), "HTTP 403"),
        (swift.uri(bucket, region="eu-west-1"), "AuthorizationHeaderMalformed"),
        (swift.uri("no-such-bucket"), "NoSuchBucket"),
    ):
        refused = blob("get", identifier, store=uri, code=3)
        assert reason in refused.err, refused
        assert swift.SECRET not in refused.err


def test_registry_031_s3_notices_an_altered_body_and_an_altered_path(swift, bucket):
    altering = Altering(swift.port, b"genuine", b"altered")
    refused = blob("put", "-", store=swift.uri(bucket, port=altering.port), stdin=b"genuine content", code=3)
    assert "HTTP 4" in refused.err, refused
    assert swift.s3("GET", f"/{bucket}/{PLACE}/configs/{sha(b'genuine content')}")[0] == 404
    altering.stop()
    altering = Altering(swift.port, b"/configs/", b"/secrets/")
    assert (
        "SignatureDoesNotMatch"
        in blob("put", "-", store=swift.uri(bucket, port=altering.port), stdin=b"other", code=3).err
    )
    altering.stop()


def test_registry_031_s3_credentials_from_the_environment(swift, bucket):
    uri = f"s3://{bucket}/?endpoint=http://127.0.0.1:{swift.port}"
    env = {"AWS_ACCESS_KEY_ID": swift.ACCESS, "AWS_SECRET_ACCESS_KEY": swift.SECRET}
    identifier = put(uri, env=env)
    assert get(uri, identifier, env=env).encode() == CONTENT
    blob("get", identifier, store=uri, code=3)


def test_registry_flaw_16_s3_objects_are_not_public(swift, bucket):
    identifier = put(swift.uri(bucket))
    key = f"/{bucket}/{PLACE}/configs/{identifier}"
    assert swift.s3("GET", key)[0] == 200
    assert swift.s3("GET", key, signed=False)[0] in (400, 401, 403)


# -- IPFS


def test_registry_032_ipfs(ipfs, folder):
    identifier = put(ipfs.uri, b"hello")
    cid = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq"
    assert ipfs.call("cat", arg=f"/ipfs/{cid}") == b"hello", "others find it by the CID of its hash"
    assert get(ipfs.uri, identifier) == "hello"
    gateway = f"{ipfs.uri}?gateway=true&timeout=20s"
    assert get(gateway, identifier) == "hello"
    assert "read-only" in blob("put", "-", store=gateway, stdin=b"x", code=2).err
    blob("get", sha(b"absent"), store=ipfs.uri, code=1)
    blob("get", sha(b"absent"), store=gateway, code=1)
    added = ipfs.call("add", file=b"added by others", **{"cid-version": "1", "raw-leaves": "true"})
    assert ipfs.call("block/get", arg=added["Hash"]) == b"added by others"
    assert get(ipfs.uri, sha(b"added by others"), "--seed-layout") == "added by others"
    blob("get", sha(b"added by others"), store=ipfs.uri, code=1)
    assert blob("list-backends", store=ipfs.uri).out


# -- on-chain


def test_registry_033_onchain_artifacts(chain, tmp_path):
    registry = chain.deploy("Registry")
    app = f"evm:{chain.chain_id}:{registry.address}"
    key = tmp_path / "account.key"
    key.write_text(chain.accounts[0].key.hex() + "\n")
    flags = ["--rpc", chain.url, "--finality", "depth:0"]
    uri = f"onchain://{registry.address}"
    identifier = put(uri, app=app, arguments=[*flags, "--account-key", key])
    assert registry.call("getArtifact", bytes.fromhex(identifier)) == CONTENT
    assert get(uri, identifier, *flags, app=app).encode() == CONTENT
    blob("get", sha(b"absent"), *flags, store=uri, app=app, code=1)
    blob("get", identifier, *flags, "--type", "secret", store=uri, app=app, code=1)
    other = f"evm:{chain.chain_id}:0x{'99' * 20}"
    assert "another application" in blob("get", identifier, *flags, store=uri, app=other, code=1).err
    big = bytes(20 * 1024)
    put(uri, big, app=app, arguments=[*flags, "--account-key", key])
    refused = blob("put", "-", *flags, "--account-key", key, store=uri, app=app, stdin=big + b"x", code=2)
    assert "20480 bytes" in refused.err
    assert "read-only" in blob("put", "-", *flags, store=uri, app=app, stdin=b"x", code=2).err
    registry.send("addArtifact", b"by the owner")
    blob("get", sha(b"by the owner"), *flags, store=uri, app=app, code=1)
    assert get(uri, sha(b"by the owner"), *flags, "--seed-layout", app=app) == "by the owner"
    nothing = f"onchain://0x{'42' * 20}"
    assert (
        "no registry contract"
        in blob("get", identifier, *flags, "--chain-id", chain.chain_id, store=nothing, code=3).err
    )


# -- GitHub


def test_registry_034_github(github):
    uri, flags = "github://owner/repo", ["--github-api", github.api]
    github.files = {f"{PLACE}/configs/{sha(CONTENT)}": CONTENT, f"configs/{sha(b'seed')}": b"seed"}
    assert get(uri, sha(CONTENT), *flags).encode() == CONTENT
    assert get(uri, sha(b"seed"), *flags, "--seed-layout") == "seed"
    blob("get", sha(b"seed"), *flags, store=uri, code=1)
    github.files[f"{PLACE}/configs/{sha(b'swapped')}"] = b"something else"
    assert "content hash mismatch" in blob("get", sha(b"swapped"), *flags, store=uri, code=4).err
    assert get(f"{uri}?ref=released", sha(CONTENT), *flags).encode() == CONTENT
    assert "ref=BRANCH" in blob("get", sha(CONTENT), *flags, store=f"{uri}?ref=absent", code=3).err
    github.limited = True
    assert "rate limit" in blob("get", sha(CONTENT), *flags, store=uri, code=3).err
    github.limited, github.token = False, "ghp_canary"
    blob("get", sha(CONTENT), *flags, store=uri, code=1)
    assert get(uri, sha(CONTENT), *flags, env={"GITHUB_TOKEN": "ghp_canary"}).encode() == CONTENT
    refused = blob("get", sha(CONTENT), *flags, store=uri, code=3, env={"GITHUB_TOKEN": "ghp_wrong"})
    assert "Bad credentials" in refused.err and "ghp_" not in refused.err
    assert "read-only" in blob("put", "-", *flags, store=uri, stdin=b"x", code=2).err


# -- Vault


def test_registry_035_vault(vault, tmp_path):
    certificate, key = vault.client("app", "data/")
    flags = ["--storage-ca", vault.ca_file, "--vault-certificate", certificate, "--vault-key", key]
    identifier = put(vault.uri, arguments=flags)
    assert vault.names() == [f"data/{PLACE}/configs/{identifier}"]
    assert vault.document(f"data/{PLACE}/configs/{identifier}")["content"].encode() == CONTENT
    assert get(vault.uri, identifier, *flags).encode() == CONTENT
    out = tmp_path / "binary"
    put(vault.uri, BINARY, arguments=[*flags, "--type", "secret"])
    get(vault.uri, sha(BINARY), *flags, "--type", "secret", "--out", out)
    assert out.read_bytes() == BINARY, "bytes that are no text come back as they were"
    vault.put(f"data/{sha(b'seed')}", {"content": "seed"})
    assert get(vault.uri, sha(b"seed"), *flags, "--seed-layout") == "seed"
    blob("get", sha(b"absent"), *flags, store=vault.uri, code=1)
    nothing = vault.uri.replace("/secret/", "/nothing/")
    assert "permission denied" in blob("get", identifier, *flags, store=nothing, code=3).err
    token = tmp_path / "token"
    token.write_text(vault.token("data/") + "\n")
    with_token = ["--storage-ca", vault.ca_file, "--vault-token-file", f"{token}@127.0.0.1:{vault.port}"]
    assert get(vault.uri, identifier, *with_token).encode() == CONTENT
    elsewhere = ["--storage-ca", vault.ca_file, "--vault-token-file", f"{token}@vault.example:8200"]
    assert "token file for this host" in blob("get", identifier, *elsewhere, store=vault.uri, code=2).err
    assert "certificate is not trusted" in blob("get", identifier, *flags[2:], store=vault.uri, code=3).err
    vault.seal()
    assert "Vault is sealed" in blob("get", identifier, *flags, store=vault.uri, code=3).err


def test_registry_flaw_08_one_apps_certificate_opens_nothing_of_another(vault):
    def flags(name):
        prefix = f"data/tenants/default/name-{name}/"
        certificate, key = vault.client(name, prefix)
        return ["--storage-ca", vault.ca_file, "--vault-certificate", certificate, "--vault-key", key]

    alice, bob = flags("alice"), flags("bob")
    identifier = put(vault.uri, BINARY, app="name:alice", arguments=alice)
    refused = blob("get", identifier, *bob, store=vault.uri, app="name:alice", code=3)
    assert "permission denied" in refused.err
    blob("get", identifier, *bob, store=vault.uri, app="name:bob", code=1)
    nobody = ["--storage-ca", vault.ca_file]
    assert "client certificate and key are required" in blob("get", identifier, *nobody, store=vault.uri, code=2).err


def test_registry_flaw_04_no_host_of_storage_chooses_the_content(folder, swift, bucket, ipfs, github, vault):
    """Whatever a backend answers under an id, only the bytes with that hash are taken."""
    put([folder.uri, swift.uri(bucket)])
    certificate, key = vault.client("app", "data/")
    vault_flags = ["--storage-ca", vault.ca_file, "--vault-certificate", certificate, "--vault-key", key]
    put(vault.uri, arguments=vault_flags)
    folder.object(CONTENT).write_bytes(b"evil")
    swift.s3("PUT", f"/{bucket}/{PLACE}/configs/{sha(CONTENT)}", b"evil")
    for name in vault.names():
        vault.put(name, {"content": "evil"})
    github.files[f"{PLACE}/configs/{sha(CONTENT)}"] = b"evil"
    for store, flags in (
        (folder.uri, []),
        (swift.uri(bucket), []),
        (vault.uri, vault_flags),
        ("github://owner/repo", ["--github-api", github.api]),
    ):
        refused = blob("get", sha(CONTENT), *flags, store=store, code=4)
        assert "evil" not in refused.out and "content hash mismatch" in refused.err, refused
