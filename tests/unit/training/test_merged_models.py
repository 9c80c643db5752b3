"""A mean of models is a candidate like any other: its parts add up, and it is made again from its recipe."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from models.compose.batch import Batch
from models.compose.call import new_call
from models.compose.merged import fan_out_of
from models.errors import TesseraError
from models.training.boosted_model import HistogramModel
from models.training.calibration import Platt, log_odds, sigmoid
from models.training.columns import Columns, PurchaseHistory
from models.training.merged_model import MergedModel, Scale, merged, stacking_weights
from models.training.model import Fit, explains
from models.training.model_package import MANIFEST, load, save
from models.training.package_files import safe_files
from models.training.recipe import Recipe
from resources.stack.loader import Stack, load_stack
from resources.stack.recipes import trainer_of, trainers_of
from resources.trainer.fan_out import FanOutTrainer, FanOutTrainerConfig
from tests.unit.training.test_package import CARD, ENCODER

THIRD_PARTY = Path(__file__).resolve().parents[2] / "conformance" / "third_party"
NAMES = ("recency_days", "orders", "tenure_days", "taste")
COLUMNS = Columns(
    NAMES, {"recency_days": 1, "orders": -1}, PurchaseHistory("orders", "recency_days", "tenure_days", 30)
)
TREES = {"kind": "xgboost", "max_depth": 2, "monotone": True, "max_rounds": 30, "folds": 3}
LINE = {"kind": "logistic_regression", "logarithms": True, "bgnbd": True, "folds": 3}


def customers(n: int = 600, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    tenure = rng.uniform(0, 300, n)
    rows = np.column_stack([tenure * rng.random(n), 1 + rng.poisson(2, n), tenure, rng.normal(size=n)])
    chance = sigmoid(0.02 * rows[:, 0] - 0.5 * rows[:, 1] + 0.5 * rows[:, 3])
    return rows.astype(np.float32), (rng.random(n) < chance).astype(np.int8), np.arange(n) // 2


def opened(*parts: dict[str, Any]) -> FanOutTrainer:
    return FanOutTrainerConfig(of=list(parts)).open().knowing(COLUMNS)


@pytest.fixture(scope="module")
def fit() -> Fit:
    return opened(TREES, LINE).fit(*customers())


def members(model: object) -> tuple[Any, Any]:
    assert isinstance(model, MergedModel)
    first, second = model.members
    return first, second


def test_a_merge_gives_contributions_only_if_all_its_members_do(fit: Fit) -> None:
    one, _ = members(fit.model)
    silent = HistogramModel(HistGradientBoostingClassifier(), Platt(1.0, 0.0))
    scale = Scale(1.0, 0.0)
    assert explains(fit.model)
    assert not explains(MergedModel([one, silent], [scale, scale], Platt(1.0, 0.0)))


def test_its_log_odds_are_the_mean_of_its_members_calibrated_log_odds(fit: Fit) -> None:
    rows, _, _ = customers(seed=2)
    one, two = members(fit.model)
    expected = (log_odds(one.predict(rows)) + log_odds(two.predict(rows))) / 2
    assert np.allclose(fit.model.raw(rows), expected, atol=1e-4)


def test_reasons_are_the_members_reasons_on_one_scale_and_add_up_to_its_log_odds(fit: Fit) -> None:
    rows, _, _ = customers(seed=3)
    parts = fit.model.contributions(rows)
    assert np.ptp(fit.model.raw(rows) - parts.sum(axis=1)) < 1e-4
    one, two = members(fit.model)
    slopes = [np.polyfit(model.raw(rows), log_odds(model.predict(rows)), 1)[0] for model in (one, two)]
    expected = (slopes[0] * one.contributions(rows) + slopes[1] * two.contributions(rows)) / 2
    assert np.allclose(parts, expected, atol=1e-4)


def test_out_of_fold_predictions_are_means_of_those_of_its_members(fit: Fit) -> None:
    data = customers()
    alone = [trainer.fit(*data).out_of_fold for trainer in opened(TREES, LINE).parts]
    together = np.mean([log_odds(one) for one in alone], axis=0)
    assert np.allclose(np.argsort(fit.out_of_fold), np.argsort(together))


@pytest.mark.slow
@pytest.mark.parametrize("merge", ["mean", "stacking"])
def test_it_scores_as_the_fan_out_of_its_members_does(merge: Any) -> None:
    data = customers()
    fits = [trainer.fit(*data) for trainer in opened(TREES, LINE).parts]
    model = merged(fits, data[0], data[1], {}, merge).model
    assert isinstance(model, MergedModel)
    step = fan_out_of("churn", model, ["trees", "line"], len(NAMES))
    rows, _, _ = customers(seed=6)
    found = step.run(Batch({"features": rows}, len(rows)), new_call())
    assert not found.failures
    alike = {"mean": 1e-14, "stacking": 1e-6}[merge]  # the merge `stacking` takes float32
    assert np.allclose(found.batch["probability"], model.predict(rows), rtol=alike, atol=0)


@pytest.mark.slow
def test_weights_are_chosen_on_out_of_fold_predictions_and_none_is_below_0(tmp_path: Path) -> None:
    rows, labels, groups = customers(n=400)
    rng = np.random.default_rng(3)
    chance = np.where(labels == 1, 0.7, 0.3) + rng.uniform(-0.2, 0.2, len(labels))
    trainer = FanOutTrainerConfig(of=[LINE, LINE], merge="stacking").open().knowing(COLUMNS)
    line = trainer.parts[0].fit(rows, labels, groups)
    told = [line, Fit(line.model, chance, line.folds, {}), Fit(line.model, 1 - chance, line.folds, {})]
    fit = merged(told, rows, labels, {}, "stacking")
    assert isinstance(fit.model, MergedModel)
    weights = fit.model.weights or ()
    assert (min(weights) >= 0, sum(weights)) == (True, pytest.approx(1))
    assert weights[1] > 0.5 > weights[2] == pytest.approx(0, abs=1e-9), "a part that is always wrong counts nothing"
    folder = tmp_path / "p"
    save(folder, fit.model, ENCODER, CARD)
    again = load(folder).model
    assert np.array_equal(again.predict(rows), fit.model.predict(rows))
    assert np.ptp(again.raw(rows) - again.contributions(rows).sum(axis=1)) < 1e-4
    assert stacking_weights([log_odds(1 - chance)] * 2, labels) == (0.5, 0.5), "no part helps"


def test_its_package_holds_every_member_and_a_changed_or_missing_one_is_refused(fit: Fit, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    save(folder, fit.model, ENCODER, CARD)
    assert {"0/model.ubj", "1/model.skops"} < set(safe_files(folder))
    manifest = json.loads((folder / MANIFEST).read_text())
    assert [part["kind"] for part in manifest["members"]] == ["xgboost", "logistic_regression"]
    rows, _, _ = customers(seed=4)
    assert np.array_equal(load(folder).model.predict(rows), fit.model.predict(rows))
    content = bytearray((folder / "1" / "model.skops").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "1" / "model.skops").write_bytes(bytes(content))
    with pytest.raises(TesseraError, match=r"1/model.skops' was changed"):
        load(folder)
    (folder / "1" / "model.skops").unlink()
    with pytest.raises(TesseraError, match="instead of"):
        load(folder)


def test_a_part_of_somebody_elses_is_read_if_its_package_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(THIRD_PARTY)
    acme = {"kind": "acme_lightgbm.trainer.LightGBMTrainerConfig", "rounds": 10, "folds": 3}
    model = opened(acme, LINE).fit(*customers()).model
    folder = tmp_path / "p"
    save(folder, model, ENCODER, CARD)
    with pytest.raises(TesseraError, match="does not trust the package 'acme_lightgbm'"):
        load(folder)
    with pytest.raises(TesseraError, match=r"has the format '\.txt'"):
        safe_files(folder)
    assert "0/model.txt" in safe_files(folder, ["acme_lightgbm"])
    rows, _, _ = customers(seed=5)
    again = load(folder, trusted=["acme_lightgbm"]).model
    assert np.array_equal(again.predict(rows), model.predict(rows))
    assert json.loads((folder / MANIFEST).read_text())["formats"] == [".txt"]


def test_a_recipe_holds_every_default_of_its_parts_and_what_each_of_them_chose(fit: Fit) -> None:
    trainer = opened(TREES, LINE)
    assert trainer.recipe is not None
    trees = trainer.recipe.settings["of"][0]
    assert (trees["kind"], trees["max_depth"], trees["learning_rate"]) == ("xgboost", 2, 0.05)
    assert set(fit.notes) == {"0.rounds", "1.steps"}
    recipe = Recipe.model_validate_json(trainer.recipe.model_dump_json())
    again = trainer_of(recipe).knowing(COLUMNS).keeping({"0.rounds": "7", "1.steps": "4"}).fit(*customers())
    assert again.notes["0.rounds"] == "7"
    assert recipe.same_settings(opened(TREES, LINE).recipe)
    assert not recipe.same_settings(opened(TREES, {**LINE, "bgnbd": False}).recipe)


def test_a_secret_of_a_part_stands_in_no_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SHRINKAGE", "0.123")
    line = {**LINE, "bgnbd": False, "inverse_penalty": {"env": "SHRINKAGE"}}
    stack = profile(
        tmp_path, json.dumps([{"kind": "fan_out", "of": [{"kind": "xgboost"}, {"kind": "logistic_regression"}]}])
    )
    one = stack.settings.churn.candidates[0]
    (trainer,) = trainers_of([one.model_copy(update={"of": [line, line]})])
    assert trainer.parameters()["1.C"] == "0.123"
    assert trainer.recipe is not None
    assert "0.123" not in trainer.recipe.model_dump_json()
    assert trainer_of(trainer.recipe).parameters()["0.C"] == "0.123"


class Bent:
    """A classifier whose probabilities are no line of log-odds."""

    kind = "bent"

    def raw(self, rows: np.ndarray) -> np.ndarray:
        return rows[:, 0].astype(np.float64)

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return sigmoid(self.raw(rows) ** 3)


class Constant(Bent):
    """Gives every row the same probability."""

    def raw(self, rows: np.ndarray) -> np.ndarray:
        return np.full(len(rows), 2.0)

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return Platt(1.0, -1.0)(self.raw(rows))


def test_a_member_that_is_not_calibrated_by_a_line_is_refused() -> None:
    rows, labels, groups = customers()
    rows[:, 0] = np.linspace(-1, 1, len(rows))
    bent = Fit(Bent(), np.full(len(rows), 0.5), groups % 3, {})  # pyright: ignore[reportArgumentType]
    with pytest.raises(TesseraError, match="kind 'bent' cannot be part of a mean"):
        merged([bent, bent], rows, labels, {})


def test_a_member_that_knows_nothing_moves_nothing() -> None:
    rows, labels, groups = customers()
    nothing = Fit(Constant(), np.full(len(rows), 0.7), groups % 3, {})  # pyright: ignore[reportArgumentType]
    (line,) = [trainer.fit(rows, labels, groups) for trainer in opened(LINE, LINE).parts[:1]]
    found = merged([nothing, line], rows, labels, {}).model.raw(rows)
    assert np.allclose(np.argsort(found), np.argsort(line.model.raw(rows)))


def profile(folder: Path, candidates: str) -> Stack:
    file = folder / "stack.yaml"
    file.write_text(
        f"profiles:\n  mine:\n    home: var\n    settings:\n      churn:\n        candidates: {candidates}\n"
    )
    return load_stack(file, None, str(folder / "home"), {})


@pytest.mark.parametrize(
    ("of", "says"),
    [
        ("[{kind: xgbost}, {kind: xgboost}]", "did you mean 'xgboost'"),
        (
            "[{kind: xgboost, max_dept: 2}, {kind: xgboost}]",
            r"of\.0\.max_dept` is no setting.*did you mean 'max_depth'",
        ),
        ("[{kind: xgboost}, {kind: xgboost, max_depth: 0}]", r"of\.1\.max_depth` is 0"),
        ("[{kind: xgboost}, {kind: xgboost, monotone: 'yes'}]", r"of\.1\.monotone` is 'yes'"),
        ("[{kind: xgboost}]", "at least 2"),
        ("[{max_depth: 2}, {kind: xgboost}]", "names no `kind`"),
        ("[xgboost, xgboost]", r"of\.0` is 'xgboost'"),
        ("null", "Expected a list"),
        ("[{kind: fan_out, of: [{kind: nope}, {kind: xgboost}]}, {kind: xgboost}]", "no adapter 'nope'"),
    ],
)
def test_a_wrong_part_is_named_with_its_line_when_the_profile_is_read(of: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match=rf"stack\.yaml:6: .*{says}|(?s:stack\.yaml:6.*{says})"):
        profile(tmp_path, f"[{{kind: fan_out, of: {of}}}]")


def test_a_regression_is_no_part_of_a_mean_of_classifiers() -> None:
    with pytest.raises(TesseraError, match="regression task"):
        opened({"kind": "xgboost_regression"}, {"kind": "ridge_regression"})


@pytest.mark.parametrize(
    "setting", [{"kind": "xgboost", "monotone": True}, {"kind": "logistic_regression", "bgnbd": True}]
)
def test_an_application_that_declares_nothing_is_told_so(setting: dict[str, Any]) -> None:
    trainer = FanOutTrainerConfig(of=[setting, setting]).open().knowing(Columns(NAMES))
    with pytest.raises(TesseraError, match="does not declare"):
        trainer.fit(*customers())
