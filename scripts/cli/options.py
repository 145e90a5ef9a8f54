"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

#: The largest number of an event or entry that a database can hold.
LARGEST = 2**63 - 1

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")]
WithLive = Annotated[bool, typer.Option("--live", help="With --json: print progress inside steps too.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Show the task's events until it has ended.")]
InstanceId = Annotated[str, typer.Option("--instance", "-i", help="Instance to work in.")]
Input = Annotated[
    str | None,
    typer.Option(
        "--input", help="File with the input (.json) or with the document to work on; - reads standard input."
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="KEY=VALUE", help="One field of the input; may be given many times."),
]
AsOperator = Annotated[
    bool,
    typer.Option(
        "--as-operator",
        help="Without signing in: whoever can read the settings of this deployment has its database anyhow.",
    ),
]
