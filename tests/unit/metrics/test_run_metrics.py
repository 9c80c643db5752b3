"""Metrics of a job's last run: what happened, and what a failure leaves of the success before."""

from pathlib import Path

import dagster as dg
import pytest

from assets.stages import metadata_keys as keys
from models.metrics import METRICS
from pipelines.run_metrics import run_metrics
from resources.metric_files import read_samples

DAY = "2026-11-28"


class Broken(dg.Config):
    is_broken: bool = False


@dg.asset(key=["shop", "orders"])
def orders() -> dg.MaterializeResult:
    counts = {keys.ROWS_IN: 1336, keys.ROWS_KEPT: 1317, keys.ROWS_QUARANTINED: 19, keys.ROWS_LATE: 11}
    return dg.MaterializeResult(metadata={**counts, keys.QUARANTINED_SHARE: 0.0142})


@dg.asset(
    key=["churn", "champion"], deps=[orders], check_specs=[dg.AssetCheckSpec("gate", asset=["churn", "champion"])]
)
def champion(config: Broken) -> dg.MaterializeResult:
    if config.is_broken:
        raise ValueError("u00001633")
    gate = dg.AssetCheckResult(check_name="gate", passed=False, severity=dg.AssetCheckSeverity.WARN)
    return dg.MaterializeResult(metadata={keys.MAX_PSI: 0.04}, check_results=[gate])


def run(home: Path, day: str = DAY, *, is_broken: bool = False) -> None:
    job = dg.define_asset_job("churn_nightly", selection=[orders, champion])
    definition = dg.Definitions(assets=[orders, champion], jobs=[job]).resolve_job_def("churn_nightly")
    config = {"ops": {"churn__champion": {"config": {"is_broken": is_broken}}}}
    run_id = "11111111-1111-1111-1111-111111111111"
    with dg.DagsterInstance.ephemeral() as instance, run_metrics(instance, home, "churn_nightly", run_id, day):
        definition.execute_in_process(instance=instance, run_id=run_id, run_config=config, raise_on_error=False)


def values(home: Path) -> dict[str, dict[tuple[str, ...], float]]:
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for one in read_samples(home):
        found.setdefault(one.name, {})[tuple(one.labels[name] for name in METRICS[one.name].labels[1:])] = one.value
    return found


def test_a_run_says_what_it_did(tmp_path: Path) -> None:
    run(tmp_path)
    found = values(tmp_path)
    assert found["tessera_run_succeeded"] == {(): 1}
    assert found["tessera_table_rows"] == {
        ("orders", "kept"): 1317,
        ("orders", "quarantined"): 19,
        ("orders", "late"): 11,
    }
    assert found["tessera_quarantined_share"] == {("orders",): 0.0142}
    assert found["tessera_check_passed"] == {("churn/champion", "gate", "warn"): 0}
    assert found["tessera_gate_passed"] == {("churn",): 0}
    assert found["tessera_drift_psi"] == {("churn",): 0.04}
    assert set(found["tessera_step_seconds"]) == {("shop/orders",), ("churn/champion",)}
    assert found["tessera_run_last_day_timestamp_seconds"] == {(): 1795824000}
    assert found["tessera_run_last_success_timestamp_seconds"] == found["tessera_run_last_end_timestamp_seconds"]


def test_a_run_that_fails_keeps_the_time_and_day_of_the_last_success(tmp_path: Path) -> None:
    run(tmp_path)
    before = values(tmp_path)
    run(tmp_path, "2026-11-29", is_broken=True)
    after = values(tmp_path)
    assert after["tessera_run_succeeded"] == {(): 0}
    for name in ("tessera_run_last_success_timestamp_seconds", "tessera_run_last_day_timestamp_seconds"):
        assert after[name] == before[name]
    assert after["tessera_run_last_end_timestamp_seconds"][()] > before["tessera_run_last_end_timestamp_seconds"][()]
    assert b"u00001633" not in (tmp_path / "metrics" / "run_churn_nightly.prom").read_bytes()


def test_a_backfill_of_older_days_does_not_take_back_the_newest_day(tmp_path: Path) -> None:
    run(tmp_path)
    run(tmp_path, "2026-11-01")
    assert values(tmp_path)["tessera_run_last_day_timestamp_seconds"] == {(): 1795824000}


def test_a_run_that_is_interrupted_did_not_succeed(tmp_path: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        dg.DagsterInstance.ephemeral() as instance,
        run_metrics(instance, tmp_path, "churn_nightly", "1", DAY),
    ):
        raise KeyboardInterrupt
    found = values(tmp_path)
    assert found["tessera_run_succeeded"] == {(): 0}
    assert "tessera_run_last_success_timestamp_seconds" not in found
