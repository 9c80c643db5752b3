"""Replacements: both versions score every row, a stable share is published, and one command ends it."""

# pyright: basic, reportOptionalMemberAccess=false, reportOptionalSubscript=false, reportOptionalOperand=false, reportOperatorIssue=false

import json
import shutil
import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import scoring_world
from scoring_world import DAY, SETTINGS, World, package

from assets.stages.batch_scoring import recheck, score
from assets.stages.publication import publish
from assets.stages.replacement.comparing import compared
from assets.stages.replacement.decisions import current_replacement, kill, raise_share, replacement_events, start
from assets.stages.replacement.plan import MaturedLabels, ReplacementPlan
from assets.stages.replacement.scoring import answers_table
from assets.stages.training import evaluate_candidates, promote_or_keep
from models.errors import TesseraError
from models.experiments.assignment import Assignment
from models.ledger import STOPPED
from models.legacy.contract import GoldenFile, InputFeature, LegacyContract
from models.replacement.comparison import Answers, compare
from models.replacement.config import ReplacementConfig
from models.replacement.split import Side, SplitModel, SplitRule, split_scorer
from models.scoring.contacts import contacted
from models.scoring.output import regression_output
from models.settings import TrainerSettings
from models.training.agreement import RefitConfig
from models.training.encoding import Encoder
from models.training.model_package import load, save
from pipelines.cli import replace
from resources.calls.policy import CallPolicy
from resources.engine.local import LocalEngineConfig
from resources.legacy_model.command import CommandConfig
from resources.legacy_model.imported import ImportedModel, opened
from resources.registry.fake import FolderRegistry
from resources.stack.recipes import trainers_of
from tests.learning_world import AS_OF, Notices, OneFeatureTrainer, task_as_of

NEXT = DAY + timedelta(days=1)
CONFIG = ReplacementConfig(
    min_rows=100, min_matured_labels=200, labels_from_share=0.25, action_eur=1.0, missed_eur=10.0
)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose champion is version 1, with version 2 beside it."""
    world = scoring_world.made(tmp_path_factory.mktemp("replacements") / "home")
    made = package(world.folder / "package-2", 0.8)
    world.registry.register("churn", made, parameters={}, metrics={}, tags={"gate": "passed"}, report="")
    return world.folder


@pytest.fixture
def world(snapshot: Path, tmp_path: Path) -> World:
    return World(Path(shutil.copytree(snapshot, tmp_path / "home")))


def begun(world: World, *, segment: str = "", shares: int = 0) -> None:
    start(world.lake, world.registry, "churn", "2", segment=segment, who="ann", why="faster", insists=False)
    for _ in range(shares):
        raise_share(world.lake, world.registry, "churn", CONFIG, (), who="ann", why="so far so good", insists=True)


def night(world: World, day: Any = DAY) -> tuple[Any, pa.Table]:
    made = score(world.night(day))
    publish(world.sink, world.notifier, "churn", day)
    return made.draft, world.sink.scores("churn", day)[1].read_all()


def scores_of(world: World, version: str) -> np.ndarray:
    model = load(world.registry.fetch("churn", version))
    return model.score(scoring_world.feature_rows(DAY)).astype(np.float32)


def test_a_shadow_publishes_the_same_bytes_and_keeps_both_answers(world: World) -> None:
    alone = score(world.night()).draft
    begun(world)
    draft, rows = night(world)
    assert (draft.attempt, draft.digest) == (alone.attempt, alone.digest)
    assert (draft.challenger.version, draft.challenger.share, draft.challenger.rows) == ("2", 0.0, 0)
    kept = world.lake.scan(answers_table("churn")).to_table()
    assert kept["customer_id"].to_pylist() == rows["customer_id"].to_pylist()
    assert np.array_equal(kept["incumbent_score"].to_numpy().astype(np.float32), scores_of(world, "1"))
    assert np.array_equal(kept["challenger_score"].to_numpy().astype(np.float32), scores_of(world, "2"))
    assert not any(kept["by_challenger"].to_pylist())


def test_each_row_is_scored_by_the_version_that_it_names_and_keeps_it_as_the_share_rises(world: World) -> None:
    begun(world, shares=2)
    before: set[str] = set()
    for share, fewest in ((0.05, 3), (0.25, 45)):
        draft, rows = night(world)
        versions = np.array(rows["model_version"].to_pylist())
        taken = versions == "2"
        expected = np.where(taken, scores_of(world, "2"), scores_of(world, "1"))
        assert np.array_equal(rows["score"].to_numpy(), expected)
        dealt = Assignment("replacement 1 2", {"x": share, "y": 1 - share})
        assert taken.tolist() == [dealt.variant(one) == "x" for one in rows["customer_id"].to_pylist()]
        mine = {one for one, by in zip(rows["customer_id"].to_pylist(), taken, strict=True) if by}
        assert len(mine) >= fewest
        assert before < mine, "nobody goes back to the old version as the share rises"
        before = mine
        packages = {load(world.registry.fetch("churn", version)).sha256 for version in "12"}
        assert set(rows["model_package"].to_pylist()) == packages
        assert (draft.challenger.share, draft.challenger.rows) == (share, len(mine))
        assert score(world.night()).draft.attempt == draft.attempt, "the same rows again"
        assert all(check.passed for check in recheck(world.night()) if check.check_name == "audit")
        assert rows["reasons"].null_count == rows.num_rows - 5
        raise_share(world.lake, world.registry, "churn", CONFIG, (), who="ann", why="on", insists=True)
        world.sink.unpublish("churn", DAY, who="t", why="again")


def test_the_last_step_is_everybody_and_a_promotion_ends_the_replacement(world: World) -> None:
    begun(world, shares=4)
    _, rows = night(world)
    assert set(rows["model_version"].to_pylist()) == {"2"}
    with pytest.raises(TesseraError, match=r"scores every entity already.*tessera promote churn --version 2"):
        raise_share(world.lake, world.registry, "churn", CONFIG, (), who="ann", why="on", insists=True)
    world.registry.set_champion("churn", "2", action="promote", why="w", who="a", run_id="", metrics={})
    assert current_replacement(world.lake, world.registry, "churn") is None
    assert night(world, DAY)[0].challenger is None


def test_a_segment_alone_gets_the_challenger(world: World) -> None:
    rows = scoring_world.feature_rows(NEXT)
    countries = pa.array(["DE", "FR", None] * 100)
    world.lake.drop("churn_features")
    world.lake.replace(
        "churn_features", rows.append_column("country", countries), by="feature_date", first=NEXT, last=NEXT
    )
    begun(world, segment="country=DE", shares=4)
    _, published = night(world, NEXT)
    found = dict(zip(published["customer_id"].to_pylist(), published["model_version"].to_pylist(), strict=True))
    wanted = dict(zip(rows["customer_id"].to_pylist(), countries.to_pylist(), strict=True))
    assert all((version == "2") == (wanted[one] == "DE") for one, version in found.items())


def test_kill_is_one_decision_with_who_and_why_and_holds_at_the_next_scoring(world: World) -> None:
    alone = score(world.night()).draft
    begun(world, shares=3)
    assert score(world.night()).draft.challenger.rows > 0
    kill(world.lake, world.registry, "churn", who="bob", why="complaints")
    after = score(world.night()).draft
    assert (after.attempt, after.challenger) == (alone.attempt, None)
    last = replacement_events(world.lake, "churn")[-1]
    assert (last.action, last.share, last.who, last.why) == ("kill", 0.0, "bob", "complaints")
    with pytest.raises(TesseraError, match="No replacement of churn runs"):
        kill(world.lake, world.registry, "churn", who="bob", why="again")


#: Scores golden rows, and ends where it gets a whole night.
TIRED = """
import json, math, sys
for line in sys.stdin:
    asked = json.loads(line)
    if len(asked["rows"]) > 30:
        sys.exit(4)
    scores = [1 / (1 + math.exp(-row[0] - row[1])) for row in asked["rows"]]
    print(json.dumps({"id": asked["id"], "scores": scores}), flush=True)
"""


def tired_challenger(world: World, folder: Path) -> str:
    """A version that can be loaded, and gives no scores of a night."""
    (folder / "score.py").write_text(TIRED)
    features = (InputFeature(name="recency_days"), InputFeature(name="orders_total"))
    argv = [sys.executable, "-I", "-S", str(folder / "score.py")]
    runs = CommandConfig(argv=argv, calls=CallPolicy(tries=1)).model_dump(mode="json")
    contract = LegacyContract(
        features=features,
        golden=GoldenFile(file="none"),
        trained_until=DAY,
        origin="a test",
        licence="none",
        runs=runs,
    )
    model = ImportedModel(contract, opened(contract, folder), {})
    rows = np.array([[0, 0], [1, 2], [-1, 0.5]], np.float32)
    golden = json.dumps({"rows": rows.tolist(), "scores": model.predict(rows).tolist()})
    model.close()
    card = load(world.registry.fetch("churn", "1")).card
    save(folder / "tired", model, model.encoder, card, {"golden.json": golden})
    return world.registry.register(
        "churn", folder / "tired", parameters={}, metrics={}, tags={"gate": "passed"}, report=""
    )


def test_a_challenger_that_breaks_is_left_out_with_a_notice(world: World, tmp_path: Path) -> None:
    alone = score(world.night()).draft
    version = tired_challenger(world, tmp_path)
    start(world.lake, world.registry, "churn", version, segment="", who="ann", why="w", insists=False)
    made = score(world.night()).draft
    assert (made.attempt, made.challenger, made.degradation, made.steps) == (alone.attempt, None, "fresh", ())
    assert "exit code 4" in str(world.notices()[-1])
    kill(world.lake, world.registry, "churn", who="ann", why="it dies")
    begun(world, shares=3)
    assert score(world.night()).draft.challenger.rows > 0
    world.break_version("2")
    made = score(world.night()).draft
    assert (made.attempt, made.challenger, made.degradation) == (alone.attempt, None, "fresh")
    assert "the challenger was left out" in str(world.notices()[-1])


@pytest.mark.parametrize(
    ("version", "says"),
    [("1", "it is the champion, or unknown"), ("9", "unknown"), ("3", "was not passed by the gate")],
)
def test_what_cannot_be_rolled_out_is_refused(world: World, version: str, says: str) -> None:
    stopped = {"gate": f"{STOPPED} calibration"}
    world.registry.register("churn", world.folder / "package-2", parameters={}, metrics={}, tags=stopped, report="")
    with pytest.raises(TesseraError, match=says):
        start(world.lake, world.registry, "churn", version, segment="", who="ann", why="w", insists=False)
    begun(world)
    with pytest.raises(TesseraError, match="A replacement of churn runs: version 2, at 0%"):
        start(world.lake, world.registry, "churn", "3", segment="", who="ann", why="w", insists=True)


def plan(labels: dict[str, int] | None, config: ReplacementConfig = CONFIG) -> ReplacementPlan:
    def of(_: Any, __: Any, entities: pa.Table, *___: Any) -> pa.Table:
        ids = entities["customer_id"].to_pylist()
        return pa.table({"customer_id": ids, "churned": [(labels or {})[one] for one in ids]})

    matured = MaturedLabels(7, "customer_id", "churned", of)
    return ReplacementPlan(config, lambda scores: contacted(scores, SETTINGS.scoring), matured)


def test_raising_the_share_needs_the_comparison_and_matured_labels(world: World) -> None:
    begun(world, shares=2)
    night(world)
    engine = LocalEngineConfig().open()
    labels = {f"c{number:05d}": int(score > 0.5) for number, score in enumerate(scores_of(world, "1"))}

    def found(as_of: Any, config: ReplacementConfig = CONFIG) -> Any:
        return compared(world.lake, engine, world.registry, "churn", plan(labels, config), as_of)

    early = found(DAY + timedelta(days=6))
    assert [check.name for check in early.checks if not check.passed] == ["matured_labels"]
    with pytest.raises(TesseraError, match="stays at 5%: matured_labels: 0 labels have matured, 200 are needed"):
        raise_share(world.lake, world.registry, "churn", CONFIG, early.checks, who="ann", why="now", insists=False)
    late = found(DAY + timedelta(days=7))
    assert late.comparison.is_realized
    assert late.comparison.labels == 300
    strict = found(DAY + timedelta(days=7), CONFIG.model_copy(update={"min_rank_correlation": 0.9999}))
    assert [check.name for check in strict.checks if not check.passed] == ["rank_correlation"]
    made = raise_share(
        world.lake, world.registry, "churn", CONFIG, late.checks, who="ann", why="it holds", insists=False
    )
    assert (made.share, made.overruled) == (0.25, "")
    with pytest.raises(TesseraError, match="nothing was compared"):
        raise_share(world.lake, world.registry, "churn", CONFIG, (), who="ann", why="x", insists=False)


class TestComparison:
    scores = np.linspace(0.01, 0.99, 400)
    labels = (scores > 0.5).astype(float)
    config = ReplacementConfig(min_rows=100, min_matured_labels=100, action_eur=1.0, missed_eur=10.0)

    def failed(self, challenger: np.ndarray, **changes: Any) -> list[str]:
        config = self.config.model_copy(update=changes)
        found = compare([Answers(self.scores, challenger, self.labels)], lambda one: one >= 0.5, config)
        return [check.name for check in found.checks(config, has_labels=True, to_share=0.25) if not check.passed]

    def test_the_same_model_passes(self) -> None:
        assert self.failed(self.scores.copy()) == []

    def test_each_harm_is_stopped_by_its_check(self) -> None:
        assert self.failed(1 - self.scores) == ["rank_correlation", "decision_flips", "cost"]
        assert self.failed(self.scores * 0.2) == ["psi", "decision_flips", "cost"]
        assert self.failed(np.full(400, 0.7)) == ["rank_correlation", "psi", "decision_flips", "cost"]
        assert self.failed(self.scores, min_rows=401) == ["rows"]
        assert self.failed(self.scores, min_matured_labels=401) == ["matured_labels"]

    def test_cost_is_that_of_actions_in_vain_and_of_missed_positives(self) -> None:
        fewer = np.where((self.scores > 0.5) & (self.scores < 0.6), 0.4, self.scores)
        missed = int(((self.scores > 0.5) & (self.scores < 0.6)).sum())
        found = compare([Answers(self.scores, fewer, self.labels)], lambda one: one >= 0.5, self.config)
        assert found.flips == missed
        assert found.extra_eur_per_1000 == pytest.approx(1000 * missed * (10 - 1) / 400)
        expected = compare([Answers(self.scores, fewer, np.full(400, np.nan))], lambda one: one >= 0.5, self.config)
        assert not expected.is_realized
        assert 0 < expected.extra_eur_per_1000 < found.extra_eur_per_1000

    def test_without_costs_it_says_that_they_are_not_judged(self) -> None:
        config = ReplacementConfig(min_rows=100)
        found = compare([Answers(self.scores, self.scores, self.labels)], lambda one: one >= 0.5, config)
        (cost,) = [one for one in found.checks(config, has_labels=False, to_share=1) if one.name == "cost"]
        assert cost.passed
        assert "not compared" in cost.says

    def test_numbers_are_compared_by_their_errors(self) -> None:
        units = self.scores * 100
        config = self.config.model_copy(update={"max_psi": 9.0})

        def failed(challenger: np.ndarray, labels: np.ndarray = units + 1) -> tuple[list[str], float | None]:
            found = compare([Answers(units, challenger, labels)], None, config)
            checks = found.checks(config, has_labels=True, to_share=0.25)
            return [check.name for check in checks if not check.passed], found.error_ratio

        assert failed(units + 0.5) == ([], pytest.approx(0.5))
        assert failed(units - 1) == (["error"], pytest.approx(2.0))
        assert failed(units + 0.5, units) == (["error"], float("inf"))
        assert failed(units, units) == ([], 1.0)
        assert failed(units - 1, np.full(400, np.nan)) == (["matured_labels"], None)


def test_a_number_is_published_with_the_interval_of_the_version_that_made_it() -> None:
    contract = regression_output("product_id", unit="units", at_least=0)

    def side(version: str, factor: float) -> Side:
        def predict(matrix: np.ndarray) -> dict[str, np.ndarray]:
            return {name: matrix[:, 0] * factor + end for name, end in (("prediction", 0), ("lower", -1), ("upper", 1))}

        card = SimpleNamespace(feature_version="demand_v1")
        loaded: Any = SimpleNamespace(encoder=Encoder(("x",), {}), sha256=version, card=card)
        return Side(version, loaded, predict)

    ids, values = [f"p{number}" for number in range(200)], np.arange(1.0, 201.0)
    rows, rule = pa.record_batch({"product_id": ids, "x": values}), SplitRule("salt", 0.5, "product_id")
    scorer = split_scorer(side("1", 1.0), side("2", 10.0), rule, contract)
    matrix = np.empty((200, 3), np.float32)
    scorer.encoder.transform(rows, matrix)
    found, taken = scorer.predict(matrix), rule.assigned(rows)
    assert 50 < taken.sum() < 150
    expected = np.where(taken, values * 10, values)
    for name, end in (("prediction", 0), ("lower", -1), ("upper", 1)):
        assert np.array_equal(found[name], expected + end)


@pytest.mark.parametrize(("app", "says"), [("fraud", "as they come"), ("support", "is a composition")])
def test_what_cannot_be_replaced_gradually_is_refused_with_the_reason(app: str, says: str) -> None:
    with pytest.raises(TesseraError, match=says) as refused:
        replace.start(app, "2", "", "because", even_if_refused=False)
    assert "churn, demand" in refused.value.expected
    assert f"tessera promote {app}" in refused.value.todo


def test_contacts_are_those_of_the_rule(world: World) -> None:
    _, rows = night(world)
    assert contacted(rows["score"].to_numpy(), SETTINGS.scoring).tolist() == [
        one == "contact" for one in rows["decision"].to_pylist()
    ]


def test_reasons_come_from_the_model_that_scored_the_row() -> None:
    class Says:
        kind = "x"

        def __init__(self, value: float, *, explains: bool = True) -> None:
            self.value, self.explains = value, explains

        def contributions(self, rows: np.ndarray) -> np.ndarray:
            return np.full(rows.shape, self.value, np.float32)

    rows = np.array([[1, 2, 3, 0], [1, 2, 3, 1]], np.float32)
    both: Any = SplitModel(Says(1), Says(2), 2)  # pyright: ignore[reportArgumentType]
    assert both.contributions(rows).tolist() == [[1, 1, 0, 0], [0, 0, 2, 0]]
    one: Any = SplitModel(Says(1, explains=False), Says(2), 2)  # pyright: ignore[reportArgumentType]
    assert one.contributions(rows).tolist() == [[0, 0, 0, 0], [0, 0, 2, 0]]


def test_a_version_that_passed_waits_where_a_replacement_is_required(tmp_path: Path) -> None:
    registry = FolderRegistry(tmp_path)
    weak = task_as_of(waits_for_replacement=True, refit=RefitConfig(enabled=False))
    trainers = [OneFeatureTrainer(0)]
    first = evaluate_candidates(weak, trainers, registry, AS_OF)
    promote_or_keep(weak, first, registry, Notices(), run_id="r", who="w")
    assert registry.champion("churn") is not None, "a first champion replaces none"
    before = registry.champion("churn")
    better = trainers_of([TrainerSettings.model_validate({"kind": "xgboost", "max_rounds": 60, "folds": 2})])
    second = evaluate_candidates(weak, [OneFeatureTrainer(0), *better], registry, AS_OF)
    assert second.passing is not None, second.report.markdown(picture=False)
    result = promote_or_keep(weak, second, registry, Notices(), run_id="r", who="w")
    assert registry.champion("churn") == before
    assert "waits for its replacement" in str(result.metadata["verdict"])
