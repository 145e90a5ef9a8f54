"""Judges what pip-audit and `npm audit` answered: what is known against the packages, and what could not be asked.

Off the road of an event: `scripts/audit` runs it. That nothing is known says something only of packages that were asked
about, so their number is part of every verdict, and to have asked about none is a failure of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PIP = ["--local", "--skip-editable", "--progress-spinner", "off", "--timeout", "10", "--format", "json"]
LONGEST = 180.0
#: Names shown of packages that could not be asked about.
SHOWN = 10

FINE, WEAK, NOT_ASKED = 0, 1, 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one program found: lines for people, and FINE, WEAK or NOT_ASKED."""

    code: int
    lines: tuple[str, ...]


def judge_pip(answer: str, problem: str) -> Verdict:
    """The verdict on pip-audit's JSON, `{dependencies: [{name, version, vulns} | {name, skip_reason}]}`."""
    packages = _parse(answer).get("dependencies")
    if not isinstance(packages, list):
        return Verdict(NOT_ASKED, (f"pip-audit: COULD NOT ASK: {_last(problem)}",))
    skipped = [package for package in packages if "skip_reason" in package]
    weak = [
        f"pip-audit: {package['name']} {package['version']}: {found['id']}, mended in {_mended(found)}"
        for package in packages
        for found in package.get("vulns", ())
    ]
    asked = len(packages) - len(skipped)
    if not asked:
        reason = skipped[0]["skip_reason"] if skipped else "there are no packages"
        return Verdict(NOT_ASKED, (f"pip-audit: COULD NOT ASK about any of {len(packages)} packages: {reason}",))
    lines = [f"pip-audit: {len(weak)} known against {asked} packages", *weak]
    if skipped:
        names = ", ".join(package["name"] for package in skipped[:SHOWN])
        lines.append(f"pip-audit: could not ask about {len(skipped)}: {names}{', …' * (len(skipped) > SHOWN)}")
    return Verdict(WEAK if weak else FINE, tuple(lines))


def judge_npm(answer: str, problem: str) -> Verdict:
    """The verdict on npm's JSON, `{vulnerabilities: {name: {severity}}, metadata: {dependencies: {total}}}`."""
    found = _parse(answer)
    weak = found.get("vulnerabilities")
    if not isinstance(weak, dict):
        reason = found.get("message") or _last(problem)
        return Verdict(NOT_ASKED, (f"npm audit: COULD NOT ASK: {reason}",))
    total = found.get("metadata", {}).get("dependencies", {}).get("total", 0)
    if not total:
        return Verdict(NOT_ASKED, ("npm audit: COULD NOT ASK: it looked at no package",))
    lines = [f"npm audit: {name}: {entry.get('severity', 'unknown severity')}" for name, entry in weak.items()]
    return Verdict(WEAK if weak else FINE, (f"npm audit: {len(weak)} known against {total} packages", *lines))


def add_up(verdicts: Sequence[Verdict]) -> int:
    """One exit code: a known weakness goes before not having asked, and that before all being fine."""
    codes = {verdict.code for verdict in verdicts}
    return next((code for code in (WEAK, NOT_ASKED) if code in codes), FINE)


def main() -> int:
    """Ask about what is installed and what package-lock.json names, print the verdicts, and return the exit code."""
    verdicts = [
        judge_pip(*_run(str(Path(sys.executable).with_name("pip-audit")), *PIP)),
        judge_npm(*_run("npm", "audit", "--json")),
    ]
    for verdict in verdicts:
        print(*verdict.lines, sep="\n", file=sys.stdout if verdict.code == FINE else sys.stderr)
    return add_up(verdicts)


def _run(*command: str) -> tuple[str, str]:
    """What a program wrote to its outputs; nothing, and why, when it could not be run."""
    try:
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST, check=False)
    except FileNotFoundError:
        return "", f"{command[0]} is not installed"
    except subprocess.TimeoutExpired:
        return "", f"{command[0]} did not answer within {LONGEST:g} seconds"
    return ended.stdout, ended.stderr


def _parse(answer: str) -> dict[str, Any]:
    try:
        found = json.loads(answer)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _mended(found: dict[str, Any]) -> str:
    return ", ".join(found.get("fix_versions") or ()) or "no version yet"


def _last(text: str) -> str:
    return text.strip().rpartition("\n")[2] or "it answered nothing"


if __name__ == "__main__":
    sys.exit(main())
