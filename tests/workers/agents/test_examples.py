"""The example in the schema of a built-in agent is an input that it accepts."""

from __future__ import annotations

from pathlib import Path

from swallowtail.app.core.ledger.agent_cards import validate_input
from swallowtail.workers.registry.catalogue import card, load_agents
from tests.harness.settings import make_settings


def test_every_example_is_a_valid_input(tmp_path: Path) -> None:
    seen = []
    for kind, spec in load_agents(make_settings(var_dir=tmp_path)).items():
        for example in card(spec).input_schema.get("examples", ()):
            validate_input(card(spec), example)
            spec.input_model.model_validate(example)
            seen.append(kind)
    assert seen == ["echo", "social_campaign"]
