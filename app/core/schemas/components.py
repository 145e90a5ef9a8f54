"""Schema of the state of one component, such as the database or the broker."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from swallowtail.app.core.schemas.fields import Schema


class Component(Schema):
    """State of one component that delivery depends on."""

    status: Annotated[str, Field(examples=["ok", "degraded", "down"], description="Status")]
    detail: Annotated[str, Field(description="Details")]
