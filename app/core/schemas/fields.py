"""Field types that the schemas share; Pydantic reads their JSON Schema from the annotations.

A schema is a `TypedDict`: rows become plain dictionaries without validation on their way out, mypy checks their
keys, and the OpenAPI document is made of the same class. Descriptions are `Field` annotations, so that subclasses
inherit them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, TypeVar, cast

from pydantic import ConfigDict, Field, WithJsonSchema, with_config
from typing_extensions import TypedDict

from swallowtail.app.core.events import stamp

Timestamp = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
InstanceId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", examples=["demo"])]
Uuid = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
AnyJson = Annotated[Any, WithJsonSchema({"description": "Any JSON value"})]


@with_config(ConfigDict(extra="forbid"))
class Schema(TypedDict):
    """Base of all schemas: a dictionary with these keys and no others."""


S = TypeVar("S", bound=Schema)


def view_row(schema: type[S], row: object, **fields: Any) -> S:
    """Return a schema with `fields`, and with a row's columns of the same name for its other keys."""
    view: dict[str, Any] = {}
    for name in schema.__annotations__:
        value = fields[name] if name in fields else getattr(row, name)
        view[name] = stamp(value) if isinstance(value, datetime) else value
    return cast("S", view)
