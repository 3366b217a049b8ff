"""The registry's settings: everything that is wrong with them is said before anything is made, and doctor asks the chain."""

import json
import re

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from evm import Anvil
from harness import attestry, key_file

ADDRESS = "0x5FbDB2315678afecb367f032d93F642f64180aa3"


@pytest.fixture
def good(tmp_path):
    """Settings of a registry that may start."""
    return [
        f"--set=server.data={tmp_path}/data",
        f"--set=unlock.source=file:{key_file(tmp_path)}",
        "--set=registry.listen=127.0.0.1:0",
        "--set=registry.contracts=any",
    ]


def sets(**settings):
    return [f"--set=registry.{name}={value}" for name, value in settings.items()]


MISTAKES = {
    "kms": ("x", "derived, simple, shamir or onboard"),
    "governance": ("both", "chain or local"),
    "identity": ("x", "any or extended"),
    "floor": ("x", "kept or forgotten"),
    "operator_signature": ("v3", "v1 or v2"),
    "operator_digest": ("md5", "sha256 or keccak256"),
    "names": ("x", "strict or free"),
    "templates": ("x", "text or json"),
    "tenant": ("No Tenant", "registry.tenant"),
    "policy": ("nofile.json", "there is no file nofile.json"),
    "evidence_once": ("maybe", "true or false"),
    "chain_id": ("0", "registry.chain_id"),
    "max_head_age": ("-1", "registry.max_head_age"),
    "head_ms": ("x", "registry.head_ms"),
    "finality": ("latest", "not a finality: latest"),
    "quorum": ("9", "the quorum is larger than the number of endpoints"),
    "rpc": (
        "ftp://x,http://user:secret@127.0.0.1:1/KEY,http://127.0.0.1:1/KEY",
        "not a URL that can be called: ftp://x",
    ),
    "event_cache": ("x", "registry.event_cache"),
    "storage_proofs": ("x", "registry.storage_proofs"),
    "rpc_ca": ("nofile.pem", "registry.rpc_ca"),
    "contracts": ("0x12,0x5FbDB2315678afecb367f032d93F642f64180aa3", "registry.contracts"),
    "operators": ("xyz", "registry.operators"),
    "kms_contract": ("xyz", "registry.kms_contract"),
    "onboard_ca": ("nofile.pem", "registry.onboard_ca"),
    "channel_listen": ("localhost:9443", "127.0.0.1:9443 or [::1]:0"),
    "channel_peer": ("old.example", "HOST:PORT or [::1]:PORT"),
    "channel_key": ("xyz", "64 hex digits, as the giving server says them"),
    "storage_root": ("/nonexist", "there is no folder /nonexist"),
    "storage_private": ("x", "registry.storage_private"),
    "storage_ca": ("nofile.pem", "registry.storage_ca"),
    "storage_cache_bytes": ("x", "registry.storage_cache_bytes"),
    "storage_seconds": ("0", "registry.storage_seconds"),
    "github_api": ("api.github.com", "registry.github_api"),
    "attestation": ("foo", "none, dummy, simulated:SEEDFILE, or the URL of a quote provider"),
    "proxy_listen": ("127.0.0.1:0", "registry.proxy_ca, or unix:PATH"),
    "admin_listen": ("localhost", "registry.admin_listen"),
    "admin_hosts": ("http://x", "HOST or HOST:PORT"),
    "threshold": ("1", "registry.threshold"),
    "bootstrap_timeout": ("x", "registry.bootstrap_timeout"),
    "first_generation": ("x", "registry.first_generation"),
    "old_status": ("x", "registry.old_status"),
    "legacy_maa": ("x", "registry.legacy_maa"),
    "believe_headers_of_anybody": ("x", "registry.believe_headers_of_anybody"),
    "admin_v1": ("x", "registry.admin_v1"),
    "foreign_shares": ("x", "registry.foreign_shares"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_registry_settings_each_mistake_is_named(tmp_path, good, name):
    value, text = MISTAKES[name]
    done = attestry("config", "check", *good, *sets(**{name: value}))
    assert done.code == 2 and done.out == "", done
    assert f"registry.{name} (flag)" in done.err and text in done.err and "what to do" in done.err, done
    assert "secret" not in done.err and "KEY" not in done.err, "endpoints' keys are not shown"


def test_registry_settings_all_mistakes_in_one_pass_and_serve_says_the_same(tmp_path, good):
    wrong = sets(**{name: value for name, (value, _) in MISTAKES.items()})
    checked = attestry("config", "check", *good, *wrong)
    served = attestry("serve", *good, *wrong)
    assert served.code == checked.code == 2 and served.err == checked.err, served
    for name, (_, text) in MISTAKES.items():
        assert text in checked.err, name
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("settings", "texts"),
    [
        ({"rpc": ""}, ["no endpoint"]),
        ({"rpc": "", "governance": "local"}, []),
        ({"rpc": "http://a,http://a", "quorum": "3"}, ["the same endpoint twice", "the quorum is larger"]),
        ({"contracts": ""}, ["says whose apps are served"]),
        ({"contracts": ADDRESS}, []),
        ({"contracts": "kms", "kms": "onboard"}, ["registry.contracts (flag) needs", "registry.kms (flag) needs"]),
        ({"kms_contract": ADDRESS, "governance": "local"}, ["registry.governance chain"]),
        ({"identity": "extended", "governance": "local"}, ["any, with registry.governance local"]),
        ({"storage_proofs": "true", "governance": "local"}, ["no chain whose blocks could prove"]),
        ({"kms": "simple"}, ["registry.master (default) is not set"]),
        ({"kms": "shamir", "threshold": "300"}, ["registry.admins (default) is not set", "registry.threshold"]),
        ({"attestation": "simulated:nofile"}, ["a simulated TEE vouches for nothing"]),
        (
            {"channel_listen": "unix:/x", "listen": ""},
            [
                "registry.channel_listen (flag) needs a registry",
                "registry.channel_listen (flag) needs evidence of this server",
                "registry.channel_listen (flag) needs somebody who says which servers may have the master",
                "registry.channel_listen (flag): this server cannot tell by whose firmware another one runs",
                "127.0.0.1:9443 or [::1]:0",
            ],
        ),
        (
            {"channel_peer": "[::1]:0", "kms_contract": ADDRESS},
            [
                "HOST:PORT or [::1]:PORT",
                "registry.channel_peer (flag) is for servers without a contract",
                "registry.channel_peer (flag) gives a master that this server does not take",
                "registry.channel_key (default) needs the other one",
                "registry.channel_peer (flag) needs evidence of this server",
                "registry.channel_peer (flag): this server cannot tell by whose firmware another one runs",
            ],
        ),
        ({"channel_key": "ab" * 32}, ["registry.channel_peer (default) needs the other one"]),
        (
            {
                "channel_listen": "127.0.0.1:0",
                "kms_contract": ADDRESS,
                "identity": "extended",
                "attestation": "http://127.0.0.1:1",
            },
            [],
        ),
        ({"listen": "", "rpc": "", "contracts": ""}, []),
        ({"listen": "", "finality": "latest"}, ["not a finality: latest"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else None,
)
def test_registry_settings_that_concern_each_other(good, settings, texts):
    done = attestry("config", "check", *good, *sets(**settings))
    assert done.code == (2 if texts else 0), done
    for text in texts:
        assert text in done.err, done


def test_registry_settings_files_are_read(tmp_path, good):
    policy, ca, commitments = tmp_path / "policy.json", tmp_path / "ca.pem", tmp_path / "commitments.json"
    policy.write_text('{"format":1,"nonsense":true}')
    ca.write_text("no certificate")
    commitments.write_text("{}")
    wrong = {"policy": policy, "storage_ca": ca, "kms": "shamir", "commitments": commitments, "storage_root": policy}
    done = attestry("config", "check", *good, *sets(**wrong))
    assert done.code == 2, done
    for name in ("policy", "storage_ca", "commitments", "storage_root"):
        assert f"registry.{name} (flag)" in done.err, name
    seed = attestry("config", "check", *good, "--set=server.realm=simulated", *sets(attestation="simulated:nofile"))
    assert seed.code == 2 and "no seed file nofile" in seed.err, seed


def test_registry_settings_administrators_on_other_curves_are_named(tmp_path, good):
    """The first servers took P-224, too; nothing is ever encrypted to a key that cannot be used later."""
    admins = tmp_path / "admins.json"
    for curve, taken in ((ec.SECP256R1, True), (ec.SECP384R1, True), (ec.SECP521R1, True), (ec.SECP224R1, False)):
        keys = [ec.generate_private_key(chosen()).public_key() for chosen in (ec.SECP256R1, curve)]
        pems = [key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode() for key in keys]
        admins.write_text(json.dumps({"admins": [{"id": f"a{n}", "pubkey": pem} for n, pem in enumerate(pems)]}))
        done = attestry("config", "check", *good, *sets(kms="shamir", admins=admins))
        assert done.code == (0 if taken else 2), done
        assert taken or ("registry.admins (flag)" in done.err and "P-256, P-384 or P-521" in done.err), done


def test_registry_settings_every_variable_of_a_help_text_is_known():
    seen, todo = {}, [[]]
    while todo:
        command = todo.pop()
        text = attestry(*command, "--help").out
        for name in re.findall(r"\(Env:(\w+)\)", text):
            seen[name] = command
        listed = re.search(r"^(?:Subcommands|SUBCOMMANDS):\n((?: .*\n|\n)*)", text, re.MULTILINE)
        if listed and len(command) < 3:
            todo += [[*command, name] for name in re.findall(r"^  ([a-z][\w-]*)", listed[1], re.MULTILINE)]
    assert {"ATTESTRY_RPC", "ATTESTRY_CHAIN_ID", "ATTESTRY_CONTRACT", "ATTESTRY_OPERATOR_KEY"} <= set(seen), seen
    for name, command in seen.items():
        done = attestry("config", "show", env={name: "1" if name == "ATTESTRY_CHAIN_ID" else "/dev/null"})
        assert done.code == 0, (name, command, done)


# doctor


def test_registry_doctor_asks_the_chain_once(good):
    with Anvil() as chain:
        asked = sets(rpc=chain.url, chain_id=chain.chain_id, max_head_age=0)
        fine = attestry("doctor", *good, *asked, "--set=collateral.offline=true")
        assert fine.code == 0, fine
        name = chain.url.removeprefix("http://")
        assert f"ok    chain at {name}: chain {chain.chain_id}, newest block" in fine.out, fine
        assert "is finalized; the newest one is" in fine.out and "a quorum of 1 of 1 says so" in fine.out, fine
        other = attestry("doctor", *good, *asked, *sets(chain_id=1), "--set=collateral.offline=true")
        assert other.code == 1 and f"BAD   chain at {name}: the endpoint serves another chain" in other.out, other
        half = attestry(
            "doctor", *good, *asked, *sets(rpc=f"{chain.url},http://127.0.0.1:9"), "--set=collateral.offline=true"
        )
        assert half.code == 1 and "BAD   chain at 127.0.0.1:9" in half.out and f"ok    chain at {name}" in half.out, (
            half
        )
        offline = attestry("doctor", "--offline", *good, *asked)
        assert offline.code == 0 and "was not asked" in offline.out, offline
        wrong = attestry("doctor", "--offline", *good, *asked, *sets(finality="latest"))
        assert wrong.code == 1 and "not a finality: latest" in wrong.out, wrong
