"""Wordings of the simulated tickets: lines with choices and slots, filled in by chance."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

#: Languages that are written in (ISO 639-1).
LANGUAGES = ("en", "de", "fr")
#: Lines of an intent or a group that are in use from the first day; a further one comes every so many days.
FIRST_LINES, DAYS_BETWEEN_LINES = 3, 75

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{([a-z]+)\}")
_SPACES, _BEFORE_STOP = re.compile(r"[ \t]+"), re.compile(r" ([.,])")
_MASK, _GOLDEN = 2**64 - 1, 0x9E3779B97F4A7C15


class Draws:
    """Numbers in [0, 1) that follow from a key alone: SplitMix64 (Steele, Lea and Flood 2014)."""

    def __init__(self, key: int) -> None:
        self._state = key & _MASK

    def number(self) -> float:
        """Return the next one."""
        self._state = (self._state + _GOLDEN) & _MASK
        bits = self._state
        bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _MASK
        return ((bits ^ (bits >> 31)) >> 11) * 2.0**-53

    def below(self, limit: int) -> int:
        """Return a whole number in 0..limit - 1."""
        return int(self.number() * limit)

    def happens(self, chance: float) -> bool:
        """Return True with this chance."""
        return self.number() < chance


@dataclass(frozen=True)
class Wordings:
    """The sections of one language: name -> lines."""

    sections: Mapping[str, tuple[str, ...]]

    def line(self, section: str, draws: Draws, day: int | None = None) -> str:
        """Return a line of a section with its choices made, and its slots as they are.

        Args:
            section: its name.
            draws: what chooses.
            day: days since the shop's first one, for sections whose later lines come into use as time goes by.
        """
        lines = self.sections[section]
        known = len(lines) if day is None else min(len(lines), FIRST_LINES + max(0, day) // DAYS_BETWEEN_LINES)
        return chosen(lines[draws.below(known)], draws)


@cache
def wordings(name: str) -> Wordings:
    """Return the wordings of a file beside this one: `en` for tickets, `articles_en` for articles."""
    sections: dict[str, list[str]] = {}
    section = ""
    for line in Path(__file__).with_name(f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if re.fullmatch(r"\[[=?a-z_:]+\]", line):
            section = line[1:-1]
            sections[section] = []
        elif line and not line.startswith("#"):
            sections[section].append(line)
    return Wordings({name: tuple(lines) for name, lines in sections.items()})


def chosen(line: str, draws: Draws) -> str:
    """Return a line with one of the alternatives of each pair of brackets."""

    def choose(match: re.Match[str]) -> str:
        options = match[1].split("|")
        return options[draws.below(len(options))]

    return _BEFORE_STOP.sub(r"\1", _SPACES.sub(" ", _CHOICE.sub(choose, line))).strip()


def filled(line: str, values: Mapping[str, str]) -> str:
    """Return a line with the values of its slots."""
    return _SLOT.sub(lambda match: values[match[1]], line)
