"""Azure tokens on the command line: whose keys they are, whose issuer it is, and whether a nonce came back."""

import json

import pytest
from harness import attestry

AT = "2026-06-15T00:00:00Z"
ISSUER = "https://forge.simulated.attest.invalid"
OTHER = "https://other.example"


@pytest.fixture(scope="module")
def token(tmp_path_factory):
    """A folder with token.jwt and jwks.json, as whoever wants to be believed could send it."""
    folder = tmp_path_factory.mktemp("token") / "case"
    done = attestry("forge", "--kind", "maa-azurevm-snp", "--at", AT, "--out", folder)
    assert done.code == 0, done
    return folder


def verify(evidence, *flags):
    return attestry("verify", evidence, "--at", AT, "--offline", "--format", "json", *flags)


def cause(done):
    return (done.json()["root_cause"] or {}).get("id")


def test_verify_token_with_keys_that_came_beside_it(token):
    done = verify(token, "--issuer", ISSUER)
    assert (done.code, cause(done)) == (3, "policy.token_keys")
    assert done.json()["token_keys_unvouched"] is True
    done = verify(token, "--issuer", ISSUER, "--policy", "genuine")
    assert done.code == 0 and done.json()["token_keys_unvouched"] is True
    (check,) = [c for c in done.json()["checks"] if c["id"] == "policy.token_keys"]
    assert check["status"] == "pass" and "beside the token" in check["detail"]


def test_verify_token_with_keys_in_a_bundle_beside_it(token, tmp_path):
    (tmp_path / "token.jwt").write_bytes((token / "token.jwt").read_bytes())
    (tmp_path / "collateral.json").write_text(json.dumps({"jwks": (token / "jwks.json").read_text()}))
    done = verify(tmp_path, "--issuer", ISSUER)
    assert (done.code, cause(done)) == (3, "policy.token_keys")
    done = verify(tmp_path / "token.jwt", "--issuer", ISSUER, "--collateral", tmp_path / "collateral.json")
    assert done.code == 0 and "token_keys_unvouched" not in done.json()


def test_verify_token_with_keys_that_the_caller_names(token):
    keys = token / "jwks.json"
    alone = verify(token / "token.jwt", "--issuer", ISSUER, "--jwks", f"{ISSUER}={keys}")
    beside = verify(token, "--issuer", ISSUER, "--jwks", f"{ISSUER}={keys}")
    collateral = verify(token / "token.jwt", "--issuer", ISSUER, "--collateral", keys)
    for done in (alone, beside, collateral):
        assert done.code == 0 and "token_keys_unvouched" not in done.json()


def test_verify_token_of_a_key_that_the_set_does_not_have_is_undecided(tmp_path):
    done = attestry("forge", "--kind", "maa-azurevm-snp", "--at", AT, "--fault", "kid-unknown", "--out", tmp_path / "x")
    assert done.code == 0, done
    done = verify(tmp_path / "x", "--issuer", ISSUER, "--jwks", f"{ISSUER}={tmp_path / 'x' / 'jwks.json'}")
    assert (done.code, cause(done)) == (3, "maa.key.known")


def test_verify_token_of_several_issuers(token):
    keys = token / "jwks.json"
    both = ["--issuer", OTHER, "--issuer", ISSUER]
    for named in (
        [f"{ISSUER}={keys}"],
        [f"{OTHER}={keys}", f"{ISSUER}={keys}"],
        [f"{ISSUER}={keys}", f"{OTHER}={keys}"],
    ):
        flags = [flag for one in named for flag in ("--jwks", one)]
        assert verify(token / "token.jwt", *both, *flags).code == 0, named
    done = verify(token / "token.jwt", *both, "--jwks", f"{OTHER}={keys}")
    assert (done.code, cause(done)) == (3, "maa.jwks.present")
    assert ISSUER in done.json()["root_cause"]["expected"] and OTHER in done.json()["root_cause"]["actual"]
    done = verify(token, *both, "--policy", "genuine")
    assert (done.code, cause(done)) == (3, "maa.jwks.present")
    done = verify(token / "token.jwt", *both, "--collateral", token)
    assert done.code == 2 and "--jwks ISSUER=FILE" in done.err


@pytest.mark.parametrize("named", ["jwks.json", f"{OTHER}=jwks.json", f"{ISSUER}=", f"{ISSUER}", "="])
def test_verify_token_key_set_of_nobody_who_is_believed(token, named):
    done = attestry("verify", "token.jwt", "--issuer", ISSUER, "--jwks", named, "--at", AT, cwd=token)
    assert done.code == 2 and "ISSUER=FILE" in done.err


@pytest.mark.parametrize(
    "issuer",
    [f"{ISSUER}:443", "https://a.INVALID", "https://a.invalid.", "https://Forge.example", "https://a@b.example"],
)
def test_verify_token_issuer_in_another_spelling(token, issuer):
    done = verify(token, "--issuer", issuer, "--policy", "genuine")
    assert done.code in (1, 2)
    assert done.code == 2 or done.json()["simulated"] is True


def test_verify_token_nonce(token):
    flags = ["--issuer", ISSUER, "--jwks", f"{ISSUER}={token / 'jwks.json'}"]
    good = [("--nonce", "forged nonce"), ("--nonce-hex", b"forged nonce".hex()), ("--nonce", "Zm9yZ2VkIG5vbmNl")]
    for nonce in good:
        assert verify(token / "token.jwt", *flags, *nonce).code == 0, nonce
    for nonce in [("--nonce", "forged nonce "), ("--nonce-hex", "00"), ("--nonce", "Zm9yZ2Vk")]:
        done = verify(token / "token.jwt", *flags, *nonce)
        assert (done.code, cause(done)) == (1, "policy.nonce"), nonce
    for nonce in [("--nonce", ""), ("--nonce-hex", ""), ("--nonce-hex", "0"), ("--nonce", "a", "--nonce-hex", "00")]:
        assert verify(token / "token.jwt", *flags, *nonce).code == 2, nonce


def test_verify_nonce_of_other_evidence(tmp_path):
    for kind in ("nitro", "snp-milan-v2"):
        assert attestry("forge", "--kind", kind, "--at", AT, "--out", tmp_path / kind).code == 0
    nitro = ["--trust", tmp_path / "nitro" / "root.pem"]
    nonce = verify(tmp_path / "nitro", *nitro).json()["claims"].get("nonce")
    if nonce:
        assert verify(tmp_path / "nitro", *nitro, "--nonce-hex", nonce).code == 0
    done = verify(tmp_path / "nitro", *nitro, "--nonce-hex", "00")
    assert (done.code, cause(done)) == (1, "policy.nonce")
    done = verify(tmp_path / "snp-milan-v2", "--trust", tmp_path / "snp-milan-v2" / "root.pem", "--nonce", "x")
    assert (done.code, cause(done)) == (1, "policy.nonce")
    assert "--report-data" in done.json()["root_cause"]["remedy"]


def test_verify_token_appraisal_of_a_stranger_vouches_for_no_keys(token, tmp_path):
    """Whoever writes an appraisal chooses the keys in it: only what the reader fetched says whose they are."""
    file = tmp_path / "appraisal.json"
    keys = ["--jwks", f"{ISSUER}={token / 'jwks.json'}"]
    assert verify(token, "--issuer", ISSUER, *keys, "--appraisal", file).code == 0

    def replay(*flags):
        return attestry("appraisal", "replay", file, "--format", "json", *flags)

    for flags in ([], ["--policy", "genuine"]):
        done = replay(*flags)
        assert (done.code, done.json()["token_keys_unvouched"]) == (3, True), done
        assert f"Fetch {ISSUER}/certs yourself" in done.err
    done = replay("--jwks", token / "jwks.json")
    assert (done.code, done.json()["token_keys_unvouched"], done.json()["same"]) == (0, False, True), done
    foreign = tmp_path / "foreign"
    assert attestry("forge", "--kind", "maa-sgx", "--seed", "another", "--at", AT, "--out", foreign).code == 0
    done = replay("--jwks", foreign / "jwks.json")
    assert done.code == 3 and "signed this token" in done.err, done
    assert "what the appraisal says" in attestry("why", file).out
    for flags in (["--policy", "strict"], ["--at", AT]):
        done = attestry("why", file, *flags)
        assert done.code == 2 and "appraisal replay" in done.err, done
