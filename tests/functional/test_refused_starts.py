"""A start that is refused for its settings leaves nothing behind: no data folder and no key."""

import pytest
from harness import attestry, serve_arguments

SIMULATED = "simulated:/nowhere/forge.seed"
KEYSTORE = {"keystore.listen": "127.0.0.1:0"}
REFUSED = {
    "no number": {"limits.connections": "many"},
    "no setting": {"keystore.nothing": "1"},
    "no mode": {**KEYSTORE, "keystore.tee_mode": "tee"},
    "no dialect": {"keymanager.listen": "127.0.0.1:0", "keymanager.compat": "unknown"},
    "a vault's rate": {"vault.listen": "127.0.0.1:0", "vault.max_ttl_seconds": "x"},
    "no address": {"keystore.listen": "here"},
    "a ratio": {"tracker.listen": "127.0.0.1:0", "tracker.min_ratio": "half"},
    "a proxy": {"tracker.listen": "127.0.0.1:0", "tracker.trusted_proxies": "here"},
    "shorter than the least": {"tracker.listen": "127.0.0.1:0", "tracker.interval": "800"},
    "a tracker's TEE that is none": {"tracker.listen": "127.0.0.1:0", "tracker.tee_mode": "enabled"},
    "a tracker's TEE nowhere": {"tracker.listen": "127.0.0.1:0", "tracker.attestation": "dstack:agent.sock"},
    "a tracker's TEE in no mode": {"tracker.listen": "127.0.0.1:0", "tracker.tee_mode": "on"},
    "no policy of members": {"tracker.listen": "127.0.0.1:0", "tracker.member_policy": "/nowhere/policy"},
    "no file": {**KEYSTORE, "keystore.master": "file:/nowhere/master"},
    "ckd alone": {**KEYSTORE, "keystore.master": "ckd"},
}
OF_PRODUCTION = {
    "mode simulated": {**KEYSTORE, "keystore.tee_mode": "simulated"},
    "mode none": {**KEYSTORE, "keystore.tee_mode": "none"},
    "evidence of a key manager": {"keymanager.listen": "127.0.0.1:0", "keymanager.attestation": SIMULATED},
    "evidence of a registry": {"registry.listen": "127.0.0.1:0", "registry.attestation": SIMULATED},
    "evidence of a tracker": {"tracker.listen": "127.0.0.1:0", "tracker.attestation": SIMULATED},
    "evidence of a node": {"node.listen": "127.0.0.1:0", "node.attestation": SIMULATED},
    "evidence of a standby": {**KEYSTORE, "keystore.standby_attestation": SIMULATED},
    "evidence of a registration": {**KEYSTORE, "keystore.registration_attestation": SIMULATED},
    "evidence for a threshold root": {"threshold.attestation": SIMULATED},
}


def left(folder):
    return sorted(path.name for path in folder.rglob("*") if path.name != "data.key")


@pytest.mark.parametrize("name", [*REFUSED, *OF_PRODUCTION])
def test_a_server_that_is_refused_makes_nothing(tmp_path, name):
    done = attestry(*serve_arguments(tmp_path / "data", **(REFUSED | OF_PRODUCTION)[name]))
    assert done.code == 2, done
    assert left(tmp_path) == []


@pytest.mark.parametrize("name", REFUSED)
def test_a_development_server_that_is_refused_makes_nothing(tmp_path, name):
    sets = [f"--set={setting}={value}" for setting, value in REFUSED[name].items()]
    done = attestry("dev", "--data", tmp_path / "data", "--any-port", *sets)
    assert done.code == 2, done
    assert left(tmp_path) == []


def test_a_development_server_finds_its_own_seed_before_it_is_there(servers, tmp_path):
    """However its name is spelled."""
    folder = f"{tmp_path}/./data"
    settings = {"keymanager.listen": "127.0.0.1:0", "keymanager.attestation": f"simulated:{folder}/forge.seed"}
    servers.dev(tmp_path / "data", *(f"--set={name}={value}" for name, value in settings.items()))


def test_a_node_that_is_refused_makes_nothing(tmp_path):
    operator = attestry("operator", "keygen", tmp_path / "data.key").out.strip()
    words = ["node", "init", tmp_path / "node", "--id", "1", "--operator", operator, "--simulated"]
    made = attestry(*words, "--listen", "here")
    assert made.code != 0 and left(tmp_path) == [], made
    made = attestry(*words, "--listen", "127.0.0.1:0", "--address", "127.0.0.1:1")
    assert made.code == 0, made
    before = left(tmp_path)
    done = attestry("node", "run", tmp_path / "node", "--set=limits.connections=many")
    assert done.code == 2, done
    assert left(tmp_path) == before
