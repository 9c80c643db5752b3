"""Language of a text, among those that an application supports: py3langid, whose model is in its package."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from models.errors import TesseraError, choose_from

#: Languages that a text is compared with beside the supported ones: else one of these is read as its next relative.
_OTHERS = tuple(
    "ar bg cs da de el en es fi fr he hi hu id it ja ko nl no pl pt ro ru sv th tr uk vi zh".split()  # noqa: SIM905
)
#: Least probability of all supported languages together, for a detector of English, German and French: none of 10,200
#: texts in English and German (XQuAD, banking77, clinc150) is below, and 98 % of 1,190 in Spanish are.
_LEAST_SUPPORTED = 0.05


@dataclass(frozen=True)
class DetectedLanguage:
    """A language and its probability among the supported ones.

    `is_default`: the text was too short or mixed, or in none of them; then the probability is that of all of them.
    """

    language: str
    confidence: float
    is_default: bool


def is_unsupported(confidence: float) -> bool:
    """Return True if a detector that gives this confidence knows the text to be in another language.

    0 says that nothing is known: the text is too short.
    """
    return 0 < confidence < _LEAST_SUPPORTED


class LanguageDetector:
    """Detects one of the supported languages (ISO 639-1 codes), or the default for a text that none of them fits.

    Args:
        languages: supported ones.
        default: the language of texts with fewer letters than `min_letters`, of a confidence below `min_confidence`, or
            in another language, as far as 29 widespread ones are known.
        min_letters: letters that a text needs; one is enough in scripts that only one supported language uses.
        min_confidence: 0 to 1.

    Raises:
        TesseraError: an unknown language, or a default that is not supported.
    """

    def __init__(
        self, languages: Sequence[str], default: str, *, min_letters: int = 4, min_confidence: float = 0.0
    ) -> None:
        if default not in languages:
            raise TesseraError(
                f"The default language {default!r} is not a supported one.",
                expected=choose_from(default, languages),
                todo="Correct the default, or support it.",
            )
        self.languages, self.default = tuple(sorted(set(languages))), default
        self._min_letters, self._min_confidence = min_letters, min_confidence
        self._identifier = _identifier(tuple(sorted({*self.languages, *_OTHERS})))

    def detect(self, text: str) -> DetectedLanguage:
        """Return the language of a text."""
        letters = sum(map(str.isalpha, text))
        if not letters or (letters < self._min_letters and text.isascii()):
            return DetectedLanguage(self.default, 0.0, True)
        shares: dict[str, float] = dict(self._identifier.rank(text))
        supported = sum(shares[language] for language in self.languages)
        if supported < _LEAST_SUPPORTED:
            return DetectedLanguage(self.default, supported, True)
        language = max(self.languages, key=shares.__getitem__)
        confidence = shares[language] / supported
        is_default = confidence < self._min_confidence
        return DetectedLanguage(self.default if is_default else language, confidence, is_default)


@lru_cache(maxsize=8)
def _identifier(languages: tuple[str, ...]) -> Any:
    """Return the classifier of these languages; its model takes a second to read."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    unknown = sorted(set(languages) - set(identifier.labels))
    if unknown:
        raise TesseraError(
            f"The language {unknown[0]!r} is unknown to the detector.",
            expected=choose_from(unknown[0], identifier.labels),
            todo="Write its ISO 639-1 code, as `en` or `de`.",
        )
    identifier.set_languages(languages)
    return identifier
