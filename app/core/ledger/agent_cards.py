"""Stores the agents' cards, and checks inputs against the JSON Schema of a card.

Workers publish their cards at `release` and at every start, so that the web, the CLI and beat import no agent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from swallowtail.app.core.database.database import Database
from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.core.events import now
from swallowtail.app.core.tables.system import Agent

#: The agent that performs the steps of its input, for tests and operators (`SWALLOWTAIL_PROBE`).
PROBE = "probe"
_FORMATS = FormatChecker()
#: Most findings in one error.
_MOST_FINDINGS = 20


def _check_unique(validator: Any, is_unique: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """Find equal items in linear time; the library compares each with each."""
    if is_unique and isinstance(instance, list) and len({_hashable(item) for item in instance}) < len(instance):
        yield ValidationError(f"{instance!r} has non-unique elements")


def _hashable(value: Any) -> Any:
    """Return equal objects for values that are equal in JSON Schema: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, dict):
        return dict, frozenset((key, _hashable(item)) for key, item in value.items())
    if isinstance(value, list):
        return list, tuple(map(_hashable, value))
    return (bool, value) if isinstance(value, bool) else value


_Validator = extend(Draft202012Validator, {"uniqueItems": _check_unique})  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class AgentCard:
    """The description of one agent. The schemas are JSON Schema 2020-12; limits are seconds or None."""

    kind: str
    title: str
    description: str
    version: str
    input_schema: dict[str, Any]
    soft_time_limit: float | None = None
    hard_time_limit: float | None = None
    output_schema: dict[str, Any] | None = None


def register(db: Database, cards: Iterable[AgentCard]) -> None:
    """Store the cards and replace older ones of the same kinds. Several workers may do so at once."""
    listed = sorted(cards, key=lambda card: card.kind)

    def work(session: Session) -> None:
        for card in listed:
            row = session.get(Agent, card.kind) or Agent(kind=card.kind)
            for part in fields(card):
                setattr(row, part.name, getattr(card, part.name))
            row.updated_at = now()
            session.add(row)

    try:
        db.run(work)
    except IntegrityError:
        # Another worker stored a kind that was new to both; now its row exists.
        db.run(work)


def withdraw(db: Database, kind: str) -> None:
    """Delete the card of a kind."""
    db.run(lambda session: session.execute(delete(Agent).where(Agent.kind == kind)))


def find_card(session: Session, kind: str) -> Agent:
    """Return the card of a kind. Raises InvalidInput, with the known kinds, if no worker has published it."""
    row = session.get(Agent, kind)
    if row is None:
        kinds = ", ".join(sorted(session.scalars(select(Agent.kind)))) or "none yet: run the release command"
        raise InvalidInput(f"there is no agent of kind {kind!r} (known: {kinds})", field="kind")
    return row


def as_card(row: Agent) -> AgentCard:
    """Return the card in a row."""
    return AgentCard(**{part.name: getattr(row, part.name) for part in fields(AgentCard)})


def validate_input(card: Agent | AgentCard, payload: Any) -> Any:
    """Check an input against the card's schema and return it with the schema's top-level defaults.

    Raises InvalidInput with the first wrong field, such as `input.platforms[0]`; `errors` lists them all.
    """
    if payload is None:
        payload = {}
    validator = _Validator(card.input_schema, format_checker=_FORMATS)
    findings = sorted(validator.iter_errors(payload), key=lambda finding: list(map(str, finding.absolute_path)))
    if findings:
        errors = [{"field": _field(finding), "message": _message(finding)} for finding in findings[:_MOST_FINDINGS]]
        raise InvalidInput(f"{errors[0]['field']}: {errors[0]['message']}", field=errors[0]["field"], errors=errors)
    if isinstance(payload, dict):
        properties = card.input_schema.get("properties", {})
        defaults = {
            name: rule["default"] for name, rule in properties.items() if isinstance(rule, dict) and "default" in rule
        }
        return {**{name: value for name, value in defaults.items() if value is not None}, **payload}
    return payload


def _field(finding: ValidationError) -> str:
    path = _path(finding.absolute_path)
    rule: Any = finding.validator_value
    instance: Any = finding.instance
    if finding.validator == "required":
        name = next((name for name in rule if name not in instance), "")
        return f"{path}.{name}" if name else path
    if finding.validator == "additionalProperties":
        properties = finding.schema.get("properties", {}) if isinstance(finding.schema, dict) else {}
        unknown = next((name for name in instance if name not in properties), "")
        return f"{path}.{unknown}" if unknown else path
    return path


def _path(parts: Iterable[str | int]) -> str:
    return "input" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)


def _message(finding: ValidationError) -> str:
    if finding.validator == "required":
        return "this field is required"
    if finding.validator == "additionalProperties":
        return "there is no such field"
    rule: Any = finding.validator_value
    if finding.validator in ("oneOf", "anyOf") and all("required" in option for option in rule):
        names = " or ".join(" and ".join(option["required"]) for option in rule)
        return f"give exactly one of {names}" if finding.validator == "oneOf" else f"give {names}"
    # The library quotes the whole input, which may be a megabyte.
    return finding.message if len(finding.message) <= 200 else f"{finding.message[:120]} … {finding.message[-60:]}"
