"""Context of the fraud stream from the lake: earlier payments, the customer register, erased customers."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any

from assets.fraud import feedback as alert_feedback
from assets.fraud.stream.context import Seed
from assets.fraud.stream.processor import FraudProcessor
from assets.fraud.stream.state import FraudState
from models.errors import TesseraError
from models.features.window_state import KeyHistory
from models.features.windows import MICROS_PER_DAY
from models.fraud.stream_state import HistoryKey
from models.settings import FraudSettings
from models.timestamps import to_datetime
from resources.engine.port import Engine
from resources.events.port import Events
from resources.lake.port import Lake

_PAYMENTS, _LABELS, _CUSTOMERS = "payments", "payment_labels", "customers"


def fraud_processor(
    events: Events, store: FraudState, lake: Lake, engine: Engine, settings: FraudSettings
) -> FraudProcessor:
    """Return the processor over these stores, as the worker and Dagster's runs use it.

    Raises:
        TesseraError: the settings ask for a register of customers, and the lake has none.
    """
    return FraudProcessor(
        events,
        store,
        settings.payments,
        context=LakeContext(lake, engine),
        keep_scores_days=settings.keep_scores_days,
    )


class LakeContext:
    """The `StreamContext` that reads the lake."""

    def __init__(self, lake: Lake, engine: Engine) -> None:
        self._lake, self._engine = lake, engine

    def before(self, micros: int, *, days: float) -> Seed:
        """Sorted on the way, by an engine that spills: memory does not grow with the number of payments.

        All frauds that are known today are taken: a window counts each from the moment on at which it became known.
        """
        if not self._lake.exists(_PAYMENTS):
            return Seed((), ())
        from models.features.fraud_seed import seed_payments

        bounds = {"first": micros - int(days * MICROS_PER_DAY), "before": micros}
        tables = {_PAYMENTS: self._tables(bounds["first"])[_PAYMENTS]}
        return Seed(self._engine.query(seed_payments, tables, **bounds), self._histories(**bounds))

    def forgotten(self) -> Container[str]:
        """Return customers with a tombstone."""
        return self._lake.forgotten("customer") or ()  # which need not be asked for each event

    def registered(self) -> Container[str]:
        """Every `customer_id` of table `customers`."""
        if not self._lake.exists(_CUSTOMERS):
            raise TesseraError(
                "The lake has no register of customers.",
                expected="table `customers`, since only payments of registered customers are taken",
                todo="Ingest it: `tessera run fraud_nightly`; or set `customers: any` of fraud.payments in stack.yaml.",
            )
        ids = self._lake.scan(_CUSTOMERS).to_table(columns=["customer_id"])["customer_id"]
        return frozenset(ids.unique().to_pylist())

    def _histories(self, first: int, before: int) -> Iterator[tuple[HistoryKey, KeyHistory]]:
        from models.features.fraud_seed import histories, seed_rows

        for key in ("customer_id", "terminal_id"):
            rows = self._engine.query(seed_rows, self._tables(first), key=key, first=first, before=before)
            yield from (((key, value), history) for value, history in histories(rows))

    def _tables(self, first: int) -> dict[str, Any]:
        from models.fraud.labels import FEEDBACK

        start = to_datetime(first)
        is_labelled = self._lake.exists(_LABELS)
        return {
            # Also what was delivered later: a payment may come days after it was paid.
            _PAYMENTS: self._lake.refer(_PAYMENTS, first=start.date()),
            "labels": self._lake.refer(_LABELS, first=start.date()) if is_labelled else FEEDBACK.empty_table(),
            "feedback": alert_feedback.answers(self._lake, first=start.date()),
        }
