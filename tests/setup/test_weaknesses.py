"""The search for known weaknesses fails when it asked about nothing, and says what it could not ask."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from swallowtail.scripts.audit_report import FINE, NOT_ASKED, WEAK, Verdict, add_up, judge_npm, judge_pip
from tests.harness.program import ROOT

SKIPPED = {"name": "amqp", "skip_reason": "Dependency not found and could not be audited: amqp (5.4.2)"}
CLEAN = {"name": "flask", "version": "3.1", "vulns": []}
WEAK_ONE = {"name": "yaml", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}, {"id": "PYSEC-2"}]}


@pytest.mark.parametrize(
    ("packages", "code", "lines"),
    [
        ([CLEAN], FINE, ["pip-audit: 0 known against 1 packages"]),
        (
            [CLEAN, SKIPPED],
            FINE,
            ["pip-audit: 0 known against 1 packages", "pip-audit: could not ask about 1: amqp"],
        ),
        (
            [SKIPPED] * 168,
            NOT_ASKED,
            [f"pip-audit: COULD NOT ASK about any of 168 packages: {SKIPPED['skip_reason']}"],
        ),
        ([], NOT_ASKED, ["pip-audit: COULD NOT ASK about any of 0 packages: there are no packages"]),
        (
            [CLEAN, WEAK_ONE],
            WEAK,
            [
                "pip-audit: 2 known against 2 packages",
                "pip-audit: yaml 1: PYSEC-1, mended in 2",
                "pip-audit: yaml 1: PYSEC-2, mended in no version yet",
            ],
        ),
    ],
    ids=["clean", "some skipped", "all skipped", "none", "weak"],
)
def test_pip_is_judged_by_what_was_asked(packages: list[Any], code: int, lines: list[str]) -> None:
    assert judge_pip(json.dumps({"dependencies": packages}), "") == Verdict(code, tuple(lines))


def test_npm_is_judged_by_what_was_asked() -> None:
    total = {"dependencies": {"total": 14}}
    clean = {"vulnerabilities": {}, "metadata": total}
    assert judge_npm(json.dumps(clean), "") == Verdict(FINE, ("npm audit: 0 known against 14 packages",))
    weak = judge_npm(json.dumps({"vulnerabilities": {"ws": {"severity": "high"}}, "metadata": total}), "")
    assert weak == Verdict(WEAK, ("npm audit: 1 known against 14 packages", "npm audit: ws: high"))
    refused = judge_npm(json.dumps({"message": "405 Method Not Allowed"}), "")
    assert refused == Verdict(NOT_ASKED, ("npm audit: COULD NOT ASK: 405 Method Not Allowed",))
    assert judge_npm(json.dumps({"vulnerabilities": {}, "metadata": {}}), "").code == NOT_ASKED


@pytest.mark.parametrize("answer", ["", "null", "[]", "Traceback", '{"dependencies": null}'])
def test_an_answer_that_is_none_is_not_taken_for_a_clean_one(answer: str) -> None:
    assert judge_pip(answer, "first\nno route to host") == Verdict(
        NOT_ASKED, ("pip-audit: COULD NOT ASK: no route to host",)
    )
    assert judge_npm(answer, "npm is not installed").code == NOT_ASKED


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
def test_a_package_of_which_it_is_not_said_that_somebody_was_asked_was_not_asked(odd: Any) -> None:
    assert judge_pip(json.dumps({"dependencies": [odd] * 3}), "").code == NOT_ASKED
    partly = judge_pip(json.dumps({"dependencies": [odd, CLEAN]}), "")
    assert (partly.code, partly.lines[0]) == (FINE, "pip-audit: 0 known against 1 packages")
    assert partly.lines[1].startswith("pip-audit: could not ask about 1: ")
    weak = judge_pip(json.dumps({"dependencies": [{"name": "yaml", "vulns": [odd]}]}), "")
    assert weak.code == WEAK


@pytest.mark.parametrize("odd", [*ODD, -1, "14", True, [14]], ids=repr)
def test_npm_is_not_believed_that_it_looked_at_what_is_no_number_of_packages(odd: Any) -> None:
    for metadata in (odd, {"dependencies": odd}, {"dependencies": {"total": odd}}):
        if odd == 5 and metadata == {"dependencies": {"total": 5}}:
            continue
        answer = {"vulnerabilities": {}, "metadata": metadata}
        assert judge_npm(json.dumps(answer), "").code == NOT_ASKED
    assert judge_npm(json.dumps({"vulnerabilities": {"ws": odd}}), "").code == WEAK


def test_npm_says_why_it_could_not_ask() -> None:
    answer = json.dumps({"error": {"code": "ENOLOCK", "summary": "This command requires an existing lockfile."}})
    told = ("npm audit: COULD NOT ASK: This command requires an existing lockfile.",)
    assert judge_npm(answer, "npm error code ENOLOCK") == Verdict(NOT_ASKED, told)


def test_an_answer_that_is_nested_without_end_is_none() -> None:
    assert [judge("[" * 100_000, "").code for judge in (judge_pip, judge_npm)] == [NOT_ASKED, NOT_ASKED]


def test_a_weakness_goes_before_not_having_asked() -> None:
    fine, weak, silent = (Verdict(code, ()) for code in (FINE, WEAK, NOT_ASKED))
    assert [add_up(found) for found in ([fine, fine], [fine, silent], [silent, weak], [weak, fine])] == [0, 3, 1, 1]


@pytest.mark.parametrize(("ended", "verdict"), [(0, 0), (3, 0), (1, 1), (2, 1)])
def test_ci_warns_of_what_could_not_be_asked_and_fails_for_what_is_known(
    tmp_path: Path, ended: int, verdict: int
) -> None:
    functions = (ROOT / ".ci" / "run").read_text(encoding="utf-8").split("failed=0\n", 1)[1].split('\nstep "', 1)[0]
    asking = f"audit() {{ return {ended}; }}\nwarn_if 3 audit || failed=1\nexit $failed\n"
    script = tmp_path / "run"
    script.write_text(f"failed=0\n{functions}\n{asking}")
    made = subprocess.run(["bash", str(script)], capture_output=True, text=True, check=False)
    assert made.returncode == verdict
    assert ("WARNING" in made.stdout) == (ended == 3)
