"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.core.validation import check_instance_id, check_task_id

#: The largest number that the database can store.
_LARGEST = 2**63 - 1


def check_count(option: typer.CallbackParam, value: int | None) -> int | None:
    """Return the value of an option that numbers or counts events or entries. Raises InvalidInput."""
    if value is not None and not 0 <= value <= _LARGEST:
        raise InvalidInput(f"must be a number from 0 to {_LARGEST}", field=option.opts[0])
    return value


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")]
WithLive = Annotated[bool, typer.Option("--live", help="With --json: also print progress within steps.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Show the task's events until it ends.")]
Instance = Annotated[
    str,
    typer.Argument(
        metavar="INSTANCE", help="Id of the instance.", callback=lambda value: check_instance_id(value, "INSTANCE")
    ),
]
InstanceId = Annotated[str, typer.Option("--instance", "-i", metavar="ID", help="Id of the instance.")]
TaskId = Annotated[
    str, typer.Argument(metavar="TASK", help="Id of the task.", callback=lambda value: check_task_id(value, "TASK"))
]
Input = Annotated[
    str | None,
    typer.Option(
        "--input",
        metavar="FILE",
        help="File with the input (.json) or the document for the agent; - reads standard input.",
    ),
]
Set = Annotated[
    list[str] | None, typer.Option("--set", "-s", metavar="KEY=VALUE", help="One field of the input; may be repeated.")
]
AsOperator = Annotated[
    bool,
    typer.Option(
        "--as-operator", help="Act as the operator of the deployment, without signing in; the audit log records it."
    ),
]
