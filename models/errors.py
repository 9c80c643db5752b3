"""The one error a user may see: what was wrong, what was expected, what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class TesseraError(Exception):
    """A mistake or a failure that a user can act on; printed as one sentence, never as a traceback.

    Args:
        what: what was wrong, with the offending value in it.
        expected: what would have been right.
        todo: the setting, command or file to change.
    """

    def __init__(self, what: str, *, expected: str, todo: str) -> None:
        self.what = what
        self.expected = expected
        self.todo = todo
        super().__init__(f"{what} Expected {expected}. {todo}")


class OtherRelease(TesseraError):
    """Something that an earlier release saved is whole, and this release cannot use it any more: make it anew."""


class RefusedValue(TesseraError):
    """A database works but refuses a value that it was given; nothing of the transaction was stored."""


def clause(sentence: str) -> str:
    """Turn pydantic's message on a value into a clause that can follow a colon; names and examples keep their case."""
    says = sentence.removeprefix("Value error, ")
    return says[:1].lower() + says[1:]


def choose_from(value: str, choices: Iterable[str]) -> str:
    """Return a sentence part that names the choices, the nearest first: `one of 'a', 'b' (did you mean 'a'?)`."""
    names = sorted(choices)
    if not names:
        return "an existing one, and none exists yet"
    listed = ", ".join(map(repr, names))
    near = get_close_matches(value, names, n=1)
    return f"one of {listed}" + (f" (did you mean {near[0]!r}?)" if near else "")
