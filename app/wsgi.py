"""Starts the web process, for `swallowtail web`. With `--processes N` it supervises N processes that serve.

`SWALLOWTAIL_ASYNC_MODE` is `eventlet` (default), `gevent`, or `threading` (Werkzeug's server, for debugging and small
installations). eventlet and gevent patch the standard library before anything else is imported, so the mode is read
first, and everything else is imported inside functions.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace

    from swallowtail.app.core.config.settings import Settings
    from swallowtail.app.web.serving.web_process import ServerModule


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    from swallowtail.app.core.logs.unlogged_output import begin

    os.umask(0o077)  # Other users may not read the files under `var`.
    begin()
    options = _read_arguments(arguments)
    if options.processes is not None:
        os.environ["SWALLOWTAIL_PROCESSES"] = options.processes
    if options.member is None:
        # A directory from the environment may belong to another program, or hold files of an earlier run.
        os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    if options.member is None and _read_setting("SWALLOWTAIL_PROCESSES", "1") != "1":
        return _run(_supervise)
    mode = _read_setting("SWALLOWTAIL_ASYNC_MODE", "eventlet")
    patch_standard_library(mode)
    # Modules that are imported before the patch keep the blocking functions of the standard library.
    return _run(lambda settings: _serve(settings, mode, options.member))


def patch_standard_library(mode: str) -> None:
    """Replace the blocking functions of the standard library by those of the mode's greenlets."""
    if mode == "eventlet":
        # eventlet announces that it is in maintenance; decision 9 explains why it is used. Other warnings are shown.
        warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
        import eventlet

        eventlet.monkey_patch()
    elif mode == "gevent":
        from gevent import monkey

        monkey.patch_all()


def _run(work: Callable[[Settings], int]) -> int:
    from swallowtail.app.core.config.settings import load_settings
    from swallowtail.app.core.errors import SettingsError, Unavailable
    from swallowtail.app.core.logs.setup import configure_logging

    try:
        settings = load_settings()
        configure_logging(settings)
        return work(settings)
    except (SettingsError, Unavailable) as error:
        # Also an error that shows only in use, such as a database whose driver is not installed.
        sys.stderr.write(f"settings: {error.message}\n")
        return 2 if isinstance(error, SettingsError) else 1


def _supervise(settings: Settings) -> int:
    from swallowtail.app.web.serving.multiprocess import supervise

    try:
        return supervise(settings)
    except OSError as error:
        return _report_address(settings, error)


def _serve(settings: Settings, mode: str, member: int | None) -> int:
    if member is not None:
        from prometheus_client import values

        # Before any metric is created. A process that replaces a dead one continues its numbers: a sum never falls,
        # and there are as many files as processes.
        values.ValueClass = values.MultiProcessValue(lambda: member)  # type: ignore[no-untyped-call]
    from swallowtail.app.core.process.library_check import SERVERS, WEB, check_libraries

    # Before the modules that use them are imported.
    check_libraries(*WEB, SERVERS[mode])
    from swallowtail.app.web.serving.listener import listen
    from swallowtail.app.web.serving.web_process import run

    try:
        listener = listen(settings, shared=member is not None)
    except OSError as error:
        return _report_address(settings, error)
    return run(listener, settings, _import_server(mode))


def _import_server(mode: str) -> ServerModule:
    """Import the server of the mode; those of the other modes need libraries that may not be installed."""
    if mode == "gevent":
        from swallowtail.app.web.serving import gevent_server

        return gevent_server
    if mode == "threading":
        from swallowtail.app.web.serving import threaded_server

        return threaded_server
    from swallowtail.app.web.serving import eventlet_server

    return eventlet_server


def _report_address(settings: Settings, error: OSError) -> int:
    reason = f"{error.strerror or error}; set SWALLOWTAIL_PORT to a free port"
    sys.stderr.write(f"cannot listen on {settings.host}:{settings.port}: {reason}\n")
    return 1


def _read_arguments(arguments: Sequence[str] | None) -> Namespace:
    from argparse import SUPPRESS

    from swallowtail.app.core.logs.unlogged_output import Arguments

    parser = Arguments(prog="swallowtail web", description="Serve Swallowtail.", allow_abbrev=False)
    parser.add_argument("--processes", metavar="N", help="processes on the one address (SWALLOWTAIL_PROCESSES)")
    parser.add_argument("--member", type=int, help=SUPPRESS)
    return parser.parse_args(arguments)


def _read_setting(name: str, default: str) -> str:
    """Read a setting that is needed before the settings can be imported, from the same sources."""
    from swallowtail.app.core.logs.unlogged_output import peek_env_file

    sources: tuple[Mapping[str, str | None], ...] = (os.environ, peek_env_file())
    for source in sources:
        for key, value in source.items():
            if key.upper() == name and value:
                return value
    return default


if __name__ == "__main__":
    from swallowtail.app.core.process.early_interrupt import accept_interrupt

    accept_interrupt()
    sys.exit(main())
