"""The search for known weaknesses fails when it checked no package, and reports the packages that it did not check."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from swallowtail.scripts.audit_report import (
    CLEAN,
    NOT_CHECKED,
    VULNERABLE,
    AuditResult,
    combine,
    read_npm_audit,
    read_pip_audit,
)
from tests.harness.program import ROOT

SKIPPED = {"name": "amqp", "skip_reason": "Dependency not found and could not be audited: amqp (5.4.2)"}
SOUND = {"name": "flask", "version": "3.1", "vulns": []}
VULNERABLE_ONE = {
    "name": "yaml",
    "version": "1",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}, {"id": "PYSEC-2"}],
}


@pytest.mark.parametrize(
    ("packages", "code", "lines"),
    [
        ([SOUND], CLEAN, ["pip-audit: 0 known against 1 packages"]),
        (
            [SOUND, SKIPPED],
            CLEAN,
            ["pip-audit: 0 known against 1 packages", "pip-audit: not checked: 1: amqp"],
        ),
        (
            [SKIPPED] * 168,
            NOT_CHECKED,
            [f"pip-audit: NOT CHECKED: none of 168 packages was checked: {SKIPPED['skip_reason']}"],
        ),
        ([], NOT_CHECKED, ["pip-audit: NOT CHECKED: none of 0 packages was checked: there are no packages"]),
        (
            [SOUND, VULNERABLE_ONE],
            VULNERABLE,
            [
                "pip-audit: 2 known against 2 packages",
                "pip-audit: yaml 1: PYSEC-1, fixed in 2",
                "pip-audit: yaml 1: PYSEC-2, fixed in no version",
            ],
        ),
    ],
    ids=["clean", "some skipped", "all skipped", "none", "weak"],
)
def test_the_verdict_on_pip_depends_on_the_checked_packages(packages: list[Any], code: int, lines: list[str]) -> None:
    assert read_pip_audit(json.dumps({"dependencies": packages}), "") == AuditResult(code, tuple(lines))


def test_the_verdict_on_npm_depends_on_the_checked_packages() -> None:
    total = {"dependencies": {"total": 14}}
    clean = {"vulnerabilities": {}, "metadata": total}
    assert read_npm_audit(json.dumps(clean), "") == AuditResult(CLEAN, ("npm audit: 0 known against 14 packages",))
    weak = read_npm_audit(json.dumps({"vulnerabilities": {"ws": {"severity": "high"}}, "metadata": total}), "")
    assert weak == AuditResult(VULNERABLE, ("npm audit: 1 known against 14 packages", "npm audit: ws: high"))
    refused = read_npm_audit(json.dumps({"message": "405 Method Not Allowed"}), "")
    assert refused == AuditResult(NOT_CHECKED, ("npm audit: NOT CHECKED: 405 Method Not Allowed",))
    assert read_npm_audit(json.dumps({"vulnerabilities": {}, "metadata": {}}), "").code == NOT_CHECKED


@pytest.mark.parametrize("answer", ["", "null", "[]", "Traceback", '{"dependencies": null}'])
def test_an_invalid_answer_does_not_count_as_clean(answer: str) -> None:
    assert read_pip_audit(answer, "first\nno route to host") == AuditResult(
        NOT_CHECKED, ("pip-audit: NOT CHECKED: no route to host",)
    )
    assert read_npm_audit(answer, "npm is not installed").code == NOT_CHECKED


ODD: list[Any] = [
    None,
    5,
    "amqp",
    [],
    {},
    {"name": None, "version": "1"},
    {"name": "a", "vulns": None},
    {"name": "b", "vulns": "x"},
]


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_a_package_without_a_valid_report_counts_as_not_checked(odd: Any) -> None:
    assert read_pip_audit(json.dumps({"dependencies": [odd] * 3}), "").code == NOT_CHECKED
    partly = read_pip_audit(json.dumps({"dependencies": [odd, SOUND]}), "")
    assert (partly.code, partly.lines[0]) == (CLEAN, "pip-audit: 0 known against 1 packages")
    assert partly.lines[1].startswith("pip-audit: not checked: 1: ")
    weak = read_pip_audit(json.dumps({"dependencies": [{"name": "yaml", "vulns": [odd]}]}), "")
    assert weak.code == VULNERABLE


@pytest.mark.parametrize("odd", [*ODD, -1, "14", True, [14]], ids=repr)
def test_an_invalid_number_of_packages_from_npm_is_not_accepted(odd: Any) -> None:
    for metadata in (odd, {"dependencies": odd}, {"dependencies": {"total": odd}}):
        if odd == 5 and metadata == {"dependencies": {"total": 5}}:
            continue
        answer = {"vulnerabilities": {}, "metadata": metadata}
        assert read_npm_audit(json.dumps(answer), "").code == NOT_CHECKED
    assert read_npm_audit(json.dumps({"vulnerabilities": {"ws": odd}}), "").code == VULNERABLE


def test_npm_says_why_it_could_not_ask() -> None:
    answer = json.dumps({"error": {"code": "ENOLOCK", "summary": "This command requires an existing lockfile."}})
    lines = ("npm audit: NOT CHECKED: This command requires an existing lockfile.",)
    assert read_npm_audit(answer, "npm error code ENOLOCK") == AuditResult(NOT_CHECKED, lines)


def test_an_endlessly_nested_answer_is_invalid() -> None:
    assert [judge("[" * 100_000, "").code for judge in (read_pip_audit, read_npm_audit)] == [NOT_CHECKED, NOT_CHECKED]


def test_a_weakness_takes_precedence_over_an_incomplete_check() -> None:
    fine, weak, silent = (AuditResult(code, ()) for code in (CLEAN, VULNERABLE, NOT_CHECKED))
    assert [combine(matches) for matches in ([fine, fine], [fine, silent], [silent, weak], [weak, fine])] == [
        0,
        3,
        1,
        1,
    ]


@pytest.mark.parametrize(("ended", "verdict"), [(0, 0), (3, 0), (1, 1), (2, 1)])
def test_ci_warns_of_an_incomplete_check_and_fails_for_a_known_weakness(
    tmp_path: Path, ended: int, verdict: int
) -> None:
    functions = (ROOT / ".ci" / "run").read_text(encoding="utf-8").split("failed=0\n", 1)[1].split('\nstep "', 1)[0]
    asking = f"audit() {{ return {ended}; }}\nwarn_if 3 audit || failed=1\nexit $failed\n"
    script = tmp_path / "run"
    script.write_text(f"failed=0\n{functions}\n{asking}")
    result = subprocess.run(["bash", str(script)], capture_output=True, text=True, check=False)
    assert result.returncode == verdict
    assert ("WARNING" in result.stdout) == (ended == 3)
