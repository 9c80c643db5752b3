"""The gate's report as people read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from models.evaluation.curves import png_as_markdown
from models.evaluation.slices import SliceResult
from models.gates.check import GateCheck


@dataclass(frozen=True)
class GateReport:
    """The decision and its reasons.

    Attributes:
        candidate: name of the model that was evaluated.
        checks: every check, in order.
        metrics: model -> name of a metric -> its value on the hold-out; the candidate first.
        slices: every part of the hold-out.
        picture: of the predictions, as a PNG; empty if it could not be drawn.
        notes: the merge that the candidate stands in for; what could not be shown, and why.
        columns: metrics of the table, in order.
        slice_metric: metric that slices are compared in, in words.
    """

    candidate: str
    checks: Sequence[GateCheck]
    metrics: Mapping[str, Mapping[str, float]]
    slices: Sequence[SliceResult]
    picture: bytes
    notes: Sequence[str]
    columns: Sequence[str]
    slice_metric: str

    @property
    def passed(self) -> bool:
        """True if at least one check was made and all passed."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def stopped_by(self) -> tuple[str, ...]:
        """Names of the checks that failed."""
        return tuple(check.name for check in self.checks if not check.passed)

    def with_failed(self, name: str, says: str) -> GateReport:
        """Return the report after the check `name` failed all the same, with the reason."""
        checks = [GateCheck(name, False, None, None, says) if check.name == name else check for check in self.checks]
        return replace(self, checks=tuple(checks))

    def noted(self, notes: Sequence[str]) -> GateReport:
        """Return the report with these notes before its own."""
        return replace(self, notes=[*notes, *self.notes])

    def markdown(self, *, picture: bool = True) -> str:
        """Return the report as GitHub-flavoured Markdown, the picture inline."""
        verdict = "passed" if self.passed else f"stopped by {', '.join(self.stopped_by) or 'the lack of checks'}"
        parts = [f"## Gate: {self.candidate} {verdict}", self._checks_table()]
        if self.metrics:
            parts += ["### On the hold-out", self._metrics_table()]
        if picture and self.picture:
            parts += ["### Curves", png_as_markdown(self.picture, "Predictions on the hold-out")]
        if self.slices:
            parts += ["### By slice", self._slices_table()]
        parts += [f"- {note}" for note in self.notes]
        return "\n\n".join(parts) + "\n"

    def _checks_table(self) -> str:
        rows = [
            [check.name, "passed" if check.passed else "**FAILED**", _number(check.value), _number(check.threshold),
             _cell(check.says)]
            for check in self.checks
        ]  # fmt: skip
        return _table(["check", "", "value", "limit", "says"], rows)

    def _metrics_table(self) -> str:
        rows = [[name, *(_four_digits(values.get(m)) for m in self.columns)] for name, values in self.metrics.items()]
        return _table(["model", *(name.replace("_", " ") for name in self.columns)], rows)

    def _slices_table(self) -> str:
        header = ["slice", "rows", "observed", "predicted", self.slice_metric, "reference", "difference"]
        rows = [
            [_cell(f"{r.division}: {r.part}"), str(r.rows), _three_digits(r.rate), _three_digits(r.predicted),
             _four_digits(r.value), _four_digits(r.reference), str(r.difference or "too few")]
            for r in self.slices
        ]  # fmt: skip
        return _table(header, rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _four_digits(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _three_digits(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _cell(text: str) -> str:
    """Text that cannot break out of its table cell."""
    return " ".join(text.split()).replace("|", "\\|")
