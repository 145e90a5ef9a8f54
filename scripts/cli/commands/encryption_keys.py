"""Commands for the keys that encrypt payloads: `swallowtail keys status` and `rotate`."""

from __future__ import annotations

import typer

from swallowtail.scripts.cli.exit_codes import CommandGroup
from swallowtail.scripts.cli.options import AsJson, AsOperator
from swallowtail.scripts.cli.output.printing import print_json, print_note

commands = typer.Typer(cls=CommandGroup, no_args_is_help=True, help="Manage the keys that encrypt payloads.")


@commands.command("status")
def status(operator: AsOperator = False, as_json: AsJson = False) -> None:
    """Show how many values each key encrypts. A key that encrypts none may be removed from the setting."""
    from swallowtail.app.core.maintenance.key_rotation import count_use
    from swallowtail.app.core.security.permissions import require_outside
    from swallowtail.app.core.security.roles import Act
    from swallowtail.scripts.cli.open_runtime import open_runtime_as

    with open_runtime_as(operator) as runtime:
        require_outside(runtime.caller.actor, Act.MANAGE_DEPLOYMENT)
        current, uses = runtime.db.keyring.current, count_use(runtime.db)
    if as_json:
        for use in uses:
            print_json({"table": use.table, "column": use.column, "sealed": use.encrypted, "unsealed": use.plain})
        return
    print(f"Encrypting with: {current or 'no key'}")
    for use in uses:
        counts = [f"{number} with {key_id}" for key_id, number in use.encrypted.items() if number]
        print(f"{use.table}.{use.column}: {', '.join([*counts, f'{use.plain} not encrypted'])}")


@commands.command("rotate")
def rotate_keys(operator: AsOperator = False) -> None:
    """Encrypt everything with the first key of the setting. May be interrupted, and runs beside the other processes."""
    from swallowtail.app.core.maintenance.key_rotation import rotate_all
    from swallowtail.scripts.cli.open_runtime import open_runtime_as

    total = 0
    with open_runtime_as(operator) as runtime:
        for _, count in rotate_all(runtime):
            total += count
    print_note(f"Encrypted {total} rows.")
