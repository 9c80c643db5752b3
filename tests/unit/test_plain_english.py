"""Docstrings state, and texts use the terms of `docs/glossary.md`."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.unit.syntax_trees import ON_ONE_WORKER, tree_of

ROOT = Path(__file__).parents[2]
ROOMS = ("tessera", "pipelines", "assets", "resources", "models", "feature_repo", "benchmarks")
ASKING = re.compile(r"(what|whether|how|who|whom|whose|where|which|when|whatever|whoever)\b", re.IGNORECASE)


def first_lines() -> Iterator[tuple[str, str]]:
    """Yield the place and the first line of every docstring of the rooms."""
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            lines = first_lines_of(tree_of(file))
            yield from ((f"{file.relative_to(ROOT)}: {line}", line) for line in lines)


def first_lines_of(tree: ast.Module) -> Iterator[str]:
    """Yield the first line of every docstring of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield (ast.get_docstring(node) or "").split("\n")[0]


@ON_ONE_WORKER
@pytest.mark.slow
def test_no_docstring_asks() -> None:
    assert {place: line for place, line in first_lines() if ASKING.match(line)} == {}


#: Word or form -> the term to use. Names of the code count as words: `model_in_charge` is found, too.
BANNED = {
    r"in[ _]charge": "champion",
    r"hearings?": "context, evidence",
    r"surroundings?": "context",
    r"lessons?": "training task",
    r"(?:take|takes|took|taken)[ _]in(?! turns| pieces)": "process",
    r"model[ _]tells?": "leak",
    r"rungs?": "score source",
    r"courtroom|verdict of the court": "gate",
    r"kept aside": "quarantined",
    r"worked out": "resolved, computed",
    r"learnt(?: |\n *)(?:from|on|by)": "trained on, fitted on",
    r"(?:be|been|is|are|was|were|never|not) judged": "evaluated, checked",
    r"judged (?:by|settings|version|model)": "evaluated",
    r"judges|to judge|(?:can|trained and|train and) judge": "evaluates, evaluate",
    r"(?:be|been|is|are|was|were) told(?! to the|:)": "notified, reported, known",
    r"stands published": "is published",
    r"lies in no": "is not inside",
    r"nobody": "no one, none",
    r"whoever": "the writer, the reader, those who",
}
_FORMS = "|".join(f"(?:{form})" for form in BANNED)
#: Of lower-case text: a search that ignores case takes ten times as long.
_BANNED = re.compile(rf"(?<![a-z])(?:{_FORMS})(?![a-z])")
#: Module names that say nothing of what they hold.
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc", "tools"}
#: Measured texts are replaced when they are measured again; the changes of the past are history.
HISTORY = {"docs/benchmarks.md", "CHANGELOG.md"}


def banned_in(text: str) -> list[str]:
    """Return the banned words and forms of a text, in lower case."""
    return [" ".join(found.group().split()) for found in _BANNED.finditer(text.lower())]


def texts() -> Iterable[Path]:
    """Every module of the rooms and every page; contracts are made from the code."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    yield from (page for page in pages if str(page.relative_to(ROOT)) not in HISTORY)
    for room in ROOMS:
        yield from sorted((ROOT / room).rglob("*.py"))


@pytest.mark.slow
def test_no_text_uses_a_banned_word() -> None:
    found = {str(file.relative_to(ROOT)): banned_in(file.read_text(encoding="utf-8")) for file in texts()}
    assert {file: words for file, words in found.items() if words} == {}


def test_no_module_has_an_empty_name() -> None:
    assert [file for file in texts() if file.stem in EMPTY_NAMES] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The fraud model in charge, as the stream asks it", ["in charge"]),
        ("version = model_in_charge(registry)", ["in_charge"]),
        ("Events that no worker took\n    in: scored", []),
        ("Surroundings in which nothing is known", ["surroundings"]),
        ("Events that no worker took in; taken in again, no change", ["took in", "taken in"]),
        ("A piece of evidence put before the hearing", ["hearing"]),
        ("torn lines kept aside", ["kept aside"]),
        ("# Nobody waits; `whoever_asks` is answered", ["nobody", "whoever"]),
        ("One connection, which threads take in turns", []),
        ("Rows that the model has learnt from; its judged settings", ["learnt from", "judged settings"]),
        ("learnt = rows.judged  # the day is told every night", ["is told"]),
        ("no charge; sharing, a wrung cloth and storage", []),
    ],
)
def test_banned_words_are_found(text: str, words: list[str]) -> None:
    assert banned_in(text) == words


def test_the_glossary_is_sorted_and_its_terms_are_explained() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)[1:]
    terms = [term for term, _ in rows]
    assert len(terms) > 30
    assert len(set(terms)) == len(terms)
    assert all(meaning.endswith(".") and meaning.count(". ") <= 2 for _, meaning in rows)
