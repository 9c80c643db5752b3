"""The decision rule of a contact list: the highest probabilities within a budget, the first of them with reasons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.scoring.audit_checks import Check, Observer, blocking, count
from models.scoring.config import ScoringConfig
from models.scoring.reasons import explain
from models.scoring.top_k import TopRows
from models.training.model import FittedModel, Matrix, explains

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.

#: Decisions, as the column `decision` has them.
LEAVE, CONTACT = DECISIONS = ("leave", "contact")


def contacted(scores: NDArray[np.float64], config: ScoringConfig) -> NDArray[np.bool_]:
    """Return the rows that `ContactBudget` would mark `contact`, from the scores of a day in the order of its rows."""
    order = np.argsort(-scores.astype(np.float32), kind="stable")[: config.contact_budget]
    found = np.zeros(len(scores), bool)
    found[order] = scores[order].astype(np.float32) >= np.float32(config.min_contact_score)
    return found


class ContactBudget:
    """Marks `contact` the `contact_budget` highest scores of at least `min_contact_score`, else `leave`.

    Among equal scores the first row is taken. The highest `max_reasons_rows` contacts get reasons, all others NULL.
    Memory: `contact_budget` scores and `max_reasons_rows` matrix rows.
    """

    def __init__(self, model: FittedModel, feature_names: Sequence[str], config: ScoringConfig) -> None:
        self._model, self._names, self._config = model, feature_names, config
        self._eligible = TopRows(config.contact_budget, 0)
        self._leaders = TopRows(config.max_reasons_rows, len(feature_names))
        self._decided: tuple[NDArray[np.int64], dict[int, list[str]]] | None = None

    def observe(self, first: int, predicted: Mapping[str, pa.Array], matrix: Matrix) -> None:
        """Remember the best rows."""
        scores = predicted["score"].to_numpy()
        self._eligible.offer(first, scores, matrix[:, :0])
        self._leaders.offer(first, scores, matrix)

    def columns(self, first: int, predicted: Mapping[str, pa.Array], rows: int) -> Mapping[str, pa.Array]:
        """`decision` and `reasons`."""
        del predicted
        contacts, reasons = self._decide()
        start, end = np.searchsorted(contacts, [first, first + rows])
        flags = np.zeros(rows, np.int8)
        words: list[list[str] | None] = [None] * rows
        for at in (contacts[start:end] - first).tolist():
            flags[at], words[at] = 1, reasons.get(first + at)
        decisions = pa.array(DECISIONS).take(pa.array(flags))
        return {"decision": decisions, "reasons": pa.array(words, pa.list_(pa.string()))}

    def counts(self) -> Mapping[str, int]:
        """Contacts, and how many of them have reasons."""
        contacts, reasons = self._decide()
        return {"contacts": len(contacts), "explained": len(reasons)}

    def _decide(self) -> tuple[NDArray[np.int64], dict[int, list[str]]]:
        """Row numbers of the contacts, ascending, and reasons by row number."""
        if self._decided is None:
            least = np.float32(self._config.min_contact_score)
            contacts = self._eligible.index[self._eligible.scores >= least]
            self._decided = np.sort(contacts), self._reasons(len(contacts))
        return self._decided

    def _reasons(self, contacts: int) -> dict[int, list[str]]:
        """Contacts and leaders are both best first, so the leaders that are contacts come first.

        A model without contributions gives no reasons.
        """
        if not explains(self._model):
            return {}
        found = min(len(self._leaders.index), contacts)
        rows = self._leaders.rows[:found]
        words = explain(self._model, rows, self._names, per_row=self._config.reasons_per_row)
        return dict(zip(self._leaders.index[:found].tolist(), words, strict=True))


class ContactAudit(Observer):
    """Checks of the rule: `contact` are the highest scores within the budget, and only contacts have reasons."""

    def __init__(self, config: ScoringConfig) -> None:
        self._config = config
        self._rows = self._contacts = self._eligible = self._unknown = 0
        self._explained = self._elsewhere = 0
        self._least_contact, self._most_left = np.inf, -np.inf

    def observe(self, batch: pa.RecordBatch) -> None:
        """Look at the next rows."""
        scores = batch.column("score").to_numpy(zero_copy_only=False)
        contact = pc.equal(batch.column("decision"), CONTACT).to_numpy(zero_copy_only=False)
        left = pc.equal(batch.column("decision"), LEAVE).to_numpy(zero_copy_only=False)
        explained = batch.column("reasons").is_valid()
        self._rows += len(scores)
        self._contacts += int(contact.sum())
        self._unknown += int((~contact & ~left).sum())
        self._eligible += int((scores >= np.float32(self._config.min_contact_score)).sum())
        self._least_contact = min(self._least_contact, scores[contact].min(initial=np.inf))
        self._most_left = max(self._most_left, scores[left].max(initial=-np.inf))
        self._explained += count(explained)
        self._elsewhere += count(pc.and_(explained, pc.not_equal(batch.column("decision"), CONTACT)))

    def checks(self) -> Iterator[Check]:
        """The rule's checks; all of them block."""
        config = self._config
        due = min(config.contact_budget, self._eligible)
        right = self._contacts == due and not self._unknown
        yield blocking("contact budget", right, f"{self._contacts:,} contacts, {due:,} due by budget and least score")
        least = np.float32(config.min_contact_score)
        ranked = self._least_contact >= least and (self._most_left < least or self._most_left <= self._least_contact)
        yield blocking("contacts score highest", bool(ranked), f"least contact {self._least_contact:.4f}")
        sparse = self._explained <= config.max_reasons_rows and not self._elsewhere
        says = f"{self._explained:,} rows with reasons, {self._elsewhere:,} of them not contacts"
        yield blocking("reasons", sparse, says)

    def metrics(self) -> Mapping[str, float]:
        """`contact_share`, 0 to 1."""
        return {"contact_share": self._contacts / max(self._rows, 1)}
