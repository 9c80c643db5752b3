"""Words of a text, in any script, for lexical search."""

import re
import unicodedata
from collections.abc import Callable, Mapping

#: Accents of Latin, Greek and Cyrillic letters; vowel signs of other scripts belong to their words.
_ACCENTS = re.compile("[\u0300-\u036f]+")
#: Signs that stand inside of words and are no letters for Python: Hebrew, Arabic, Indic, Thai, Lao, Myanmar, Khmer.
_SIGNS = (
    "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u0900-\u0903"
    "\u093a-\u0963\u0981-\u0983\u09bc-\u09e3\u0a01-\u0a03\u0a3c-\u0a51\u0a81-\u0a83\u0abc-\u0ae3\u0b01-\u0b03"
    "\u0b3c-\u0b63\u0b82\u0bbe-\u0bd7\u0c00-\u0c04\u0c3c-\u0c63\u0c81-\u0c83\u0cbc-\u0ce3\u0d00-\u0d03\u0d3b-\u0d63"
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ecd\u102b-\u103e\u17b4-\u17d3"
)
_WORD = re.compile(rf"[^\W_](?:[^\W_]|[{_SIGNS}])*")
#: Scripts that write words without blanks between them, or glue endings to them: Thai, Lao, Myanmar, Khmer, Kana, Han,
#: Hangul.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
    "\uf900-\ufaff\U00020000-\U0003134f]+"
)


def words(text: str) -> list[str]:
    """Return the words of a text in their order, without case and accents.

    Scripts without blanks between words give each two neighbouring characters: `東京都` is `東京` and `京都`.
    """
    if text.isascii():
        return _WORD.findall(text.lower())
    plain = unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFKD", text.casefold())))
    found: list[str] = []
    for word in _WORD.findall(plain.casefold()):
        found.extend(_pieces(word) if _UNSPACED.search(word) else (word,))
    return found


def _pieces(word: str) -> list[str]:
    found: list[str] = []
    end = 0
    for run in _UNSPACED.finditer(word):
        found += [word[end : run.start()]] if run.start() > end else []
        text = run[0]
        found += [text[at : at + 2] for at in range(len(text) - 1)] or [text]
        end = run.end()
    return found + ([word[end:]] if end < len(word) else [])


def grams(text: str, length: int = 4) -> list[str]:
    """Return the words of a text, and each four (`length`) neighbouring characters of a word.

    Inflected and misspelt words then have most of their parts in common, at five times as many terms. The length is
    chosen by benchmarks/texts.py on half of XQuAD's paragraphs; docs/benchmarks.md has what it finds on the others.
    """
    found: list[str] = []
    for word in words(text):
        found.append(word)
        if len(word) >= _SHORTEST:
            edged = f"_{word}_"
            found.extend(edged[at : at + length] for at in range(len(edged) - length + 1))
    return found


_SHORTEST = 3

#: Name -> way to take texts apart. The name is stored with an index: code that finds other tokens takes a new name.
TOKENIZERS: Mapping[str, Callable[[str], list[str]]] = {"words-1": words, "grams-1": grams}
