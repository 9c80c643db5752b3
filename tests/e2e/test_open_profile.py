"""`tessera.open` as a notebook uses it: DataFrames that equal what the commands give, and nothing is written."""

import gc
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from shop_home import DAY, Home

import tessera
from models.alerts import Alert
from resources.home import only_one
from resources.stack.loader import ROOT
from tessera.profile import Profile

AT_ITS_END = pd.Timestamp(DAY, tz="UTC") + pd.Timedelta(days=1)


@pytest.fixture
def shop(trained: Home) -> Profile:
    return tessera.open("local", home=trained.folder, stack=trained.stack)


def files(home: Path) -> Mapping[str, tuple[int, int]]:
    """Size and time of each file, but for SQLite's own beside a database, and copies of model packages."""
    ours = (file for file in home.rglob("*") if file.is_file() and not file.name.endswith(("-wal", "-shm", ".lock")))
    kept = (file for file in ours if "cache" not in file.parts)
    return {str(file.relative_to(home)): (file.stat().st_size, file.stat().st_mtime_ns) for file in kept}


def test_importing_it_imports_nothing_heavy() -> None:
    code = (
        "import tessera, sys; print([m for m in ('pandas', 'dagster', 'pyarrow', 'numpy', 'yaml') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).strip() == "[]"


def test_the_scores_are_those_of_the_command(shop: Profile, trained: Home, tmp_path: Path) -> None:
    trained.scores(DAY, tmp_path / "scores.parquet")
    written = pq.read_table(tmp_path / "scores.parquet")
    found = shop.scores("churn")
    assert shop.published_days("churn") == [DAY]
    assert list(found.columns) == written.column_names
    assert found["customer_id"].tolist() == written["customer_id"].to_pylist()
    assert found["score"].tolist() == written["score"].to_pylist()
    assert (found["day"] == pd.Timestamp(DAY)).all()
    for day in (DAY, DAY.isoformat(), pd.Timestamp(DAY)):
        pd.testing.assert_frame_equal(shop.scores("churn", day), found)


def test_features_at_a_moment_are_the_stored_ones_and_give_the_published_scores(shop: Profile) -> None:
    scores = shop.scores("churn")
    known = shop.features("churn", scores[["customer_id"]].assign(event_timestamp=AT_ITS_END))
    stored = shop.feature_table("churn", DAY).set_index("customer_id").loc[known["customer_id"]]
    assert known["customer_id"].tolist() == scores["customer_id"].tolist()
    assert known["recency_days"].tolist() == stored["recency_days"].tolist()
    again = shop.score("churn", known)
    assert again.tolist() == pytest.approx(scores["score"].tolist(), abs=1e-6)
    assert shop.model("churn").card.app == "churn"


def test_days_without_features_are_named_with_those_that_have_some(shop: Profile) -> None:
    with pytest.raises(
        tessera.TesseraError, match="No features of churn are stored for 1999-12-31 to 2000-01-01"
    ) as refused:
        shop.feature_table("churn", "1999-12-31", "2000-01-01")
    assert DAY.isoformat() in refused.value.expected
    with pytest.raises(tessera.TesseraError, match="No features of fraud") as never:
        shop.feature_table("fraud", DAY)
    assert "tessera run fraud_nightly" in never.value.todo


def test_ids_nobody_has_are_rows_without_features(shop: Profile) -> None:
    asked = pd.DataFrame({"customer_id": ["nobody"], "event_timestamp": [AT_ITS_END], "mine": [7]}, index=[41])
    found = shop.features("churn", asked)
    assert (found["customer_id"].tolist(), found["mine"].tolist()) == (["nobody"], [7])
    assert found["recency_days"].isna().all()
    online = shop.online_features("churn", ["nobody"])
    assert online["churn_customer__status"].tolist() == ["NOT_FOUND"]


def test_quarantine_models_and_ledger(shop: Profile, trained: Home) -> None:
    refused = shop.quarantine("orders")
    assert len(refused) == shop.ports.lake.scan("quarantine_orders").count_rows() > 0
    newest = refused["delivered_on"].max()
    assert refused["delivered_on"].iloc[0] == newest
    assert 0 < len(shop.quarantine("orders", newest)) == (refused["delivered_on"] == newest).sum() < len(refused)
    assert shop.quarantine("customers").columns.tolist() == refused.columns.tolist()
    models, ledger = shop.models("churn"), shop.ledger("churn")
    champion = trained.opened().open("registry").champion("churn")
    assert models.loc[models["champion"], "version"].tolist() == [champion] == ledger["to_version"].tolist()[-1:]
    assert models["metrics.auc"].between(0.5, 1).any()


def test_alerts_of_a_day_or_of_all(home: Home) -> None:
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    raised = [
        Alert(f"fraud-{day:%Y%m%d}-u1", "fraud", day, "u1", ("202603010000340",), at, 0.9, 0.95, "1", {"amount": 2.5})
        for day in (DAY, DAY + timedelta(days=1))
    ]
    home.opened().open("alert_store").add_alerts(raised)
    shop = tessera.open("local", home=home.folder, stack=home.stack)
    assert shop.alerts("fraud")["alert_id"].tolist() == ["fraud-20260301-u1", "fraud-20260302-u1"]
    (found,) = shop.alerts("fraud", DAY).to_dict("records")
    assert (found["customer_id"], list(found["payments"]), found["unlabelled"]) == ("u1", [202603010000340], 1)
    assert shop.alerts("fraud", DAY - timedelta(days=9), DAY - timedelta(days=1)).empty


def test_it_reads_while_a_job_runs_and_changes_no_file(shop: Profile, trained: Home) -> None:
    shop.ports.registry.versions("churn")  # whoever is first makes MLflow's cache of connections
    gc.collect()  # SQLite's log becomes part of the file when what other tests opened is closed
    before = files(trained.folder)
    with only_one(trained.opened(), "run", "a night"):
        scores = shop.scores("churn")
        shop.features("churn", scores[["customer_id"]].head(3).assign(event_timestamp=AT_ITS_END))
        shop.online_features("churn", scores["customer_id"].head(3).tolist())
        shop.quarantine("orders"), shop.models("churn"), shop.ledger("churn"), shop.model("churn")
    assert files(trained.folder) == before


def test_the_lines_of_the_readme_run(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in home.environment().items():
        monkeypatch.setenv(name, value)
    (block,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    lines = [line for line in block.splitlines() if line and not line.startswith("import ")]
    assert len(lines) == 5
    seen: dict[str, object] = {}
    exec(block, seen)  # noqa: S102 - what the README shows
    frames = {name: value for name, value in seen.items() if isinstance(value, pd.DataFrame)}
    assert {"scores", "known", "alerts", "refused", "ledger"} <= frames.keys()
    assert len(frames["scores"]) == len(frames["known"]) > 0


@pytest.fixture
def nothing(tmp_path: Path) -> Iterator[Path]:
    """A home that does not exist, and still does not afterwards."""
    yield tmp_path / "nothing"
    assert not (tmp_path / "nothing").exists()


def test_a_home_in_which_nothing_ran_is_refused_and_not_made(nothing: Path, trained: Home) -> None:
    with pytest.raises(tessera.TesseraError, match="There is no home") as raised:
        tessera.open("local", home=nothing, stack=trained.stack)
    assert "tessera run" in raised.value.todo


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda shop: shop.scores("chrun"), "no application 'chrun'.*did you mean 'churn'"),
        (lambda shop: shop.alerts("churn"), "that raises alerts in profile 'local'.*'fraud'"),
        (lambda shop: shop.features("fraud", pd.DataFrame()), "that has features by entity"),
        (lambda shop: shop.scores("churn", "2026-3-1"), "'2026-3-1' is not a day"),
        (lambda shop: shop.scores("churn", 20260301), "20260301 is not a day"),
        (lambda shop: shop.scores("churn", date(2025, 6, 1)), "No scores of churn are published for 2025-06-01"),
        (lambda shop: shop.scores("fraud"), "No scores of fraud are published"),
        (lambda shop: shop.features("churn", pd.DataFrame({"customer": ["c"]})), "no column 'customer_id'"),
        (lambda shop: shop.features("churn", at("2026-02-03")), "features of 1 of these days are not computed yet"),
        (lambda shop: shop.features("churn", at("2031-08-03")), "Nothing is known yet at the end of 2031-08-02"),
        (lambda shop: shop.quarantine("ordres"), "no contracted table 'ordres'.*did you mean 'orders'"),
        (lambda shop: shop.model("churn", "99"), "99"),
        (lambda shop: shop.model("fraud"), "There is no champion of fraud"),
    ],
)
def test_what_is_not_there_is_told_in_three_parts(shop: Profile, call: object, says: str) -> None:
    with pytest.raises(tessera.TesseraError, match=says) as raised:
        call(shop)
    assert raised.value.expected
    assert raised.value.todo


def at(moment: str) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": ["u00000001"], "event_timestamp": [moment]})


def test_an_unknown_profile_is_answered_with_the_nearest(trained: Home) -> None:
    with pytest.raises(tessera.TesseraError, match="did you mean 'local'"):
        tessera.open("locl", home=trained.folder, stack=trained.stack)
