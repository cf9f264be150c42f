"""What lies in deploy/: alerts that name metrics which exist, a runbook for each, a unit that systemd takes."""

import re
import shutil
import subprocess

import pytest

import harness
from participants import two_phase

RULES = harness.ROOT / "deploy/prometheus/unanim.rules.yml"
UNIT = harness.ROOT / "deploy/systemd/unanim.service"
RUNBOOK = harness.ROOT / "docs/operations/runbook.md"


def alerts():
    return re.findall(r"^ *- alert: (\w+)$", RULES.read_text(), re.M)


def expressions():
    """What stands behind `expr:`, on its line or in the lines below it."""
    return re.findall(r"^( *)expr: (?:\|\n((?:\1 .*\n)+)|(.*)\n)", RULES.read_text(), re.M)


def names_in_rules():
    text = "\n".join(block or line for _, block, line in expressions())
    return set(re.findall(r"\b(?:unanim|process)_\w+", text))


def test_every_alert_names_metrics_that_exist(server, make_participant):
    assert len(expressions()) == len(alerts()) and len(names_in_rules()) >= 10
    a = make_participant()
    server.submit(two_phase("g", a.branch("x")), wait="finished")
    metrics = server.get("/metrics").text
    there = set(re.findall(r"^(\w+)[{ ]", metrics, re.M))
    assert names_in_rules() - there == set()
    for label in re.findall(r"(\w+)[!=]~?\"", " ".join(block or line for _, block, line in expressions())):
        assert label == "job" or re.search(rf"[{{,]{label}=\"", metrics), f"no metric has the label {label}"


def test_every_alert_has_a_section_in_the_runbook():
    sections = re.findall(r"^## (\w+)$", RUNBOOK.read_text(), re.M)
    assert sections == alerts(), "in the same order"
    links = re.findall(r"runbook: docs/operations/runbook\.md#(\w+)", RULES.read_text())
    assert links == [name.lower() for name in alerts()]


@pytest.fixture
def unit(tmp_path):
    """The unit with a program that is there: systemd looks for it."""
    path = tmp_path / "unanim.service"
    path.write_text(UNIT.read_text().replace("/usr/local/bin/unanim", harness.binary()))
    return path


def test_systemd_takes_the_unit(unit):
    assert shutil.which("systemd-analyze"), "apt-get install systemd"
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "unanim.service" not in done.stderr, done.stderr
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", unit], capture_output=True, text=True, timeout=60, check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_unit_waits_for_the_drain():
    stop = int(re.search(r"^TimeoutStopSec=(\d+)$", UNIT.read_text(), re.M)[1])
    code, out, err = harness.run_unanim("serve", "--print-config")
    drain = int(re.search(r'^drain = "(\d+)s"$', out, re.M)[1])
    assert stop >= drain + 10
