from pathlib import Path

import lightgbm as lgb
import numpy as np

from models.training.calibration import Platt, fit_platt
from models.training.cross_validation import grouped_folds
from models.training.model import Fit


class LightGBMModel:
    kind = "acme_lightgbm"
    loader = "acme_lightgbm.model:LightGBMModel.load"
    formats = (".txt",)

    def __init__(self, booster, platt):
        self._booster, self._platt = booster, platt

    def raw(self, rows):
        return self._booster.predict(rows, raw_score=True)

    def predict(self, rows):
        return self._platt(self.raw(rows))

    def contributions(self, rows):
        return self._booster.predict(rows, pred_contrib=True)[:, :-1].astype(np.float32)

    def save(self, folder: Path):
        (folder / "model.txt").write_text(self._booster.model_to_string())
        return {"slope": self._platt.slope, "intercept": self._platt.intercept}

    @classmethod
    def load(cls, folder: Path, saved):
        booster = lgb.Booster(model_str=(folder / "model.txt").read_text())
        return cls(booster, Platt(saved["slope"], saved["intercept"]))


def fit_lightgbm(rows, labels, groups, parameters, rounds, folds, seed):
    held_out = grouped_folds(labels, groups, k=folds, seed=seed)
    raw = np.empty(len(labels))
    for k in range(folds):
        test = held_out == k
        raw[test] = _booster(rows[~test], labels[~test], parameters, rounds).predict(rows[test], raw_score=True)
    platt = fit_platt(raw, labels)
    # what is kept is what is read back: the text of a booster, which drops what only training needs
    trained = _booster(rows, labels, parameters, rounds).model_to_string()
    return Fit(LightGBMModel(lgb.Booster(model_str=trained), platt), platt(raw), held_out, {})


def _booster(rows, labels, parameters, rounds):
    return lgb.train(parameters, lgb.Dataset(rows, labels, free_raw_data=False), num_boost_round=rounds)
