"""Which key phrases and hashtags are made from a brief."""

from __future__ import annotations

import pytest

from swallowtail.workers.agents.campaign.language import find_language
from swallowtail.workers.agents.campaign.names import DocumentNames
from swallowtail.workers.agents.campaign.phrases import find_phrases, make_hashtags
from tests.workers.agents.briefs import SAMPLE
from tests.workers.agents.test_research import read_document


@pytest.mark.parametrize(
    ("phrases", "tags"),
    [
        (["desk lamp", "Desk Lamp"], ["#DeskLamp"]),
        (["USB-C port"], ["#USBCPort"]),
        (["2026", "3D printing"], []),
        (["the world’s best"], ["#WorldsBest"]),
        (["of the"], []),
        (["x" * 31], []),
        (["Überblick"], ["#Überblick"]),
    ],
)
def test_hashtags_are_made_of_letters_and_figures(phrases: list[str], tags: list[str]) -> None:
    assert make_hashtags(phrases) == tags


@pytest.mark.parametrize(
    ("language", "phrase", "tag"),
    [
        ("de", "Der Hafenstraße", "#Hafenstraße"),
        ("de", "die neue Lampe", "#Lampe"),
        ("fr", "l’eau du port", "#EauDuPort"),
        ("fr", "Les Docks", "#Docks"),
        ("es", "El puerto viejo", "#PuertoViejo"),
        ("it", "dell’isola bella", "#IsolaBella"),
        ("", "The Harbour", "#Harbour"),
    ],
)
def test_no_hashtag_begins_or_ends_with_an_article(language: str, phrase: str, tag: str) -> None:
    assert make_hashtags([phrase], language) == [tag]


@pytest.mark.parametrize(
    ("source", "tags"),
    [
        (
            "港の文化館\n\n港の文化館「ミナトホール」が開館。Aurora Oneが照らします。\n\nAurora Oneは省エネです。\n",
            ["#AuroraOne", "#ミナトホール"],
        ),
        (
            "A museum\n\nThe Bank of Norway opens a museum. The Bank of Norway pays for it.\n",
            ["#BankOfNorway", "#Museum"],
        ),
        (
            "Haus der Kulturen\n\nDas Haus der Kulturen öffnet. Im Haus der Kulturen ist der Preis klein.\n",
            ["#HausDerKulturen"],
        ),
        (
            "Le port\n\nÀ la Maison du Port, il y a 400 places. Tous aiment la Maison du Port et la mer.\n",
            ["#MaisonDuPort"],
        ),
    ],
    ids=["ja", "en", "de", "fr"],
)
def test_names_are_found_without_spaces_and_with_small_words_inside(source: str, tags: list[str]) -> None:
    assert sorted(tags_of(source)) == tags


def tags_of(source: str) -> list[str]:
    """Return the hashtags that the Researcher makes for a brief."""
    document = read_document(source)
    language = find_language(" ".join(block.text for block in document.blocks))
    names = DocumentNames(document.blocks, document.title, language)
    return make_hashtags(find_phrases(list(document.blocks), language, names.has), language)


@pytest.mark.parametrize(
    ("source", "tags"),
    [
        (SAMPLE, ["#AuroraOne", "#DeskLamp"]),
        (
            """Die Stadt baut am Hafen

Die Stadt baut im Mai ein Kulturhaus an der Hafenstraße. Die Stadt baut es mit Holz. Das Kulturhaus Nordkai öffnet bald,
und im Kulturhaus Nordkai finden 400 Menschen Platz. Die Kosten betragen 12 Millionen Euro.
""",
            ["#KulturhausNordkai", "#Stadt", "#Hafen"],
        ),
        (
            """La ville ouvre la Maison

La ville ouvre un café au bord de l'eau. La ville ouvre le jour même. Les gens de l'Atelier Morel et ceux de chez
Atelier Morel ont choisi le bois.
""",
            ["#AtelierMorel"],
        ),
        (
            "The city builds a port\n\nThe city builds a port. The city builds it well, and the lamp draws power.\n",
            ["#Port"],
        ),
        (
            "Things\n\nWe call it “Night Shift” here. It runs with Redis. We write brotli - Decoding for it.\n",
            ["#Redis"],
        ),
        ("港の文化館が開館\n\n港の文化館は五月三日に開館します。初日の入場は無料です。\n", []),
    ],
    ids=["sample", "german", "french", "english", "quoted", "japanese"],
)
def test_hashtags_join_names_and_subjects_only(source: str, tags: list[str]) -> None:
    actual = tags_of(source)
    assert set(tags) <= set(actual), actual
    wrong = {"#StadtBaut", "#DieStadtbaut", "#MillionenEuro", "#VilleOuvre", "#CityBuilds", "#LampDraws", "#Decoding"}
    assert not wrong & set(actual)
    assert [tag for tag in actual if tag not in tags and tag not in ("#NightShift", "#Maison")] == []
