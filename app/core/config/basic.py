"""Marks the basic settings: those that the README, `.env.example` and the first table of docs/settings.md show."""

from __future__ import annotations

from typing import Any

from pydantic import Field


def basic(default: Any, **options: Any) -> Any:
    """Return a `Field` that is marked as basic."""
    return Field(default, json_schema_extra={"basic": True}, **options)
