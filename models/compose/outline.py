"""Compositions as nested lists in Markdown, for pages that render no mermaid, e.g. Dagster's UI."""

from __future__ import annotations

from collections.abc import Iterator

from models.compose.drawing import costs
from models.compose.fallback import Fallback
from models.compose.fan_out import FanOut
from models.compose.router import Router, Switch
from models.compose.sequence import Sequence
from models.compose.step import Step


def outline(step: Step) -> str:
    """Return the steps of a composition as a nested list: what each is, what runs inside it, and what it may cost."""
    return "\n".join(_lines(step, "", 0)) + "\n"


def _lines(step: Step, before: str, depth: int) -> Iterator[str]:
    kind, inner = _inside(step)
    about = ", ".join(filter(None, [kind, *costs(step.estimate)] if not inner else [kind]))
    yield "  " * depth + f"- {before}**{step.name}**" + (f" ({about})" if about else "")
    for label, one in inner:
        yield from _lines(one, label, depth + 1)


def _inside(step: Step) -> tuple[str, list[tuple[str, Step]]]:
    """Return in words how a step runs those inside it, and each of them with what is said before its name."""
    match step:
        case Sequence():
            inner = enumerate(step.steps)
            return "one after the other", [("then " * bool(n) + _soft(one.name in step.soft), one) for n, one in inner]
        case FanOut():
            branches = step.branches.values()
            return "side by side", [(_soft(one.name in step.soft), one) for one in branches]
        case Fallback():
            return "the first that does not fail", [("" if not n else "else ", one) for n, one in enumerate(step.steps)]
        case Router():
            later = enumerate(step.steps)
            return "from the cheapest on, as far as needed", [("" if not n else "else ", one) for n, one in later]
        case Switch():
            return "one of them", [(f"{value}: ", one) for value, one in step.routes.items()]
        case _:
            return "", []


def _soft(is_soft: bool) -> str:
    return "may fail: " if is_soft else ""
