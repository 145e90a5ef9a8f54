"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from swallowtail.app.core.errors import InvalidInput

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
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
Instance = Annotated[str, typer.Argument(metavar="INSTANCE", help="Id of the instance.")]
InstanceId = Annotated[str, typer.Option("--instance", "-i", metavar="INSTANCE", help="Id of the instance.")]
TaskId = Annotated[str, typer.Argument(metavar="TASK", help="Id of the task.")]
Kind = Annotated[str | None, typer.Option("--kind", metavar="KIND", help="Only tasks of this kind.")]
Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="TIME",
        help="Only from this time on: 2030-01-31, 2030-01-31T08:00:00Z, or 2h for two hours ago.",
    ),
]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Only before this time.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=100_000, metavar="NUMBER", help="Maximum number of lines.")]
Lifetime = Annotated[
    str | None, typer.Option("--for", metavar="DURATION", help="Lifetime of the token, such as 8h or 30d.")
]
Sample = Annotated[bool, typer.Option("--sample", help="Start from the agent's sample input.")]
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
        "--as-operator",
        help="Act as the operator of this machine's deployment, on its database and without signing in; the audit log "
        "records it.",
    ),
]
