"""The commands of whoever runs the system: forget what is old, and say that a log was restored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.core.ledger.event_log import Head
from swallowtail.app.core.maintenance.retention import Policy, foresee, prune, read_policy
from swallowtail.app.core.queries.rows import read_instance
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.security.permissions import Act, require
from swallowtail.app.core.services.instance_policy import check_days
from swallowtail.app.core.services.log_epochs import renew_epoch, renew_every_epoch
from swallowtail.scripts.cli.open_runtime import open_as
from swallowtail.scripts.cli.options import LARGEST, AsJson, AsOperator, InstanceId
from swallowtail.scripts.cli.printing import print_json, tell


def prune_instance(
    instance_id: InstanceId,
    event_days: Annotated[float | None, typer.Option(min=0, help="Days of events to keep.")] = None,
    events: Annotated[
        int | None, typer.Option(min=0, max=LARGEST, help="How many of the latest events to keep.")
    ] = None,
    task_days: Annotated[float | None, typer.Option(min=0, help="Days of ended tasks to keep.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    operator: AsOperator = False,
    as_json: AsJson = False,
) -> None:
    """Delete old events and ended tasks now, by the instance's policy or as the options say."""
    given = (check_days(event_days, "--event-days"), events, check_days(task_days, "--task-days"))
    with open_as(operator) as runtime:
        policy = Policy(*given) if any(value is not None for value in given) else _own_policy(runtime, instance_id)
        done = foresee(runtime, instance_id, policy) if dry_run else prune(runtime, instance_id, policy)
    if as_json:
        shape = {"instance_id": instance_id, "events": done.events, "tasks": done.tasks, "min_seq": done.min_seq}
        print_json({**shape, "dry_run": dry_run})
    else:
        print(f"{done.events} events, {done.tasks} tasks")
        tell(f"{'Would be' if dry_run else 'Are'} deleted; replay is possible from event {done.min_seq} on.")


def renew(
    instance_id: Annotated[str | None, typer.Argument(help="Instance whose log was restored.")] = None,
    everywhere: Annotated[bool, typer.Option("--all", help="Every instance; for superusers.")] = False,
    operator: AsOperator = False,
    as_json: AsJson = False,
) -> None:
    """Begin another epoch, after a database was restored: every client begins again with a snapshot."""
    if (instance_id is None) != everywhere:
        raise InvalidInput("name an instance, or give --all", field="instance_id")
    with open_as(operator) as runtime:
        named = _renew_all_or_one(runtime, instance_id)
        for name, head in named:
            if as_json:
                print_json({"instance_id": name, "epoch": head.epoch, "head": head.seq, "min_seq": head.min_seq})
            else:
                print(f"{name} {head.epoch}")


def _renew_all_or_one(runtime: Runtime, instance_id: str | None) -> Iterator[tuple[str, Head]]:
    if instance_id is None:
        yield from renew_every_epoch(runtime)
    else:
        yield instance_id, renew_epoch(runtime, instance_id)


def _own_policy(runtime: Runtime, instance_id: str) -> Policy:
    with runtime.db.read() as session:
        require(session, runtime.caller.actor, Act.PRUNE, instance_id)
        read_instance(session, instance_id)
        policy = read_policy(session, runtime.settings, instance_id)
    if policy.event_age is None and policy.events is None:
        raise InvalidInput("this instance keeps everything; say with the options what to delete", field="--event-days")
    return policy
