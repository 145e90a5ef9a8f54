"""Brings a deployment up to date before its processes start.

`swallowtail release` executes it. It may run any number of times. It migrates the database, publishes the agents'
cards and makes sure that the demo instance exists.
"""

from __future__ import annotations

from swallowtail.app.core.process.early_interrupt import accept_interrupt

if __name__ == "__main__":
    accept_interrupt()

# isort: split

import sys
from contextlib import suppress

from swallowtail.app.core.config.settings import Settings, load_settings
from swallowtail.app.core.database.migrate import migrate
from swallowtail.app.core.deployment_identity import join
from swallowtail.app.core.errors import Conflict, SwallowtailError
from swallowtail.app.core.identity.demo_owner import give_demo_to_first
from swallowtail.app.core.logs.setup import configure_logging
from swallowtail.app.core.logs.unlogged_output import Arguments, begin
from swallowtail.app.core.process.library_check import RELEASE, check_libraries
from swallowtail.app.core.process.quick_exit import skip_last_collection
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.services.instances import create_instance
from swallowtail.workers.registry import catalogue


def main() -> None:
    """Run every step; exit with 1 and a message if one fails."""
    begin()
    skip_last_collection()
    Arguments(prog="swallowtail release", description="Bring a deployment up to date.").parse_args()
    try:
        check_libraries(*RELEASE)
        settings = load_settings()
        if settings.log_format == "json":
            configure_logging(settings)
        release(settings)
    except SwallowtailError as error:
        sys.exit(f"release: {error.message}")


def release(settings: Settings) -> None:
    """Migrate the database, publish the agents and create the demo instance."""
    migrate(settings)
    # Under `swallowtail dev` the pages are served with the error on them, until the module is mended.
    if (failed := catalogue.main()) and not settings.dev:
        sys.exit(failed)
    if settings.demo_instance:
        create_demo(settings)


def create_demo(settings: Settings) -> None:
    """Create the demo instance unless it exists; if it has no owner, the first superuser becomes it."""
    runtime = Runtime.build(join(settings))
    outcome = f"the instance {settings.demo_instance} exists"
    try:
        with suppress(Conflict):
            create_instance(runtime, "Demo", settings.demo_instance)
            outcome = f"created the instance {settings.demo_instance}"
        give_demo_to_first(runtime, settings.demo_instance)
        sys.stdout.write(f"release: {outcome}\n")
    finally:
        runtime.close()


if __name__ == "__main__":
    main()
