"""What the program says to mistakes of its settings, files and environment: all of them, before anything is made."""

import contextlib
import os
import pathlib
import re
import socket
import subprocess
import tempfile

import pytest
from harness import ATTESTRY, attestry, clean_environment, key_file, start_dev
from near import base58

# Of the group in which master public keys are: a good one, of nobody.
GENERATOR = bytes.fromhex(
    "93e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
    "024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
)
MISTAKES = {
    "--unlock=root.key": "unlock.source (flag)",
    "--listen=nonsense": "server.listen (flag)",
    "--set=limits.connections=0": "limits.connections (flag)",
    "--set=limits.bursts=1": "Did you mean limits.burst?",
    "--log-level=loud": "log.level (flag)",
}


@contextlib.contextmanager
def closing_dev(data):
    server = start_dev(data)
    try:
        yield server
    finally:
        assert server.terminate() == 0, server.output


@pytest.mark.parametrize("command", [["config", "check"], ["serve"]], ids=" ".join)
def test_mistakes_are_all_listed_before_anything_is_made(tmp_path, command):
    done = attestry(*command, "--data", tmp_path / "data", *MISTAKES)
    assert done.code == 2, done
    for named in MISTAKES.values():
        assert named in done.err, named
    assert f"{len(MISTAKES)} mistakes" in done.err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("command", [["config", "check"], ["serve"]], ids=" ".join)
@pytest.mark.parametrize(
    "flags, named",
    [
        (["--unlock=file:MISSING"], "cannot open"),
        (["--tls=off", "--listen=0.0.0.0:8443"], "loopback only"),
        (["--tls=files"], "tls.certificate is not set"),
        (["--set=tls.mode=files", "--set=tls.certificate=no", "--set=tls.key=no"], "tls.mode files"),
        (["--set=server.origin=two words"], "server.origin"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_mistakes_of_serve_are_those_of_config_check(tmp_path, command, flags, named):
    flags = [flag.replace("MISSING", str(tmp_path / "missing")) for flag in flags]
    if not any("unlock" in flag for flag in flags):
        flags.append(f"--unlock=file:{key_file(tmp_path / 'data')}")
    done = attestry(*command, "--data", tmp_path / "data", *flags)
    assert done.code > 0 and named in done.err and "what to do" in done.err, done
    assert "made a root" not in done.err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("service", ["keymanager", "keystore", "vault"])
def test_mistakes_a_service_in_the_clear_for_other_machines(tmp_path, service):
    unlock = f"--unlock=file:{key_file(tmp_path / 'data')}"

    def check(address, *more, tls="off"):
        flags = [unlock, f"--tls={tls}", f"--set={service}.listen={address}", *more]
        return attestry("config", "check", "--data", tmp_path / "data", *flags)

    text = "tls.mode off is for loopback only"
    for address in ("0.0.0.0:0", "[::]:0", "192.0.2.1:1"):
        done = check(address)
        assert done.code == 2 and text in done.err and f"set {service}.plaintext to true" in done.err, done
        assert text not in check(address, f"--set={service}.plaintext=true").err
        assert text not in check(address, tls="auto").err
    for address in ("127.0.0.1:0", "127.9.9.9:1", "[::1]:0", f"unix:{tmp_path}/socket"):
        assert text not in check(address).err, address
    others = {"keymanager", "keystore", "vault"} - {service}
    assert text in check("0.0.0.0:0", *(f"--set={other}.plaintext=true" for other in others)).err


def test_mistakes_of_dev_are_all_listed(tmp_path):
    flags = ["--set=keys.source=threshold", "--set=limits.connections=0", "--set=limits.bursts=1"]
    for command in (["dev", "--any-port"], ["dev", "--once"]):
        done = attestry(*command, "--data", tmp_path / "data", *flags)
        assert done.code == 2 and "more)" not in done.err, done
        for named in ("threshold.nodes", "limits.connections", "Did you mean limits.burst?"):
            assert named in done.err, named
        assert re.search(r"^[4-9] mistakes in the configuration", done.err, re.MULTILINE), done
        assert not (tmp_path / "data").exists()
    alone = attestry("dev", "--once", "--data", tmp_path / "data", flags[1])
    assert alone.code == 2 and "limits.connections" in alone.err and "mistakes" not in alone.err


def test_mistakes_of_a_simulated_keystores_environment_are_all_listed(tmp_path):
    env = tmp_path / "worker.env"
    env.write_text("NEAR_RPC_URL=http://127.0.0.1:1\nOFFCHAINVM_CONTRACT_ID=c.testnet\n")
    env.chmod(0o600)
    more = ["--with=--set=limits.connections=0", "--with=--set=keystore.standby_poll_ms=x"]
    done = attestry("keystore", "--env-file", env, "--data", tmp_path / "data", "--simulated", *more)
    assert done.code == 2 and "limits.connections" in done.err and "keystore.standby_poll_ms" in done.err, done


def test_mistakes_what_cannot_be_written_is_wrong_use(tmp_path):
    """4 is a defect of the program or the machine; a name that leads nowhere is neither."""
    folder, nowhere = tmp_path / "folder", tmp_path / "no" / "x"
    folder.mkdir()
    key = tmp_path / "operator.key"
    assert attestry("operator", "keygen", key).code == 0
    public = attestry("operator", "show", key).out.split()[0]
    node = ["--id", "0", "--operator", public, "--simulated"]
    for out in (nowhere, folder):
        for command in (
            ["node", "derive", "--master-key", "x", "--app", "name:x", "--out", out],
            ["node", "reshare", "--out", out],
            ["node", "export", "--holders", key, "--holder", public, "--out", out],
            ["node", "holders", "--holder", f"0:{public}", "--key", key, "--out", out],
            ["node", "holder-key", out],
            ["operator", "keygen", out],
            ["keystore", "recrypted", "--out", out],
            ["keystore", "open-share", "--backup", key, "--out", out],
        ):
            done = attestry(*command)
            assert done.code == 2 and str(tmp_path) in done.err, (command, done)
            assert "is none" in done.err if out == nowhere else "a folder" in done.err, done
    made = attestry("node", "init", key, *node)
    assert made.code == 2 and "a new folder" in made.err, made
    assert key.read_text().startswith("attestry-operator-key-1 ")
    derive = ["node", "derive", "--server", "http://127.0.0.1:1", "--master-key", "bls12381g2:" + base58(GENERATOR)]
    taken = attestry(*derive, "--app", "name:x", "--simulated-tee", folder)
    assert taken.code == 2 and "a folder" in taken.err, taken


def test_mistakes_node_init_into_a_folder_with_other_files(tmp_path):
    key = tmp_path / "operator.key"
    assert attestry("operator", "keygen", key).code == 0
    public = attestry("operator", "show", key).out.split()[0]
    node = ["--id", "0", "--operator", public, "--simulated"]
    folder = tmp_path / "node0"
    folder.mkdir(mode=0o755)
    other = folder / "photo"
    other.write_text("x")
    done = attestry("node", "init", folder, *node)
    assert done.code == 2 and "with photo in it" in done.err, done
    assert [one.name for one in folder.iterdir()] == ["photo"] and folder.stat().st_mode & 0o777 == 0o755
    other.unlink()
    assert attestry("node", "init", folder, *node).code == 0, "an empty one is as good as none"
    again = attestry("node", "init", folder, *node)
    assert again.code == 1 and "exists already" in again.err, again
    real = attestry("node", "init", tmp_path / "node1", *node, "--attestation", "http://127.0.0.1:8500")
    assert real.code == 2 and "--simulated" in real.err and not (tmp_path / "node1").exists(), real


def test_mistakes_a_keystores_settings_are_shown_with_the_files_of_its_keys(tmp_path):
    env, data = tmp_path / "worker.env", tmp_path / "data"
    secret = "5a" * 32
    env.write_text(
        f"NEAR_RPC_URL=http://127.0.0.1:1\nOFFCHAINVM_CONTRACT_ID=c.testnet\nKEYSTORE_MASTER_SECRET={secret}\n"
    )
    env.chmod(0o600)
    done = attestry("keystore", "--env-file", env, "--data", data, "--show", "--simulated")
    assert done.code == 0 and f'keystore.master = "file:{data}.master"' in done.out, done
    assert f"writes {data}.master" in done.err
    assert secret not in done.out + done.err
    assert not pathlib.Path(f"{data}.master").exists()


def test_mistakes_a_masters_file_that_others_can_read_opens_nothing(tmp_path):
    key, blob = tmp_path / "master", tmp_path / "blob"
    key.write_text("5a" * 32)
    key.chmod(0o644)
    blob.write_text("AAAA")
    decrypt = ["secret", "decrypt", blob, "--key", key, "--repo", "github.com/a/b", "--owner", "a.near"]
    done = attestry(*decrypt)
    assert done.code == 2 and f"chmod 600 {key}" in done.err, done
    key.chmod(0o600)
    assert "chmod" not in attestry(*decrypt).err


def test_mistakes_of_a_token_name_its_file(tmp_path):
    with closing_dev(tmp_path / "data") as server:
        wrong = tmp_path / "wrong.token"
        wrong.write_text("x" * 43)
        for command in (["app", "list"], ["operator", "list"]):
            done = attestry(*command, "--server", server.admin, "--token-file", wrong)
            assert done.code == 1 and "admin.token" in done.err and "--token-file" in done.err, done
        gone = server.admin
    done = attestry("app", "list", "--server", gone)
    assert done.code == 3 and "ATTESTRY_SERVER" in done.err and "Is the server running" in done.err, done
    done = attestry("tracker", "reputation", "show", "--server", gone)
    assert done.code == 3 and "ATTESTRY_TRACKER" in done.err and "Is the tracker running" in done.err, done


def test_mistakes_short_key_makes_no_data(tmp_path):
    key = tmp_path / "short.key"
    key.touch(mode=0o600)
    key.write_bytes(b"short")
    done = attestry("serve", "--data", tmp_path / "data", f"--unlock=file:{key}")
    assert done.code == 2 and "too short" in done.err, done
    assert not (tmp_path / "data").exists()


def test_mistakes_a_port_in_use_makes_no_data(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        serve = ["serve", "--data", tmp_path / "data", f"--unlock=file:{key_file(tmp_path / 'data')}"]
        for command in (serve, ["dev", "--once", "--data", tmp_path / "data"]):
            done = attestry(*command, "--listen", address)
            assert done.code == 3, done
            assert f"another program listens on {address}" in done.err
            assert "--any-port" in done.err
            assert not (tmp_path / "data").exists()


def test_mistakes_a_real_case_that_is_not_there_ends_dev_at_once(tmp_path):
    done = attestry("dev", "--once", "--real", "nope", cwd=tmp_path)
    assert done.code == 2 and "no quote.bin in nope" in done.err, done
    assert done.out == ""


def test_mistakes_a_closed_folder_is_no_crash(tmp_path):
    outer = tmp_path / "closed"
    closed = outer / "inner"
    closed.mkdir(parents=True)
    other_user = {"user": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    outer.chmod(0o700 if other_user else 0)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    temporary.chmod(0o777)
    for parent in [tmp_path, *tmp_path.parents]:
        if parent == pathlib.Path(tempfile.gettempdir()):
            break
        parent.chmod(parent.stat().st_mode | 0o011)
    binary = tmp_path / "attestry"
    binary.write_bytes(pathlib.Path(ATTESTRY).read_bytes())
    binary.chmod(0o755)
    for flag in ("--data", "--real"):
        done = subprocess.run(
            [binary, "dev", "--once", "--any-port", flag, closed],
            capture_output=True,
            text=True,
            **other_user,
            env={**clean_environment(), "TMPDIR": str(temporary)},
            check=False,
        )
        assert done.returncode == 4, done
        assert str(closed) in done.stderr and "what to do" in done.stderr
        assert list(temporary.iterdir()) == []
    outer.chmod(0o700)


def test_mistakes_of_the_output_are_told_and_a_reader_gone_is_not():
    with open("/dev/full", "wb") as full:
        done = subprocess.run([ATTESTRY, "checks"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 4
    assert "could not be written" in done.stderr
    gone, out = os.pipe()
    os.close(gone)
    done = subprocess.run([ATTESTRY, "checks"], stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    os.close(out)
    assert done.stderr == ""
    assert done.returncode in (-13, 141)


def test_verify_keeps_the_collateral_it_used(tmp_path):
    assert attestry("forge", "--out", tmp_path / "case").code == 0
    saved = tmp_path / "saved.json"
    verify = ["verify", tmp_path / "case" / "quote.bin", "--trust", tmp_path / "case" / "root.pem", "--format", "json"]
    first = attestry(*verify, "--collateral", tmp_path / "case", "--save-collateral", saved, "--offline")
    again = attestry(*verify, "--collateral", saved, "--offline")
    assert (first.code, again.code) == (0, 0), (first, again)
    nowhere = attestry(*verify, "--collateral", saved, "--save-collateral", tmp_path / "no" / "x")
    assert nowhere.code == 2 and "no is none" in nowhere.err, nowhere
