"""Commands for the operator: prune old data, and renew epochs after a restore."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from swallowtail.app.core.errors import InvalidInput
from swallowtail.scripts.cli.options import AsJson, AsOperator, InstanceId, check_count
from swallowtail.scripts.cli.output.printing import count, print_json, print_note
from swallowtail.scripts.cli.remote.server_options import local

if TYPE_CHECKING:
    from swallowtail.app.core.maintenance.retention import Policy
    from swallowtail.app.core.runtime import Runtime

# Functions import what works on the database: `--help` must not take a second.


def prune_instance(
    instance_id: InstanceId,
    event_days: Annotated[float | None, typer.Option(min=0, metavar="DAYS", help="Days to keep events.")] = None,
    events: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Number of latest events to keep.", callback=check_count)
    ] = None,
    task_days: Annotated[float | None, typer.Option(min=0, metavar="DAYS", help="Days to keep ended tasks.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be deleted.")] = False,
    operator: AsOperator = False,
    as_json: AsJson = False,
) -> None:
    """Delete old events and ended tasks. Uses the instance's policy unless options say otherwise."""
    from swallowtail.app.core.maintenance.retention import Policy, preview_pruning, prune
    from swallowtail.app.core.services.instance_policy import check_days
    from swallowtail.scripts.cli.open_runtime import open_runtime_as

    limits = (check_days(event_days, "--event-days"), events, check_days(task_days, "--task-days"))
    with open_runtime_as(operator) as runtime:
        policy = Policy(*limits) if any(limit is not None for limit in limits) else _own_policy(runtime, instance_id)
        pruned = preview_pruning(runtime, instance_id, policy) if dry_run else prune(runtime, instance_id, policy)
    if as_json:
        shape = {"instance_id": instance_id, "events": pruned.events, "tasks": pruned.tasks, "min_seq": pruned.min_seq}
        print_json({**shape, "dry_run": dry_run})
    else:
        print(f"{count(pruned.events, 'event')}, {count(pruned.tasks, 'task')}")
        print_note(f"{'Would be' if dry_run else 'Were'} deleted; clients can replay from event {pruned.min_seq} on.")


@local
def renew(
    instance_id: Annotated[
        str | None, typer.Argument(metavar="INSTANCE", help="Id of the instance whose log was restored.")
    ] = None,
    everywhere: Annotated[bool, typer.Option("--all", help="All instances; for superusers.")] = False,
    operator: AsOperator = False,
    as_json: AsJson = False,
) -> None:
    """Begin a new epoch after a database restore. Every client then loads a snapshot."""
    from swallowtail.app.core.services.log_epochs import renew_epoch, renew_every_epoch
    from swallowtail.scripts.cli.open_runtime import open_runtime_as

    if (instance_id is None) != everywhere:
        raise InvalidInput("INSTANCE or --all is required", field="INSTANCE")
    with open_runtime_as(operator) as runtime:
        heads = (
            renew_every_epoch(runtime) if instance_id is None else [(instance_id, renew_epoch(runtime, instance_id))]
        )
        for renewed, head in heads:
            if as_json:
                print_json({"instance_id": renewed, "epoch": head.epoch, "head": head.seq, "min_seq": head.min_seq})
            else:
                print(f"{renewed} {head.epoch}")


def _own_policy(runtime: Runtime, instance_id: str) -> Policy:
    from swallowtail.app.core.maintenance.retention import read_policy
    from swallowtail.app.core.queries.rows import read_instance
    from swallowtail.app.core.security.permissions import require
    from swallowtail.app.core.security.roles import Act

    with runtime.db.read() as session:
        require(session, runtime.caller.actor, Act.PRUNE, instance_id)
        read_instance(session, instance_id)
        policy = read_policy(session, runtime.settings, instance_id)
    if policy.event_age is None and policy.events is None:
        raise InvalidInput(
            "the policy of this instance keeps everything; choose with the options what to delete", field="--event-days"
        )
    return policy
