"""Values of agents as JSON: each is stored, sent and replayed as the same value, or refused."""

from __future__ import annotations

import dataclasses
import math
import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, StrEnum
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from swallowtail.app.core.events import (
    EventRecord,
    LiveState,
    TextPiece,
    clean,
    event_id,
    now,
    plain,
    stamp,
    step_id,
    to_json,
)


class Colour(StrEnum):
    RED = "red"


class Size(Enum):
    LARGE = 3


class Model(BaseModel):
    when: datetime
    price: Decimal = Decimal("1.10")
    tags: frozenset[str] = frozenset()
    text: str = ""


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Box:
    label: str
    inner: Any = None
    _private: int = 0


AWARE = datetime(2026, 3, 1, 12, 30, 15, 123456, UTC)
HALF_EAST = timezone(timedelta(hours=5, minutes=30))
U = "\ufffd"


@pytest.mark.parametrize(
    ("value", "read_back"),
    [
        pytest.param(AWARE, "2026-03-01T12:30:15.123456Z", id="aware moment"),
        pytest.param(AWARE.astimezone(HALF_EAST), "2026-03-01T18:00:15.123456+05:30", id="moment elsewhere"),
        pytest.param(AWARE.replace(tzinfo=None), "2026-03-01T12:30:15.123456", id="naive moment"),
        pytest.param(date(2026, 3, 1), "2026-03-01", id="date"),
        pytest.param(Decimal("12.340"), "12.340", id="decimal"),
        pytest.param(Decimal("NaN"), "NaN", id="decimal that is no number"),
        pytest.param({3, 1, 2}, [1, 2, 3], id="set"),
        pytest.param(frozenset({"b", "a"}), ["a", "b"], id="frozen set"),
        pytest.param({1, "a"}, ["a", 1], id="mixed set"),
        pytest.param((1, (2,)), [1, [2]], id="tuple"),
        pytest.param(Point(1, 2), [1, 2], id="named tuple"),
        pytest.param(b"caf\xc3\xa9", "café", id="bytes"),
        pytest.param(PurePosixPath("/a/b"), "/a/b", id="path"),
        pytest.param(uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005", id="uuid"),
        pytest.param(Colour.RED, "red", id="text enum"),
        pytest.param(Size.LARGE, 3, id="enum"),
        pytest.param(
            Model(when=AWARE, tags=frozenset({"a"})),
            {"when": "2026-03-01T12:30:15.123456Z", "price": "1.10", "tags": ["a"], "text": ""},
            id="pydantic",
        ),
        pytest.param(SecretStr("x").get_secret_value(), "x", id="text"),
        pytest.param(Box("a", Box("b"), 7), {"label": "a", "inner": {"label": "b", "inner": None}}, id="dataclass"),
        pytest.param(MappingProxyType({"a": {1}}), {"a": [1]}, id="mapping"),
        pytest.param(math.nan, None, id="nan"),
        pytest.param([math.inf, -math.inf], [None, None], id="infinities"),
        pytest.param(-0.0, -0.0, id="minus zero"),
        pytest.param(2**63 - 1, 2**63 - 1, id="largest signed integer"),
        pytest.param(-(2**63), -(2**63), id="least integer"),
        pytest.param(2**64 - 1, 2**64 - 1, id="largest unsigned integer"),
        pytest.param({1: "a", None: "b", 1.5: "d"}, {"1": "a", "null": "b", "1.5": "d"}, id="keys"),
        pytest.param({True: "c"}, {"true": "c"}, id="truth as a key"),
        pytest.param({AWARE: 1, Colour.RED: 2}, {"2026-03-01T12:30:15.123456Z": 1, "red": 2}, id="odd keys"),
        pytest.param("a\x00b", f"a{U}b", id="nul"),
        pytest.param({"k\x00": ["\x00"]}, {f"k{U}": [U]}, id="nul in keys and lists"),
        pytest.param(b"\x00", U, id="nul in bytes"),
        pytest.param("\\u0000 \\\x00", f"\\u0000 \\{U}", id="what only looks like nul"),
        pytest.param("\ud800", U, id="lone high surrogate"),
        pytest.param("a\udfffb", f"a{U}b", id="lone low surrogate"),
        pytest.param("\ud83d\ude00", "😀", id="surrogates that are a pair"),
        pytest.param({"\ud800": "\x00"}, {U: U}, id="surrogate key and nul"),
        pytest.param({"a": {"x\udc00"}}, {"a": [f"x{U}"]}, id="surrogate in a set"),
        pytest.param(
            Box("\ud800", [Box("\x00")]), {"label": U, "inner": [{"label": U, "inner": None}]}, id="dataclass with both"
        ),
        pytest.param([Box("\ud800", date(2026, 3, 1))], [{"label": U, "inner": "2026-03-01"}], id="surrogate and date"),
        pytest.param({"a": "\ud800", "b": {Decimal(1)}}, {"a": U, "b": ["1"]}, id="surrogate beside a set of decimals"),
        pytest.param("\u2028\x7f\x85\x1f", "\u2028\x7f\x85\x1f", id="other controls"),
    ],
)  # fmt: skip
def test_a_value_is_read_back_as(value: object, read_back: object) -> None:
    assert plain(value) == read_back
    assert to_json(plain(value)) == to_json(value) or b"\\u0000" in to_json(value)


def test_a_model_with_a_surrogate_is_cleaned() -> None:
    model = Model.model_construct(when=AWARE, price=Decimal(1), tags=frozenset({"\udc00"}), text="\ud800")
    assert plain({"m": model})["m"]["text"] == U


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(object(), id="object"),
        pytest.param({"f": lambda: None}, id="function"),
        pytest.param((n for n in range(3)), id="generator"),
        pytest.param(1j, id="complex"),
        pytest.param(2**64, id="integer of 65 bits"),
        pytest.param(-(2**63) - 1, id="negative integer of 65 bits"),
        pytest.param({(1, 2): 3}, id="tuple as a key"),
        pytest.param({b"k": 1}, id="bytes as a key"),
        pytest.param(b"caf\xc3\xa9 \xff", id="bytes that are not UTF-8"),
        pytest.param(["\ud800", b"\xff"], id="such bytes beside a surrogate"),
        pytest.param(bytearray(b"a"), id="bytes that change"),
        pytest.param(["\ud800", object()], id="object beside a surrogate"),
    ],
)
def test_a_value_without_a_json_form_is_refused_as_a_type_error(value: object) -> None:
    with pytest.raises(TypeError):
        to_json(value)


def test_a_value_that_is_nested_without_end_is_refused_as_a_type_error() -> None:
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    with pytest.raises(TypeError):
        to_json(deep)
    endless: dict[str, Any] = {}
    endless["self"] = endless
    with pytest.raises(TypeError):
        to_json(endless)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip
WILD_TEXT = st.text(st.characters(), max_size=20)


@given(JSON)
@example({"\\u0000": 1})
def test_json_without_nul_comes_back_unchanged(value: object) -> None:
    if "\x00" not in repr_text(value):
        assert plain(value) == value


@given(
    st.dictionaries(WILD_TEXT, st.sets(WILD_TEXT) | WILD_TEXT | st.lists(WILD_TEXT | st.datetimes() | st.decimals()))
)
def test_values_that_are_read_back_are_stable_and_clean(value: object) -> None:
    once = plain(value)
    assert plain(once) == once
    for text in texts(once):
        assert "\x00" not in text
        text.encode("utf-8")


@given(WILD_TEXT)
def test_cleaned_text_equals_text_that_passed_through_json(text: str) -> None:
    assert clean(text) == plain(text)
    assert clean(clean(text)) == clean(text)


def repr_text(value: object) -> str:
    return "".join(texts(value))


def texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in (*texts(key), *texts(item))]
    return [text for item in value for text in texts(item)] if isinstance(value, list) else []


def test_the_id_of_a_fact_is_the_same_each_time_and_apart_from_every_other() -> None:
    task = "00000000-0000-4000-8000-000000000000"
    assert event_id(task, 1, "a", "start") == event_id(task, 1, "a", "start")
    facts = [
        (task, 1, "a", "start"),
        (task, 1, "a", "end"),
        (task, 2, "a", "start"),
        (task, 1, "b", "start"),
        (task, 1, "", "status:FAILED"),
        (task[:-1] + "1", 1, "a", "start"),
        (task, 11, "a", "start"),
    ]
    assert len({event_id(*fact) for fact in facts}) == len(facts)
    assert uuid.UUID(event_id(*facts[0])).version == 5


@pytest.mark.parametrize("joint", ["/", ":", ",", '"', "\\", "\x1f"])
def test_no_step_key_can_forge_the_id_of_another_fact(joint: str) -> None:
    first = event_id("t", 1, f"a{joint}b", "c")
    second = event_id("t", 1, "a", f"b{joint}c")
    assert first != second
    assert event_id("t", 1, f"{joint}progress:x", "start") != event_id("t", 1, "", f"progress:x{joint}start")


def test_the_id_of_a_step_is_the_same_for_every_attempt() -> None:
    assert step_id("t", "a") == step_id("t", "a")
    assert len({step_id("t", "a"), step_id("t", "b"), step_id("u", "a")}) == 3


def test_moments_are_stamped_in_utc_with_milliseconds() -> None:
    assert stamp(None) is None
    assert stamp(AWARE) == "2026-03-01T12:30:15.123Z"
    assert stamp(AWARE.astimezone(HALF_EAST)) == "2026-03-01T12:30:15.123Z"
    assert stamp(datetime(1, 1, 1, tzinfo=UTC)) == "0001-01-01T00:00:00.000Z"
    assert now().tzinfo is UTC


def test_the_shapes_on_the_wire_are_these() -> None:
    assert EventRecord("i", 7, "e", "id", "t", "task_update", 2, {"progress": 1}).wire() == {
        "instance_id": "i",
        "task_id": "t",
        "type": "task_update",
        "data": {"progress": 1},
        "seq": 7,
        "epoch": "e",
        "id": "id",
        "attempt": 2,
    }
    assert LiveState("i", "t", 2, 3, 7, {"progress": 1}, "e").wire() == {
        "instance_id": "i",
        "task_id": "t",
        "type": "task_update",
        "data": {"progress": 1},
        "epoch": "e",
        "attempt": 2,
        "rev": 3,
    }
    assert TextPiece("i", "t", "s", 2, 3, 10, "more").wire() == {
        "instance_id": "i",
        "task_id": "t",
        "step_id": "s",
        "attempt": 2,
        "rev": 3,
        "offset": 10,
        "text": "more",
    }
    assert orjson.dumps(TextPiece("i", "t", "s", 2, 3, 10, "more").wire())
