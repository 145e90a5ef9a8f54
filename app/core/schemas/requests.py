"""Base of what callers send: validated where it enters, whichever the entry point, with errors as `InvalidInput`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    model_validator,
)
from pydantic.functional_validators import ModelWrapValidatorHandler

from swallowtail.app.core.errors import InvalidInput, explain

_MESSAGES = {"missing": "this field is required", "extra_forbidden": "there is no such field"}


class Request(BaseModel):
    """Base of request bodies, queries and headers. The OpenAPI document shows the docstrings of their attributes."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    @model_validator(mode="wrap")
    @classmethod
    def _raise_invalid_input(cls, values: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return validate(values)
        except ValidationError as invalid:
            errors = _read_errors(invalid)
            field, message = errors[0]["field"], errors[0]["message"]
            raise InvalidInput(f"{field}: {message}", field=field, errors=errors) from None


class RequestBody(Request):
    """Base of request bodies: no coercion."""

    model_config = ConfigDict(strict=True)


def _read_errors(invalid: ValidationError) -> list[dict[str, str]]:
    """Return the errors as `{field, message}`, with fields such as `input.platforms[0]`."""
    errors = invalid.errors(include_url=False, include_context=False, include_input=False)
    return [
        {"field": _format_field(error["loc"]), "message": _MESSAGES.get(error["type"]) or explain(error)}
        for error in errors
    ]


def _format_field(path: tuple[int | str, ...]) -> str:
    formatted = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    # The only header among the fields.
    return "Idempotency-Key" if formatted == ".idempotency_key" else formatted.removeprefix(".") or "body"


def _parse_time(value: object) -> object:
    # Strict models accept no text for a datetime; lenient ones accept numbers too.
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return value


#: A time with an offset, as RFC 3339 text or as a datetime.
Time = Annotated[AwareDatetime, BeforeValidator(_parse_time)]
