"""PyJWT judges the tokens that our forge makes: the same key set, the same issuer, the same time."""

import datetime
import json
import os
import pathlib
import subprocess

import jwt
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
ATTESTRY = os.environ.get("ATTESTRY", str(ROOT / "build" / "attestry"))
AT = "2026-11-21T11:43:52Z"
KINDS = ["maa-sgx", "maa-sevsnpvm", "maa-tdxvm", "maa-azurevm-snp", "maa-azurevm-tdx"]

# What PyJWT leaves to its caller: what kind of object it is, what the claims of Azure Attestation mean, and that names
# stand once.
LAXER = {"typ", "jku-foreign", "jku-suffix", "header-twice", "claim-twice", "key-twice", "key-encrypts", "padding"}
OF_AZURE = ("maa.type", "maa.isolation", "maa.compliance", "maa.claims", "maa.runtime_data", "policy.debug")


@pytest.fixture(scope="module", params=KINDS)
def tokens(request, tmp_path_factory):
    """fault -> folder"""
    out = tmp_path_factory.mktemp(request.param)
    command = [ATTESTRY, "forge", "--kind", request.param, "--fault", "all", "--seed", "interop", "--at", AT]
    subprocess.run([*command, "--out", str(out)], check=True, stdout=subprocess.DEVNULL)
    return {folder.name: folder for folder in sorted(out.iterdir())}


def judge(folder):
    """The claims, or PyJWT's refusal as PyJWTError. Its clock cannot be set, so the times are compared here."""
    about = json.loads((folder / "case.json").read_text())
    token = (folder / "token.jwt").read_text()
    try:
        keys = jwt.PyJWKSet.from_json((folder / "jwks.json").read_text())
        key = keys[jwt.get_unverified_header(token)["kid"]]
    except (KeyError, ValueError) as error:
        raise jwt.PyJWTError(str(error)) from error
    off = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False}
    required = {"require": ["exp", "nbf", "iat", "iss"]}
    claims = jwt.decode(token, key, ["RS256"], issuer=about["expected_issuer"], options={**off, **required})
    at = datetime.datetime.fromisoformat(about["verify_at"]).timestamp()
    if not (claims["nbf"] <= at and claims["iat"] <= at < claims["exp"]):
        raise jwt.PyJWTError("not valid at this time")
    return claims


def test_pyjwt_accepts_the_good_token(tokens):
    claims = judge(tokens["none"])
    about = json.loads((tokens["none"] / "case.json").read_text())
    inner = claims.get("x-ms-isolation-tee", claims)
    for name, value in about["expect"]["measurements"].items():
        assert inner[name] == value


def test_pyjwt_refuses_what_is_no_good_token(tokens):
    refused = 0
    for fault, folder in tokens.items():
        cause = json.loads((folder / "case.json").read_text())["expect"].get("root_cause", "")
        if fault == "none" or fault in LAXER or cause.startswith(OF_AZURE):
            continue
        with pytest.raises(jwt.PyJWTError):
            judge(folder)
        refused += 1
    assert refused >= 18


def test_attestry_accepts_no_fault(tokens):
    for fault, folder in tokens.items():
        about = json.loads((folder / "case.json").read_text())
        issuer = about["expected_issuer"]
        command = [ATTESTRY, "verify", str(folder), "--issuer", issuer, "--at", AT, "--format", "json"]
        command += ["--jwks", f"{issuer}={folder / 'jwks.json'}"]
        verdict = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout)
        assert verdict["verdict"] == about["expect"].get("verdict", "accepted"), fault
        if fault != "none":
            assert verdict["root_cause"]["id"] == about["expect"]["root_cause"], fault
