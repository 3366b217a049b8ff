"""Collateral carried to a machine without a network: exported and signed on one side, imported and verified on the other,
which stands in a network namespace that has no route to anywhere."""

import base64
import hashlib
import itertools
import json
import os
import subprocess

import pytest
from harness import ATTESTRY, PATIENCE, Finished, attestry, clean_environment
from operators import envelope

PAYLOAD_TYPE = "application/vnd.attestry.collateral.v1+json"
KINDS = {"tdx-v4": "quote.bin", "snp-milan-v3": "report.bin", "maa-sevsnpvm": "token.jwt"}
REACH = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=5)"


def cut_off(*command):
    """Runs it where there is no network. Not being able to is a failure: then nothing was shown."""
    as_user = [] if os.geteuid() == 0 else ["--map-root-user"]
    return subprocess.run(
        ["unshare", *as_user, "--net", *map(str, command)],
        capture_output=True,
        env=clean_environment(),
        timeout=PATIENCE,
        check=False,
    )


def attestry_cut_off(*arguments):
    done = cut_off(ATTESTRY, *arguments)
    assert b"unshare" not in done.stderr, done.stderr
    return Finished(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    """An operator's key file and its public half."""
    file = tmp_path_factory.mktemp("key") / "bundles.key"
    done = attestry("operator", "keygen", file)
    assert done.code == 0, done
    return file, done.out.strip()


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """Evidence of three platforms: folder, root or issuer to trust."""
    out = tmp_path_factory.mktemp("cases")
    for kind in KINDS:
        done = attestry("forge", "--kind", kind, "--seed", "bundles", "--out", out / kind)
        assert done.code == 0, done
    return out


def trust(cases):
    return [flag for kind in ("tdx-v4", "snp-milan-v3") for flag in ("--trust", cases / kind / "root.pem")]


def issuer(cases):
    return json.loads((cases / "maa-sevsnpvm" / "case.json").read_text())["expected_issuer"]


@pytest.fixture(scope="module")
def connected(cases, tmp_path_factory):
    """A folder with the collateral of all three, as a machine with a network has it."""
    folder = tmp_path_factory.mktemp("connected") / "collateral"
    for kind in ("tdx-v4", "snp-milan-v3"):
        done = attestry("collateral", "import", cases / kind, "--out", folder, *trust(cases))
        assert done.code == 0, done
    keys = cases / "maa-sevsnpvm" / "jwks.json"
    done = attestry("collateral", "import", keys, "--issuer", issuer(cases), "--out", folder, *trust(cases))
    assert done.code == 0, done
    return folder


@pytest.fixture(scope="module")
def bundle(connected, key, tmp_path_factory):
    file = tmp_path_factory.mktemp("bundle") / "fleet.bundle"
    done = attestry("collateral", "export", "--folder", connected, "--out", file, "--key", key[0])
    assert done.code == 0, done
    assert key[1] in done.out
    return file


def test_collateral_bundle_lets_a_machine_without_a_route_verify_all_platforms(cases, bundle, key, tmp_path):
    reached = cut_off("python3", "-c", REACH)
    assert reached.returncode != 0 and b"Network is unreachable" in reached.stderr, reached.stderr
    folder = tmp_path / "collateral"
    imported = ["collateral", "import", bundle, "--signer", key[1], "--out", folder, *trust(cases), "--format", "json"]
    done = attestry_cut_off(*imported)
    assert done.code == 0, done
    outcomes = done.json()["imported"]
    assert {one["outcome"] for one in outcomes} == {"added"}
    assert {one["artefact"].split("/")[0] for one in outcomes} == {
        "tcb_info", "qe_identity", "pck_crl", "root_ca_crl", "vcek", "amd_chain", "amd_crl", "jwks",
    }  # fmt: skip
    for kind, name in KINDS.items():
        # The evidence alone: nothing that lies beside it helps.
        evidence = tmp_path / name
        evidence.write_bytes((cases / kind / name).read_bytes())
        command = ["verify", evidence, "--collateral", folder, *trust(cases), "--issuer", issuer(cases)]
        done = attestry_cut_off(*command, "--format", "json")
        assert (done.code, done.json()["verdict"]) == (0, "accepted"), done
        without = attestry_cut_off("verify", evidence, *trust(cases), "--issuer", issuer(cases), "--format", "json")
        assert (without.code, without.json()["verdict"]) == (3, "undecided"), without
    again = attestry_cut_off(*imported)
    assert {one["outcome"] for one in again.json()["imported"]} == {"same"}


def test_collateral_bundle_lists_what_a_folder_holds(connected, cases):
    done = attestry("collateral", "list", "--folder", connected, *trust(cases))
    assert done.code == 0 and "tcb_info/tdx/" in done.out and "amd_crl/Milan/vcek" in done.out, done
    rows = attestry("collateral", "list", "--folder", connected, *trust(cases), "--format", "json").json()["artefacts"]
    assert all(row["expires"] and row["problem"] is None for row in rows)
    # Judged, not believed: nothing of it is the vendors'.
    rows = attestry("collateral", "list", "vcek", "--folder", connected, "--format", "json").json()["artefacts"]
    assert len(rows) == 1 and rows[0]["expires"] is None and rows[0]["problem"]


def refused(bundle, folder, *arguments):
    done = attestry("collateral", "import", bundle, "--out", folder, *arguments)
    assert done.code in (1, 2), done
    assert not (folder / "attestry-collateral.json").exists()
    return done.err


def test_collateral_bundle_of_nobody_we_know_is_refused(cases, bundle, key, tmp_path):
    folder = tmp_path / "collateral"
    assert "--signer" in refused(bundle, folder, *trust(cases))
    assert "no signature" in refused(bundle, folder, "--signer", "07" * 32, *trust(cases))
    assert "64 hex digits" in refused(bundle, folder, "--signer", "07", *trust(cases))
    said = json.loads(bundle.read_text())
    # A word of the payload changed, the signature as it was.
    payload = base64.b64decode(said["payload"])
    changed = {**said, "payload": base64.b64encode(payload.replace(b"fetched_at", b"fetched_At", 1)).decode()}
    (tmp_path / "changed").write_text(json.dumps(changed))
    assert "no signature" in refused(tmp_path / "changed", folder, "--signer", key[1], *trust(cases))
    # No signature at all.
    (tmp_path / "unsigned").write_text(json.dumps({**said, "signatures": []}))
    assert "signatures" in refused(tmp_path / "unsigned", folder, "--signer", key[1], *trust(cases))
    # The payload without its envelope is no bundle.
    (tmp_path / "bare").write_bytes(payload)
    assert "no signed bundle" in refused(tmp_path / "bare", folder, "--signer", key[1], *trust(cases))
    # Another kind of envelope under the same key.
    (tmp_path / "approval").write_text(json.dumps({**said, "payloadType": "application/vnd.attestry.approval.v1+json"}))
    assert "something else" in refused(tmp_path / "approval", folder, "--signer", key[1], *trust(cases))


def test_collateral_bundle_of_another_realm_is_refused(bundle, key, tmp_path):
    assert "realm" in refused(bundle, tmp_path / "collateral", "--signer", key[1])


def signed(payload, operator_key):
    return json.dumps(envelope(json.dumps(payload).encode(), [operator_key], PAYLOAD_TYPE))


def test_collateral_bundle_is_judged_inside_whoever_signed_it(cases, bundle, tmp_path, operator):
    payload = json.loads(base64.b64decode(json.loads(bundle.read_text())["payload"]))
    # Well signed, but one document is another PKI's and another artefact has another's name.
    other = tmp_path / "other"
    assert attestry("forge", "--kind", "snp-milan-v3", "--seed", "somebody else", "--out", other).code == 0
    chain = (other / "cert_chain.pem").read_bytes()
    for artefact in payload["artefacts"]:
        if artefact["artefact"] == "amd_chain/Milan/vcek":
            [document] = artefact["documents"]
            digest = hashlib.sha256(chain).hexdigest()
            document.update(sha256=digest, bytes=base64.urlsafe_b64encode(chain).decode().rstrip("="))
        if artefact["artefact"].startswith("tcb_info/tdx/"):
            artefact["artefact"] = "tcb_info/tdx/00006a6b6c6d"
    (tmp_path / "wrong").write_text(signed(payload, operator.key))
    folder = tmp_path / "collateral"
    command = ["collateral", "import", tmp_path / "wrong", "--signer", operator.public, "--out", folder]
    done = attestry(*command, *trust(cases), "--format", "json")
    assert done.code == 1, done
    outcomes = {one["artefact"]: one["outcome"] for one in done.json()["imported"]}
    refused_names = {name.split("/")[0] for name, outcome in outcomes.items() if outcome == "refused"}
    assert refused_names == {"amd_chain", "vcek", "amd_crl", "tcb_info"}
    held = {row["artefact"] for row in json.loads((folder / "attestry-collateral.json").read_text())["artefacts"]}
    assert held == {name for name, outcome in outcomes.items() if outcome == "added"}


def test_collateral_bundle_never_replaces_what_is_newer(tmp_path, key):
    """The same chip's revocation list of today and of some days ago."""
    folders = {}
    for name, at in (("old", "2026-11-10T00:00:00Z"), ("new", "2026-11-20T00:00:00Z")):
        folders[name] = tmp_path / name
        done = attestry("forge", "--kind", "tdx-v4", "--seed", "bundles", "--at", at, "--out", folders[name])
        assert done.code == 0, done
    out, at = tmp_path / "collateral", ["--at", "2026-11-21T00:00:00Z", "--trust", folders["new"] / "root.pem"]
    assert attestry("collateral", "import", folders["new"], "--out", out, *at).code == 0
    before = json.loads((out / "attestry-collateral.json").read_text())["artefacts"]
    done = attestry("collateral", "import", folders["old"], "--out", out, *at, "--format", "json")
    outcomes = {one["artefact"].split("/")[0]: one["outcome"] for one in done.json()["imported"]}
    assert (outcomes["tcb_info"], outcomes["qe_identity"]) == ("older", "older"), done
    assert json.loads((out / "attestry-collateral.json").read_text())["artefacts"] == before


def server_flags(server):
    return ["--server", server.admin, "--token-file", server.data / "admin.token", "--format", "json"]


def test_collateral_bundle_goes_from_server_to_server(servers, tmp_path, key):
    sender = servers.dev()
    case = tmp_path / "case"
    assert attestry("forge", "--kind", "snp-milan-v3", "--seed", sender.seed, "--out", case).code == 0
    for name in ("vcek.der", "cert_chain.pem", "crl.der"):
        (case / name).unlink()
    done = attestry("collateral", "fetch", case, *server_flags(sender))
    assert done.code == 0, done
    assert [one["outcome"] for one in done.json()["fetched"]] == ["fetched"] * 3
    assert "fetched" in done.err, "progress is told"
    listed = attestry("collateral", "list", "vcek", *server_flags(sender)).json()["artefacts"]
    assert len(listed) == 1 and "/vcek/v1/Milan/" in listed[0]["source"] and listed[0]["stale_seconds"] is None
    bundle = tmp_path / "milan.bundle"
    export = ["collateral", "export", "vcek/Milan", "amd_crl", "--out", bundle, "--key", key[0]]
    assert attestry(*export, *server_flags(sender)).code == 0
    # Another server of the same simulated vendors, which are never asked.
    (tmp_path / "receiver").mkdir()
    (tmp_path / "receiver" / "forge.seed").write_text(sender.seed)
    receiver = servers.dev(tmp_path / "receiver", "--set", "collateral.kds=http://127.0.0.1:1")
    evidence = base64.urlsafe_b64encode((case / "report.bin").read_bytes()).decode().rstrip("=")
    assert receiver.request("POST", "/v1/verify", {"evidence": evidence}).status == 503
    take = ["collateral", "import", bundle, "--signer", key[1]]
    done = attestry(*take, *server_flags(receiver))
    assert done.code == 0, done
    assert {one["outcome"] for one in done.json()["imported"]} == {"added"}
    verdict = receiver.request("POST", "/v1/verify", {"evidence": evidence}).json()
    assert verdict["verdict"] == "accepted", verdict["root_cause"]
    listed = attestry("collateral", "list", "vcek", *server_flags(receiver)).json()["artefacts"]
    assert listed[0]["source"].startswith("import bundle of ")
    # Text for people has the columns that they need.
    text = attestry("collateral", "list", *server_flags(receiver)[:-2])
    for word in ("ARTEFACT", "EXPIRES", "REFRESH", "STALE", "SOURCE", "SHA256"):
        assert word in text.out.upper(), text


def test_collateral_fetch_into_a_folder_asks_the_vendors_itself(dev, tmp_path):
    kds = next(line.split()[2] for line in dev.output.splitlines() if line.startswith("  chips' keys"))
    pcs = next(line.split()[1] for line in dev.output.splitlines() if line.startswith("  collateral "))
    for kind, name in (("snp-genoa-v3", "report.bin"), ("tdx-v4", "quote.bin")):
        case, folder = tmp_path / kind, tmp_path / f"{kind}-collateral"
        assert attestry("forge", "--kind", kind, "--seed", dev.seed, "--out", case).code == 0
        flags = ["--kds", kds, "--pcs", pcs, "--trust", case / "root.pem", "--out", folder]
        done = attestry("collateral", "fetch", case / name, *flags)
        assert done.code == 0, done
        done = attestry("verify", case / name, "--collateral", folder, "--trust", case / "root.pem", "--offline")
        assert done.code == 0, done
    # By name, and what nobody has.
    out = tmp_path / "named"
    flags = ["--kds", kds, "--pcs", pcs, "--trust", tmp_path / "snp-genoa-v3" / "root.pem", "--out", out]
    assert attestry("collateral", "fetch", "--product", "Genoa", *flags).code == 0
    done = attestry("collateral", "fetch", "--artefact", "vcek/Genoa/" + "ab" * 64 + "/bl1-tee0-snp1-ucode1", *flags)
    assert done.code == 1 and "failed" in done.out, done
    assert attestry("collateral", "fetch", "--out", out).code == 2


def test_collateral_import_takes_a_vendors_own_files(dev, tmp_path):
    case = tmp_path / "case"
    assert attestry("forge", "--kind", "snp-milan-v3-vlek", "--seed", dev.seed, "--out", case).code == 0
    folder = tmp_path / "collateral"
    flags = ["--out", folder, "--trust", case / "root.pem", "--format", "json"]
    done = attestry("collateral", "import", case / "cert_chain.pem", case / "vlek.der", case / "crl.der", *flags)
    assert done.code == 0, done
    assert [one["outcome"] for one in done.json()["imported"]][:2] == ["added", "added"]
    evidence = tmp_path / "report.bin"
    evidence.write_bytes((case / "report.bin").read_bytes())
    assert attestry("verify", evidence, "--collateral", folder, "--trust", case / "root.pem").code == 0
    (tmp_path / "noise.der").write_bytes(os.urandom(64))
    done = attestry("collateral", "import", tmp_path / "noise.der", *flags)
    assert done.code == 2 and "what this is" in done.err, done


@pytest.mark.parametrize("order", list(itertools.permutations(("vcek.der", "cert_chain.pem", "crl.der"))))
def test_collateral_import_does_not_depend_on_the_order_of_its_files(cases, tmp_path, order):
    case = cases / "snp-milan-v3"
    flags = ["--out", tmp_path / "collateral", "--trust", case / "root.pem", "--format", "json"]
    done = attestry("collateral", "import", *(case / name for name in order), *flags)
    assert done.code == 0, done
    outcomes = {one["artefact"].split("/")[0]: one["outcome"] for one in done.json()["imported"]}
    assert outcomes == {"amd_chain": "added", "vcek": "added", "amd_crl": "added"}


def test_collateral_import_judges_signers_first_whichever_file_has_them(servers, tmp_path):
    """A forged chain of the same name beside the good one hides nothing, and a server takes leaves first too."""
    server = servers.dev()
    case, other = tmp_path / "case", tmp_path / "other"
    for folder, seed in ((case, server.seed), (other, "somebody else")):
        assert attestry("forge", "--kind", "snp-milan-v3", "--seed", seed, "--out", folder).code == 0
    files = [case / "crl.der", case / "vcek.der", case / "cert_chain.pem"]
    done = attestry("collateral", "import", *files, *server_flags(server))
    assert done.code == 0, done
    assert {one["outcome"] for one in done.json()["imported"]} == {"added"}
    flags = ["--out", tmp_path / "collateral", "--trust", case / "root.pem", "--format", "json"]
    done = attestry("collateral", "import", other / "cert_chain.pem", *files, *flags)
    assert done.code == 1, done
    outcomes = [(one["artefact"].split("/")[0], one["outcome"]) for one in done.json()["imported"]]
    assert outcomes.count(("amd_chain", "refused")) == 1
    assert {("amd_chain", "added"), ("vcek", "added"), ("amd_crl", "added")} <= set(outcomes)


def test_collateral_bundle_may_bring_the_chain_of_a_list_that_stands_alone(cases, bundle, tmp_path, operator):
    """Of Intel's documents nothing but the root's list: what it was judged by comes along, and is judged."""
    payload = json.loads(base64.b64decode(json.loads(bundle.read_text())["payload"]))
    by_name = {one["artefact"]: one for one in payload["artefacts"]}
    alone = by_name["root_ca_crl/intel"]
    chain = by_name["pck_crl/platform"]["documents"][1]
    for name, artefact, outcome in (
        ("with", {**alone, "context": [chain]}, "added"),
        ("without", alone, "refused"),
    ):
        file, folder = tmp_path / name, tmp_path / f"{name}-collateral"
        file.write_text(signed({**payload, "artefacts": [artefact]}, operator.key))
        command = ["collateral", "import", file, "--signer", operator.public, "--out", folder, *trust(cases)]
        done = attestry(*command, "--format", "json")
        assert [one["outcome"] for one in done.json()["imported"]] == [outcome], done
