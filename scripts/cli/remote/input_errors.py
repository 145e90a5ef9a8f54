"""Errors about an agent's kind and the input of a task: they name what the user typed, and similar names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING

from swallowtail.app.core.errors import InvalidInput
from swallowtail.client import errors as api

if TYPE_CHECKING:
    from swallowtail.client import Client

#: Names that a message lists.
_MOST_NAMES = 12
_UNKNOWN = "there is no such field"


@contextmanager
def explain_kind(client: Client, kind: str) -> Iterator[None]:
    """Name the kinds that exist, and those that are similar, in the error for an unknown one."""
    try:
        yield
    except (api.InvalidInput, api.NotFound) as error:
        if error.field != "kind" or not error.message.startswith("there is no agent"):
            raise
        kinds = [agent.kind for agent in client.agents()]
        message = f"there is no agent of kind {kind!r} {_list_names(kind, kinds)}"
        raise type(error)(error.code, message, "kind", error.status) from None


@contextmanager
def explain_input(client: Client, kind: str, source: str | None, values: Sequence[str] | None) -> Iterator[None]:
    """Name the option that a wrong field comes from, and similar fields, in the error of a submission."""
    try:
        with explain_kind(client, kind):
            yield
    except api.InvalidInput as error:
        # A misspelt field is missing under its right name as well.
        unknown = [one["field"] for one in error.errors if one["message"].endswith(_UNKNOWN)]
        field = unknown[0] if unknown else error.field or ""
        head, _, key = field.partition(".")
        if head != "input" or not key:
            raise
        message = _UNKNOWN if unknown else error.message.removeprefix(field).lstrip(": ")
        if message == _UNKNOWN:
            fields = list(client.agent(kind).input_schema.get("properties", {})) if "." not in key else []
            message = f"{message} {_list_names(key, fields)}".rstrip()
        typed = {value.partition("=")[0].strip() for value in values or ()}
        if source is None or re.split(r"[.\[]", key)[0] in {name.partition(".")[0] for name in typed}:
            raise InvalidInput(message, field=f"--set {key}") from None
        raise InvalidInput(f"{key}: {message}", field="--input") from None


def _list_names(name: str, names: Sequence[str]) -> str:
    """Return the names that exist, and a question about those that are similar."""
    if not names:
        return ""
    more = ", …" if len(names) > _MOST_NAMES else ""
    near = " or ".join(get_close_matches(name, names))
    return f"(known: {', '.join(names[:_MOST_NAMES])}{more}){f'; did you mean {near}?' if near else ''}"
