"""Agent cards: workers publish them, and inputs are checked against their schemas."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.core.ledger.agent_cards import AgentCard, find_card, register, validate_input
from swallowtail.app.core.queries.rows import list_agents
from swallowtail.app.core.tables.system import Agent
from tests.core.domain import Domain
from tests.harness.scaling import check_scaling


def _card(schema: dict[str, Any] | None = None, kind: str = "k", **values: Any) -> AgentCard:
    return AgentCard(
        **{"kind": kind, "title": "T", "description": "D", "version": "1", "input_schema": schema or {}, **values}
    )


def _row(schema: dict[str, Any]) -> Agent:
    return Agent(kind="k", input_schema=schema)


def test_a_card_replaces_an_older_one_and_no_other(domain: Domain) -> None:
    register(domain.db, [_card(kind="a"), _card(kind="b")])
    register(domain.db, [_card({"type": "object"}, kind="b", version="2", soft_time_limit=3.0)])
    with domain.db.read() as session:
        assert [(view["kind"], view["version"], view["soft_time_limit"]) for view in list_agents(session)] == [
            ("a", "1", None),
            ("b", "2", 3.0),
        ]


def test_many_workers_may_publish_new_cards_at_once(domain: Domain) -> None:
    barrier = threading.Barrier(6)
    faults: list[BaseException] = []

    def publish(turn: int) -> None:
        cards = [_card(kind=kind, version=str(turn)) for kind in "abcdef"]
        barrier.wait()
        try:
            register(domain.db, cards if turn % 2 else cards[::-1])
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=publish, args=(turn,)) for turn in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    with domain.db.read() as session:
        assert len(list_agents(session)) == 6


def test_an_unknown_kind_is_refused_with_those_that_are_known(domain: Domain) -> None:
    with domain.db.read() as session, pytest.raises(InvalidInput, match="none yet"):
        find_card(session, "x")
    register(domain.db, [_card(kind="b"), _card(kind="a")])
    with domain.db.read() as session, pytest.raises(InvalidInput, match=r"known: a, b") as refused:
        find_card(session, "x")
    assert refused.value.field == "kind"


@pytest.mark.parametrize(
    ("schema", "payload", "field", "message"),
    [
        ({"type": "object", "required": ["a", "b"]}, {"a": 1}, "input.b", "this field is required"),
        ({"additionalProperties": False, "properties": {"a": {}}}, {"z": 2}, "input.z", "there is no such field"),
        ({"properties": {"a": {"items": {"enum": [4]}}}}, {"a": [4, 2]}, "input.a[1]", "2 is not one of [4]"),
        ({"oneOf": [{"required": ["text"]}, {"required": ["url"]}]}, {}, "input", "give exactly one of text or url"),
        ({"anyOf": [{"required": ["a", "b"]}, {"required": ["c"]}]}, {}, "input", "give a and b or c"),
        ({"properties": {"d": {"format": "date"}}}, {"d": "soon"}, "input.d", "'soon' is not a 'date'"),
        ({"properties": {"n": {"minimum": 3}}}, {"n": 2}, "input.n", "2 is less than the minimum of 3"),
        ({"properties": {"a": {"required": ["x"]}}}, {"a": {}}, "input.a.x", "this field is required"),
    ],
)  # fmt: skip
def test_an_input_that_does_not_fit_names_the_field(
    schema: dict[str, Any], payload: Any, field: str, message: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        validate_input(_row(schema), payload)
    assert (refused.value.field, refused.value.errors[0]) == (field, {"field": field, "message": message})


def test_a_message_does_not_quote_a_megabyte() -> None:
    with pytest.raises(InvalidInput) as refused:
        validate_input(_row({"properties": {"a": {"type": "integer"}}}), {"a": "x" * 1_000_000})
    assert len(refused.value.message) < 250


@pytest.mark.parametrize(
    ("schema", "payload", "filled"),
    [
        ({}, None, {}),
        ({}, [1], [1]),
        ({}, {"a": 1}, {"a": 1}),
        ({"properties": {"a": {"default": 1}, "b": {"default": []}}}, {}, {"a": 1, "b": []}),
        ({"properties": {"a": {"default": 1}}}, {"a": None}, {"a": None}),
        ({"properties": {"a": {"default": None}, "b": True}}, {}, {}),
        ({"properties": {"a": {"properties": {"b": {"default": 1}}}}}, {"a": {}}, {"a": {}}),
    ],
)
def test_an_input_that_fits_gets_top_level_defaults(schema: dict[str, Any], payload: Any, filled: Any) -> None:
    assert validate_input(_row(schema), payload) == filled


UNIQUE = {"type": "object", "properties": {"tags": {"type": "array", "uniqueItems": True}}}


@pytest.mark.parametrize(
    ("tags", "is_taken"),
    [
        ([1, True, "1", None, [1], [True], {"a": 1}, {"a": True}, {}, []], True),
        ([1, 1.0], False),
        ([{"a": 1, "b": [{}]}, {"b": [{}], "a": 1.0}], False),
        ([[1, 2], [2, 1]], True),
        (["a", "b", "a"], False),
        ([0, False, -0.0], False),
        ([None, None], False),
    ],
)
def test_items_that_are_to_be_unique_are_compared_as_json_schema_says(tags: list[Any], is_taken: bool) -> None:
    card = Agent(kind="any", input_schema=UNIQUE)
    if is_taken:
        assert validate_input(card, {"tags": tags}) == {"tags": tags}
    else:
        with pytest.raises(InvalidInput) as refused:
            validate_input(card, {"tags": tags})
        assert refused.value.field == "input.tags"


@pytest.mark.parametrize("make", [lambda n: {"a": n}, lambda n: [n] if n % 2 else n, lambda n: {"a": [{"b": str(n)}]}])
def test_the_search_for_equal_items_takes_linear_time(make: Callable[[int], Any]) -> None:
    card = Agent(kind="any", input_schema=UNIQUE)
    check_scaling(lambda size: validate_input(card, {"tags": [make(n) for n in range(size)]}), lambda size: size, 500)
