"""A router between a cheap and a dear intent model, calibrated by replay: what it costs, and what it costs in quality.

The cheap model (TF-IDF and a linear classifier) answers first; where the lead of its answer over the second one is
below a threshold, the dear one is asked, which embeds the text. The threshold is chosen on validation texts by models
that did not see them, the official ones where the set has them (clinc150), else folds of the training texts: the
cheapest one of which as many texts as are tested will show, with a confidence of 95 %, that it loses at most half a
point to always asking the dear model (`cheapest_near_dear(..., on=)`). Test texts decide nothing.

The textbook example puts assigned prices on both (0.002 and 0.06 USD a request) and draws 500 test texts 200 times.
"""

import argparse
import csv
import gzip
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import replace_section
from benchmarks.texts import Kept
from models.compose.batch import from_records
from models.compose.budget import Estimate
from models.compose.call import new_call
from models.compose.replay import Replay, calibrated, share_z
from models.compose.replay_picture import calibration_table, frontier_png
from models.compose.threshold import Choice, cheapest_near_dear
from models.text.embedder import RememberingEmbedder
from models.text.intent_steps import TEXT, intent_replay, intent_router, intent_step
from models.text.intent_training import WEIGHTS
from models.text.intents import FusedIntents, IntentModel, Scores, fit_embedding_intents, fit_linear_intents, fused
from models.text.splitting import text_folds
from resources.stack.loader import ROOT

DATA = ROOT.parent / "shared" / "data"
CHEAP_USD, DEAR_USD, DRAWS, SIZE = 0.002, 0.06, 200, 500
MARGIN, FOLDS = 0.005, 5


@dataclass(frozen=True)
class Texts:
    """Labelled texts."""

    texts: list[str]
    labels: list[str]


@dataclass(frozen=True)
class Routed:
    """A calibrated router on test texts, in CPU milliseconds."""

    name: str
    chosen_on: str
    weight: float
    chosen: Choice
    calibration: Replay
    test: Replay
    against_embedding: NDArray[np.float64]
    agrees: bool


def main() -> None:
    """Measure both sets and write the section."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--dry", action="store_true", help="print the section instead of writing it")
    arguments.add_argument("--only", choices=SETS, action="append", help="only this set")
    arguments.add_argument("--cache", type=Path, help="folder that keeps vectors from run to run")
    options = arguments.parse_args()
    for name in options.only or SETS:
        with Kept(options.cache) as kept:
            routed = measured(name, *SETS[name](), kept)
        body = _section(routed)
        print(body, flush=True)
        if not options.dry:
            picture(name).write_bytes(
                frontier_png(
                    routed.test,
                    _on(routed.test, routed.chosen.threshold),
                    quality="accuracy on test texts",
                    cost="CPU ms per text",
                )
            )
            replace_section(f"routing-{name}", body, libraries=["scikit-learn", "numpy", "tokenizers"])


def picture(name: str) -> Path:
    """Return the file of the frontier's picture."""
    return ROOT / "docs" / "pictures" / f"router-{name}.png"


def banking77() -> tuple[Texts, None, Texts]:
    """Return the official training and test texts; there are no validation texts."""
    return _read("banking77/train.csv.gz", "text", "category"), None, _read("banking77/test.csv.gz", "text", "category")


def clinc150() -> tuple[Texts, Texts, Texts]:
    """Return the official training, validation and test texts that are in scope."""
    with gzip.open(DATA / "clinc150" / "clinc150_full.csv.gz", "rt", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["intent"] != "oos"]
    parts = [[row for row in rows if row["split"] == part] for part in ("train", "val", "test")]
    train, validation, test = (Texts([r["text"] for r in part], [r["intent"] for r in part]) for part in parts)
    return train, validation, test


def measured(name: str, train: Texts, validation: Texts | None, test: Texts, kept: Kept) -> Routed:
    """Calibrate a router on validation texts, or folds of the training texts, and replay it on the test texts."""
    kept.ready([*train.texts, *(validation.texts if validation else []), *test.texts])
    embed_ms, embedder = _cpu_ms(lambda: kept.minilm.embed(test.texts[:300]), 300), kept.remembering
    linear = fit_linear_intents(train.texts, train.labels)
    embedded = fit_embedding_intents(embedder, train.texts, train.labels)
    scored = _of_folds(train, embedder) if validation is None else _scores(linear, embedded, validation)
    calibration, weight = _calibration(*scored, embed_ms)
    chosen = cheapest_near_dear(calibration, margin=MARGIN, on=len(test.texts))
    both = FusedIntents(linear, embedded, weight)
    cheap_ms = _cpu_ms(lambda: linear.scores(test.texts), len(test.texts))
    scores = [one.scores(test.texts) for one in (linear, both, embedded)]
    right = np.searchsorted(linear.labels, test.labels)
    replay = intent_replay(scores[0], scores[1], right, cheap_cost=cheap_ms, dear_cost=embed_ms + cheap_ms)
    quality = np.where(replay.score < chosen.threshold, replay.dear, replay.cheap)
    lead = quality - (scores[2].argmax(axis=1) == right)
    agrees = _router_agrees(linear, both, chosen, test)
    chosen_on = "folds of the training texts" if validation is None else "the official validation texts"
    return Routed(name, chosen_on, weight, chosen, calibration, replay, lead, agrees)


Scored = tuple[Scores, Scores, NDArray[np.int64]]


def _scores(linear: IntentModel, embedded: IntentModel, held: Texts) -> Scored:
    """Return both models' scores of texts, and the columns of the right labels."""
    return linear.scores(held.texts), embedded.scores(held.texts), np.searchsorted(linear.labels, held.labels)


def _of_folds(train: Texts, embedder: RememberingEmbedder) -> Scored:
    """Return scores of all training texts by models that did not see them."""
    folds = text_folds(train.texts, train.labels, k=FOLDS, seed=0)
    parts: list[Scored] = []
    for fold in range(FOLDS):
        kept, held = _part(train, folds != fold), _part(train, folds == fold)
        linear = fit_linear_intents(kept.texts, kept.labels)
        if linear.labels.size != len(set(train.labels)):
            raise SystemExit("a label has too few texts for the folds")
        parts.append(_scores(linear, fit_embedding_intents(embedder, kept.texts, kept.labels), held))
    margins, logits, right = (np.concatenate(column) for column in zip(*parts, strict=True))
    return margins, logits, right


def _calibration(margins: Scores, logits: Scores, right: NDArray[np.int64], embed_ms: float) -> tuple[Replay, float]:
    """Return the replay of validation texts, and the best weight of the fusion on them."""
    weight = max(WEIGHTS, key=lambda one: float((fused(margins, logits, one).argmax(axis=1) == right).mean()))
    dear = fused(margins, logits, weight)
    return intent_replay(margins, dear, right, cheap_cost=0.1, dear_cost=embed_ms), weight


def _router_agrees(cheap: IntentModel, dear: IntentModel, chosen: Choice, test: Texts) -> bool:
    """Run the router itself on a part of the texts, one by one and as a batch: both are what the replay says."""
    steps = intent_step("linear", cheap), intent_step("fused", dear, cost=Estimate(row_ms=7))
    router = intent_router("intent", *steps, chosen.threshold, chosen.share)
    records = [{"text": text} for text in test.texts[:100]]
    together = router.run(from_records(records, TEXT), new_call()).batch.records()
    alone = [router.run(from_records([one], TEXT), new_call()).batch.records()[0] for one in records]
    return [(one["intent"], one["intent_by"]) for one in together] == [
        (one["intent"], one["intent_by"]) for one in alone
    ]


def _textbook(routed: Routed) -> tuple[list[list[str]], NDArray[np.float64], float]:
    """Return rows of the table, the differences of quality over the draws, and the cost share."""
    rng = np.random.default_rng(7)
    replay = routed.test
    draws = [rng.choice(replay.n, SIZE, replace=False) for _ in range(DRAWS)]
    escalated = replay.score < routed.chosen.threshold
    quality = {
        "always cheap": replay.cheap,
        "always dear": replay.dear,
        "routed": np.where(escalated, replay.dear, replay.cheap),
    }
    usd = {
        "always cheap": np.full(replay.n, CHEAP_USD),
        "always dear": np.full(replay.n, DEAR_USD),
        "routed": CHEAP_USD + escalated * DEAR_USD,
    }
    ms = {
        "always cheap": replay.cheap_cost,
        "always dear": replay.dear_cost,
        "routed": replay.cheap_cost + escalated * replay.dear_cost,
    }
    rows = [
        [
            name,
            *(
                _spread([values[name][draw].sum() if unit else values[name][draw].mean() for draw in draws], form)
                for values, unit, form in ((quality, 0, "{:.3f}"), (usd, 1, "{:.2f}"), (ms, 0, "{:.2f}"))
            ),
        ]
        for name in quality
    ]
    lost = np.array([(quality["routed"] - quality["always dear"])[draw].mean() for draw in draws])
    return rows, lost, float(usd["routed"].sum() / usd["always dear"].sum())


def _spread(values: list[float], form: str) -> str:
    low, middle, high = np.quantile(values, [0.025, 0.5, 0.975])
    return f"{form.format(middle)} ({form.format(low)} to {form.format(high)})"


def _section(one: Routed) -> str:
    found = calibrated(one.test, one.chosen.threshold)
    z = share_z(one.chosen.share, one.calibration.n, int((one.test.score < one.chosen.threshold).sum()), one.test.n)
    rows, lost, share = _textbook(one)
    parts = [
        f"## Router between two intent models: {one.name}",
        "Measured on the test texts; cost in CPU milliseconds per text. The threshold is chosen on validation texts, "
        "so that as many texts as are tested will show with a confidence of 95 % that half a point is lost at most.",
        calibration_table(found),
        f"Chosen on {one.calibration.n:,} texts ({one.chosen_on}): threshold {one.chosen.threshold:.3f}, weight of "
        f"the margins {one.weight:g}. Against MiniLM alone: {_interval(one.against_embedding)} in accuracy at "
        f"{found.cost_share.value:.1%} of the cost of the dear model for every text. Share escalated in calibration "
        f"{one.chosen.share:.1%}, {z:+.1f} standard errors from the test texts'. One by one and as a batch the router "
        f"gives {'equal' if one.agrees else '**different**'} answers.",
        f"Assigned prices of {CHEAP_USD} and {DEAR_USD} USD, {DRAWS} draws of {SIZE} test texts, median and 95 % "
        "of the draws:",
        "| | accuracy | USD for 500 | CPU ms per text |\n|---|---|---|---|\n"
        + "\n".join("| " + " | ".join(row) + " |" for row in rows),
        f"Routed costs {share:.1%} of always dear; its accuracy less that of always dear over the draws: "
        f"{lost.mean():+.4f}, 95 % of the draws above {np.quantile(lost, 0.025):+.4f}.",
        f"![Frontier on {one.name}](pictures/{picture(one.name).name})",
    ]
    return "\n\n".join(parts)


def _on(replay: Replay, threshold: float) -> Choice:
    found = calibrated(replay, threshold, resamples=2)
    return Choice(threshold, found.share.value, found.quality.value, found.cost.value)


def _interval(differences: NDArray[np.float64]) -> str:
    error = 1.96 * differences.std(ddof=1) / np.sqrt(differences.size)
    return f"{differences.mean():+.4f} [{differences.mean() - error:+.4f}, {differences.mean() + error:+.4f}]"


def _cpu_ms(work: Callable[[], object], n: int) -> float:
    begin = time.process_time()
    work()
    return (time.process_time() - begin) * 1000 / n


def _part(whole: Texts, chosen: NDArray[np.bool_]) -> Texts:
    rows = np.flatnonzero(chosen)
    return Texts([whole.texts[row] for row in rows], [whole.labels[row] for row in rows])


def _read(path: str, text: str, label: str) -> Texts:
    with gzip.open(DATA / Path(path), "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(io.StringIO(file.read())))
    return Texts([row[text] for row in rows], [row[label] for row in rows])


SETS = {"banking77": banking77, "clinc150": clinc150}

if __name__ == "__main__":
    main()
