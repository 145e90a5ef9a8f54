"""The run encodes and checks the output of a step once, and that JSON is stored."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from swallowtail.app.core import validation
from swallowtail.app.core.events import to_json
from swallowtail.app.core.queries.rows import read_task
from swallowtail.app.core.tables.tasks import Step
from swallowtail.workers.run.json_output import encode
from tests.core.conftest import NewDomain
from tests.core.domain import read_outputs
from tests.harness.settings import make_settings

MARK, REPLACED = "of-one-output", "\ufffd"


@pytest.mark.parametrize("more", [0, 2000], ids=["inline", "apart"])
@pytest.mark.parametrize("hidden", [{}, {"password": "open sesame"}], ids=["plain", "secret"])
def test_on_its_way_to_the_row_an_output_is_not_encoded_or_measured_again(
    new_domain: NewDomain, monkeypatch: pytest.MonkeyPatch, more: int, hidden: dict[str, Any]
) -> None:
    domain = new_domain(inline_output_bytes=1024)
    claim = domain.running(input=hidden)
    output = encode({MARK: "x" * more, **hidden, "deep": [[[[5.0]]]]}, domain.settings)
    domain.runs.start_step(claim, "a", "Agent", "work")
    seen: list[str] = []
    for module, name in (
        ("swallowtail.app.core.ledger.artifacts", "to_json"),
        ("swallowtail.app.core.ledger.artifacts", "check_encoded"),
        ("swallowtail.app.core.tables.column_encryption", "to_json"),
        ("swallowtail.app.core.ledger.event_log", "to_json"),
        ("swallowtail.app.core.privacy.redaction", "to_json"),
    ):
        monkeypatch.setattr(f"{module}.{name}", _watched(module, name, seen))
    domain.runs.finish_step(claim, "a", output)
    # Only what is shown of a large one is made into text, where that is something else.
    assert seen == (["swallowtail.app.core.ledger.artifacts.to_json"] if more and hidden else [])
    domain.runs.complete(claim, output)
    with domain.db.read() as session:
        assert session.query(Step).one().saved
        assert read_outputs(session, claim.task_id) == [read_task(session, claim.task_id)["result"]]


def _watched(module: str, name: str, seen: list[str]) -> Any:
    work = getattr(__import__(module, fromlist=[name]), name)

    def counted(argument: Any, *more: Any, **named: Any) -> Any:
        if MARK in repr(argument) and "$artifact" not in repr(argument):
            seen.append(f"{module}.{name}")
        return work(argument, *more, **named)

    return counted


def test_later_changes_of_an_output_by_its_agent_have_no_effect(new_domain: NewDomain) -> None:
    domain = new_domain()
    claim = domain.running()
    output = encode({"list": [1]}, domain.settings)
    domain.runs.start_step(claim, "a", "Agent", "work")
    domain.runs.finish_step(claim, "a", output)
    output.value["list"].append(2)
    assert domain.announced[-1].data["output"] == {"list": [1]}


@pytest.mark.parametrize("argument", [{1: "a", "1": "b"}, {"\ud800": 1, REPLACED: 2}, {"\x00": 1, REPLACED: 2}])
def test_of_keys_with_the_same_text_the_last_counts_everywhere(argument: Any) -> None:
    encoded = to_json(argument)
    assert encoded == orjson.dumps(orjson.loads(encoded))
    assert list(orjson.loads(encoded).values()) == [list(argument.values())[-1]]
    checked = encode(argument, make_settings())
    assert orjson.dumps(checked.value) == checked.encoded
    assert isinstance(checked, validation.CheckedJson)
