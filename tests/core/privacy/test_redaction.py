"""Keys, tokens, passwords, card numbers and secret fields are hidden in texts and payloads, and other text is not."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swallowtail.app.core.payload_redaction.stored_redactions import fingerprint
from swallowtail.app.core.privacy.redaction import redact, redact_fields, redact_text
from swallowtail.app.core.privacy.redaction_rules import PATTERNS_ONLY, Rules, schema_names

RULES = Rules(names=frozenset({"password", "apikey"}), emails=True, values=("correct horse",))
#: Taken apart, so that no scanner takes this file for a leak.
SECRETS = {
    "sk-" + "abc123def456ghi789jkl": "api_key",
    "sk-" + "ant-api03-abcdef123456_XYZ": "api_key",
    "sk_" + "live_4eC39HqLyjWDarjtT1zdp7dc": "api_key",
    "AKIA" + "IOSFODNN7EXAMPLE": "api_key",
    "AIza" + "SyA1234567890abcdefghijklmnopqrstuv": "api_key",
    "ghp_" + "a1B2" * 9: "token",
    "github_pat_" + "11ABCDEFG0123456789_abc": "token",
    "glpat-" + "abcdefghij0123456789": "token",
    "xoxb-" + "123456789012-abcdefABCDEF": "token",
    "npm_" + "a1B2" * 9: "token",
    "hf_" + "a1B2" * 9: "token",
    "swt_" + "0123456789abcdef0123_secret": "token",
    "eyJ" + "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def_ghi": "token",
    "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIabc\n-----END RSA " + "PRIVATE KEY-----": "private_key",
    "-----BEGIN " + "PRIVATE KEY-----\nMIIabc that never ends": "private_key",
    "4111 1111 1111 1111": "card",
    "5555-5555-5555-4444": "card",
    "378282246310005": "card",
    "3782 822463 10005": "card",
}


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_of_a_common_shape_becomes_a_marker_and_the_text_around_it_stays(secret: str) -> None:
    if secret.endswith("ends"):
        assert redact_text(f"before {secret}") == "before [redacted:private_key]"
        return
    assert redact_text(f"before {secret} after") == f"before [redacted:{SECRETS[secret]}] after"
    assert redact_text(f'"{secret}"') == f'"[redacted:{SECRETS[secret]}]"'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://app:hunter2@db:6379/0", "redis://app:[redacted:password]@db:6379/0"),
        ("redis://:hunter2@db", "redis://:[redacted:password]@db"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [redacted:token]"),
        ("authorization: bearer abc.def", "authorization: bearer [redacted:token]"),
        ("send Bearer abcdef0123456789xyz now", "send Bearer [redacted:token] now"),
        ("?api_key=abcdef123&page=2", "?api_key=[redacted:secret]&page=2"),
        ('CLIENT_SECRET = "abcdef123"', 'CLIENT_SECRET = "[redacted:secret]"'),
        ("mail joe.doe+x@mail.example.com, please", "mail [redacted:email], please"),
        ("it was correct horse after all", "it was [redacted:secret] after all"),
    ],
)
def test_the_text_around_a_secret_stays(text: str, shown: str) -> None:
    assert redact_text(text, RULES) == shown


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",
        "1764077431123456",
        "4111111111111111000000",
        "order 4111-1111",
        "2026-11-25T13:30:31.123Z",
        "0f8fad5b-d9cb-469f-a165-70867728950e",
        "risk-management-and-compliance-2024-yes",
        "the token economy and its secret: patience",
        "a basic understanding of authorization",
        "https://example.com:8080/a@b",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ],
)
def test_ordinary_text_and_numbers_survive(text: str) -> None:
    assert redact_text(text) == text
    assert redact({"text": text}, PATTERNS_ONLY) == {"text": text}


def test_e_mail_is_hidden_by_choice_only() -> None:
    assert redact_text("joe@example.com") == "joe@example.com"


def test_secret_fields_are_hidden_at_any_depth_however_they_are_spelt_and_keep_their_shape() -> None:
    payload = {
        "apiKey": "abc",
        "deep": [{"API-KEY": {"id": 7, "on": True, "none": None, "parts": ["a", 1.5, ""]}}],
        "api_key_name": "left",
        "count": 3,
    }
    assert redact(payload, RULES) == {
        "apiKey": "[redacted:secret]",
        "deep": [{"API-KEY": {"id": None, "on": None, "none": None, "parts": ["[redacted:secret]", None, ""]}}],
        "api_key_name": "left",
        "count": 3,
    }


def test_a_card_number_that_is_a_number_becomes_null_and_other_numbers_stay() -> None:
    assert redact([4111111111111111, 4111111111111112, 1764077431123456, 1.5, True], PATTERNS_ONLY) == [
        None,
        4111111111111112,
        1764077431123456,
        1.5,
        True,
    ]


def test_keys_with_secrets_are_hidden_and_stay_distinct() -> None:
    keys = ["ghp_" + char * 36 for char in "ab"]
    assert redact(dict.fromkeys(keys, 1), PATTERNS_ONLY) == {"[redacted:token]": 1, "[redacted:token] 2": 1}


def test_the_values_of_secret_fields_are_hidden_everywhere() -> None:
    rules = RULES.with_secrets_of({"user": "joe", "login": {"password": "open sesame"}, "apiKey": "tiny"})
    assert redact({"message": "signed in with open sesame", "n": "tiny"}, rules) == {
        "message": "signed in with [redacted:secret]",
        "n": "tiny",
    }


def test_with_too_many_secret_values_everything_is_hidden() -> None:
    rules = Rules(names=frozenset({"password"}), most_values=2).with_secrets_of(
        {"password": ["first1", "second", "third3"]}
    )
    shown = redact({"said": "third3", "n": 1, "first1": [None]}, rules)
    assert shown == {
        "[redacted:secret]": "[redacted:secret]",
        "[redacted:secret] 2": None,
        "[redacted:secret] 3": [None],
    }
    assert redact_text("said third3", rules) == "[redacted:secret]"
    assert redact_fields({"message": "third3", "result": 5}, rules) == {"message": "[redacted:secret]", "result": None}


def test_deep_nesting_is_redacted() -> None:
    value: Any = {"password": "x"}
    for _ in range(200):
        value = [value]
    shown = redact(value, RULES)
    for _ in range(200):
        (shown,) = shown
    assert shown == {"password": "[redacted:secret]"}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=30) | st.sampled_from(sorted(SECRETS)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["password", "a", "api_key"]) | st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return [_shape(item) for item in value.values()]
    return [_shape(item) for item in value] if isinstance(value, list) else None


@settings(deadline=None)
@given(_JSON)
def test_redaction_keeps_the_shape_and_is_idempotent(value: Any) -> None:
    shown = redact(value, RULES)
    assert _shape(shown) == _shape(value)
    assert redact(shown, RULES) == shown
    assert not any(secret in repr(shown) for secret in SECRETS if "\n" not in secret)


def test_a_schema_marks_secret_fields_itself_in_lists_and_by_reference() -> None:
    schema = {
        "properties": {
            "plain": {"type": "string"},
            "marked": {"type": "string", "x-secret": True},
            "maybe": {"anyOf": [{"type": "string", "format": "password"}, {"type": "null"}]},
            "many": {"type": "array", "items": {"writeOnly": True}},
            "nested": {"properties": {"inner_key": {"x-secret": True}}},
            "referred": {"$ref": "#/$defs/Hidden"},
        },
        "$defs": {"Hidden": {"type": "object", "x-secret": True}},
    }
    assert schema_names([schema]) == (frozenset({"marked", "maybe", "many", "innerkey", "referred"}), False)
    assert schema_names([{"x-secret": True}]) == (frozenset(), True)


EQUALLY_LONG = [f"{letter}-secret" for letter in "fbdaec"]
_PRINT_FINGERPRINT = """
from swallowtail.app.core.payload_redaction.stored_redactions import fingerprint
from swallowtail.app.core.privacy.redaction_rules import Rules
print(fingerprint(Rules(frozenset({"password"})).with_secrets_of({"password": %r})))
"""


@pytest.mark.long
def test_equal_secrets_have_one_fingerprint_in_every_order_and_process() -> None:
    rules = Rules(frozenset({"password"}))
    texts = [EQUALLY_LONG, EQUALLY_LONG[::-1], [*EQUALLY_LONG[3:], *EQUALLY_LONG[:3]]]
    fingerprints = {fingerprint(rules.with_secrets_of({"password": text})) for text in texts}
    for seed in ("1", "2"):
        command = [sys.executable, "-c", _PRINT_FINGERPRINT % EQUALLY_LONG]
        shown = subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True)
        fingerprints.add(shown.stdout.decode().strip())
    assert len(fingerprints) == 1


def test_the_longest_secrets_are_hidden_first() -> None:
    rules = Rules(frozenset({"password"})).with_secrets_of({"password": ["sesame", "sesame open", "sesame oven"]})
    assert rules.values == ("sesame open", "sesame oven", "sesame")
