"""Finding agents by entry point and by setting, and the errors for invalid ones."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.ledger.agent_cards import validate_input
from swallowtail.app.core.tables.system import Agent
from swallowtail.context import Context
from swallowtail.workers.agents import echo
from swallowtail.workers.registry.catalogue import card, load_agents
from swallowtail.workers.registry.declaration import AgentSpec, CatalogueError, agent
from swallowtail.workers.registry.input_schema import input_schema
from tests.harness.settings import make_settings


class AnswerInput(BaseModel):
    text: str = "x"


def answer(ctx: Context, task_input: AnswerInput) -> str:
    """Answers with the text."""
    return task_input.text


def settings(agents: str = "") -> Settings:
    return make_settings(agents=agents)


def make_module(name: str, **members: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    for member, value in members.items():
        if callable(value):
            value.__module__ = name
        setattr(module, member, value)
    return module


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def put(name: str, **members: Any) -> None:
        monkeypatch.setitem(sys.modules, name, make_module(name, **members))

    return put


def fresh(kind: str, **options: Any) -> Callable[[Context, AnswerInput], str]:
    def run(ctx: Context, task_input: AnswerInput) -> str:
        return task_input.text

    return agent(kind=kind, title=kind.title(), input=AnswerInput, **options)(run)


def test_the_built_in_agents_are_found() -> None:
    agents = load_agents(settings())
    assert {"echo", "probe", "social_campaign"} <= set(agents)
    assert agents["echo"].function is echo.run
    assert agents["echo"].input_model is echo.EchoInput


def test_the_setting_adds_modules_with_several_agents(install: Callable[..., None]) -> None:
    install("extra_one", first=fresh("first"), second=fresh("second"), not_an_agent=lambda: None)
    install("extra_two", third=fresh("third"))
    agents = load_agents(settings(" extra_one , extra_two ,"))
    assert {"first", "second", "third", "echo"} <= set(agents)
    assert list(agents) == sorted(agents)


def test_a_decorated_function_stays_callable_and_describes_itself() -> None:
    marked = agent(kind="answer", title="Answer", input=AnswerInput)(answer)
    assert marked is answer
    spec: AgentSpec = marked.agent_spec  # type: ignore[attr-defined]
    assert (spec.kind, spec.title, spec.description, spec.version) == (
        "answer",
        "Answer",
        "Answers with the text.",
        "1",
    )


def test_an_agent_imported_into_another_module_is_not_found_twice(install: Callable[..., None]) -> None:
    shared = fresh("shared")
    install("where_it_is", shared=shared)
    install("other", own=fresh("own"))
    sys.modules["other"].__dict__["shared"] = shared
    assert {"shared", "own"} <= set(load_agents(settings("where_it_is,other,where_it_is")))


def test_two_agents_of_one_kind_are_refused_with_both_places(install: Callable[..., None]) -> None:
    install("mine", mine=fresh("echo"))
    with pytest.raises(
        CatalogueError, match=r"'echo' is defined twice, by swallowtail\.workers\.agents\.echo\.run and by mine\."
    ):
        load_agents(settings("mine"))


def test_a_module_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(CatalogueError, match="SWALLOWTAIL_AGENTS: no_such_module: cannot be loaded: ModuleNotFound"):
        load_agents(settings("no_such_module"))


def test_a_module_without_agents_is_refused(install: Callable[..., None]) -> None:
    install("empty_one", answer=lambda: None)
    with pytest.raises(CatalogueError, match="empty_one: no function with the @agent decorator"):
        load_agents(settings("empty_one"))


def test_a_bad_agent_is_named_with_the_module_that_holds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = (
        "from pydantic import BaseModel\nfrom swallowtail.workers.registry.declaration import agent\n"
        "@agent(kind='bad', title='Bad', input=BaseModel)\ndef run(ctx):\n    return 1\n"
    )
    (tmp_path / "bad_agents.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        CatalogueError, match=r"SWALLOWTAIL_AGENTS: bad_agents: .*'bad'.*must take exactly \(ctx, task_input\)"
    ):
        load_agents(settings("bad_agents"))


def bad_functions() -> Iterator[Any]:
    def none() -> None: ...

    def three(ctx: Context, task_input: AnswerInput, more: str) -> None: ...

    def named(ctx: Context, *, task_input: AnswerInput) -> None: ...

    yield from (none, three, named)


@pytest.mark.parametrize("function", list(bad_functions()), ids=lambda function: str(function.__name__))
def test_functions_that_cannot_be_called_with_ctx_and_task_input_are_refused(function: Any) -> None:
    with pytest.raises(CatalogueError, match=r"must take exactly \(ctx, task_input\)"):
        agent(kind="bad", title="Bad", input=AnswerInput)(function)


def test_async_functions_and_generators_are_refused() -> None:
    async def later(ctx: Context, task_input: AnswerInput) -> None: ...

    def pieces(ctx: Context, task_input: AnswerInput) -> Iterator[int]:
        yield 1

    for function in (later, pieces):
        with pytest.raises(CatalogueError, match="neither async nor a generator"):
            agent(kind="bad", title="Bad", input=AnswerInput)(function)


@pytest.mark.parametrize("kind", ["", "Echo", "two words", "1st", "x" * 65, "a-b"])
def test_kinds_that_do_not_fit_are_refused(kind: str) -> None:
    with pytest.raises(CatalogueError, match="kind must be lower-case letters"):
        fresh(kind)


def test_limits_must_make_sense() -> None:
    with pytest.raises(CatalogueError, match="soft_time_limit must be more than 0 seconds, not -1"):
        fresh("a", soft_time_limit=-1)
    with pytest.raises(CatalogueError, match=r"hard_time_limit \(5 s\) must be longer than soft_time_limit \(5 s\)"):
        fresh("a", soft_time_limit=5, hard_time_limit=5)


def test_the_input_must_be_a_model() -> None:
    with pytest.raises(CatalogueError, match="input must be a Pydantic model class"):
        agent(kind="a", title="A", input=dict)(answer)  # type: ignore[arg-type, type-var]


def test_a_card_carries_everything_but_the_code() -> None:
    agent_card = card(fresh("timed", soft_time_limit=5, hard_time_limit=10, version="7").agent_spec)  # type: ignore[attr-defined]
    assert (agent_card.kind, agent_card.title, agent_card.version) == ("timed", "Timed", "7")
    assert (agent_card.soft_time_limit, agent_card.hard_time_limit) == (5, 10)
    assert agent_card.input_schema["properties"]["text"]["default"] == "x"


def test_every_built_in_schema_is_a_valid_schema_that_takes_its_own_defaults() -> None:
    for spec in load_agents(settings()).values():
        schema = card(spec).input_schema
        Draft202012Validator.check_schema(schema)
        assert "$ref" not in str(schema)
        for rule in schema["properties"].values():
            if "default" in rule:
                Draft202012Validator(rule).validate(rule["default"])


class Leaf(BaseModel):
    size: int | None = Field(None, ge=1, title="Size")
    width: int | None = 3


class Branch(BaseModel):
    leaf: Leaf = Field(Leaf(), title="A leaf")
    leaves: list[Leaf] = []


class Tree(BaseModel):
    children: list[Tree] = []


def test_references_are_written_out_and_optional_fields_are_plain() -> None:
    properties = input_schema(Branch)["properties"]
    assert properties["leaf"]["title"] == "A leaf"
    assert properties["leaf"]["default"] == {"width": 3}
    leaf = properties["leaves"]["items"]["properties"]
    assert leaf["size"] == {"minimum": 1, "title": "Size", "type": "integer"}
    assert {"type": "null"} in leaf["width"]["anyOf"]  # null differs from the default there


def test_a_model_that_contains_itself_keeps_its_references() -> None:
    schema = input_schema(Tree)
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate({"children": [{"children": []}]})
    assert not Draft202012Validator(schema).is_valid({"children": [{"children": 1}]})


def validate(kind: str, task_input: Any) -> Any:
    agent_card = card(load_agents(settings())[kind])
    return validate_input(Agent(kind=kind, input_schema=agent_card.input_schema), task_input)


def test_defaults_that_submission_fills_in_are_accepted_again() -> None:
    filled = validate("social_campaign", {"brief": "A lamp."})
    assert validate("social_campaign", filled) == filled
