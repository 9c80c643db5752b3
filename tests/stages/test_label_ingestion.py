"""A payment may be labelled again: every statement of a label feed is kept once, in any order of nights."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from assets.stages.ingestion.run import ingest
from models.ingestion import IngestionConfig
from resources.lake.delta import DeltaLake
from resources.lake.port import Lake
from resources.source.fake import FakeSource, raw_rows

FIRST = date(2026, 3, 1)
Said = tuple[int, bool, datetime]


def label(number: int, at: datetime, *, is_fraud: bool, delivered: date | None = None) -> dict[str, Any]:
    told = {"transaction_id": number, "is_fraud": is_fraud, "labelled_at": at}
    return {**told, "delivered_on": delivered or at.date()}


def said(row: dict[str, Any]) -> Said:
    return row["transaction_id"], row["is_fraud"], row["labelled_at"]


def run(lake: Lake, rows: list[dict[str, Any]], night: date, history: int = 30) -> None:
    source = FakeSource({"payment_labels": raw_rows("payment_labels", rows)}, first_day=FIRST)
    ingest("payment_labels", source, lake, night, IngestionConfig(history_days=history, redelivery_days=2), "r")


def kept(lake: Lake) -> list[Said]:
    return sorted(map(said, lake.scan("payment_labels").to_table().to_pylist()))


def refused(lake: Lake) -> list[str]:
    return [
        reason for row in lake.scan("quarantine_payment_labels").to_table().to_pylist() for reason in row["reasons"]
    ]


def test_a_chargeback_after_a_genuine_label_is_kept_and_a_redelivery_is_not(tmp_path: Path) -> None:
    genuine, other = (label(n, datetime(2026, 3, 7 + n, 10, tzinfo=UTC), is_fraud=False) for n in (1, 2))
    charged_back = label(1, datetime(2026, 3, 20, 9, tzinfo=UTC), is_fraud=True)
    again = {**genuine, "delivered_on": date(2026, 3, 21)}
    lake = DeltaLake(str(tmp_path))
    for night in (9, 22, 22):
        run(lake, [genuine, other, charged_back, again], date(2026, 3, night))
    assert kept(lake) == sorted(map(said, (genuine, other, charged_back)))
    assert refused(lake) == ["transaction_id '1' with the same labelled_at and is_fraud was delivered before"]


@settings(max_examples=8, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(1, 2), st.booleans(), st.integers(0, 5), st.integers(0, 2)), min_size=1, max_size=10
    ),
    nights=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=4),
)
def test_every_delivered_statement_is_kept_once(
    rows: list[tuple[int, bool, int, int]], nights: list[tuple[int, int]]
) -> None:
    delivered = [
        label(number, at := datetime(2026, 3, 1 + day, 12, tzinfo=UTC), is_fraud=fraud, delivered=at.date() + late)
        for number, fraud, day, days in rows
        if (late := timedelta(days=days)) is not None
    ]
    ingested: set[date] = set()
    with TemporaryDirectory() as folder:
        lake = DeltaLake(folder)
        for night, history in nights:
            run(lake, delivered, FIRST + timedelta(days=night), history)
            ingested |= {FIRST + timedelta(days=n) for n in range(max(0, night - history), night + 1)}
            read = [row for row in delivered if row["delivered_on"] in ingested]
            assert kept(lake) == sorted(set(map(said, read)))
            assert len(kept(lake)) + len(refused(lake)) == len(read)
