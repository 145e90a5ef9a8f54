"""Validation of ids, lines of text and JSON."""

from __future__ import annotations

import tracemalloc

import pytest

from swallowtail.app.core.errors import InvalidInput, TooLarge
from swallowtail.app.core.validation import check_instance_id, check_json, check_line, check_task_id
from tests.harness.settings import make_settings

ID = "00000000-0000-4000-8000-000000000000"


def test_nesting_of_the_allowed_depth_is_taken_and_one_more_is_not() -> None:
    settings = make_settings(max_json_depth=4)
    check_json([[[1]]], "input", settings)
    with pytest.raises(InvalidInput):
        check_json([[[[1]]]], "input", settings)


def test_input_of_the_allowed_size_is_taken_and_one_byte_more_is_not() -> None:
    settings = make_settings(max_body_bytes=1024)
    check_json("x" * 1022, "input", settings)
    with pytest.raises(TooLarge) as refused:
        check_json("x" * 1023, "input", settings)
    assert refused.value.field == "input"
    with pytest.raises(TooLarge):
        check_json("é" * 512, "input", settings)


def test_a_long_key_above_a_long_list_costs_no_memory() -> None:
    value = {"k" * 100_000: [0] * 70_000}
    tracemalloc.start()
    check_json(value, "input", make_settings())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000_000


def test_lines_and_ids_are_returned_as_stored() -> None:
    assert check_line("  x ", "f", longest=3) == "x"
    assert check_line("", "f", longest=3, least=0) == ""
    assert check_task_id(ID.replace("0", "a").replace("4", "4").upper()) == ID.replace("0", "a")
    assert check_instance_id("A-_9") == "A-_9"
