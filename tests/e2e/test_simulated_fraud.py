"""What the default profile's payments teach: from the source through lake and windows to a model."""

import numpy as np
import pyarrow as pa
from shop_home import FRAUD_DAY, Home

from assets.fraud import training as fraud_training
from assets.stages.ingestion.run import ingested_before
from models.evaluation.metrics import average_precision
from models.fraud.threshold import ALERTING, threshold_of
from models.simulation.bayes_optimal_fraud import best_chance
from models.training.candidates import Candidate
from resources.trainer.xgboost import XGBoostTrainerConfig


def test_a_model_learns_most_of_what_can_be_known(trained_for_fraud: Home) -> None:
    stack = trained_for_fraud.opened()
    settings, source, lake = stack.settings, stack.open("source"), stack.open("lake")
    config = settings.ingestion.model_copy(update={"history_days": settings.fraud.history_days})
    for table in ("payments", "payment_labels"):
        report = ingested_before(table, lake, FRAUD_DAY, config)
        assert report.rows_in > 1000
        assert 0 <= report.share_of_window < settings.ingestion.max_quarantined_share
    rows = fraud_training.training_set(lake, stack.open("engine"), settings.fraud, FRAUD_DAY)
    task = fraud_training.training_task(rows, settings.fraud)
    sides = task.split
    trainer = XGBoostTrainerConfig(folds=2, max_rounds=100, learning_rate=0.1).open()
    fit = trainer.fit(sides.train.rows, sides.train.labels, sides.train.groups)
    learnt = average_precision(sides.holdout.labels, fit.model.predict(sides.holdout.rows))
    first, last = rows.days.holdout_first, rows.days.holdout_last
    best = best_chance(source.shop.payments, first.toordinal(), last.toordinal())
    paid = source.shop.clean_payments(first, last)["transaction_id"].to_numpy()
    here = np.searchsorted(paid, sides.holdout_table["transaction_id"].to_numpy())
    reachable = average_precision(sides.holdout.labels, best[here])
    assert settings.fraud.gate.min_quality + 0.1 < learnt < reachable
    assert learnt > 0.8 * reachable
    # The alerts of these days are as many as can be looked at: of all cards that paid, also of those a gate leaves out.
    threshold = threshold_of(task.extras(Candidate("xgboost", fit, {}, {}, {}))[ALERTING])
    high = rows.seen.filter(pa.array(fit.model.predict(sides.encoder.matrix(rows.seen)) >= threshold))
    moments, cards = high["event_timestamp"].to_pylist(), high["customer_id"].to_pylist()
    alerts = {(moment.date(), card) for moment, card in zip(moments, cards, strict=True)}
    assert rows.seen.num_rows > sides.holdout.rows.shape[0]
    assert len(alerts) == settings.fraud.alerts_per_day * settings.fraud.holdout_days
    # The refit learns from every labelled payment, and its threshold comes from days that it has not seen.
    assert task.whole is not None
    everything = task.whole()
    assert len(everything.train) > len(sides.train) + len(sides.holdout)
    assert everything.cutoffs[-1] == rows.days.holdout_last
    assert min(rows.tonight["event_timestamp"].to_pylist()).date() > rows.days.holdout_last
    assert max(rows.tonight["event_timestamp"].to_pylist()).date() == FRAUD_DAY
    limit = threshold_of(task.refit_extras(fit.model, sides.encoder)[ALERTING])
    newest = rows.tonight.filter(pa.array(fit.model.predict(sides.encoder.matrix(rows.tonight)) >= limit))
    moments, cards = newest["event_timestamp"].to_pylist(), newest["customer_id"].to_pylist()
    alerted = {(moment.date(), card) for moment, card in zip(moments, cards, strict=True)}
    assert len(alerted) == settings.fraud.alerts_per_day * (FRAUD_DAY - rows.days.holdout_last).days
