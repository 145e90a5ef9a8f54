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
    packages = _dig(_parse(answer), "dependencies")
    if not isinstance(packages, list):
        return Verdict(NOT_ASKED, (f"pip-audit: COULD NOT ASK: {_last(problem)}",))
    # Only a list of what is known, empty or not, says that somebody was asked.
    asked = [package for package in packages if isinstance(_dig(package, "vulns"), list)]
    silent = [package for package in packages if package not in asked]
    weak = [
        f"pip-audit: {_name(package)} {_dig(package, 'version')}: {_dig(found, 'id')}, mended in {_mended(found)}"
        for package in asked
        for found in package["vulns"]
    ]
    if not asked:
        reason = _dig(silent[0], "skip_reason") if silent else "there are no packages"
        return Verdict(NOT_ASKED, (f"pip-audit: COULD NOT ASK about any of {len(packages)} packages: {reason}",))
    lines = [f"pip-audit: {len(weak)} known against {len(asked)} packages", *weak]
    if silent:
        names = ", ".join(_name(package) for package in silent[:SHOWN])
        lines.append(f"pip-audit: could not ask about {len(silent)}: {names}{', …' * (len(silent) > SHOWN)}")
    return Verdict(WEAK if weak else FINE, tuple(lines))


def judge_npm(answer: str, problem: str) -> Verdict:
    """The verdict on npm's JSON, `{vulnerabilities: {name: {severity}}, metadata: {dependencies: {total}}}`."""
    found = _parse(answer)
    weak = found.get("vulnerabilities")
    if not isinstance(weak, dict):
        reason = found.get("message") or _dig(found, "error", "summary") or _last(problem)
        return Verdict(NOT_ASKED, (f"npm audit: COULD NOT ASK: {reason}",))
    total = _dig(found, "metadata", "dependencies", "total")
    if not (type(total) is int and total > 0) and not weak:
        return Verdict(NOT_ASKED, ("npm audit: COULD NOT ASK: it looked at no package",))
    lines = [f"npm audit: {name}: {_dig(entry, 'severity') or 'unknown severity'}" for name, entry in weak.items()]
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
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=LONGEST, check=False)
    except FileNotFoundError:
        return "", f"{command[0]} is not installed"
    except OSError as fault:
        return "", f"{command[0]} cannot be run: {fault.strerror}"
    except subprocess.TimeoutExpired:
        return "", f"{command[0]} did not answer within {LONGEST:g} seconds"
    return ended.stdout.decode(errors="replace"), ended.stderr.decode(errors="replace")


def _parse(answer: str) -> dict[str, Any]:
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _dig(found: Any, *names: str) -> Any:
    """What lies under these names, one below the other; None where there is nothing, whatever was found."""
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _name(package: Any) -> str:
    return str(_dig(package, "name") or "one without a name")


def _mended(found: Any) -> str:
    versions = _dig(found, "fix_versions")
    return ", ".join(map(str, versions)) if versions and isinstance(versions, list) else "no version yet"


def _last(text: str) -> str:
    return text.strip().rpartition("\n")[2] or "it answered nothing"


if __name__ == "__main__":
    sys.exit(main())
