"""A rollback trusts no model that scores its golden set differently than when it was trained."""

import json
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from models.errors import TesseraError
from models.training.encoding import Encoder
from models.training.golden import verified_package
from models.training.model_package import ModelCard, save
from resources.trainer.logistic_regression import LogisticRegressionTrainerConfig


def package(folder: Path, *, shift: float, rows_kept: int = 20) -> Path:
    """A small model whose golden scores are off by `shift`."""
    draws = np.random.default_rng(3)
    rows = draws.normal(size=(200, 2)).astype(np.float32)
    rows[::9, 1] = np.nan
    labels = (rows[:, 0] + draws.normal(size=200) > 0).astype(np.int8)
    model = LogisticRegressionTrainerConfig().open().fit(rows, labels, np.arange(200)).model
    golden = {"rows": rows[:rows_kept].astype(float).tolist()}
    golden["scores"] = (model.predict(rows[:20])[:rows_kept] + shift).tolist()
    card = ModelCard(
        app="churn",
        as_of=date(2026, 3, 1),
        label_end=date(2025, 12, 1),
        train_cutoffs=(date(2025, 9, 2),),
        feature_service="churn_v1",
        feature_version="churn_v1",
        rows=200,
        labels={"positives": int(labels.sum())},
        parameters={},
        metrics={},
    )
    encoder = Encoder.fit(pa.table({"a": rows[:, 0], "b": rows[:, 1]}), ["a", "b"])
    save(folder / "package", model, encoder, card, {"golden.json": json.dumps(golden)})
    return folder / "package"


def test_the_same_scores_pass_missing_values_included(tmp_path: Path) -> None:
    assert verified_package(package(tmp_path, shift=0.0))[1] == 20


def test_other_scores_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match="golden set differently"):
        verified_package(package(tmp_path, shift=1e-4))


def test_a_golden_set_without_rows_proves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match="golden set"):
        verified_package(package(tmp_path, shift=0.0, rows_kept=0))
