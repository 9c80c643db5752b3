"""What a user does on good days: run, look, run again, backfill, withdraw, train again, roll back, ask for features."""

import json
import re
import shutil
import signal
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from forked import Forked
from shop_home import DAY, Home, ended

from assets.churn import features as churn_features
from resources.source.simulated import SimulatedSource

D = DAY.isoformat()
COLUMNS = ["customer_id", "score", "decision", "reasons", "model_version", "day"]


def before(days: int) -> date:
    return DAY - timedelta(days=days)


def features_of(home: Home, day: date) -> pa.Table:
    return home.opened().open("lake").scan("churn_features", first=day, last=day).to_table()


def champion(home: Home) -> str:
    """The version in charge: what the gate evaluated, or its refit where that agrees."""
    version = home.opened().open("registry").champion("churn")
    assert version in ("1", "2")
    return version


def test_the_card_says_on_one_screen_what_was_published(trained: Home) -> None:
    card = (trained.folder.parent / "card.txt").read_text()
    rows = trained.published(DAY).rows
    assert len(card.strip().splitlines()) <= 25
    assert f"{rows:,} customers" in card
    assert f"published, {rows} rows" in card
    assert f"version {champion(trained)} promoted" in card, "version 1, which was evaluated, or its refit, version 2"


def test_a_second_run_publishes_the_same_bytes_and_no_other_command_works_in_the_home_meanwhile(
    home: Home, tmp_path: Path
) -> None:
    first = home.published(DAY)
    parquet, csv = (
        home.scores(DAY, tmp_path / "1.parquet"),
        home.scores(DAY, tmp_path / "1.csv"),
    )
    run = home.fork("run", "churn_nightly", "--date", D)
    _is_locked_by(run, home)
    card = ended(run).out
    assert "identical to what run" in card
    assert "no training was due" in card
    assert "training_set" not in card
    assert home.published(DAY) == first
    assert home.published(before(-1)) is None
    assert home.scores(DAY, tmp_path / "2.parquet") == parquet
    assert home.scores(DAY, tmp_path / "2.csv") == csv


def _is_locked_by(run: Forked, home: Home) -> None:
    holder = home.folder / "locks" / "run.holder"
    while not holder.exists():
        assert run.poll() is None, run.communicate()
        time.sleep(0.02)
    run.send_signal(signal.SIGSTOP)  # it must not end before the other one has looked
    try:
        says = home.refuses("run", "churn_nightly", "--date", before(-1).isoformat())
    finally:
        run.send_signal(signal.SIGCONT)
    assert f"is locked: `tessera run churn_nightly` for {DAY}, process {run.pid}" in says
    assert "TESSERA_HOME" in says


def test_checks_run_alone_for_the_last_published_day_and_publish_nothing(home: Home) -> None:
    first = home.published(DAY)
    card = home.tessera("run", "churn_checks").out
    for check in ("churn/scores: audit", "churn/scores: drift", "churn/served_features: skew", "shop/orders: quar"):
        assert check in card
    assert f"churn_checks {DAY}" in " ".join(card.split())
    assert "training_set" not in card
    assert home.published(DAY) == first


def test_scores_are_one_row_for_each_active_customer(trained: Home, tmp_path: Path) -> None:
    trained.scores(DAY, tmp_path / "s.parquet")
    trained.scores(DAY, tmp_path / "s.csv")
    rows, text = pq.read_table(tmp_path / "s.parquet"), pacsv.read_csv(tmp_path / "s.csv")
    assert rows.column_names == text.column_names == COLUMNS
    assert rows["customer_id"].to_pylist() == features_of(trained, DAY)["customer_id"].to_pylist()
    assert len(set(rows["customer_id"].to_pylist())) == rows.num_rows == text.num_rows > 500
    assert all(0 <= score <= 1 for score in rows["score"].to_pylist())
    contacted = [row for row in rows.to_pylist() if row["decision"] == "contact"]
    assert 0 < len(contacted) < rows.num_rows
    assert all(row["reasons"] for row in contacted)
    assert set(rows["model_version"].to_pylist()) == {champion(trained)}


def test_quarantine_holds_every_defect_of_the_shop_and_nothing_else(trained: Home) -> None:
    opened = trained.opened()
    source: SimulatedSource = opened.open("source")
    oldest = DAY - timedelta(days=opened.settings.ingestion.history_days)
    oldest = max(oldest, source.first_day())
    put_in = source.shop.defect_counts("orders", oldest, DAY)
    # Lines that came again on the very first day read were never seen before: for this lake they are good.
    before_all = (
        source.shop.defect_counts("orders", oldest, oldest)["redelivered"] if oldest > source.first_day() else 0
    )
    expected = sum(put_in.values()) - before_all
    assert expected > 100
    assert trained.tessera("quarantine", "orders").out.startswith(f"{expected:,} rows of orders are in quarantine.")
    of_day = sum(source.shop.defect_counts("orders", DAY, DAY).values())
    says = trained.tessera("quarantine", "orders", "--date", D).out
    assert says.startswith(f"{of_day:,} rows of orders are in quarantine for {D}.")


def test_days_come_out_the_same_in_whatever_order_they_are_run(home: Home, empty: Home) -> None:
    """One home ingested a later day before two earlier ones; the other, with the same model, has no day but one."""
    one, two = before(1), before(2)
    shutil.copytree(home.folder / "mlflow", empty.folder / "mlflow")
    shutil.copy(home.folder / "layout.json", empty.folder)
    late = home.tessera("backfill", "churn_nightly", "--from", two.isoformat(), "--to", one.isoformat())
    empty.tessera("run", "churn_nightly", "--date", one.isoformat())
    assert [line.split()[:3] for line in late.out.splitlines()] == [
        ["1/2", two.isoformat(), "ok"],
        ["2/2", one.isoformat(), "ok"],
    ]
    assert features_of(home, one).equals(features_of(empty, one))
    for found in (home.published(two), home.published(one), empty.published(one)):
        assert found.degradation == "fresh"
        assert found.rows > 500
    assert home.published(one).rows == empty.published(one).rows
    assert home.digest(one) == empty.digest(one)
    assert home.digest(DAY), "the later day stays published"


def test_a_withdrawn_day_comes_back_as_it_was(home: Home, tmp_path: Path) -> None:
    was = home.scores(DAY, tmp_path / "was.parquet")
    home.tessera("unpublish", "churn", "--date", D, "--why", "wrong prices")
    assert "No scores of churn are published" in home.refuses("scores", "churn", "--date", D)
    assert "No scores of churn are published" in home.refuses("unpublish", "churn", "--date", D)
    assert f"{D} is published" in home.tessera("publish", "churn", "--date", D).out
    assert home.scores(DAY, tmp_path / "is.parquet") == was
    assert "published already" in home.tessera("publish", "churn", "--date", D).out
    history = home.opened().open("sink").history("churn", DAY)
    assert [entry.action for entry in history] == ["publish", "unpublish", "publish"]
    assert history[1].why == "wrong prices"


def test_a_challenger_is_judged_and_any_version_can_be_put_back(home: Home, empty: Home) -> None:
    assert "has no model yet" in empty.tessera("models", "churn").out
    first, published = champion(home), home.opened().open("sink").history("churn", DAY)
    assert f"names no champion before {first}" in home.refuses("rollback", "churn")
    card = home.tessera("run", "churn_training", "--date", D).out
    assert home.opened().open("sink").history("churn", DAY) == published, "training publishes nothing"
    # Same day, same rows, same settings: there is nothing newer to put in charge.
    assert f"version {first} stays: candidate version 3 was stopped by champion" in card
    assert "no version '9'" in home.refuses("rollback", "churn", "--to", "9")
    insist = ("--why", "complaints", "--even-if-refused")
    back = home.tessera("rollback", "churn", "--to", "3", *insist).out
    assert f"Version 3 is champion (was {first})" in back
    assert f"Version {first} is champion (was 3)" in home.tessera("rollback", "churn").out
    versions, ledger = home.tessera("models", "churn").out.split("ledger")
    listed = [line.split()[0] for line in versions.splitlines()[1:] if line.strip() and line[0].isdigit()]
    assert listed == ["3", "2", "1"]
    assert "refit of" in versions
    assert f"- -> {first}" in ledger
    assert f"{first} -> 3" in ledger
    assert "complaints" in ledger
    assert f"3 -> {first}" in ledger
    found = json.loads(home.tessera("models", "churn", "--json").out)
    assert [one["version"] for one in found["versions"] if one["champion"]] == [first]
    assert [one["to_version"] for one in found["ledger"]][-2:] == ["3", first]


def test_features_are_what_the_orders_say_at_each_moment(home: Home, tmp_path: Path) -> None:
    noon, end = before(20), DAY
    customers = [*features_of(home, end)["customer_id"].to_pylist()[:25], "nobody"]
    moments = [f"{noon}T12:00:00Z", f"{end}T23:59:59.999999Z"]
    lines = ["event_timestamp,note,customer_id"]
    lines += [f"{moment},keep me,{customer}" for customer in customers for moment in moments]
    entities, result = tmp_path / "entities.csv", tmp_path / "features.parquet"
    entities.write_text("\n".join(lines))
    said = home.tessera("features", "churn", "--entities", entities, "--out", result)
    rows = pq.read_table(result)
    assert f"{rows.num_rows:,} rows written" in said.out
    assert rows["customer_id"].to_pylist() == [customer for customer in customers for _ in moments]
    assert set(rows["note"].to_pylist()) == {"keep me"}
    # A moment inside of a day sees the end of the day before.
    seen = {f"{noon} 12:00": before(21), f"{end} 23:59": end}
    orders = home.opened().open("lake").scan("orders").to_table()
    known = {day: _from_orders(orders, day) for day in seen.values()}
    for row in rows.to_pylist():
        day = seen[f"{row['event_timestamp']:%Y-%m-%d %H:%M}"]
        expected = known[day].get(row["customer_id"])
        found = None if row["recency_days"] is None else (row["recency_days"], row["orders_total"], row["spend_90"])
        if expected is None or found is None:
            assert found == expected, (row["customer_id"], day)
        else:
            assert all(abs(x - y) < 0.006 * (1 + abs(y)) for x, y in zip(found, expected, strict=True)), (row, expected)


def test_features_online_are_what_is_served_now(home: Home, tmp_path: Path) -> None:
    known = features_of(home, DAY)
    stack, now = home.opened(), datetime.now(UTC).replace(microsecond=0)
    store, lake = stack.open("feature_store"), stack.open("lake")
    churn_features.materialize(lake, store, DAY)  # long ago
    moments = pa.array([now - timedelta(hours=1)] * 3, pa.timestamp("us", "UTC"))
    young = known.slice(0, 3).drop_columns(["event_timestamp", "created_timestamp", "feature_date"])
    young = young.append_column("event_timestamp", moments).append_column("created_timestamp", moments)
    pq.write_table(young, tmp_path / "young.parquet")
    store.materialize("churn_customer", now - timedelta(days=1), now, files=[str(tmp_path / "young.parquet")])

    customers = [*known["customer_id"].to_pylist()[:5], "nobody"]
    entities, result = tmp_path / "entities.csv", tmp_path / "served.parquet"
    entities.write_text("\n".join(["note,customer_id", *(f"keep me,{customer}" for customer in customers)]))
    said = home.tessera("features", "churn", "--entities", entities, "--out", result, "--online")
    assert "6 rows written" in said.out
    assert "3 served, 1 unknown, 2 too old to be served" in " ".join(said.out.split())
    rows = pq.read_table(result)
    assert rows.column_names[:2] == ["note", "customer_id"]
    assert rows["customer_id"].to_pylist() == customers
    assert rows["churn_customer__status"].to_pylist() == ["PRESENT"] * 3 + ["OUTSIDE_MAX_AGE"] * 2 + ["NOT_FOUND"]
    assert rows["recency_days"].to_pylist() == [*known["recency_days"].to_pylist()[:3], None, None, None]


def _from_orders(orders: pa.Table, day: date) -> dict[str, tuple[float, float, float]]:
    """Recency in days, orders of a year, spend of 90 days: by SQL over the lake's order lines, by customer."""
    with duckdb.connect() as connection:
        connection.register("lines", orders)
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute(
            """
            WITH bought AS (
              SELECT customer_id, order_id, max(ordered_at) AS placed, sum(quantity * unit_price) AS value FROM lines
              WHERE delivered_on <= $day AND NOT is_return AND ordered_at >= $day - INTERVAL 364 DAY
              GROUP BY customer_id, order_id)
            SELECT customer_id, epoch($day + INTERVAL 1 DAY) / 86400 - epoch(max(placed)) / 86400, count(*),
                   coalesce(sum(value) FILTER (placed >= $day - INTERVAL 89 DAY), 0)
            FROM bought GROUP BY customer_id""",
            {"day": day},
        ).fetchall()
    return {customer: tuple(values) for customer, *values in found if values[0] < 180}


def test_every_part_of_the_profile_answers(trained: Home) -> None:
    found = json.loads(trained.tessera("check", "--json").out)
    assert found["ok"] is True
    assert {part["part"]: part["kind"] for part in found["parts"]}.items() >= {"home": None, "lake": "delta"}.items()
    assert {table["table"] for table in found["tables"]} >= {"orders", "customers", "products"}


def test_a_part_that_does_not_answer_is_named(home: Home, file: Callable[[str, str], Path], tmp_path: Path) -> None:
    blocked = file("blocked", "a file, not a folder")
    change = {"ports": {"sink": {"kind": "delta", "path": str(blocked / "scores")}}}
    said = home.with_stack(tmp_path / "stack.yaml", change).tessera("check", code=1)
    (wrong,) = (line for line in said.out.splitlines() if " wrong " in line)
    assert wrong.startswith("sink: delta")
    for part in ("home", "source: simulated", "lake: delta", "registry: mlflow", "sink: delta", "notifier: log"):
        assert part in said.out
    assert "events: sqlite" in said.out
    assert "state_store: sqlite" in said.out


def test_one_page_shows_every_application_and_says_by_its_exit_code_what_is_wrong(trained: Home) -> None:
    said = trained.tessera("status", code=1).out
    (row,) = (line for line in said.splitlines() if line.startswith("churn "))
    assert "wrong" in row
    assert DAY.isoformat() in row
    assert re.search(rf"churn: \d+ days are overdue since {DAY}", said), "the shop of this home ends in the past"
    assert "Never ran: fraud, demand, support, personalization" in said
    found = json.loads(trained.tessera("status", "--json", code=1).out)
    churn, *others = found["apps"]
    assert {one["state"] for one in others} == {"new"}
    assert churn["published"].startswith(f"{trained.published(DAY).rows:,} rows, fresh")
    assert {check["name"]: check["passed"] for check in churn["checks"] if check["asset"] == "churn/scores"} == {
        "audit": True,
        "drift": True,
        "estimated_quality": True,
        "unusual_night": True,
    }
