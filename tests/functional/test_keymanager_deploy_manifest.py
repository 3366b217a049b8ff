"""deploy/kubernetes/keymanager.yaml: its two doors never meet, its pod can do little, and its settings are real ones."""

import json
import pathlib
import tomllib

import pytest
import yaml
from harness import ROOT, attestry

MANIFEST = ROOT / "deploy" / "kubernetes" / "keymanager.yaml"
NAMES = {"app.kubernetes.io/name": "keymanager"}
CONTRACT = "0x00000000000000000000000000000000000000aa"


@pytest.fixture(scope="module")
def objects():
    out = {}
    for one in yaml.safe_load_all(MANIFEST.read_text()):
        out.setdefault(one["kind"], {})[one["metadata"]["name"]] = one
    return out


@pytest.fixture(scope="module")
def settings(objects):
    return tomllib.loads(objects["ConfigMap"]["keymanager"]["data"]["attestry.toml"])


@pytest.fixture(scope="module")
def pod(objects):
    return objects["StatefulSet"]["keymanager"]["spec"]["template"]


@pytest.fixture(scope="module")
def container(pod):
    return next(one for one in pod["spec"]["containers"] if one["name"] == "keymanager")


def port_of(addresses):
    return {int(one.rsplit(":", 1)[1]) for one in addresses.split(",") if not one.startswith("unix:")}


def check(objects, folder, change=lambda text: text):
    """What the program says of the settings, once its files lie in `folder` and what is in capitals is filled in."""
    text = objects["ConfigMap"]["keymanager"]["data"]["attestry.toml"].replace('"CONTRACT"', f'"{CONTRACT}"')
    for number, name in enumerate(("ONE", "TWO", "THREE")):
        text = text.replace(f"RPC-{name}", f"node{number}.example")
    case = folder / "case"
    if not case.exists():
        made = attestry("forge", "--out", case)
        assert made.code == 0, made
        (folder / "root.key").write_bytes(bytes(range(32)))
        (folder / "root.key").chmod(0o600)
        (folder / "ca.pem").write_text((case / "root.pem").read_text())
        for name in ("managers", "workloads"):
            rules = {"format": 1, "name": name, "identities": [{"name": "web", "claims": {"mrtd": ["1d" * 48]}}]}
            (folder / f"{name}.json").write_text(json.dumps(rules))
    for mount in ("unlock", "host-ca", "policies"):
        text = text.replace(f"/etc/attestry-{mount}", str(folder))
    text = text.replace("/var/lib/attestry", str(folder / "data")).replace("/run/attestry", str(folder))
    path = folder / "attestry.toml"
    path.write_text(change(text))
    return attestry("config", "check", "--config", path)


def test_keymanager_deploy_manifest_has_real_settings(objects, tmp_path):
    done = check(objects, tmp_path)
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("host_ca = ", "# ", "keymanager.host_listen"),
        (f'contract = "{CONTRACT}"', "", "keymanager.contract"),
        ("host_listen", "host_listens", "host_listens"),
        ("[keymanager]", '[tls]\nmode = "off"\n[keymanager]', "tls.mode off is for loopback only"),
    ],
)
def test_keymanager_deploy_manifest_settings_that_open_a_door_are_refused(objects, tmp_path, before, after, words):
    done = check(objects, tmp_path, lambda text: text.replace(before, after))
    assert done.code == 2 and words in done.err, done


def test_keymanager_deploy_manifest_lets_somebody_in(settings, pod, container):
    """By evidence: without names of workloads every client is refused, without names of members every newcomer."""
    ours = settings["keymanager"]
    assert ours["workloads"].endswith(".json") and ours["policy"].endswith(".json")
    probe = container["readinessProbe"]["httpGet"]
    assert (probe["path"], probe["port"], probe["scheme"]) == ("/healthz", "keys", "HTTPS")
    names = [one["name"] for one in pod["spec"]["containers"]]
    assert names == ["keymanager", "quote-provider"] and ours["attestation"].startswith("http://127.0.0.1:")


def test_keymanager_deploy_manifest_ports_are_those_of_the_settings(objects, settings, container):
    ours = settings["keymanager"]
    keys, host = port_of(ours["listen"]), port_of(ours["host_listen"])
    assert len(keys) == len(host) == 1 and keys != host
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert ports == {"keys": min(keys), "host": min(host)}
    assert [one["targetPort"] for one in objects["Service"]["keymanager"]["spec"]["ports"]] == ["keys"]
    assert [one["targetPort"] for one in objects["Service"]["keymanager-host"]["spec"]["ports"]] == ["host"]
    for other in ("listen", "metrics_listen"):
        assert settings["server"][other].startswith("127.0.0.1:")
    assert settings["server"]["admin_listen"].startswith("unix:")


def test_keymanager_deploy_manifest_refuses_whatever_no_rule_allows(objects):
    policies = objects["NetworkPolicy"]
    deny = policies["default-deny"]["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name, policy in policies.items():
        assert policy["metadata"]["namespace"] == "attestry-keymanager"
        if name != "default-deny":
            assert policy["spec"]["podSelector"] == {"matchLabels": NAMES}


def test_keymanager_deploy_manifest_keeps_host_and_workloads_apart(objects, settings):
    ingress = [rule for one in objects["NetworkPolicy"].values() for rule in one["spec"].get("ingress", [])]
    keys, host = port_of(settings["keymanager"]["listen"]), port_of(settings["keymanager"]["host_listen"])
    by_port = {}
    for rule in ingress:
        (port,) = rule["ports"]  # a rule without ports would open all, one with both would join the doors
        assert port["protocol"] == "TCP" and rule["from"], rule
        by_port.setdefault(port["port"], []).extend(rule["from"])
    assert set(by_port) == keys | host
    (workloads,) = by_port[min(keys)]
    assert workloads == {"namespaceSelector": {"matchLabels": {"attestry.dev/key-client": "true"}}}
    (operators,) = by_port[min(host)]
    # Without a selector of namespaces: pods of this one only.
    assert operators == {"podSelector": {"matchLabels": {"attestry.dev/role": "keymanager-host"}}}


def test_keymanager_deploy_manifest_lets_out_to_names_and_the_chain_only(objects):
    egress = [rule for one in objects["NetworkPolicy"].values() for rule in one["spec"].get("egress", [])]
    ports = sorted({port["port"] for rule in egress for port in rule["ports"]})
    assert ports == [53, 443] and all(rule["to"] and rule["ports"] for rule in egress)
    (block,) = [to["ipBlock"] for rule in egress for to in rule["to"] if "ipBlock" in to]
    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"} <= set(block["except"])


def test_keymanager_deploy_manifest_gives_the_pod_nothing_to_spare(objects, pod):
    spec = pod["spec"]
    assert spec["serviceAccountName"] == "keymanager"
    assert spec["automountServiceAccountToken"] is False
    assert objects["ServiceAccount"]["keymanager"]["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] >= 1000
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for one in spec["containers"]:
        own = one["securityContext"]
        assert own["readOnlyRootFilesystem"] and own["allowPrivilegeEscalation"] is False
        assert own["capabilities"] == {"drop": ["ALL"]} and "@sha256:" in one["image"]
    assert not any(spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC"))
    assert not any("hostPath" in volume for volume in spec["volumes"])
    enforced = objects["Namespace"]["attestry-keymanager"]["metadata"]["labels"]
    assert enforced["pod-security.kubernetes.io/enforce"] == "restricted"


def test_keymanager_deploy_manifest_mounts_every_path_of_the_settings(settings, container):
    mounts = {pathlib.PurePath(one["mountPath"]): one.get("readOnly", False) for one in container["volumeMounts"]}
    values = [str(value) for section in settings.values() for value in section.values()]
    words = [part.strip().removeprefix("unix:").removeprefix("file:") for value in values for part in value.split(",")]
    paths = [pathlib.PurePath(word) for word in words if word.startswith("/")]
    assert len(paths) == 6
    for path in paths:
        assert any(path.is_relative_to(mount) for mount in mounts), path
    assert not mounts[pathlib.PurePath("/var/lib/attestry")] and not mounts[pathlib.PurePath("/run/attestry")]
    assert mounts[pathlib.PurePath("/etc/attestry-unlock")] and mounts[pathlib.PurePath("/etc/attestry")]
