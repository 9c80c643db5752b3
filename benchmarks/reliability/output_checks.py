"""Mutations of features, champions and training rows at the level of their checks: scoring, audit, drift, gate."""

# pyright: basic, reportAttributeAccessIssue=false, reportPrivateUsage=false
# pyarrow makes the functions of `pyarrow.compute` when it is imported.

from __future__ import annotations

import copy
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, cast

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from assets.stages.attempt_info import AttemptInfo
from assets.stages.training import evaluate_candidates, promote_or_keep
from benchmarks.reliability.mutation import Outcome, Result, judged
from benchmarks.reliability.output_mutations import (
    FEATURES,
    MAIN,
    MODELS,
    SCORES,
    TRAINING,
    FeatureMutation,
    Features,
    ModelMutation,
    ScoreMutation,
    TrainingMutation,
)
from benchmarks.reliability.scored_home import ScoredHome
from models.errors import TesseraError
from models.features.leakage import recomputed
from models.training.calibration import Platt
from models.training.encoding import Encoder
from models.training.golden import GOLDEN, golden_text
from models.training.model_package import LoadedModel, load, save
from models.training.regression_models import RidgeModel

Said = tuple[Outcome, str, str]
Wanted = Callable[[str], bool]
_LABELS = {"churn": "churned", "fraud": "is_fraud", "demand": "units"}
_KEYS = {"churn": "customer_id", "fraud": "transaction_id", "demand": "product_id"}


def outcomes(home: ScoredHome, scratch: Path, wanted: Wanted = lambda _: True) -> Iterator[Result]:
    """Yield the outcome of every mutation of outputs that means something for the application.

    Args:
        home: with published nights and the features of the night.
        scratch: folder for copies of the home.
        wanted: whether a mutation is asked for, by its name; asked once for each, in order.
    """
    for feature in FEATURES:
        if home.app in feature.apps and wanted(feature.name):
            yield judged(feature.name, _words(home, feature.words), feature_said(home, feature))
    for model in MODELS:
        if home.app in model.apps and wanted(model.name):
            yield judged(model.name, model.words, _in_copy(home, scratch, lambda copy, m=model: model_said(copy, m)))
    for distorted in SCORES:
        if home.app in distorted.apps and wanted(distorted.name):
            said = _in_copy(home, scratch, lambda copy, m=distorted: score_said(copy, m))
            yield judged(distorted.name, distorted.words, said)
    for training in TRAINING:
        if home.app in training.apps and wanted(training.name):
            said = _in_copy(home, scratch, lambda copy, m=training: training_said(copy, m))
            yield judged(training.name, training.words, said)


def feature_said(home: ScoredHome, mutation: FeatureMutation) -> list[Said]:
    """Return what is said of the night with changed features; they are put back afterwards."""
    schema = home.lake.scan(home.features_table, first=home.day, last=home.day).to_table().schema
    original = home.features(home.day)
    days = [day for day in home.lake.days(home.features_table) if day < home.day]
    key = _KEYS[home.app]
    names = tuple(name for name, kind in original.schema.items() if kind.is_numeric() and name != key)
    one = Features(original, home.features(days[-1]), key, names, MAIN[home.app])
    try:
        home.replace_features(mutation.change(one), schema)
        return of_attempt(home.scored, home.day)
    finally:
        home.replace_features(original, schema)


def model_said(home: ScoredHome, mutation: ModelMutation) -> list[Said]:
    """Return what is said of the night with a champion whose files were changed in the registry."""
    version = home.registry.champion(home.app)
    shutil.rmtree(home.folder / "models" / "cache", ignore_errors=True)
    mutation.change(home.folder / "models" / home.app / str(version) / "package")
    return of_attempt(home.scored, home.day)


def score_said(home: ScoredHome, mutation: ScoreMutation) -> list[Said]:
    """Return what is said of the night with a champion that gives other scores and was promoted past the gate."""
    registry, app = home.registry, home.app
    version = registry.champion(app)
    assert version is not None
    loaded = load(registry.fetch(app, version))
    model, encoder = _distorted(loaded, mutation)
    rows = home.features(home.day).to_arrow()
    golden = golden_text(model, encoder.matrix(rows))
    with tempfile.TemporaryDirectory() as place:
        package = Path(place) / "package"
        save(package, model, encoder, loaded.card, {**loaded.extras, GOLDEN: golden})
        new = registry.register(app, package, parameters={}, metrics={}, tags={"gate": "passed"}, report="")
    registry.set_champion(app, new, action="promote", why="mutation", who="benchmark", run_id="", metrics={})
    return of_attempt(home.scored, home.day)


def training_said(home: ScoredHome, mutation: TrainingMutation) -> list[Said]:
    """Return why the gate stops a candidate with changed rows, or else what the night says of its scores."""
    label, feature = _LABELS[home.app], MAIN[home.app][0]
    originals = list[pa.Table]()

    def change(rows: pa.Table) -> pa.Table:
        originals.append(rows)
        return _table(mutation.change(pl.DataFrame(rows), label, feature), rows.schema, feature)

    task = home.task(home.day, change)
    if mutation.honest:
        moment = max(originals[0]["event_timestamp"].to_pylist())
        mine, theirs = (_at(rows, moment) for rows in (change(originals[0]), originals[0]))
        found = recomputed(mine, theirs, key=_KEYS[home.app], features=task.features, moment=str(moment.date()))
        task = replace(task, recomputed=found)
    try:
        found = evaluate_candidates(task, [home.trainer()], home.registry, home.day)
    except TesseraError as error:
        return [("block", "training", error.what)]
    stopped: list[Said] = [
        ("block", f"gate: {check.name}", check.says) for check in found.report.checks if not check.passed
    ]
    if stopped:
        return stopped
    promote_or_keep(task, found, home.registry, home.notifier, run_id="r", who="benchmark")
    return of_attempt(home.scored, home.day)


def of_attempt(scored: Callable[[date], AttemptInfo], day: date) -> list[Said]:
    """Return what scoring and audit of a night say, or why nothing could be scored."""
    try:
        made = scored(day)
    except TesseraError as error:
        return [("block", "scores", str(error))]
    said: list[Said] = [
        (check.severity, f"audit: {check.name}", check.says) for check in made.audit.checks if not check.passed
    ]
    return [*said, ("warn", "drift", made.drifted)] if made.drifted else said


def _distorted(loaded: LoadedModel, mutation: ScoreMutation) -> tuple[Any, Encoder]:
    """Return the model with another calibration, or an encoder that gives it other features in the place of its own."""
    encoder, model = loaded.encoder, copy.copy(cast(Any, loaded.model))
    if mutation.kind == "shuffled":
        return model, replace(encoder, numeric=tuple(reversed(encoder.numeric)))
    if isinstance(model, RidgeModel):
        return _distorted_numbers(model, mutation), encoder
    platt = model._platt
    by = {
        "constant": Platt(0.0, platt.intercept),
        "inverted": Platt(-platt.slope, platt.intercept),
        "halved": Platt(platt.slope, platt.intercept - 1.2),
        "shifted": Platt(platt.slope, platt.intercept + 1.2),
    }
    model._platt = by[mutation.kind]
    return model, encoder


def _distorted_numbers(model: RidgeModel, mutation: ScoreMutation) -> RidgeModel:
    """Return the model of numbers with another line or other intervals, on its own (logarithmic) scale."""
    pipeline, intervals = copy.deepcopy(model._pipeline), model._intervals
    line: Any = pipeline[-1]
    if mutation.kind == "narrow":
        return RidgeModel(pipeline, replace(intervals, lower=intervals.lower / 4, upper=intervals.upper / 4))
    line.coef_ = line.coef_ * {"constant": 0.0, "inverted": -1.0}.get(mutation.kind, 1.0)
    line.intercept_ = line.intercept_ + {"halved": -0.7, "shifted": 0.7}.get(mutation.kind, 0.0)
    return RidgeModel(pipeline, intervals)


def _in_copy(home: ScoredHome, scratch: Path, work: Callable[[ScoredHome], list[Said]]) -> list[Said]:
    with tempfile.TemporaryDirectory(dir=scratch) as place:
        return work(home.copied(Path(place) / "home"))


def _table(rows: pl.DataFrame, schema: pa.Schema, feature: str) -> pa.Table:
    place = schema.get_field_index(feature)
    return rows.select(schema.names).to_arrow().cast(schema.set(place, pa.field(feature, pa.float64())))


def _at(rows: pa.Table, moment: Any) -> pa.Table:
    return rows.filter(pc.equal(rows["event_timestamp"], pa.scalar(moment, rows["event_timestamp"].type)))


def _words(home: ScoredHome, words: Sequence[str]) -> list[str]:
    main, other = MAIN[home.app]
    return [word.format(main=main, other=other) for word in words]
