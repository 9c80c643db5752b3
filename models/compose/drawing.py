"""Pictures of compositions as mermaid flowcharts, for documentation and asset metadata."""

from collections.abc import Iterator

from models.compose.budget import Estimate
from models.compose.fallback import Fallback
from models.compose.fan_out import FanOut
from models.compose.merges import Merge
from models.compose.router import Below, Router, Switch
from models.compose.sequence import Sequence
from models.compose.step import Step


def mermaid(step: Step) -> str:
    """Return the composition as a mermaid flowchart, steps with what they take, give and are expected to cost.

    A dotted arrow leads to a step whose failure stops nothing.
    """
    drawing = _Drawing()
    _, last = drawing.draw(step, "input")
    drawing.line(f"{last} --> output([{_text(_listed(step.gives.as_text()))}])")
    start = f"input([{_text(_listed(step.takes.as_text()))}])"
    return "\n".join(["flowchart TD", f"  {start}", *drawing.lines]) + "\n"


class _Drawing:
    """Lines of a flowchart; each step is a node, or a group of nodes between two of its own."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._taken = 0
        self._depth = 1

    def line(self, text: str) -> None:
        """Add a line."""
        self.lines.append("  " * self._depth + text)

    def draw(self, step: Step, before: str, label: str = "", *, soft: bool = False) -> tuple[str, str]:
        """Add a step behind the node `before`; return the node where it begins and the one where it ends."""
        arrow = ("-.->" if soft else "-->") + (f"|{_text(label)}|" if label else "")
        match step:
            case Sequence():
                return self._sequence(step, before, label, soft=soft)
            case Router():
                return self._router(step, before, arrow)
            case Switch():
                return self._branched(step, before, arrow, list(step.routes.items()), frozenset())
            case FanOut():
                return self._branched(step, before, arrow, list(step.branches.items()), step.soft, _named(step.merge))
            case Fallback():
                labels = ["", *(["failed"] * (len(step.steps) - 1))]
                return self._chained(step, before, arrow, labels, end=step.default is not None)
            case _:
                node = self._node()
                self.line(f"{before} {arrow} {node}[{_text(step.name, *costs(step.estimate))}]")
                return node, node

    def _sequence(self, step: Sequence, before: str, label: str, *, soft: bool) -> tuple[str, str]:
        first, last = "", before
        for number, inner in enumerate(step.steps):
            begin, last = self.draw(
                inner, last, "" if number else label, soft=inner.name in step.soft or (soft and not number)
            )
            first = first or begin
        return first, last

    def _router(self, step: Router, before: str, arrow: str) -> tuple[str, str]:
        rule = step.rule
        thresholds = [f"{rule.field} < {each:g}" for each in rule.thresholds] if isinstance(rule, Below) else []
        labels = ["", *(thresholds or ["escalated"] * (len(step.steps) - 1))]
        return self._chained(step, before, arrow, labels, end=False)

    def _chained(self, step: Step, before: str, arrow: str, labels: list[str], *, end: bool) -> tuple[str, str]:
        """Draw steps of which each is asked after the one before it; every one may be the last."""
        begin, close = self._node(), self._node()
        self.line(f"{before} {arrow} {begin}{{{{{_text(step.name)}}}}}")
        last = begin
        for inner, label in zip(step.steps, labels, strict=True):
            _, last = self.draw(inner, last, label)
            self.line(f"{last} --> {close}(({_text(f'{step.name}: answer')}))")
        if end:
            self.line(f"{last} -->|{_text('failed')}| {close}")
        return begin, close

    def _branched(
        self,
        step: Step,
        before: str,
        arrow: str,
        branches: list[tuple[str, Step]],
        soft: frozenset[str],
        joined: str = "answer",
    ) -> tuple[str, str]:
        begin, close = self._node(), self._node()
        self.line(f"{before} {arrow} {begin}{{{{{_text(step.name)}}}}}")
        for label, inner in branches:
            _, last = self.draw(inner, begin, label, soft=inner.name in soft)
            self.line(f"{last} --> {close}(({_text(joined)}))")
        return begin, close

    def _node(self) -> str:
        self._taken += 1
        return f"n{self._taken}"


def _named(merge: Merge) -> str:
    field = getattr(merge, "field", "")
    return type(merge).__name__.lower() + (f" of {field}" if field else "")


def costs(estimate: Estimate) -> Iterator[str]:
    """Yield the numbers of an estimate that are not 0, with their units."""
    if estimate.latency_ms(1):
        yield f"{estimate.latency_ms(1):g} ms"
    if estimate.row_eur:
        yield f"{estimate.row_eur:g} EUR"
    if estimate.row_calls:
        yield f"{estimate.row_calls:g} calls"


def _listed(types: dict[str, str]) -> str:
    return ", ".join(f"{name}: {kind}" for name, kind in types.items())


def _text(*parts: str) -> str:
    """Return a label in quotes; characters that end a label are written as entities."""
    escaped = (part.replace("&", "#amp;").replace('"', "#quot;").replace("<", "#lt;") for part in parts)
    return f'"{"<br/>".join(escaped)}"'
