"""Models that were made elsewhere pass the gate of their application, or are refused; broken ones fall back."""

# pyright: basic, reportOptionalMemberAccess=false, reportOptionalSubscript=false

import pickle
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pytest
import scoring_world
import xgboost
import yaml
from scoring_world import DAY
from sklearn.linear_model import LogisticRegression

from assets.stages.legacy_models import register_imported
from assets.stages.promotion import loadable_champion, make_champion
from assets.stages.scoring_task import numbers_with_intervals
from assets.stages.training_task import TrainingTask
from models.errors import TesseraError
from models.gates.config import RegressionGateConfig
from models.settings import TrainerSettings
from models.training.calibration import sigmoid
from models.training.dataset import split
from models.training.model_package import load, save
from resources.legacy_model.golden_rows import check_golden, golden_set
from resources.legacy_model.importing import Opened, open_import
from resources.registry.fake import FolderRegistry
from tests.learning_world import AS_OF, FEATURES, HORIZON, rows_as_of, task_as_of

HOLDOUT = AS_OF - timedelta(days=HORIZON)
#: Names that the old model had for the features of the application.
OLD_NAMES = dict(zip(("recency", "orders", "preference"), FEATURES, strict=True))


@pytest.fixture(scope="module")
def old() -> tuple[xgboost.Booster, np.ndarray]:
    """A booster that was trained elsewhere on rows before the hold-out, and inputs that it scored."""
    table = rows_as_of(HOLDOUT)
    rows = np.column_stack([table[name].to_numpy() for name in FEATURES]).astype(np.float32)
    data = xgboost.DMatrix(rows, table["churned"].to_numpy(), feature_names=list(OLD_NAMES), nthread=1)
    settings = {"objective": "binary:logistic", "max_depth": 2, "nthread": 1, "eta": 0.15}
    return xgboost.train(settings, data, 60), rows[:40]


#: A baseline that sees one feature: a linear model on all of them knows how this world is made.
TASK = task_as_of(baseline=TrainerSettings(kind="tests.learning_world.OneFeatureTrainerConfig"))
Import = Callable[..., Opened]


@pytest.fixture
def importing(tmp_path: Path, old: tuple[xgboost.Booster, np.ndarray]) -> Import:
    """A function that imports the booster under a contract with changes; a score per golden row may be given."""
    booster, rows = old
    booster.save_model(tmp_path / "old.ubj")
    right = booster.inplace_predict(rows, validate_features=False).astype(float)

    def opened(model: str | None = "old.ubj", scores: Any = None, **changes: Any) -> Opened:
        columns = {name: rows[:, place].astype(float) for place, name in enumerate(OLD_NAMES)}
        csv.write_csv(pa.table({**columns, "score": right if scores is None else scores}), tmp_path / "golden.csv")
        contract: dict[str, Any] = {
            "features": [{"name": name, "from": feature} for name, feature in OLD_NAMES.items()],
            "golden": {"file": "golden.csv"},
            "trained_until": HOLDOUT.isoformat(),
            "origin": "old churn model, commit 0d1e2f",
            "licence": "proprietary",
        }
        (tmp_path / "contract.yaml").write_text(yaml.safe_dump({**contract, **changes}))
        return open_import(tmp_path / "contract.yaml", tmp_path / model if model else None)

    return opened


def checked(opened: Opened) -> Opened:
    try:
        check_golden(opened)
    finally:
        opened.model.close()
    return opened


def test_an_imported_model_passes_the_gate_becomes_champion_and_scores_as_it_did(
    importing: Import, old: tuple[xgboost.Booster, np.ndarray], tmp_path: Path
) -> None:
    registry, opened, task = FolderRegistry(tmp_path / "registry"), checked(importing()), TASK
    found = register_imported(task, opened.model, golden_set(opened), registry, AS_OF)
    assert found.report.passed, found.report.markdown(picture=False)
    assert {check.name for check in found.report.checks} >= {"absolute_floor", "baseline", "calibration", "latency"}
    make_champion(registry, "churn", str(found.version), action="promote", why="w", who="ann", run_id="", metrics={})
    (info,) = registry.versions("churn")
    assert (info.tags["kind"], info.tags["gate"]) == ("imported xgboost", "passed")
    assert (info.tags["origin"], info.tags["licence"]) == ("old churn model, commit 0d1e2f", "proprietary")
    champion = loadable_champion("churn", registry).model
    rows = np.column_stack([task.newest[name].to_numpy() for name in FEATURES]).astype(np.float32)
    assert champion.score(task.newest) == pytest.approx(old[0].inplace_predict(rows, validate_features=False), abs=1e-7)
    assert np.abs(champion.model.contributions(champion.encoder.matrix(task.newest))).sum() > 0

    (registry.fetch("churn", "1") / "model.ubj").write_bytes(b"other")
    (tmp_path / "registry/churn/1/package/model.ubj").write_bytes(b"other")
    with pytest.raises(TesseraError, match=r"was changed"):
        loadable_champion("churn", FolderRegistry(tmp_path / "registry"))


def test_training_labels_after_the_hold_out_and_a_poor_model_are_stopped_by_the_gate(
    importing: Import, tmp_path: Path
) -> None:
    registry, task = FolderRegistry(tmp_path / "registry"), TASK
    late = checked(importing(trained_until=(HOLDOUT + timedelta(days=1)).isoformat()))
    found = register_imported(task, late.model, golden_set(late), registry, AS_OF)
    assert found.report.stopped_by == ("holdout_unseen",)
    with pytest.raises(TesseraError, match="gate"):
        make_champion(registry, "churn", "1", action="promote", why="w", who="a", run_id="", metrics={})
    swapped = [{"name": n, "from": f} for n, f in zip(OLD_NAMES, (FEATURES[2], FEATURES[0], FEATURES[1]), strict=True)]
    poor = checked(importing(features=swapped))
    found = register_imported(task, poor.model, golden_set(poor), registry, AS_OF)
    assert "absolute_floor" in found.report.stopped_by


def numbers_task() -> TrainingTask:
    """A task that predicts a number, 0 or more, of the same features."""
    table, rng = rows_as_of(AS_OF), np.random.default_rng(3)
    expected = 1 + table["orders_90"].to_numpy() + 0.5 * table["taste"].to_numpy()
    units = pa.array(np.maximum(expected + rng.normal(size=table.num_rows), 0.0))
    rows = table.drop_columns(["churned"]).append_column("units", units)
    gate = RegressionGateConfig(
        min_rows=100, n_bootstrap=100, max_latency_us_per_row=1e4, max_jump=1, max_champion_jump=1, max_feature_lead=1
    )
    divided = split(
        rows, features=FEATURES, holdout=HOLDOUT, horizon_days=HORIZON, label="units", label_type=np.float64
    )
    newest = rows.filter(pc.field("event_timestamp") == rows["event_timestamp"][-1])
    return replace(
        TASK, app="demand", kind="regression", gate=gate, split=divided, newest=newest, baseline=None, whole=None,
        baselines={"orders only": "orders_90"},
    )  # fmt: skip


def test_a_model_of_numbers_gets_intervals_that_the_gate_checks(importing: Import, tmp_path: Path) -> None:
    task = numbers_task()
    made = xgboost.DMatrix(task.split.train.rows, task.split.train.labels, feature_names=list(OLD_NAMES), nthread=1)
    booster = xgboost.train({"max_depth": 2, "nthread": 1, "eta": 0.1, "base_score": 4.0}, made, 60)
    importing()  # the files beside
    booster.save_model(tmp_path / "numbers.ubj")
    rows = task.split.holdout.rows[:40]
    columns = {name: rows[:, place].astype(float) for place, name in enumerate(OLD_NAMES)}
    answers = booster.inplace_predict(rows, validate_features=False).astype(float)
    csv.write_csv(pa.table({**columns, "score": np.maximum(answers, 1.5)}), tmp_path / "numbers.csv")
    contract = yaml.safe_load((tmp_path / "contract.yaml").read_text())
    contract |= {"golden": {"file": "numbers.csv"}, "output": {"is": "number", "at_least": 1.5}}
    (tmp_path / "numbers.yaml").write_text(yaml.safe_dump(contract))
    opened = checked(open_import(tmp_path / "numbers.yaml", tmp_path / "numbers.ubj"))
    registry = FolderRegistry(tmp_path / "registry")
    found = register_imported(task, opened.model, golden_set(opened), registry, AS_OF)
    assert found.report.passed, found.report.markdown(picture=False)
    assert 0.75 <= found.report.metrics["candidate"]["coverage"] <= 0.85
    loaded = load(registry.fetch("demand", "1"))
    given = numbers_with_intervals(loaded)(loaded.encoder.matrix(task.newest))
    assert np.array_equal(given["prediction"], opened.model.predict(opened.model.encoder.matrix(task.newest)))
    assert (given["lower"] <= given["prediction"]).all()
    assert (given["prediction"] <= given["upper"]).all()
    assert given["prediction"].min() == 1.5
    for wrong, model in ((TASK, opened.model), (task, importing().model)):
        with pytest.raises(TesseraError, match=r"outcomes, and the contract's output is a (number|probability)"):
            register_imported(wrong, model, "{}", registry, AS_OF)


def test_a_version_carries_what_its_application_makes_of_a_model(importing: Import, tmp_path: Path) -> None:
    """E.g. the threshold of alerts, by the imported model's own scores."""
    task = replace(TASK, refit_extras=lambda model, encoder: {"limit.json": f"{model.kind} {len(encoder.numeric)}"})
    opened, registry = checked(importing()), FolderRegistry(tmp_path / "registry")
    found = register_imported(task, opened.model, golden_set(opened), registry, AS_OF)
    assert load(registry.fetch("churn", str(found.version))).extras["limit.json"] == "imported 3"


@pytest.mark.parametrize(
    ("feature", "says"),
    [
        ({"name": "recency", "from": "recency_day"}, "did you mean 'recency_days'"),
        ({"name": "recency", "from": "recency_days", "equals": "DE"}, "as a text"),
    ],
)
def test_features_that_the_application_lacks_are_named(
    importing: Import, tmp_path: Path, feature: Any, says: str
) -> None:
    wanted = [feature, {"name": "orders", "from": "orders_90"}, {"name": "preference", "from": "taste"}]
    opened = importing(features=wanted)
    with pytest.raises(TesseraError, match=says):
        register_imported(TASK, opened.model, "{}", FolderRegistry(tmp_path / "registry"), AS_OF)


def test_wrong_golden_rows_and_outputs_are_refused_with_the_likely_cause(
    importing: Import, old: tuple[xgboost.Booster, np.ndarray]
) -> None:
    booster, rows = old
    right = booster.inplace_predict(rows, validate_features=False).astype(float)
    for scores, says in (
        (1 - right, "other class"),
        (right + 1e-4, "40 of 40 golden rows have other scores"),
        (np.full(len(right), 0.5), "All 40 golden rows have the score 0.5"),
        (np.log(right / (1 - right)), "from 0 to 1"),
        (np.where(np.arange(40) == 3, np.nan, right), "from 0 to 1"),
    ):
        with pytest.raises(TesseraError, match=says) as refused:
            checked(importing(scores=scores))
        assert refused.value.expected
        assert refused.value.todo
    assert checked(importing(scores=right + 5e-5, golden={"file": "golden.csv", "tolerance": 1e-4}))
    with pytest.raises(TesseraError, match="another order"):
        importing(features=[{"name": name, "from": OLD_NAMES[name]} for name in ("orders", "recency", "preference")])
    with pytest.raises(TesseraError, match=r"40 rows\. Expected 40 x 2|for 40 rows"):
        checked(importing(output={"of": 2, "column": 1}))
    with pytest.raises(TesseraError, match=r"no column 'points'.*the stored score as 'points'"):
        importing(golden={"file": "golden.csv", "score": "points"})
    with pytest.raises(TesseraError, match=r"no file of golden rows .*rows\.csv"):
        importing(golden={"file": "rows.csv"})


def test_few_golden_rows_are_refused(importing: Import, tmp_path: Path) -> None:
    importing()
    few = csv.read_csv(tmp_path / "golden.csv").slice(0, 19)
    csv.write_csv(few, tmp_path / "golden.csv")
    with pytest.raises(TesseraError, match="19 golden rows"):
        open_import(tmp_path / "contract.yaml", tmp_path / "old.ubj")


def test_logits_are_refused_and_turned_where_the_contract_says_so(
    importing: Import, old: tuple[xgboost.Booster, np.ndarray], tmp_path: Path
) -> None:
    booster = old[0]
    turned = booster.copy()
    turned.set_param({"objective": "binary:logitraw"})
    turned.save_model(tmp_path / "logits.ubj")
    right = sigmoid(turned.inplace_predict(old[1], validate_features=False).astype(float))
    with pytest.raises(TesseraError, match=r"where a probability is due.*is: log_odds"):
        checked(importing("logits.ubj", scores=right))
    assert checked(importing("logits.ubj", scores=right, output={"is": "log_odds"}))
    probabilities = booster.inplace_predict(old[1], validate_features=False).astype(float)
    with pytest.raises(TesseraError, match="is: probability"):
        checked(importing(scores=probabilities, output={"is": "log_odds"}))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"trained_until": "soon"}, "trained_until"),
        ({"licence": ""}, "licence"),
        ({"golden": {"file": "golden.csv", "tolerance": 0.5}}, "golden.tolerance"),
        ({"output": {"of": 2, "column": 2}}, "there are 2 outputs"),
        ({"inputs": []}, "inputs"),
        ({"features": [{"name": "a"}, {"name": "a"}]}, "two inputs are called 'a'"),
        ({"features": [{"name": "a", "type": "text"}]}, "names its `values`"),
        ({"features": [{"name": "a"}, {"name": "b", "from": "a", "equals": "x"}]}, "both as a number and as a text"),
    ],
)
def test_a_contract_with_a_mistake_is_refused_by_the_place(importing: Import, change: Any, says: str) -> None:
    with pytest.raises(TesseraError, match=says):
        importing(**change)


def test_an_mlflow_folder_is_read_by_its_flavour_without_pickle(importing: Import, tmp_path: Path) -> None:
    folder = tmp_path / "logged"
    folder.mkdir()
    importing()
    (folder / "model.ubj").write_bytes((tmp_path / "old.ubj").read_bytes())
    described = {"flavors": {"python_function": {"loader_module": "x"}, "xgboost": {"data": "model.ubj"}}}
    (folder / "MLmodel").write_text(yaml.safe_dump(described))
    assert checked(importing("logged")).model.contract.runs["kind"] == "xgboost"
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": {"python_function": {"python_model": "p.pkl"}}}))
    with pytest.raises(TesseraError, match="runs no code"):
        importing("logged")
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": {"xgboost": {"data": "../old.ubj"}}}))
    with pytest.raises(TesseraError, match="runs no code"):
        importing("logged")


class Harm:
    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit(3)",)


def test_a_pickle_is_refused_by_its_names_also_where_it_would_run_elsewhere(importing: Import, tmp_path: Path) -> None:
    importing()
    table = rows_as_of(HOLDOUT)
    rows = np.column_stack([table[name].to_numpy() for name in FEATURES])
    model = LogisticRegression(max_iter=1000).fit(rows, table["churned"].to_numpy())
    (tmp_path / "old.pkl").write_bytes(pickle.dumps(model))
    with pytest.raises(TesseraError, match=r"is a pickle.*LogisticRegression.*--run-in"):
        importing("old.pkl")

    (tmp_path / "harm.pkl").write_bytes(pickle.dumps([model, Harm()]))
    with pytest.raises(TesseraError, match=r"harm\.pkl is not run.*builtins\.exec"):
        open_import(tmp_path / "contract.yaml", tmp_path / "harm.pkl", Path(sys.executable))


COMMAND = """
import json, math, sys
for line in sys.stdin:
    asked = json.loads(line)
    shift = float(open({shift!r}).read())
    scores = [1 / (1 + math.exp(-row[0] - row[1] - shift)) for row in asked["rows"]]
    print(json.dumps({{"id": asked["id"], "scores": scores if shift < 9 else None}}), flush=True)
"""


def test_a_night_with_a_broken_legacy_champion_falls_back_flagged(tmp_path: Path) -> None:
    """The command is the champion; it gives other scores, then none: the champion before scores, and says why."""
    world = scoring_world.made(tmp_path / "home")
    shift = tmp_path / "shift"
    shift.write_text("0")
    (tmp_path / "score.py").write_text(COMMAND.format(shift=str(shift)))
    rows = np.random.default_rng(5).normal(size=(30, 2)).round(3)
    golden = {"recency": rows[:, 0], "orders": rows[:, 1], "score": 1 / (1 + np.exp(-rows.sum(axis=1)))}
    csv.write_csv(pa.table(golden), tmp_path / "golden.csv")
    contract = {
        "features": [{"name": "recency", "from": "recency_days"}, {"name": "orders", "from": "orders_total"}],
        "golden": {"file": "golden.csv"},
        "trained_until": "2025-01-01",
        "origin": "nightly job of 2019",
        "licence": "proprietary",
        "runs": {
            "kind": "command",
            "argv": [sys.executable, "-I", "-S", "score.py"],
            "files": ["score.py"],
            "calls": {"first_pause_seconds": 0, "timeout_seconds": 20},
        },
    }
    (tmp_path / "contract.yaml").write_text(yaml.safe_dump(contract))
    opened = checked(open_import(tmp_path / "contract.yaml", None))
    package = tmp_path / "package"
    card = load(world.registry.fetch("churn", "1")).card
    save(package, opened.model, opened.model.encoder, card, {"golden.json": golden_set(opened)})
    version = world.registry.register("churn", package, parameters={}, metrics={}, tags={"gate": "passed"}, report="")
    make_champion(world.registry, "churn", version, action="promote", why="as it was", who="ann", run_id="", metrics={})
    assert world.run().success
    assert world.sink.published("churn", DAY).model_version == version
    rows_of_night = world.sink.scores("churn", DAY)[1].read_all()
    assert set(rows_of_night["model_version"].to_pylist()) == {version}
    assert rows_of_night["reasons"].null_count == rows_of_night.num_rows, "a command gives no reasons"

    for broken, says in (("0.01", "scores its golden set differently"), ("9.5", "no table of numbers|numbers")):
        shift.write_text(broken)
        later = DAY + timedelta(days=1 if broken == "0.01" else 2)
        world.features(later)
        assert world.run(day=later).success
        published = world.sink.published("churn", later)
        assert (published.degradation, published.model_version) == ("champion_before", "1")
        assert any(says_part in str(published.steps) for says_part in says.split("|"))
        assert any(later.isoformat() in str(notice) for notice in world.notices())
