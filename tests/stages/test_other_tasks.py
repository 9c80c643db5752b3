"""Several classes and rankings on real data, through training, gate, registry and publishing."""

import gzip
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from sklearn.feature_extraction.text import HashingVectorizer

from assets.stages.app import App
from assets.stages.batch_scoring import Night, score
from assets.stages.publication import publish
from assets.stages.scoring_task import ScoringTask
from assets.stages.training import Evaluation, evaluate_candidates, promote_or_keep
from assets.stages.training_task import TrainingTask
from models.errors import TesseraError
from models.features.leakage import Recomputed
from models.gates.config import GateConfig, MulticlassGateConfig, RankingGateConfig
from models.scoring.config import DriftConfig
from models.scoring.output import OutputContract, multiclass_output, ranking_output
from models.scoring.ranks import RankWithinEntity
from models.settings import TrainerSettings
from models.tasks.named import task_of
from models.tasks.task import TaskName
from models.training.agreement import RefitConfig
from models.training.dataset import split
from models.training.model_package import LoadedModel
from resources.lake.delta import DeltaLake
from resources.registry.fake import FolderRegistry
from resources.sink.delta import DeltaSinkConfig
from resources.stack.recipes import trainers_of
from tests.learning_world import Notices

pytestmark = pytest.mark.real
TRAIN, DAY = date(2025, 1, 1), date(2025, 3, 1)
KIND = "tests.task_trainers.LinearTrainerConfig"
INTENTS, WORDS = 8, 256


def dated(columns: Mapping[str, Any], day: date) -> pa.Table:
    moment = datetime.combine(day, datetime.max.time(), UTC)
    rows = len(next(iter(columns.values())))
    stamps = pa.array([moment] * rows, pa.timestamp("us", "UTC"))
    return pa.table({**columns, "event_timestamp": stamps, "feature_date": pa.array([day] * rows, pa.date32())})


def evaluated(
    kind: TaskName,
    rows: pa.Table,
    registry: FolderRegistry,
    gate: GateConfig,
    baselines: Mapping[str, str],
    **columns: Any,
) -> Evaluation:
    features = [name for name in rows.column_names if name.startswith("x")]
    made = split(
        rows, features=features, holdout=DAY, horizon_days=7, label="y", label_type=task_of(kind).label_type, **columns
    )
    task = TrainingTask(
        app=kind,
        kind=kind,
        service=f"{kind}_v1",
        holdout=str(DAY),
        split=made,
        features=features,
        newest=made.holdout_table,
        baselines=baselines,
        recomputed=Recomputed(("now",), rows.num_rows, tuple(features)),
        gate=gate,
        drift=DriftConfig(),
        baseline=TrainerSettings.model_validate({"kind": KIND, "task": kind, "columns": 1}),
        refit=RefitConfig(enabled=False),
    )
    trainers = trainers_of([TrainerSettings.model_validate({"kind": KIND, "task": kind})])
    found = evaluate_candidates(task, trainers, registry, DAY)
    promote_or_keep(task, found, registry, Notices(), run_id="r", who="w")
    return found


def published(
    place: Path, registry: FolderRegistry, kind: str, output: OutputContract, rows: pa.Table, **how: Any
) -> pa.Table:
    app = App(kind, "A test.", (), f"{kind}_features", f"{kind}_set", lambda _: [], output=output, erases=())
    lake, sink, notices = DeltaLake(str(place / "lake")), DeltaSinkConfig(path=str(place / "s")).open(), Notices()
    lake.replace(
        app.features, rows.sort_by([(key, "ascending") for key in output.order]), by="feature_date", first=DAY, last=DAY
    )
    made = score(Night(ScoringTask(app=app, **how), lake, registry, sink, notices, DAY, "r"))
    assert made.audit.passed, made.audit.checks
    return pa.Table.from_batches(sink.published_rows(publish(sink, notices, kind, DAY).publication))


def intents(file: Path, day: date, labels: list[str]) -> pa.Table:
    found = pl.read_csv(gzip.decompress(file.read_bytes())).filter(pl.col("category").is_in(labels))
    words = HashingVectorizer(n_features=WORDS, alternate_sign=False).transform(found["text"].to_list()).toarray()
    columns = {f"x{at:03d}": words[:, at].astype(np.float64) for at in range(WORDS)}
    ids = [f"{day}-{number:05d}" for number in range(found.height)]
    return dated({"customer_id": ids, **columns, "y": [labels.index(one) for one in found["category"]]}, day)


def test_intents_of_real_questions_are_learnt_judged_and_published(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "banking77"
    labels = sorted(pl.read_csv(gzip.decompress((folder / "test.csv.gz").read_bytes()))["category"].unique())[:INTENTS]
    asked = intents(folder / "test.csv.gz", DAY, labels)
    rows = pa.concat_tables([intents(folder / "train.csv.gz", TRAIN, labels), asked])
    registry = FolderRegistry(tmp_path / "models")
    registry.trusted_packages = ("tests",)
    gate = MulticlassGateConfig(
        min_rows=300, max_jump=1.0, n_bootstrap=200, max_latency_us_per_row=1e4, max_confidence_gap=0.3
    )
    found = evaluated("multiclass", rows, registry, gate, {"one word": "x000"})
    assert found.passing is not None, found.report.markdown(picture=False)
    assert found.metrics["macro_f1"] > 0.8
    assert found.report.picture

    def predict(model: LoadedModel) -> Any:
        def columns(matrix: Any) -> dict[str, Any]:
            chances = model.model.predict(matrix)
            best = np.argsort(-chances, axis=1, kind="stable")[:, :3]
            named = [[labels[at] for at in row] for row in best]
            top = np.take_along_axis(chances, best, axis=1)
            return {
                "label": [row[0] for row in named],
                "probability": top[:, 0],
                "top_labels": pa.array(named, pa.list_(pa.string())),
                "top_probabilities": pa.array(top.tolist(), pa.list_(pa.float32())),
            }

        return columns

    scores = published(
        tmp_path, registry, "multiclass", multiclass_output("customer_id", labels), asked, predict=predict
    )
    right = np.mean([labels[y] for y in asked["y"].to_pylist()] == np.array(scores["label"].to_pylist()))
    assert (scores.num_rows, right) == (asked.num_rows, pytest.approx(found.metrics["accuracy"]))

    shuffled = rows.set_column(
        rows.column_names.index("y"), "y", pa.array(np.random.default_rng(1).permutation(rows["y"]))
    )
    with pytest.raises(TesseraError, match=r"stopped by the gate:.*floor"):
        evaluated("multiclass", shuffled, FolderRegistry(tmp_path / "other"), gate, {"one word": "x000"})


def visits(file: Path, day: date, counts: Mapping[int, int], together: np.ndarray, users: int) -> pa.Table:
    """Each user's last area among 20 others: does what is visited together rank it first?"""
    seen = pl.read_csv(gzip.decompress(file.read_bytes())).group_by("user_id", maintain_order=True).agg("area_id")
    rng, areas, columns = (
        np.random.default_rng(4),
        sorted(counts),
        {name: [] for name in ("user", "item", "x0", "x1", "y")},
    )
    for user, visited in seen.filter(pl.col("area_id").list.len() >= 3).head(users).iter_rows():
        *known, last = visited
        others = [area for area in rng.choice(areas, 20, replace=False).tolist() if area not in visited]
        for area in [last, *others]:
            at = areas.index(area) if area in counts else 0
            columns["user"].append(f"u{user}")
            columns["item"].append(f"a{area}")
            columns["x0"].append(np.log1p(counts.get(area, 0)))
            columns["x1"].append(sum(together[at, areas.index(one)] for one in known if one in counts))
            columns["y"].append(int(area == last))
    return dated(columns, day)


def test_areas_of_a_real_site_are_ranked_judged_and_published(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "msweb"
    past = pl.read_csv(gzip.decompress((folder / "visits_train.csv.gz").read_bytes())).tail(60_000)
    counts = dict(past.group_by("area_id").len().iter_rows())
    areas = sorted(counts)
    pairs = past.join(past, on="user_id").group_by("area_id", "area_id_right").len()
    together = np.zeros((len(areas), len(areas)))
    for one, other, number in pairs.iter_rows():
        together[areas.index(one), areas.index(other)] = number / counts[other]
    learnt = visits(folder / "visits_train.csv.gz", TRAIN, counts, together, 800)
    asked = visits(folder / "visits_test.csv.gz", DAY, counts, together, 400)
    registry = FolderRegistry(tmp_path / "models")
    registry.trusted_packages = ("tests",)
    gate = RankingGateConfig(max_jump=1.0, n_bootstrap=200, max_latency_us_per_row=1e4, max_identifying_share=1.0)
    found = evaluated(
        "ranking", pa.concat_tables([learnt, asked]), registry, gate, {"popular": "x0"}, entity="user", key="item"
    )
    assert found.passing is not None, found.report.markdown(picture=False)
    popular = found.report.metrics["popular"]["ndcg_at_10"]
    assert found.metrics["ndcg_at_10"] > popular + 0.02, "what is visited together says more than popularity"

    def predict(model: LoadedModel) -> Any:
        return lambda matrix: {"score": model.model.predict(matrix)}

    output = ranking_output("user", "item")
    scores = published(
        tmp_path, registry, "ranking", output, asked, predict=predict, rule=lambda _: RankWithinEntity("user")
    )
    ranked = pl.DataFrame(scores).sort("user", "rank").with_columns(pl.col("score").diff().over("user").alias("step"))
    assert scores.num_rows == asked.num_rows
    assert (ranked["step"].fill_null(0) <= 0).all(), "ranks descend by score"
    assert ranked.group_by("user").agg((pl.col("rank").sort() == pl.int_range(1, pl.len() + 1)).all())["rank"].all()
