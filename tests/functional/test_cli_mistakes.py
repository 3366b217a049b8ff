"""What the program says to mistakes of its settings, files and environment: all of them, before anything is made."""

import os
import pathlib
import socket
import subprocess

import pytest
from harness import ATTESTRY, attestry, clean_environment, key_file

MISTAKES = {
    "--unlock=root.key": "unlock.source (flag)",
    "--listen=nonsense": "server.listen (flag)",
    "--set=limits.connections=0": "limits.connections (flag)",
    "--set=limits.bursts=1": "Did you mean limits.burst?",
    "--log-level=loud": "log.level (flag)",
}


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
    for parent in [tmp_path, *list(tmp_path.parents)[:2]]:
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
    assert attestry(*verify, "--collateral", saved, "--save-collateral", tmp_path / "no" / "x").code == 4
