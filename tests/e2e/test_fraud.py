"""Fraud as a user runs it, on real payments of some cards: train, look, replay a day, score it as a stream."""

import json
import os
import re
import sqlite3
from pathlib import Path

import duckdb
import pytest
import yaml
from in_process import tessera as tessera_here

from resources.stack.loader import ROOT

#: With a third of the cards, fewer frauds are there to be found: the default limits are for all of them.
GATE = {
    "min_quality": 0.2,
    "min_class_rows": 20,
    "max_slice_drop": 1.0,
    "top_per_day": 30,
    "max_top_drop": 0.1,
    "n_bootstrap": 100,
}


@pytest.fixture(scope="module")
def home(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six weeks of the payments of a third of the cards, and a stack file beside them."""
    folder = tmp_path_factory.mktemp("fraud")
    some = "CUSTOMER_ID < 1700 AND TX_DATETIME >= TIMESTAMP '2018-07-01'"
    source = f"{shared_data}/fraud_handbook/transactions_*.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY (FROM '{source}' WHERE {some}) TO '{folder}/payments.parquet'")
    stack = yaml.safe_load((ROOT / "stack.yaml").read_text())
    profile = stack["profiles"]["fraud-handbook"]
    profile["calendar"] = {"first_day": "2018-07-01"}
    profile["settings"]["fraud"] |= {
        "gate": GATE,
        "alerts_per_day": 30,
        "candidates": [{"kind": "logistic_regression"}],
    }
    (folder / "stack.yaml").write_text(yaml.safe_dump(stack))
    return folder


def tessera(home: Path, *arguments: str) -> str:
    """What the command says; it must end well."""
    chosen = {
        "TESSERA_HOME": str(home / "home"),
        "TESSERA_STACK": str(home / "stack.yaml"),
        "TESSERA_PROFILE": "fraud-handbook",
        "TESSERA_DATA_DIR": str(home),
        "COLUMNS": "200",  # or cards are folded at the width of whatever terminal there is
        "OMP_NUM_THREADS": "1",
    }
    done = tessera_here(arguments, {**os.environ, **chosen})
    assert done.code == 0, done.out + done.err
    assert "Traceback" not in done.out + done.err
    return done.out


@pytest.mark.real
def test_train_replay_stream(home: Path) -> None:
    trained = tessera(home, "run", "fraud_training", "--date", "2018-08-21")
    assert "trained on 2018-07-25 to 2018-07-31, evaluated on 2018-08-08 to 2018-08-14" in trained
    promoted = re.search(r"version (\d) promoted", trained)
    assert promoted is not None
    champion = promoted[1]
    assert "passed the gate: average precision" in " ".join(tessera(home, "models", "fraud").split())
    assert "0 already there" in tessera(
        home, "events", "replay", "--from", "2018-08-08", "--to", "2018-08-08", "--speed", "0"
    )
    said = tessera(home, "stream", "fraud", "--until-empty")
    assert "0 events refused" in said
    with sqlite3.connect(home / "home" / "streams.db") as connection:
        (payments,) = connection.execute("SELECT count(*) FROM fraud_payment WHERE NOT is_seed").fetchone()
        (known,) = connection.execute("SELECT count(*) FROM fraud_payment WHERE is_seed").fetchone()
        (scored,) = connection.execute(
            "SELECT count(*) FROM fraud_scored WHERE model_version = ?", (champion,)
        ).fetchone()
        alerts = connection.execute("SELECT alert_id, reasons FROM alert").fetchall()
    assert payments == scored > 2000
    assert known > 100_000, "the windows begin with the weeks before, which the lake knows"
    assert alerts
    assert all(alert_id.startswith("fraud-20180808-") and json.loads(reasons) for alert_id, reasons in alerts)
    notices = [json.loads(line) for line in (home / "home" / "notices.jsonl").read_text().splitlines()]
    assert {notice["context"]["alert"] for notice in notices if "alert" in notice["context"]} == {a for a, _ in alerts}
    first, _ = alerts[0]
    assert f"{first} is labelled fraud" in tessera(home, "alerts", "label", first, "fraud")
    again = tessera(home, "events", "replay", "--from", "2018-08-08", "--to", "2018-08-08", "--speed", "0")
    assert "0 published" in again
    told = tessera(home, "stream", "fraud", "--until-empty")
    # The label is taken in and no payment again: it is of today, and payments of 2018 were made before it was known.
    assert ": 0 payments scored" in told
    assert "0 events refused" in told
    assert not told.startswith("0 events")
    night = tessera(home, "run", "fraud_nightly", "--date", "2018-08-08")
    assert f"{payments:,} payments by version {champion}" in night
    assert f"{len(alerts)} before, 0 added" in night, "the stream's scores are those of the night"
    same = "0.00% wrong in the worst feature, 0 other scores, 0 only online, 0 only offline"
    assert f"{payments:,} payments against the offline features: {same}" in night
    assert "2018-08-01: 100.0% labelled" in night
