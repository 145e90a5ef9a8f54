"""Beside the road: brings a deployment up to date before its processes start.

`python -m workers.release` may run any number of times. Migrates the database, publishes the agents' cards and makes
sure that the demo instance exists.
"""

from __future__ import annotations

import sys

from app.core import actions
from app.core.deployment import join
from app.core.errors import Conflict, SwallowtailError
from app.core.logs import configure_logging
from app.core.migrate import migrate
from app.core.raw_lines import Arguments, begin
from app.core.runtime import Runtime
from app.core.settings import Settings, load_settings
from workers import catalogue


def main() -> None:
    """Run every step to its end; exit with 1 and a sentence when one fails."""
    begin()
    Arguments(prog="python -m workers.release", description="Bring a deployment up to date.").parse_args()
    try:
        settings = load_settings()
        if settings.log_format == "json":
            configure_logging(settings)
        release(settings)
    except SwallowtailError as failure:
        sys.exit(f"release: {failure.message}")


def release(settings: Settings) -> None:
    """Bring the database up to date, fill the catalogue and create the demo instance."""
    migrate(settings)
    if failed := catalogue.main():
        sys.exit(failed)
    if settings.demo_instance:
        create_demo(settings)


def create_demo(settings: Settings) -> None:
    """Create the demo instance unless it is there."""
    runtime = Runtime.build(join(settings))
    try:
        actions.create_instance(runtime, "Demo", settings.demo_instance)
        sys.stdout.write(f"release: created the instance {settings.demo_instance}\n")
    except Conflict:
        sys.stdout.write(f"release: the instance {settings.demo_instance} is there\n")
    finally:
        runtime.close()


if __name__ == "__main__":
    main()
