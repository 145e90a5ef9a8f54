"""Reports known vulnerabilities of installed packages, and the packages that were not checked.

`scripts/audit` runs it. It calls pip-audit and `npm audit`. A result counts only for the packages that were checked:
the report shows their number, and a run that checked none fails with an exit code of its own.
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
#: How many names of unchecked packages are shown.
SHOWN = 10

CLEAN, VULNERABLE, NOT_CHECKED = 0, 1, 3


@dataclass(frozen=True, slots=True)
class AuditResult:
    """What one program reported: lines to print, and CLEAN, VULNERABLE or NOT_CHECKED."""

    code: int
    lines: tuple[str, ...]


def read_pip_audit(answer: str, problem: str) -> AuditResult:
    """Return the result in pip-audit's JSON, `{dependencies: [{name, version, vulns} | {name, skip_reason}]}`."""
    packages = _value(_parse(answer), "dependencies")
    if not isinstance(packages, list):
        return AuditResult(NOT_CHECKED, (f"pip-audit: NOT CHECKED: {_last(problem)}",))
    # A list of vulnerabilities, empty or not, shows that the package was checked.
    checked = [package for package in packages if isinstance(_value(package, "vulns"), list)]
    unchecked = [package for package in packages if package not in checked]
    vulnerabilities = [
        f"pip-audit: {_name(package)} {_value(package, 'version')}: {_value(entry, 'id')}, fixed in {_fixed_in(entry)}"
        for package in checked
        for entry in package["vulns"]
    ]
    if not checked:
        reason = _value(unchecked[0], "skip_reason") if unchecked else "there are no packages"
        return AuditResult(
            NOT_CHECKED, (f"pip-audit: NOT CHECKED: none of {len(packages)} packages was checked: {reason}",)
        )
    lines = [f"pip-audit: {len(vulnerabilities)} known against {len(checked)} packages", *vulnerabilities]
    if unchecked:
        names = ", ".join(_name(package) for package in unchecked[:SHOWN])
        lines.append(f"pip-audit: not checked: {len(unchecked)}: {names}{', …' * (len(unchecked) > SHOWN)}")
    return AuditResult(VULNERABLE if vulnerabilities else CLEAN, tuple(lines))


def read_npm_audit(answer: str, problem: str) -> AuditResult:
    """Return the result in npm's JSON, `{vulnerabilities: {name: {severity}}, metadata: {dependencies: {total}}}`."""
    report = _parse(answer)
    vulnerabilities = report.get("vulnerabilities")
    if not isinstance(vulnerabilities, dict):
        reason = report.get("message") or _value(report, "error", "summary") or _last(problem)
        return AuditResult(NOT_CHECKED, (f"npm audit: NOT CHECKED: {reason}",))
    total = _value(report, "metadata", "dependencies", "total")
    if not (type(total) is int and total > 0) and not vulnerabilities:
        return AuditResult(NOT_CHECKED, ("npm audit: NOT CHECKED: npm audited no package",))
    lines = [
        f"npm audit: {name}: {_value(entry, 'severity') or 'unknown severity'}"
        for name, entry in vulnerabilities.items()
    ]
    return AuditResult(
        VULNERABLE if vulnerabilities else CLEAN,
        (f"npm audit: {len(vulnerabilities)} known against {total} packages", *lines),
    )


def combine(results: Sequence[AuditResult]) -> int:
    """Return one exit code: a known vulnerability before an unchecked program, and that before a clean result."""
    codes = {result.code for result in results}
    return next((code for code in (VULNERABLE, NOT_CHECKED) if code in codes), CLEAN)


def main() -> int:
    """Check installed packages and package-lock.json, print the results, and return the exit code."""
    results = [
        read_pip_audit(*_run(str(Path(sys.executable).with_name("pip-audit")), *PIP)),
        read_npm_audit(*_run("npm", "audit", "--json")),
    ]
    for result in results:
        print(*result.lines, sep="\n", file=sys.stdout if result.code == CLEAN else sys.stderr)
    return combine(results)


def _run(*command: str) -> tuple[str, str]:
    """Return what a program wrote to its outputs; an empty text and the reason when it cannot be run."""
    try:
        process = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=LONGEST, check=False)
    except FileNotFoundError:
        return "", f"{command[0]} is not installed"
    except OSError as fault:
        return "", f"{command[0]} cannot be run: {fault.strerror}"
    except subprocess.TimeoutExpired:
        return "", f"{command[0]} did not answer within {LONGEST:g} seconds"
    return process.stdout.decode(errors="replace"), process.stderr.decode(errors="replace")


def _parse(answer: str) -> dict[str, Any]:
    try:
        report = json.loads(answer)
    except (ValueError, RecursionError):
        return {}
    return report if isinstance(report, dict) else {}


def _value(value: Any, *names: str) -> Any:
    """Return the value under these nested names, or None."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _name(package: Any) -> str:
    return str(_value(package, "name") or "unnamed")


def _fixed_in(vulnerability: Any) -> str:
    versions = _value(vulnerability, "fix_versions")
    return ", ".join(map(str, versions)) if versions and isinstance(versions, list) else "no version"


def _last(text: str) -> str:
    return text.strip().rpartition("\n")[2] or "no output"


if __name__ == "__main__":
    sys.exit(main())
