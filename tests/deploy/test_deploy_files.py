"""Linters find nothing in the Dockerfile, the compose file, the manifests and the units; names in them are real."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from swallowtail.app.core.config.settings import Settings
from tests.harness.program import ROOT
from tests.harness.settings import make_settings

pytestmark = pytest.mark.long

DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
MANIFESTS = sorted(path for path in (DEPLOY / "kubernetes").glob("*.yaml") if path.name != "kustomization.yaml")
TOOLS = Path(sys.executable).parent
#: How long a process may take to stop, and how long it goes on before.
GRACE = re.compile(r"(?:TimeoutStopSec=|terminationGracePeriodSeconds: |stop_grace_period: )(\d+)")
PAUSE = re.compile(r'"sleep", "(\d+)"')
NAME = re.compile(r"SWALLOWTAIL_[A-Z_]+")


def check(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_dockerfile_is_without_findings() -> None:
    check(TOOLS / "hadolint", "Dockerfile")


def test_yaml_is_without_findings() -> None:
    check(TOOLS / "yamllint", "--strict", "compose.yaml", "deploy", ".github/workflows")


def test_manifests_follow_the_schemas_of_kubernetes() -> None:
    check(TOOLS / "kubernetes-validate", "--strict", *MANIFESTS)


def test_kustomize_builds_every_manifest() -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("this machine has no kubectl")
    built = check("kubectl", "kustomize", "deploy/kubernetes")
    kinds = [document["kind"] for document in yaml.safe_load_all(built)]
    assert kinds.count("Deployment") == 3
    listed = yaml.safe_load((DEPLOY / "kubernetes/kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == [path.name for path in MANIFESTS]


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("this machine has no systemd-analyze")
    program = tmp_path / "bin/swallowtail"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for unit in UNITS:
        text = unit.read_text().replace("/opt/swallowtail/bin/swallowtail", str(program))
        (tmp_path / unit.name.replace("@.", "@8001.")).write_text(text)
    units = sorted(path for path in tmp_path.iterdir() if path.is_file())
    check("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *units)


def test_every_setting_in_the_files_exists() -> None:
    files = [ROOT / "Dockerfile", ROOT / "compose.yaml", ROOT / "docs/deploy.md", *UNITS, *MANIFESTS]
    named = {name for path in files for name in NAME.findall(path.read_text())}
    known = {f"SWALLOWTAIL_{name.upper()}" for name in Settings.model_fields}
    assert sorted(named - known) == []


def test_every_process_has_time_to_stop() -> None:
    settings = make_settings()
    longest = max(settings.stop_grace, settings.shutdown_grace + settings.cancel_grace)
    units = [unit for unit in UNITS if "Restart=always" in unit.read_text()]
    assert len(units) == 3
    for path in (ROOT / "compose.yaml", *units, *[path for path in MANIFESTS if "containers:" in path.read_text()]):
        (grace,) = GRACE.findall(path.read_text())
        assert int(grace) > longest + sum(map(int, PAUSE.findall(path.read_text()))), path


def test_no_unit_gives_up() -> None:
    """A database or Redis that is away for long must not end the processes for good."""
    units = [unit for unit in UNITS if unit.suffix == ".service"]
    assert [unit.name for unit in units if "Restart=" not in unit.read_text()] == []
    assert [unit.name for unit in units if "StartLimitIntervalSec=0" not in unit.read_text()] == []
    assert [unit.name for unit in units if "Requires=" in unit.read_text()] == []


def test_every_command_in_the_files_exists() -> None:
    texts = "\n".join(path.read_text() for path in (ROOT / "Dockerfile", ROOT / "compose.yaml", *UNITS, *MANIFESTS))
    commands = set(re.findall(r'"swallowtail", "(\w+)"', texts))
    commands |= set(re.findall(r"bin/swallowtail (\w+)", texts))
    assert commands == {"release", "web", "worker", "beat"}
