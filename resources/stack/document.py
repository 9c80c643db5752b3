"""`stack.yaml` as plain values, and the line of each of them.

Scalars are those of YAML 1.2: `yes` is text, `017` and `12:30` are no numbers, and a date stays the text that somebody
wrote. A duplicate key is refused, since YAML readers keep the last one without a word.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from models.errors import TesseraError

Place = tuple[str | int, ...]

_INT = re.compile(r"[-+]?(0|[1-9][0-9]*(_[0-9]+)*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".inf", "+.inf"), float("inf")),
    "-.inf": float("-inf"),
    ".nan": float("nan"),
}
_LONGEST_NUMBER = 100
_MERGE = "<<"
#: What plain values are read as; `!!binary` and the like would be taken for their text.
_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "seq", "map", "int", "float", "bool", "null")}
#: Aliases of aliases make a short file endless.
_MOST_VALUES = 100_000
#: No operating system, database or terminal takes them.
_UNUSABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True)
class Document:
    """A parsed YAML file. `lines`: path of a key or item -> its line, from 1."""

    file: Path
    values: dict[str, Any]
    lines: dict[Place, int]

    def where(self, place: Sequence[str | int]) -> str:
        """`FILE:LINE` of a place, or of the nearest one around it that is in the file."""
        known = (
            self.lines[tuple(place[:depth])] for depth in range(len(place), 0, -1) if tuple(place[:depth]) in self.lines
        )
        return f"{self.file}:{next(known, 1)}"


def read_document(file: Path) -> Document:
    """Return the mapping that the file holds.

    Raises:
        TesseraError: no readable file, no YAML, no mapping, or a duplicate key.
    """
    try:
        node = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
        reader = _Reader(file)
        values = reader.value(node, ()) if node is not None else None
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        says = error.strerror if isinstance(error, OSError) else str(error)
        raise _unreadable(f"{file} cannot be read: {says}.") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        says = f"{file}:{mark.line + 1 if mark else 1} cannot be read: {error.problem or error.context}."
        raise _unreadable(says) from None
    except yaml.YAMLError as error:
        raise _unreadable(f"{file} cannot be read: {' '.join(str(error).split())}.") from None
    if not isinstance(values, dict):
        raise TesseraError(f"{file} holds no mapping.", expected="the key `profiles`", todo="See docs/stack.md.")
    return Document(file, values, reader.lines)


def plain_scalar(text: str) -> str | int | float | bool | None:
    """Return the value of an unquoted YAML scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) <= _LONGEST_NUMBER and _INT.fullmatch(text):
        return int(text)
    if len(text) <= _LONGEST_NUMBER and _FLOAT.fullmatch(text) and not text.lstrip("+-").isdigit():
        return float(text)
    return text


class _Reader:
    """Values of nodes; remembers lines, and which nodes are being read, to find one that holds itself."""

    def __init__(self, file: Path) -> None:
        self.lines: dict[Place, int] = {}
        self._file = file
        self._open: set[int] = set()
        self._values = 0

    def value(self, node: yaml.Node, place: Place) -> Any:
        if node.tag not in _TAGS:
            raise self._wrong(node, f"has the tag {node.tag!r}", "plain values; a secret is {env: NAME}")
        self._values += 1
        if self._values > _MOST_VALUES:
            raise self._wrong(node, f"stands for more than {_MOST_VALUES:,} values", "aliases of small parts")
        if isinstance(node, yaml.ScalarNode) and _UNUSABLE.search(node.value):
            raise self._wrong(node, "holds a zero byte or half a character", "text")
        if id(node) in self._open:
            raise self._wrong(node, "holds itself", "an alias of something that is complete")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, place)
            if isinstance(node, yaml.SequenceNode):
                return [self._item(item, (*place, number)) for number, item in enumerate(node.value)]
            plain = isinstance(node, yaml.ScalarNode) and node.style is None
            return plain_scalar(node.value) if plain else node.value
        finally:
            self._open.remove(id(node))

    def _item(self, node: yaml.Node, place: Place) -> Any:
        self.lines[place] = node.start_mark.line + 1
        return self.value(node, place)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._wrong(key, "has a key that is no single word", "a name")
            if key.value == _MERGE and key.style is None:
                merged = self._merged(item, place) | merged
                continue
            if key.value in own:
                raise self._wrong(key, f"has the key `{key.value}` twice", "each key once")
            inner = (*place, key.value)
            own[key.value] = self.value(item, inner)
            self.lines[inner] = key.start_mark.line + 1
        return merged | own

    def _merged(self, node: yaml.Node, place: Place) -> dict[str, Any]:
        """Merge the mappings of `<<`; of several, the first one wins."""
        value = self.value(node, place)
        several = value if isinstance(value, list) else [value]
        if not all(isinstance(one, dict) for one in several):
            raise self._wrong(node, "merges (`<<`) what is no mapping", "an alias of a mapping")
        return {key: item for one in reversed(several) for key, item in one.items()}

    def _wrong(self, node: yaml.Node, what: str, expected: str) -> TesseraError:
        line = node.start_mark.line + 1
        return TesseraError(f"{self._file}:{line} {what}.", expected=expected, todo="Correct it.")


def _unreadable(what: str) -> TesseraError:
    return TesseraError(
        what,
        expected="a YAML file in UTF-8, indented with blanks",
        todo="Correct it, or set TESSERA_STACK to the file that is meant.",
    )
