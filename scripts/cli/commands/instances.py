"""The commands about what there is: agents and instances."""

from __future__ import annotations

from typing import Annotated

import typer

from swallowtail.app.core.queries.authorized import Sight
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.schemas.instances import InstanceView
from swallowtail.app.core.services import tasks as task_service
from swallowtail.scripts.cli.exit_codes import Commands
from swallowtail.scripts.cli.open_runtime import open_domain
from swallowtail.scripts.cli.options import AsJson
from swallowtail.scripts.cli.printing import print_agent, print_agents, print_instances, print_json, tell

instances = typer.Typer(cls=Commands, help="List instances, or create one.")


def agents(
    kind: Annotated[str | None, typer.Argument(help="Show this agent with the fields of its input.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the agents that tasks can be given to."""
    with open_domain() as runtime, runtime.db.read() as session:
        sight = Sight(session, runtime.caller.actor)
        found = sight.agents() if kind is None else [sight.agent(kind)]
    if as_json:
        for card in found:
            print_json(card)
    elif kind is None:
        print_agents(found)
    else:
        print_agent(found[0])


@instances.callback(invoke_without_command=True)
def show_instances(context: typer.Context, as_json: AsJson = False) -> None:
    """List instances by id."""
    if context.invoked_subcommand is not None:
        return
    with open_domain() as runtime:
        found = read_all_instances(runtime)
    if as_json:
        for one in found:
            print_json(one)
    else:
        print_instances(found)


@instances.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Name of the workspace.")],
    instance_id: Annotated[str | None, typer.Option("--id", help="Id; made up when left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Create an instance."""
    with open_domain() as runtime:
        made = task_service.create_instance(runtime, name, instance_id)
    if as_json:
        print_json(made)
    else:
        print(made["id"])
        tell(f"Created {made['name']}.")


def read_all_instances(runtime: Runtime) -> list[InstanceView]:
    """Return every instance, by id."""
    found: list[InstanceView] = []
    cursor = None
    while True:
        with runtime.db.read() as session:
            sight = Sight(session, runtime.caller.actor)
            page, cursor = sight.instances(limit=runtime.settings.max_page_size, cursor=cursor)
        found += page
        if cursor is None:
            return found
