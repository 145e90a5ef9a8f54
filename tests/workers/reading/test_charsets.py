"""Character sets: those of browsers are supported, and no other codec of Python is ever used."""

from __future__ import annotations

import base64
import codecs

import pytest

from swallowtail.workers.reading.charsets import decode
from swallowtail.workers.reading.reader import LONGEST_TITLE, read, read_text

NO_CHARSETS = [
    "punycode",
    "idna",
    "undefined",
    "utf-7",
    "rot13",
    "base64_codec",
    "hex",
    "zlib",
    "bz2",
    "unicode_escape",
    "raw_unicode_escape",
    "mbcs",
    "no-such-thing",
    "../../etc",
    "x" * 5000,
    "",
]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the names of codecs that are looked up."""
    names: list[str] = []

    def lookup(name: str) -> codecs.CodecInfo:
        names.append(name)
        return original(name)

    original = codecs.lookup
    monkeypatch.setattr(codecs, "lookup", lookup)
    return names


@pytest.mark.parametrize("name", NO_CHARSETS, ids=lambda name: name[:20])
def test_an_unknown_character_set_counts_as_utf_8(name: str, asked: list[str]) -> None:
    assert decode("Grüße".encode() + b"\xff", name) == "Grüße\ufffd"
    page = f'<meta charset="{name}"><p>Grüße'
    assert decode(page.encode(), None, is_html=True) == page
    assert asked in ([], ["utf-8"] * len(asked))


@pytest.mark.parametrize(
    ("body", "charset", "text"),
    [
        ("é".encode("latin-1"), "iso-8859-1", "é"),
        ("€".encode("cp1252"), "latin-1", "€"),  # as in browsers
        ("привет".encode("koi8-r"), "KOI8-R", "привет"),
        ("日本".encode("shift_jis"), "shift_jis", "日本"),
        ("中文".encode("gb18030"), "gb18030", "中文"),
        ("é".encode("latin-1"), None, "é"),
        (
            "Der Drachen kostet 249 € für große Leute.".encode("cp1252"),
            None,
            "Der Drachen kostet 249 € für große Leute.",
        ),
        ("zażółć gęślą jaźń".encode("iso-8859-2"), None, "zażółć gęślą jaźń"),
        ("zażółć gęślą jaźń".encode("cp1250"), None, "zażółć gęślą jaźń"),
        ("Воздушный змей летает при ветре".encode("cp1251"), None, "Воздушный змей летает при ветре"),
        ("Воздушный змей летает при ветре".encode("koi8-r"), None, "Воздушный змей летает при ветре"),
        ("凧の八号は風で飛びます。".encode("shift_jis"), None, "凧の八号は風で飛びます。"),
        ("凧の八号は風で飛びます。".encode("iso-2022-jp"), None, "凧の八号は風で飛びます。"),
        ("风筝八号可以在风中飞行。".encode("gb18030"), None, "风筝八号可以在风中飞行。"),
        ("הכניסה ביום הראשון חינם".encode("cp1255"), None, "הכניסה ביום הראשון חינם"),
        ("Ein Drachen".encode("utf-16-be"), None, "Ein Drachen"),
        ("Ein Drachen".encode("utf-32"), None, "Ein Drachen"),
        (b"\xef\xbb\xbfx", None, "x"),
        ("\ufeffhé".encode("utf-16-le"), "utf-8", "hé"),
    ],
)
def test_the_mark_at_the_start_the_declared_set_and_utf_8_are_tried_in_this_order(
    body: bytes, charset: str | None, text: str
) -> None:
    assert decode(body, charset) == text


def test_a_page_may_name_its_own_character_set() -> None:
    assert decode(b'<meta charset="latin-1"><p>\xe9', None, is_html=True).endswith("é")
    assert decode(b"<?xml version='1.0' encoding='latin-1'?><p>\xe9", None, is_html=True).endswith("é")
    assert decode(b'<meta charset="utf-16"><p>x', None, is_html=True).endswith("x")


@pytest.mark.parametrize("name", NO_CHARSETS, ids=lambda name: name[:20])
def test_the_parts_of_an_e_mail_are_decoded_by_the_same_list(name: str, asked: list[str]) -> None:
    body = base64.b64encode("Die Grüße kommen gut an.".encode()).decode()
    head = f'From: a@b\nSubject: Hi\nMIME-Version: 1.0\nContent-Type: text/plain; charset="{name[:200]}"'
    reading = read_text(f"{head}\nContent-Transfer-Encoding: base64\n\n{body}\n")
    assert [block.text for block in reading.blocks] == ["Die Grüße kommen gut an."]
    assert set(asked) <= {"utf-8"}
    plain = read_text(f"{head}\n\nDie Grüße kommen gut an.\n")
    assert [block.text for block in plain.blocks] == ["Die Grüße kommen gut an."]


def test_utf_16_declared_by_the_server_needs_no_byte_order_mark() -> None:
    body = "Die Grüße kommen gut an.".encode("utf-16-le")
    assert [block.text for block in read(body, "text/plain", "utf-16").blocks] == ["Die Grüße kommen gut an."]


def test_a_title_of_any_length_is_read_as_far_as_a_title_goes() -> None:
    assert len(read_text("<html><title>" + "a" * 100_000 + "</title><p>x").title) == LONGEST_TITLE
