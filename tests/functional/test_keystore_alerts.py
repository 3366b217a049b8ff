"""The alert rules that we ship name metrics that there are, and say what to do."""

import re

from harness import ROOT

RULES = (ROOT / "deploy/monitoring/keystore.rules.yml").read_text()
METRICS = (ROOT / "docs/reference/metrics.md").read_text()


def named_in(text):
    names = set(re.findall(r"\battestry_[a-z_]+", text))
    return {re.sub(r"_(bucket|sum|count)$", "", name) if name.endswith(("_bucket", "_sum")) else name for name in names}


def alerts():
    return re.split(r"\n      - alert: ", RULES)[1:]


def test_every_metric_of_a_rule_is_documented():
    documented = set(re.findall(r"^\| `(attestry_[a-z_]+)`", METRICS, re.MULTILINE))
    assert named_in(RULES), "no rule names a metric"
    assert named_in(RULES) <= documented


def test_every_documented_metric_of_the_keystore_is_one_that_the_server_makes():
    source = "".join(path.read_text() for path in (ROOT / "src").glob("*/*keystore*.cpp"))
    documented = set(re.findall(r"^\| `(attestry_keystore_[a-z_]+)`", METRICS, re.MULTILINE))
    assert documented
    assert {name for name in documented if f'"{name}"' not in source} == set()


def test_every_metric_of_the_keystore_is_documented():
    made = set()
    for path in (ROOT / "src").glob("*/*.cpp"):
        made |= set(re.findall(r'"(attestry_keystore_[a-z_]+)"', path.read_text()))
    assert "attestry_keystore_serves" in made
    assert made <= set(re.findall(r"^\| `(attestry_keystore_[a-z_]+)`", METRICS, re.MULTILINE))


def test_a_pair_has_alerts_and_a_standby_is_no_failure():
    named = named_in(RULES)
    for name in ("serves", "standby_behind", "standby_silent_seconds"):
        assert f"attestry_keystore_{name}" in named
    not_ready = next(alert for alert in alerts() if alert.startswith("KeystoreNotReady"))
    assert "unless attestry_keystore_serves == 0" in not_ready


def test_every_alert_has_a_severity_and_says_what_to_do():
    assert len(alerts()) >= 8
    for alert in alerts():
        name = alert.splitlines()[0]
        assert re.search(r"^        expr: \S", alert, re.MULTILINE), name
        assert re.search(r"^        for: \d+[mh]$", alert, re.MULTILINE), name
        assert re.search(r"severity: (page|ticket)\b", alert), name
        for annotation in ("summary", "action"):
            assert re.search(rf"^          {annotation}: \S", alert, re.MULTILINE), f"{name}: no {annotation}"
        assert alert.count("(") == alert.count(")") and alert.count("{") == alert.count("}"), name


def test_every_command_that_an_alert_names_is_one():
    source = "".join(path.read_text() for path in (ROOT / "src/app").glob("cmd_keystore_*.cpp"))
    for command in re.findall(r"`attestry keystore ([a-z -]+)", RULES):
        for word in command.replace("--force", "").split():
            assert f'"{word}"' in source, command
