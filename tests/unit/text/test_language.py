"""Languages of texts: among the supported ones, or the default where the text tells too little."""

import csv
import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import TesseraError
from models.text.language import LanguageDetector, is_unsupported

SHOP = ("en", "de", "fr")


@pytest.fixture(scope="module")
def detector() -> LanguageDetector:
    return LanguageDetector(SHOP, "en")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("My router keeps dropping the connection every evening", "en"),
        ("Mein Router verliert jeden Abend die Verbindung", "de"),
        ("Où est mon colis ? Il devait arriver lundi.", "fr"),
    ],
)
def test_a_sentence_has_its_language(detector: LanguageDetector, text: str, language: str) -> None:
    found = detector.detect(text)
    assert (found.language, found.is_default) == (language, False)


@pytest.mark.parametrize(
    "text",
    [
        "¿Dónde está mi pedido?",
        "quiero cancelar mi pedido",
        "me llega el correo de confirmación, y no el paquete",
        "¿Puedo cambiar la dirección de entrega?",
        "código de descuento no funciona",
        "estado de mi pedido",
        "no funciona",
    ],
)
def test_spanish_is_not_read_as_french_by_a_shop_without_spanish(detector: LanguageDetector, text: str) -> None:
    found = detector.detect(text)
    assert (found.language, found.is_default, is_unsupported(found.confidence)) == ("en", True, True)
    assert LanguageDetector([*SHOP, "es"], "en").detect(text).language == "es"


@pytest.mark.parametrize("text", ["", "  ", "123-45", "🙂", "ok", "\x00"])
def test_a_text_that_tells_too_little_has_the_default(text: str) -> None:
    assert LanguageDetector(SHOP, "de").detect(text).language == "de"
    found = LanguageDetector(SHOP, "de").detect(text)
    assert found.is_default
    assert not is_unsupported(found.confidence)


def test_an_unsure_answer_has_the_default() -> None:
    sure = LanguageDetector(SHOP, "fr", min_confidence=1.0)
    assert sure.detect("refund of the order in the shop").is_default


@given(st.text(max_size=40))
def test_every_text_has_a_supported_language(text: str) -> None:
    found = _SHARED.detect(text)
    assert found.language in SHOP
    assert 0 <= found.confidence <= 1 + 1e-6


_SHARED = LanguageDetector(SHOP, "en")


@pytest.mark.slow
def test_wrong_languages_are_refused() -> None:
    with pytest.raises(TesseraError, match=r"'xx' is unknown.*ISO 639-1"):
        LanguageDetector(["en", "xx"], "en")
    with pytest.raises(TesseraError, match="default language 'it' is not a supported one"):
        LanguageDetector(["en"], "it")


@pytest.mark.real
def test_questions_in_twelve_languages(shared_data: Path) -> None:
    with gzip.open(shared_data / "xquad" / "questions.csv.gz", "rt", encoding="utf-8") as file:
        questions = list(csv.DictReader(file))[::12]
    detector = LanguageDetector(sorted({row["lang"] for row in questions}), "en")
    right = [detector.detect(row["question"]).language == row["lang"] for row in questions]
    assert sum(right) / len(right) >= 0.995
