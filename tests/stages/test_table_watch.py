"""The watch over a table: profiles are computed once, odd days stop the night until a person lets them through."""

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow makes the functions of `pyarrow.compute` when it is imported.

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from assets.stages.ingestion.completeness_log import recount
from assets.stages.ingestion.run import Filling, ingest
from assets.stages.watch import day_profiles
from assets.stages.watch.acceptance import let_through
from assets.stages.watch.checks import ANOMALIES, FRESHNESS, watched
from assets.stages.watch.profile_store import profile_of
from assets.stages.watch.table_watch import Watched, watch
from models.contracts import PAYMENT_LABELS, PAYMENTS
from models.errors import TesseraError
from models.ingestion import IngestionConfig
from models.watch.config import WatchConfig
from pipelines.cli import accept as command
from resources.lake.delta import DeltaLake
from resources.lake.port import Lake
from resources.source.fake import FakeSource, raw_rows

FIRST, DAYS, USUAL = date(2025, 1, 1), 45, 150
#: The last day of the home, and the night that is run on it.
LAST = FIRST + timedelta(days=DAYS - 1)
DAY = LAST + timedelta(days=1)
INGESTION, WATCH = IngestionConfig(history_days=DAYS + 10), WatchConfig()
Rows = list[dict[str, Any]]


def payments(day: date, seed: int = 0) -> Rows:
    """The payments of one day."""
    rng = np.random.default_rng([day.toordinal(), seed])
    midnight = datetime.combine(day, datetime.min.time(), UTC)
    count = int(rng.poisson(USUAL))
    return [
        {
            "transaction_id": day.toordinal() * 1000 + number,
            "customer_id": f"u{rng.integers(400):05}",
            "terminal_id": f"t{rng.integers(80):04}",
            "paid_at": midnight + timedelta(seconds=float(rng.beta(3, 2) * 86_399)),
            "amount": round(float(rng.lognormal(3, 0.8)), 2),
            "delivered_on": day,
        }
        for number in range(count)
    ]


def source(*days: Rows) -> FakeSource:
    return FakeSource({"payments": raw_rows("payments", [row for day in days for row in day])}, FIRST)


def night(lake: Lake, day: date, rows: Rows, *more: Rows) -> Watched:
    """Ingest a day, with the two before it as they were, and watch it."""
    before = [payments(day - timedelta(days=back)) for back in (2, 1) if day - timedelta(days=back) <= LAST]
    ingest("payments", source(*before, rows, *more), lake, day, INGESTION, "r")
    return watch(lake, PAYMENTS, day, WATCH)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with payments that was never watched."""
    folder = tmp_path_factory.mktemp("filled")
    rows = [row for n in range(DAYS) for row in payments(FIRST + timedelta(days=n))]
    ingest("payments", source(rows), DeltaLake(str(folder / "lake")), LAST, INGESTION, "r")
    watch(DeltaLake(str(folder / "lake")), PAYMENTS, LAST, WATCH)
    return folder


@pytest.fixture
def lake(filled: Path, tmp_path: Path) -> DeltaLake:
    """The same home of the test's own, whose days are profiled."""
    shutil.copytree(filled, tmp_path / "home")
    return DeltaLake(str(tmp_path / "home" / "lake"))


def test_the_days_of_a_home_are_profiled_once_by_one_scan(lake: DeltaLake, monkeypatch: pytest.MonkeyPatch) -> None:
    scanned: list[list[date]] = []
    made = day_profiles.profiles
    monkeypatch.setattr(day_profiles, "profiles", lambda rows, days: scanned.append(days) or made(rows, days))
    lake.drop(profile_of("payments"))
    first = watch(lake, PAYMENTS, LAST, WATCH)
    assert [len(days) for days in scanned] == [DAYS]
    version = lake.version(profile_of("payments"))
    assert watch(lake, PAYMENTS, LAST, WATCH) == first
    night(lake, DAY, payments(DAY))
    assert scanned[1:] == [[DAY]]
    assert lake.version(profile_of("payments")) == version + 1


def test_a_usual_day_is_quiet_and_profiles_hold_no_ids(lake: DeltaLake) -> None:
    found = night(lake, DAY, payments(DAY))
    assert found.assessment.findings == ()
    assert (found.assessment.measured > 30, found.assessment.history) == (True, DAYS)
    stored = lake.scan(profile_of("payments")).to_table()
    texts = {text for name in ("measure", "column", "category") for text in stored[name].to_pylist()}
    assert not any(text[:1] in "ut" and text[1:].isdigit() for text in texts)


def third(rows: Rows) -> Rows:
    return rows[::3]


def ninefold(rows: Rows) -> Rows:
    return [{**row, "amount": row["amount"] * 9} for row in rows]


def one_terminal(rows: Rows) -> Rows:
    return [{**row, "terminal_id": "t0001"} for row in rows]


def swapped(rows: Rows) -> Rows:
    return [{**row, "customer_id": row["terminal_id"], "terminal_id": row["customer_id"]} for row in rows]


def doubled(rows: Rows) -> Rows:
    return [*rows, *({**row, "transaction_id": row["transaction_id"] + 500} for row in rows)]


def yesterday_again(rows: Rows) -> Rows:
    moved = [(row, timedelta(days=1)) for row in payments(LAST)]
    return [
        {**row, "transaction_id": row["transaction_id"] + 5000, "paid_at": row["paid_at"] + by, "delivered_on": DAY}
        for row, by in moved
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (third, "rows: "),
        (ninefold, "typical amount: "),
        (one_terminal, "share of rows on one terminal_id: "),
        (swapped, "share of customer_id that are values of terminal_id"),
        (doubled, "share of rows that repeat others of the day: "),
        (yesterday_again, "share of rows that repeat the days before: "),
        (lambda _rows: [], "payments has no rows on 2025-02-15"),
    ],
)
def test_a_harmful_day_stops_the_night_and_its_cause_is_named(
    lake: DeltaLake, change: Callable[[Rows], Rows], words: str
) -> None:
    found = night(lake, DAY, change(payments(DAY)))
    assert found.assessment.severity == "block"
    assert any(words in finding.sentence for finding in found.assessment.of("block"))


def checks(lake: Lake, day: date) -> dict[str | None, Any]:
    return {check.check_name: check for check in watched(lake, PAYMENTS, day, WATCH)}


def test_a_person_lets_a_day_through_and_the_check_says_who_when_and_why(lake: DeltaLake) -> None:
    after = DAY + timedelta(days=1)
    night(lake, DAY, ninefold(payments(DAY)))
    held = night(lake, after, payments(after), ninefold(payments(DAY)))
    assert held.assessment.of("block")[0].sentence.startswith(f"{DAY} is blocked and no one accepted it: ")
    let = let_through(lake, "payments", DAY, who="ana", why="prices in cents since today")
    assert {finding.severity for finding in let} == {"block"}
    check = checks(lake, DAY)[ANOMALIES]
    assert check.severity.value == "WARN"
    assert "ana" in str(check.metadata["accepted"].value)
    assert "prices in cents since today" in str(check.metadata["findings"].value)
    assert watch(lake, PAYMENTS, after, WATCH).assessment.severity != "block"
    with pytest.raises(TesseraError, match=r"Nothing blocks payments on .*: .* accepted by ana"):
        let_through(lake, "payments", DAY, who="ben", why="again")


def test_a_corrected_delivery_is_assessed_anew(lake: DeltaLake) -> None:
    assert night(lake, DAY, ninefold(payments(DAY))).assessment.severity == "block"
    assert night(lake, DAY, payments(DAY)).assessment.severity is None
    after = DAY + timedelta(days=1)
    assert night(lake, after, payments(after), payments(DAY)).assessment.severity is None


def test_a_crash_between_ingestion_and_profile_is_repaired_by_the_next_run(
    lake: DeltaLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(day_profiles, "store_profiles", killed)
        with pytest.raises(KeyboardInterrupt):
            night(lake, DAY, third(payments(DAY)))
    assert watch(lake, PAYMENTS, DAY, WATCH).assessment.severity == "block"
    assert watch(lake, PAYMENTS, DAY, WATCH) == night(lake, DAY, third(payments(DAY)))


def test_a_reingested_table_has_the_profiles_of_its_new_rows(lake: DeltaLake) -> None:
    few = [row for n in range(DAYS) for row in payments(FIRST + timedelta(days=n))[:40]]
    ingest("payments", source(few), lake, LAST, INGESTION, "r", Filling(reingest=True))
    watch(lake, PAYMENTS, LAST, WATCH)
    stored = lake.scan(profile_of("payments")).to_table().to_pylist()
    assert {row["value"] for row in stored if row["measure"] == "rows"} == {40.0}


def test_a_table_without_new_rows_is_not_fresh(lake: DeltaLake) -> None:
    night(lake, DAY, [])
    found = checks(lake, DAY)
    assert (found[FRESHNESS].passed, found[ANOMALIES].passed) == (False, False)
    assert found[FRESHNESS].description.startswith("payments has no rows since 2025-02-14: 1 day(s) up to 2025-02-15")
    assert checks(lake, LAST)[FRESHNESS].passed


def test_a_table_that_never_came_is_not_assessed(tmp_path: Path) -> None:
    empty = DeltaLake(str(tmp_path / "lake"))
    ingest("payments", FakeSource({"orders": pa.table({})}, FIRST), empty, DAY, INGESTION, "r")
    assert all(check.passed for check in watched(empty, PAYMENTS, DAY, WATCH))


def test_profiles_follow_rows_that_an_erasure_removed(lake: DeltaLake) -> None:
    customer = payments(LAST)[0]["customer_id"]
    removed = lake.remove("payments", pc.field("customer_id") == customer)
    recount(lake, "payments")
    before = rows_by_day(lake)
    watch(lake, PAYMENTS, LAST, WATCH)
    after = rows_by_day(lake)
    assert {day: before[day] - after[day] for day in before if before[day] != after[day]} == dict(removed)


def rows_by_day(lake: Lake) -> dict[date, int]:
    stored = lake.scan(profile_of("payments")).to_table().to_pylist()
    return {row["day"]: int(row["value"]) for row in stored if row["measure"] == "rows"}


def test_the_command_lets_a_day_through_and_says_what(
    lake: DeltaLake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "active_stack", lambda: SimpleNamespace(calendar=SimpleNamespace(first_day=FIRST)))
    monkeypatch.setattr(command, "Ports", lambda _stack: SimpleNamespace(lake=lake))
    night(lake, DAY, third(payments(DAY)))
    with pytest.raises(TesseraError, match="without a reason"):
        command.accept("payments", DAY.isoformat(), " ")
    command.accept("payments", DAY.isoformat(), "terminals of two cities were closed")
    shown = " ".join(capsys.readouterr().out.split())
    assert "of payments on 2025-02-15 let through: " in shown
    assert " rows: 53 for an expected " in shown
    assert "tessera run fraud_nightly --date 2025-02-15" in shown
    assert watch(lake, PAYMENTS, DAY, WATCH).assessment.severity != "block"


def test_labels_are_compared_with_their_payments_in_the_lake(lake: DeltaLake) -> None:
    """Frauds of more than 40 EUR, labelled a week later; on the last day each label is that of the payment before."""

    def labels(day: date, moved: int) -> Rows:
        paid = payments(day - timedelta(days=7))
        about = [row["amount"] > 40 for row in paid]
        moment = datetime.combine(day, datetime.min.time(), UTC)
        given = zip(paid, about[-moved:] + about[:-moved] if moved else about, strict=True)
        return [
            {"transaction_id": row["transaction_id"], "is_fraud": fraud, "labelled_at": moment, "delivered_on": day}
            for row, fraud in given
        ]

    days = [LAST - timedelta(days=back) for back in range(9, -1, -1)]
    rows = [row for day in days for row in labels(day, int(day == LAST))]
    labelled = FakeSource({"payment_labels": raw_rows("payment_labels", rows)}, FIRST)
    ingest("payment_labels", labelled, lake, LAST, INGESTION, "r")
    watch(lake, PAYMENT_LABELS, LAST, WATCH)
    stored = lake.scan(profile_of("payment_labels")).to_table(filter=pc.field("measure") == "fits").sort_by("day")
    *before, last = stored["value"].to_pylist()
    assert (len(before), min(before) > 0.9, last < 0.7) == (2, True, True)
