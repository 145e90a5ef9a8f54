"""Command groups whose commands are imported when they run, so that `--help` of the others is fast."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import typer
import typer.main
from typer.core import TyperCommand

from swallowtail.scripts.cli.examples import add_examples
from swallowtail.scripts.cli.exit_codes import CommandGroup, ExitCode
from swallowtail.scripts.cli.remote.server_options import add_server_options, name_options

#: Modules whose absence shows that an extra of the distribution is not installed.
_MODULES_OF_EXTRA = {"server": ("celery", "eventlet", "flask", "sqlalchemy")}


class CommandEntry(NamedTuple):
    """A row of the table of commands."""

    #: The module below `swallowtail.scripts`.
    module: str
    #: The module's function or Typer object.
    attribute: str
    help: str
    #: Heading of the list of commands.
    section: str
    #: Extra of the distribution that the command needs, such as `server`; None if it calls a server over HTTP.
    extra: str | None = None
    #: Whether options that the function does not have are passed on in `context.args`, to another program.
    passes_options: bool = False


class LazyCommand(TyperCommand):
    """Stands for a command in lists; imports its module to parse arguments."""

    def __init__(self, name: str, entry: CommandEntry) -> None:
        super().__init__(name, help=entry.help)
        self.entry = entry

    def load(self) -> Any:
        """Import the module and return the command."""
        target = getattr(import_module(f"swallowtail.scripts.{self.entry.module}"), self.entry.attribute)
        parent = typer.Typer(rich_markup_mode=None, add_completion=False)
        parent.callback()(lambda: None)
        if isinstance(target, typer.Typer):
            parent.add_typer(target, name=self.name)
        else:
            settings = {"ignore_unknown_options": True, "allow_extra_args": True} if self.entry.passes_options else None
            parent.command(self.name, context_settings=settings)(target)
        command = typer.main.get_group(parent).commands[str(self.name)]
        name_options(command)
        if self.entry.extra is None:
            add_server_options(command)
        _shorten_arguments(command)
        add_examples(command, str(self.name))
        return command

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Return the context of the imported command."""
        return self.load().make_context(*arguments, **options)


class LazyGroup(CommandGroup):
    """The root group: lists commands by section, and imports only the one that runs."""

    #: The table of commands, by name.
    table: Mapping[str, CommandEntry] = {}

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, entry in self.table.items():
            self.add_command(LazyCommand(name, entry), name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands below the headings of their sections."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, entry in self.table.items():
            sections.setdefault(entry.section, []).append((name, entry.help))
        widest = max(map(len, self.table))
        for section, rows in sections.items():
            with formatter.section(section):
                formatter.write_dl([(name.ljust(widest), text) for name, text in rows])

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command; a missing extra is one line that says how to install it."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError:
            name = ctx.invoked_subcommand
            # Some commands of a group work on the database, and the others over HTTP.
            extra = self.table[name].extra or "server"
            if _is_installed(extra):
                raise
            remedy = f"pip install 'swallowtail[{extra}]'"
            print(f"swallowtail {name} needs the {extra}'s packages: {remedy}", file=sys.stderr)
            raise typer.Exit(ExitCode.BAD_INPUT) from None


def _shorten_arguments(command: Any) -> None:
    """Show arguments by their names alone: `KIND`, or `[KIND]` if it can be omitted."""
    for param in command.params:
        if param.param_type_name == "argument":
            name = f"{param.metavar}{'...' if param.nargs != 1 else ''}"
            pieces = [name if param.required else f"[{name}]"]
            param.get_usage_pieces = lambda ctx, pieces=pieces: pieces
            param.display_type_rich = lambda ctx: None
    for inner in getattr(command, "commands", {}).values():
        _shorten_arguments(inner)


def _is_installed(extra: str) -> bool:
    return all(find_spec(module) is not None for module in _MODULES_OF_EXTRA.get(extra, ()))
