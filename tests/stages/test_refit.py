"""What serves knows the newest rows, and what the gate compares never saw the rows that it is evaluated on."""

from datetime import date, timedelta
from pathlib import Path

import pytest

import tests.learning_world as learning_world
from assets.stages.promotion import verified
from assets.stages.training import Evaluation, evaluate_candidates, promote_or_keep
from models.errors import TesseraError
from models.gates.config import BinaryGateConfig
from models.ledger import champion_before, champions_before, refusal
from models.training.agreement import RefitConfig
from models.training.model import Fit, Groups, Labels, Matrix
from resources.registry.fake import FolderRegistry
from resources.stack.recipes import described, recipe_of
from resources.trainer.logistic_regression import LogisticRegressionTrainer, LogisticRegressionTrainerConfig
from resources.trainer.port import Trainer
from tests.learning_world import (
    AS_OF,
    GATE,
    HORIZON,
    Notices,
    OneFeatureTrainer,
    OneFeatureTrainerConfig,
    task_as_of,
)

WEEK = timedelta(days=7)
LINEAR = LogisticRegressionTrainerConfig(folds=2).open()
#: As good as the first, and not the same settings.
SIMILAR = LogisticRegressionTrainerConfig(folds=2, inverse_penalty=0.11).open()


def weak() -> Trainer:
    """A third party's trainer as the stack opens it by its dotted path."""
    config = OneFeatureTrainerConfig(column=2)
    return described(config.open(), recipe_of(config))


class Night:
    """Training nights on one registry."""

    def __init__(self, folder: Path) -> None:
        self.registry = FolderRegistry(folder / "registry")
        self.notices = Notices()

    def train(
        self, *trainers: Trainer, as_of: date = AS_OF, gate: BinaryGateConfig = GATE, refit: RefitConfig | None = None
    ) -> Evaluation:
        task = task_as_of(as_of, gate=gate, refit=refit or RefitConfig())
        found = evaluate_candidates(task, trainers, self.registry, as_of)
        self.said = promote_or_keep(task, found, self.registry, self.notices, run_id="r", who="w")
        return found

    @property
    def verdict(self) -> str:
        assert self.said.metadata is not None
        return str(self.said.metadata["verdict"])

    @property
    def champion(self) -> str | None:
        return self.registry.champion("churn")

    def tags(self, version: str) -> dict[str, str]:
        return dict(next(info.tags for info in self.registry.versions("churn") if info.version == version))


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(tmp_path)


def test_a_refit_on_every_mature_row_serves_and_is_linked_with_the_judged_version(night: Night) -> None:
    night.train(LINEAR)
    (entry,) = night.registry.ledger("churn")
    assert (entry.to_version, entry.judged, night.champion) == ("2", "1", "2")
    assert "refit of version 1 on all 4,500 mature rows, labels up to 2025-09-01" in entry.why
    refit, first = verified(night.registry, "churn", "2"), verified(night.registry, "churn", "1")
    assert refit.golden_rows == first.golden_rows == 50
    assert (refit.model.card.rows, first.model.card.rows) == (4500, 500 * len(first.model.card.train_cutoffs))
    assert refit.model.card.label_end == AS_OF
    assert refit.model.card.train_cutoffs[-1] == AS_OF - timedelta(days=HORIZON)
    tags = night.tags("2")
    assert (tags["refit_of"], tags["gate"], tags["as_of"]) == ("1", "passed", night.tags("1")["as_of"])
    assert (tags["rows"], tags["label_end"]) == ("4500", "2025-09-01")
    assert refit.model.extras["recipe.json"] == first.model.extras["recipe.json"]
    assert night.notices.said == []


def test_a_better_candidate_is_promoted_seven_days_after_a_refit(night: Night) -> None:
    night.train(weak())
    found = night.train(LINEAR, as_of=AS_OF + WEEK)
    assert found.report.passed, found.report.markdown(picture=False)
    assert "over version 2 (its evaluated settings, trained on the same rows)" in found.says("champion")
    assert [entry.to_version for entry in night.registry.ledger("churn")] == ["2", "4"]


def test_what_the_champion_is_compared_by_has_never_seen_the_hold_out(night: Night) -> None:
    """The refit itself would be far better on rows that it was trained on; its settings on the same rows are equal."""
    night.train(LINEAR)
    found = night.train(SIMILAR, as_of=AS_OF + WEEK)
    numbers = found.report.metrics
    assert abs(numbers["candidate"]["auc"] - numbers["champion"]["auc"]) < 0.002
    assert "holdout_unseen" not in found.report.stopped_by


def test_a_champion_that_has_seen_the_hold_out_closes_the_gate(night: Night) -> None:
    """Without its settings a refit could only be compared as it is, on rows whose outcomes it has learned."""
    night.train(OneFeatureTrainer(2))
    assert "recipe.json" not in verified(night.registry, "churn", "2").model.extras
    found = night.train(LINEAR, as_of=AS_OF + WEEK)
    assert "holdout_unseen" in found.report.stopped_by
    assert "version 2 was trained on labels up to 2025-09-01" in found.says("holdout_unseen")
    assert night.champion == "2"


class TestTrainerGone:
    @pytest.fixture
    def gone(self, night: Night, monkeypatch: pytest.MonkeyPatch) -> Night:
        night.train(weak())
        monkeypatch.delattr(learning_world, "OneFeatureTrainerConfig")
        return night

    def test_the_version_that_was_judged_is_compared_as_it_is(self, gone: Night) -> None:
        found = gone.train(LINEAR, as_of=AS_OF + WEEK)
        assert found.report.passed, found.report.markdown(picture=False)
        says = found.says("champion")
        assert "over version 1 (as it was evaluated on earlier rows, for its trainer is gone" in says
        assert "OneFeatureTrainerConfig" in says

    def test_on_rows_that_this_one_has_seen_the_gate_is_closed_and_says_what_helps(self, gone: Night) -> None:
        found = gone.train(LINEAR, as_of=AS_OF - WEEK)
        assert {"champion", "slices"} <= set(found.report.stopped_by)
        says = found.says("champion")
        assert "its trainer is gone" in says
        assert "from 2025-08-27 on it is compared as it was evaluated" in says
        assert "--even-if-refused" in says
        assert gone.champion == "2"


class TestRenewal:
    def test_the_same_settings_on_newer_rows_take_over_and_once_more_that_day_change_nothing(
        self, night: Night
    ) -> None:
        night.train(LINEAR)
        found = night.train(LINEAR, as_of=AS_OF + WEEK)
        assert "there is nothing else to beat" in found.says("champion")
        assert (night.champion, night.registry.ledger("churn")[-1].judged) == ("4", "3")
        again = night.train(LINEAR, as_of=AS_OF + WEEK)
        assert again.report.stopped_by == ("champion",)
        assert (night.champion, len(night.registry.ledger("churn"))) == ("4", 2)
        earlier = night.train(LINEAR, as_of=AS_OF)
        assert earlier.report.stopped_by == ("champion",), "an earlier day knows less"

    def test_a_candidate_that_is_no_better_renews_the_champions_own_settings(self, night: Night) -> None:
        night.train(LINEAR)
        found = night.train(SIMILAR, as_of=AS_OF + WEEK)
        assert found.report.stopped_by == ("champion",)
        assert night.verdict == "renewed: the champion's settings on newer rows; candidate version 3 was no better"
        entry = night.registry.ledger("churn")[-1]
        assert (entry.judged, entry.to_version) == ("4", "5")
        recipe = verified(night.registry, "churn", "5").model.extras["recipe.json"]
        assert recipe == verified(night.registry, "churn", "2").model.extras["recipe.json"]

    def test_a_candidate_that_is_unsound_renews_nothing(self, night: Night) -> None:
        night.train(LINEAR)
        found = night.train(SIMILAR, as_of=AS_OF + WEEK, gate=GATE.model_copy(update={"min_rows": 501}))
        assert {"rows", "champion"} <= set(found.report.stopped_by)
        assert (found.renewal, night.champion) == (None, "2")


class TestDisagreement:
    @pytest.mark.parametrize(
        ("limits", "says"),
        [
            (RefitConfig(min_rank_correlation=1.0), "rank correlation 0."),
            (RefitConfig(max_mean_shift=0.0), "mean score"),
        ],
    )
    def test_a_refit_that_is_another_model_does_not_serve_and_somebody_is_told(
        self, night: Night, limits: RefitConfig, says: str
    ) -> None:
        night.train(LINEAR, refit=limits)
        assert (night.champion, night.registry.ledger("churn")[0].judged) == ("1", None)
        assert night.tags("2")["gate"].startswith("stopped by refit")
        ((level, subject, body),) = night.notices.said
        assert (level, subject) == ("warning", "churn 2025-09-01: the refit does not serve")
        assert says in body
        assert "its refit does not serve" in night.verdict

    def test_a_trainer_that_fails_on_all_rows_leaves_the_judged_version_serving(self, night: Night) -> None:
        class Once(LogisticRegressionTrainer):
            """Fits what is evaluated, and no more rows than that."""

            def fit(self, rows: Matrix, labels: Labels, groups: Groups) -> Fit:
                if len(rows) == 4500:
                    raise MemoryError("too many rows")
                return super().fit(rows, labels, groups)

        night.train(Once(LogisticRegressionTrainerConfig(folds=2)))
        assert night.champion == "1"
        assert "too many rows" in night.notices.said[0][2]

    def test_a_notice_that_cannot_be_delivered_is_said_in_the_verdict(self, night: Night) -> None:
        night.notices = Notices(deaf=True)
        night.train(LINEAR, refit=RefitConfig(max_mean_shift=0.0))
        assert night.champion == "1"
        assert "the notice was not delivered: nobody listens." in night.verdict

    def test_without_refits_the_judged_version_serves_and_nothing_is_said(self, night: Night) -> None:
        night.train(LINEAR, refit=RefitConfig(enabled=False))
        assert (night.champion, len(night.registry.versions("churn")), night.notices.said) == ("1", 1, [])


def test_a_rollback_goes_to_the_refit_before_and_may_name_the_version_that_was_judged(night: Night) -> None:
    night.train(LINEAR)
    night.train(LINEAR, as_of=AS_OF + WEEK)
    ledger = night.registry.ledger("churn")
    assert champions_before(ledger) == ["4", "2"]
    assert champion_before(ledger, {"1", "2", "3", "4"}) == "2"
    assert refusal(ledger, "3", action="rollback", gate="passed") == ""
    night.registry.set_champion("churn", "3", action="rollback", why="w", who="ann", run_id="", metrics={})
    assert champions_before(night.registry.ledger("churn")) == ["3", "2"]
    night.registry.retag("churn", "1", {"gate": "stopped by refit"})
    with pytest.raises(TesseraError, match="stopped"):
        night.registry.set_champion("churn", "1", action="rollback", why="w", who="ann", run_id="", metrics={})
