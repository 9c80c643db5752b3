"""Harmful changes to the features of a night, to the champion, and to the rows that a candidate learns from."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Literal

import numpy as np
import polars as pl

from benchmarks.reliability.scored_home import ScoredApp

#: Feature that a mutation changes: one that the model uses much; and one that it swaps with.
MAIN: dict[ScoredApp, tuple[str, str]] = {
    "churn": ("recency_days", "tenure_days"),
    "fraud": ("terminal_risk_7d", "terminal_count_30d"),
    "demand": ("units_last_1", "units_last_4"),
}
Columns = tuple[str, ...]


@dataclass(frozen=True)
class Features:
    """Features of the night and of the night before, to be changed.

    Attributes:
        rows: of the night.
        before: of the night before.
        key: column that names a row.
        names: feature columns that are numbers.
        main: the feature that is changed, and the one it is swapped with.
    """

    rows: pl.DataFrame
    before: pl.DataFrame
    key: str
    names: Columns
    main: tuple[str, str]

    def shuffled(self, columns: Columns) -> pl.DataFrame:
        """Return the rows with these columns, together, on other rows."""
        order = np.random.default_rng(3).permutation(self.rows.height).tolist()
        return self.rows.with_columns(self.rows.select(columns)[order])

    def of_yesterday(self, columns: Columns) -> pl.DataFrame:
        """Return the rows with the values that these columns had for the same entities the night before."""
        old = self.before.select(self.key, *(pl.col(name).alias(f"_{name}") for name in columns))
        joined = self.rows.join(old, on=self.key, how="left", maintain_order="left")
        kept = [pl.coalesce(f"_{name}", name).alias(name) for name in columns]
        return joined.with_columns(kept).select(self.rows.columns)


@dataclass(frozen=True)
class FeatureMutation:
    """A harmful change of the features of a night; `apps` where it means something."""

    name: str
    change: Callable[[Features], pl.DataFrame]
    words: Columns
    apps: tuple[ScoredApp, ...] = ("churn", "fraud", "demand")
    noted: str = ""


def _set(value: float | None) -> Callable[[Features], pl.DataFrame]:
    return lambda one: one.rows.with_columns(pl.lit(value, one.rows.schema[one.main[0]]).alias(one.main[0]))


def _main(expression: Callable[[pl.Expr], pl.Expr]) -> Callable[[Features], pl.DataFrame]:
    def change(one: Features) -> pl.DataFrame:
        kind = one.rows.schema[one.main[0]]
        return one.rows.with_columns(expression(pl.col(one.main[0])).cast(kind, strict=False).alias(one.main[0]))

    return change


def _swapped(one: Features) -> pl.DataFrame:
    first, other = one.main
    kinds = one.rows.schema
    swapped = {first: pl.col(other).cast(kinds[first]), other: pl.col(first).cast(kinds[other])}
    return one.rows.with_columns(**swapped)


def _half_null(one: Features) -> pl.DataFrame:
    gone = pl.int_range(pl.len()) % 2 == 0
    return one.rows.with_columns(pl.when(~gone).then(pl.col(one.main[0])).alias(one.main[0]))


def _new_ids(one: Features) -> pl.DataFrame:
    text = one.rows.schema[one.key] == pl.String
    changed = "x" + pl.col(one.key).str.tail(7) if text else pl.col(one.key) + 5_000_000
    return one.rows.with_columns(changed.alias(one.key)).sort(one.key)


def _all(value: pl.Expr) -> Callable[[Features], pl.DataFrame]:
    return lambda one: one.rows.with_columns(value.cast(one.rows.schema[name]).alias(name) for name in one.names)


_POPULATION = ("population", "rows", "entities", "new_share", "vanished_share")
_ODD = ("drift", "feature", "usual", "order", "psi", "score")

FEATURES: tuple[FeatureMutation, ...] = (
    FeatureMutation("feature-constant", _set(1.0), ("{main}",)),
    FeatureMutation("feature-all-null", _set(None), ("{main}",)),
    FeatureMutation("feature-half-null", _half_null, ("{main}",), ("churn", "demand")),
    FeatureMutation("feature-sign-flipped", _main(lambda one: -one), ("{main}",), ("churn", "demand")),
    FeatureMutation("feature-in-other-unit", _main(lambda one: one * 24), ("{main}",), ("churn", "demand")),
    FeatureMutation("features-swapped", _swapped, ("{main}", "{other}")),
    FeatureMutation("features-all-zero", _all(pl.lit(0)), ("0 in every row", *_ODD)),
    FeatureMutation("features-all-null", _all(pl.lit(None)), ("null", *_ODD)),
    FeatureMutation("features-of-other-entities", lambda one: one.shuffled(one.names), ("order", "correlation"),
                    ("churn", "demand")),
    FeatureMutation("features-stale", lambda one: one.of_yesterday(one.names), ("same",), ("churn", "demand")),
    FeatureMutation("one-feature-stale", lambda one: one.of_yesterday((one.main[0],)), ("same",), ("churn",)),
    FeatureMutation("half-of-the-entities", lambda one: one.rows.filter(pl.int_range(pl.len()) % 2 == 0), _POPULATION,
                    ("churn", "demand")),
    FeatureMutation("few-entities", lambda one: one.rows.head(30), _POPULATION),
    FeatureMutation("no-entities", lambda one: one.rows.clear(), (*_POPULATION, "no features", "no rows", "entit")),
    FeatureMutation("entities-twice", lambda one: pl.concat([one.rows, one.rows]).sort(one.key, maintain_order=True),
                    ("twice", "repeat", "comes after")),
    FeatureMutation("entities-of-another-system", _new_ids, _POPULATION, ("churn", "demand")),
)  # fmt: skip


@dataclass(frozen=True)
class ModelMutation:
    """A harmful change of the champion's package, in the registry's folder; its checksums are made to fit again."""

    name: str
    change: Callable[[Path], None]
    words: Columns
    apps: tuple[ScoredApp, ...] = ("churn", "fraud", "demand")


def _model_file(package: Path) -> Path:
    return next(file for file in sorted(package.glob("model*")) if file.suffix != ".json")


def _tampered(package: Path) -> None:
    file = _model_file(package)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(bytes(content))


def _lost(package: Path) -> None:
    _model_file(package).unlink()


def _other_model(package: Path) -> None:
    file = _model_file(package)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _of_other_features(package: Path) -> None:
    """Let the manifest name another feature in the place of the first one."""
    manifest = package / "manifest.json"
    text = manifest.read_text()
    first = json.loads(text)["encoder"]["numeric"][0]
    manifest.write_text(text.replace(f'"{first}"', f'"{first}_v2"'))


MODELS: tuple[ModelMutation, ...] = (
    ModelMutation("model-tampered", _tampered, ("changed", "sha256", "not the one", "cannot be used")),
    ModelMutation("model-lost", _lost, ("missing", "lacks", "cannot be used")),
    ModelMutation("model-cut-off", _other_model, ("changed", "sha256", "not the one", "cannot be used")),
    ModelMutation("model-of-other-features", _of_other_features, ("changed", "sha256", "cannot be used", "manifest")),
)

Distortion = Literal["constant", "inverted", "shuffled", "halved", "shifted", "narrow"]


@dataclass(frozen=True)
class ScoreMutation:
    """A champion that gives other scores, saved and promoted past the gate: its checksums and golden rows fit."""

    name: str
    kind: Distortion
    words: Columns
    apps: tuple[ScoredApp, ...] = ("churn", "fraud", "demand")


SCORES: tuple[ScoreMutation, ...] = (
    ScoreMutation("scores-constant", "constant", ("equal", "vary", "score", "differ")),
    ScoreMutation("scores-inverted", "inverted", ("score", "psi", "estimate")),
    ScoreMutation("scores-shuffled", "shuffled", ("score", "order", "psi", "estimate")),
    ScoreMutation("scores-halved", "halved", ("score", "psi")),
    ScoreMutation("scores-shifted", "shifted", ("score", "psi")),
    ScoreMutation("intervals-a-quarter-as-wide", "narrow", ("width",), ("demand",)),
)


@dataclass(frozen=True)
class TrainingMutation:
    """A harmful change of what a candidate learns from; the gate must stop it.

    Attributes:
        name: of the change.
        change: of columns label (0 or 1) and of the main feature.
        words: of the gate's checks that name the cause.
        honest: whether the gate recomputes the changed feature without it.
        apps: where it means something.
    """

    name: str
    change: Callable[[pl.DataFrame, str, str], pl.DataFrame]
    words: Columns
    honest: bool = False
    apps: tuple[ScoredApp, ...] = ("churn", "fraud")


def leaked(area: float) -> Callable[[pl.DataFrame, str, str], pl.DataFrame]:
    """Return a change that makes the main feature know the label, with this AUC."""
    apart = NormalDist().inv_cdf(area) * 2**0.5

    def change(rows: pl.DataFrame, label: str, feature: str) -> pl.DataFrame:
        noise = np.random.default_rng(8).normal(size=rows.height)
        known = noise + apart * rows[label].to_numpy()
        return rows.with_columns(pl.Series(feature, known).cast(pl.Float64))

    return change


def _shuffled_labels(rows: pl.DataFrame, label: str, feature: str) -> pl.DataFrame:  # noqa: ARG001 - see the type
    order = np.random.default_rng(9).permutation(rows.height).tolist()
    return rows.with_columns(rows.select(label)[order])


def _flipped_labels(rows: pl.DataFrame, label: str, feature: str) -> pl.DataFrame:  # noqa: ARG001 - see the type
    return rows.with_columns((1 - pl.col(label)).cast(rows.schema[label]).alias(label))


def _few_labels(rows: pl.DataFrame, label: str, feature: str) -> pl.DataFrame:  # noqa: ARG001 - see the type
    return rows.with_columns(pl.lit(0, rows.schema[label]).alias(label))


def _numbers_leaked(rows: pl.DataFrame, label: str, feature: str) -> pl.DataFrame:
    noise = pl.Series(np.random.default_rng(8).normal(1, 0.05, size=rows.height))
    return rows.with_columns((pl.col(label).cast(pl.Float64) * noise).alias(feature))


def _times(factor: float) -> Callable[[pl.DataFrame, str, str], pl.DataFrame]:
    return lambda rows, label, _: rows.with_columns((pl.col(label) * factor).cast(rows.schema[label]).alias(label))


_NUMBERS: tuple[ScoredApp, ...] = ("demand",)
TRAINING: tuple[TrainingMutation, ...] = (
    TrainingMutation("label-leak-0.93", leaked(0.93), ("leak", "jump", "feature")),
    TrainingMutation("label-leak-0.85", leaked(0.85), ("leak", "jump", "feature")),
    TrainingMutation("label-leak-0.75", leaked(0.75), ("recomputed",), honest=True),
    TrainingMutation("labels-shuffled", _shuffled_labels, ("quality", "floor", "control", "baseline", "labels"),
                     apps=("churn", "fraud", "demand")),
    TrainingMutation("labels-flipped", _flipped_labels, ("labels", "turned round")),
    TrainingMutation("labels-all-zero", _few_labels, ("class", "labels", "positive", "rows", "churn"),
                     apps=("churn", "fraud", "demand")),
    TrainingMutation("label-leak-in-a-baseline", _numbers_leaked, ("leak", "rank correlation", "feature"),
                     apps=_NUMBERS),
    TrainingMutation("labels-in-dozens", _times(12), ("label",), apps=_NUMBERS),
    TrainingMutation("labels-in-tenths", _times(0.1), ("label",), apps=_NUMBERS),
    TrainingMutation("labels-turned-round", _times(-1), ("label", "turned round"), apps=_NUMBERS),
)  # fmt: skip
