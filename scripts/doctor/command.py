"""The command `swallowtail doctor`: checks what a deployment needs, and prints each result with its remedy."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Annotated

import structlog
import typer

from swallowtail.app.core.config.settings import Settings
from swallowtail.scripts.cli.exit_codes import ExitCode
from swallowtail.scripts.cli.options import AsJson
from swallowtail.scripts.cli.output.printing import count, print_json, print_note, readable
from swallowtail.scripts.doctor.database_check import check_state
from swallowtail.scripts.doctor.library_versions import check_browser_files, check_versions
from swallowtail.scripts.doctor.results import Check, CheckResult, run_checks
from swallowtail.scripts.doctor.services_check import CALL_SECONDS, check_message_queue, check_redis, check_web
from swallowtail.scripts.doctor.settings_check import check_env_file, check_var, read_settings

_COLOURS = {"ok": typer.colors.GREEN, "warning": typer.colors.YELLOW, "problem": typer.colors.RED}


def doctor(
    as_json: AsJson = False,
    timeout: Annotated[
        float,
        typer.Option(min=0.1, max=600.0, metavar="SECONDS", help="Longest time for answers of services."),
    ] = 10.0,
) -> None:
    """Check the deployment of this folder: settings, database, Redis, broker, workers, clocks, versions, web process.

    Each line is ok, a warning or a problem, with the remedy. The exit code is 1 if there is a problem.

    Example: swallowtail doctor --json
    """
    # What the checked parts log is in their results.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.basicConfig(handlers=[logging.NullHandler()])
    settings, results = read_settings()
    results += run_checks(list_checks(settings), timeout)
    for result in results:
        print_json(asdict(result)) if as_json else _print_result(result)
    problems = sum(result.status == "problem" for result in results)
    if not as_json:
        warnings = sum(result.status == "warning" for result in results)
        print_note(f"{count(problems, 'problem')}, {count(warnings, 'warning')}")
    if problems:
        raise typer.Exit(ExitCode.INTERNAL)


def list_checks(settings: Settings | None) -> Sequence[Check]:
    """Return the checks; without settings, only those that need none."""
    first = [Check(".env", check_env_file)]
    libraries = [Check("versions", check_versions, True), Check("browser libraries", check_browser_files, True)]
    if settings is None:
        return [*first, *libraries]
    return [
        *first,
        Check("var directory", partial(check_var, settings)),
        *libraries,
        Check("database", partial(check_state, settings, CALL_SECONDS)),
        Check("Redis", partial(check_redis, settings)),
        Check("broker", partial(check_message_queue, settings)),
        Check("web", partial(check_web, settings)),
    ]


def _print_result(result: CheckResult) -> None:
    status = typer.style(f"{result.status:<8}", fg=_COLOURS[result.status], bold=result.status == "problem")
    typer.echo(f"{status} {result.check}: {readable(result.detail)}")
    if result.remedy:
        typer.echo(f"         → {readable(result.remedy)}")
