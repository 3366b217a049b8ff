"""What a newcomer sees first: `attestry dev --once`."""

import json
import re
import shlex

import pytest
import vectors
from harness import attestry


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    data = tmp_path_factory.mktemp("once") / "data"
    done = attestry("dev", "--once", "--any-port", "--data", data)
    assert done.code == 0, done
    return data, done.out


def test_dev_once_says_that_it_is_simulated(shown):
    _, out = shown
    assert "SIMULATED" in out.splitlines()[0]
    assert "can never open a production store" in out
    assert "this proves nothing about any hardware" in out


def test_dev_once_shows_every_check_of_the_catalogue_that_a_td_has(shown):
    _, out = shown
    catalogue = json.loads(attestry("checks", "--format", "json").out)
    ids = {check["id"] for check in catalogue["checks"]}
    listed = set(re.findall(r"^  (?:pass|fail|skip\w*) +(\S+)", out, re.MULTILINE))
    assert listed <= ids
    # Relaunch is a matter of TD report 1.5; this TD is of 1.0.
    assert {check for check in ids if check.startswith(("dcap.", "tdx."))} - {"tdx.relaunch.current"} <= listed
    assert not re.search(r"^  fail", out, re.MULTILINE)


def test_dev_once_shows_a_registration(shown):
    _, out = shown
    assert "registered name:hello of tenant default" in out
    for what in ("instance ", "certificate ", "key ", "secret ", "configuration ", "receipt "):
        assert f"\n  {what}" in out
    assert "(not shown)" in out


def test_dev_once_names_three_commands_that_exist(shown, tmp_path):
    _, out = shown
    commands = out.split("Three commands to try next:\n")[1].splitlines()[:3]
    assert len(commands) == 3
    for line in commands:
        words = shlex.split(line)
        assert words[0] == "attestry"
        assert attestry(words[1], "--help").code == 0, line


def test_dev_once_keeps_its_data_folder_private(shown):
    data, _ = shown
    assert oct(data.stat().st_mode & 0o777) == "0o700"
    for file in data.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file


def test_dev_once_without_a_data_folder_leaves_nothing_behind(tmp_path):
    done = attestry("dev", "--once", env={"TMPDIR": str(tmp_path)}, cwd=tmp_path)
    assert done.code == 0, done
    assert list(tmp_path.iterdir()) == []


def test_dev_once_again_uses_the_same_keys(shown):
    data, out = shown
    again = attestry("dev", "--once", "--any-port", "--data", data)
    assert again.code == 0, again
    keys = [re.findall(r"^  key +(\S+ \S+, public \S+)", text, re.MULTILINE) for text in (out, again.out)]
    assert keys[0] and keys[0] == keys[1]
    logs = [re.search(r"^  log +(\S+)", text, re.MULTILINE)[1] for text in (out, again.out)]
    assert logs[0] == logs[1]


def test_dev_once_judges_a_real_quote_if_it_is_given_one():
    folder = next((c.folder for c in vectors.cases() if "simulated" not in c.name and not c.trust_files()), None)
    if folder is None:
        folder = vectors.ROOT / ".cache" / "samples"
        folder = next((path.parent for path in sorted(folder.glob("*/quote.bin"))), None)
    assert folder is not None, "neither shared vectors nor samples of public packages"
    done = attestry("dev", "--once", "--real", folder)
    assert "A real Intel TDX quote" in done.out, done
    assert done.code in (0, 1), done


def test_dev_shows_commands_that_work_while_it_serves(dev, tmp_path):
    lines = [line.strip() for line in dev.lines if line.startswith("  attestry ")]
    assert len(lines) == 3
    for line in lines:
        words = shlex.split(line)
        done = attestry(*words[1:], cwd=tmp_path)
        assert done.code == 0, (line, done)
    assert (tmp_path / "received" / "key.pem").exists()


def test_dev_serves_although_its_demonstration_is_refused(servers, tmp_path):
    """A folder whose operators have decided otherwise since: the server comes up, and says why the TD is not let in."""
    first = servers.dev(tmp_path / "data")
    env = {"ATTESTRY_SERVER": first.admin, "ATTESTRY_TOKEN_FILE": str(first.data / "admin.token")}
    (identity,) = attestry("app", "show", "hello", "--format", "json", env=env).json()["identities"]
    key = first.data / "operator.key"
    done = attestry("approve", "revocation", "hello", identity, "--key", key, "--yes", env=env)
    assert done.code == 0, done
    # A workload is told which appraisal explains its refusal.
    instance = ["instance", "--server", first.public, "--trust", first.trust_file, "--app", "hello"]
    instance += ["--simulated-tee", first.data / "forge.seed"]
    refused = attestry(*instance)
    assert refused.code == 1 and refused.out == "", refused
    id = re.search(r"^  appraisal   ([0-9a-f]{64})$", refused.err, re.MULTILINE)[1]
    assert f"attestry why {id}" in refused.err
    assert attestry("why", id, env=env).code == 1
    as_json = attestry(*instance, "--format", "json")
    assert as_json.code == 1
    assert re.fullmatch(r"[0-9a-f]{64}", as_json.json()["appraisal"])
    assert first.terminate() == 0

    again = servers.dev(tmp_path / "data")
    output = "\n".join(again.lines)
    assert "The simulated TD was refused" in output
    assert re.search(r"^  appraisal   [0-9a-f]{64}$", again.output, re.MULTILINE), again.output
    env["ATTESTRY_SERVER"] = again.admin
    assert attestry("app", "show", "hello", env=env).code == 0
    assert again.terminate() == 0

    once = attestry("dev", "--once", "--any-port", "--data", tmp_path / "data")
    assert once.code == 1, once
    assert "registration" in once.err
    assert "appraisal" in once.err
