"""The commands about the keys that payloads are sealed with: `swallowtail keys status` and `rotate`."""

from __future__ import annotations

import typer

from swallowtail.app.core.maintenance.key_rotation import count_use, rotate_all
from swallowtail.app.core.security.permissions import Act, require_outside
from swallowtail.scripts.cli.exit_codes import Commands
from swallowtail.scripts.cli.open_runtime import open_as
from swallowtail.scripts.cli.options import AsJson, AsOperator
from swallowtail.scripts.cli.printing import print_json, tell

keys = typer.Typer(cls=Commands, no_args_is_help=True, help="Look after the keys that payloads are sealed with.")


@keys.command("status")
def status(operator: AsOperator = False, as_json: AsJson = False) -> None:
    """Tell how much is sealed with which key. One that seals nothing any more may be taken out of the setting."""
    with open_as(operator) as runtime:
        require_outside(runtime.caller.actor, Act.KEEP_DEPLOYMENT)
        current, found = runtime.db.keyring.current, count_use(runtime.db)
    if as_json:
        for use in found:
            print_json({"table": use.table, "column": use.column, "sealed": use.sealed, "unsealed": use.unsealed})
        return
    print(f"Sealing with: {current or 'nothing'}")
    for use in found:
        counts = [f"{number} with {key_id}" for key_id, number in use.sealed.items() if number]
        print(f"{use.table}.{use.column}: {', '.join([*counts, f'{use.unsealed} not sealed'])}")


@keys.command("rotate")
def rotate_keys(operator: AsOperator = False) -> None:
    """Seal everything with the first key of the setting. May be interrupted and begun again, while all else runs."""
    total = 0
    with open_as(operator) as runtime:
        for _, done in rotate_all(runtime):
            total += done
    tell(f"Sealed {total} rows.")
