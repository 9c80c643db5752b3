"""The shipped intent composition on data that it was not made for, beside plain models.

Each set: equal texts once, shuffled by a seed, at most 4,000 of them, 70 % for training. *Plain* is scikit-learn's
TF-IDF and logistic regression as they come. Leads of the composition are paired, 95 % bootstrap over test texts; it is
worse than a model where the whole interval of the lead is below 0.
"""

import argparse
import json
import os
import random
import resource
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from benchmarks.report import replace_section
from benchmarks.texts import DATA, rows
from models.evaluation.bootstrap import Interval
from models.text.embedder import RememberingEmbedder
from models.text.intent_evaluation import ROUTED, LabelledTexts, evaluate_intents
from models.text.intent_training import EMBEDDED, FUSED, LINEAR
from models.text.minilm import load_minilm
from models.text.out_of_scope import OUT_OF_SCOPE
from models.text.paired import paired_difference, share_interval

RESULTS = Path(__file__).resolve().parent / "results" / "other-texts.json"
#: Texts of a set, unless all are asked for.
MOST, TRAINED = 4_000, 0.7
Pairs = Iterable[tuple[str, str]]


def main() -> None:
    """Measure the sets that are asked for, keep them beside those of earlier calls, and write the section."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    for name in arguments.parse_args().sets:
        cells = measured(name)
        print(cells, flush=True)
        known: dict[str, str] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        known[name] = cells
        RESULTS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
        _write(known)


def _write(known: dict[str, str]) -> None:
    body = ["## Intents on other data", "", (__doc__ or "").partition("\n\n")[2].strip(), ""]
    body += [
        "| set | texts, labels | composition | leads plain TF-IDF + regression by | leads TF-IDF + SVM by "
        "| leads MiniLM + regression by | router | asks the fusion | out-of-scope recall | wall s, CPU s, MB, load |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    body += [known[name] for name in SETS if name in known]
    replace_section("other-texts", "\n".join(body), libraries=["scikit-learn", "tokenizers"])


def measured(name: str) -> str:
    """Return the row of a set: the composition trained on one part and tested on the other, and its leads."""
    most, pairs = SETS[name]
    train, test = _split(pairs(), most)
    wall, cpu = time.monotonic(), time.process_time()
    embedder = load_minilm()
    remembered = RememberingEmbedder(embedder)
    found = evaluate_intents(
        train, test, embedder, retention=0.95, price_per_cpu_hour=0.05, remembered=remembered, progress=print
    )
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    inside = np.array(test.labels) != OUT_OF_SCOPE
    fused = found.trained.models[FUSED]
    right = (fused.labels[fused.scores(test.texts).argmax(axis=1)] == np.array(test.labels))[inside]
    plain = paired_difference(right, _plain(train, test)[inside])
    results = found.results
    recall = results[FUSED].out_of_scope_recall
    cells = (
        name.replace("-", " "),
        f"{len(train.texts):,} + {len(test.texts):,}, {found.labels}",
        _told(share_interval(right)),
        *(_told(lead, "+") for lead in (plain, results[LINEAR].lead, results[EMBEDDED].lead) if lead),
        _told(results[ROUTED].accuracy),
        f"{found.asked:.0%}",
        _told(recall) if recall else "",
        f"{wall:.0f}, {cpu:.0f}, {memory:,.0f}, {os.getloadavg()[0]:.1f}",
    )
    return f"| {' | '.join(cells)} |"


def _plain(train: LabelledTexts, test: LabelledTexts) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Return which test texts a plain model has right; it is trained on texts in scope, as the composition is."""
    inside = [place for place, label in enumerate(train.labels) if label != OUT_OF_SCOPE]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000))
    model.fit([train.texts[place] for place in inside], [train.labels[place] for place in inside])
    return np.asarray(model.predict(list(test.texts)) == np.array(test.labels))


def _split(pairs: Pairs, most: int) -> tuple[LabelledTexts, LabelledTexts]:
    draw, label_of = random.Random(1), dict(pairs)  # noqa: S311 - not for secrets
    texts = sorted(label_of)
    draw.shuffle(texts)
    texts = texts[:most]
    cut = round(len(texts) * TRAINED)
    train, test = (LabelledTexts(part, [label_of[text] for text in part]) for part in (texts[:cut], texts[cut:]))
    return train, test


def _told(found: Interval, sign: str = "") -> str:
    return f"{found.value:{sign}.4f} ({found.low:{sign}.4f} .. {found.high:{sign}.4f})"


def _bitext(column: str) -> Pairs:
    return ((row["utterance"], row[column]) for row in rows("bitext_support/bitext_intents.csv.gz"))


def _sentiment() -> Pairs:
    return ((row["text"], row["label"]) for row in rows("uci_sentiment/sentences.csv.gz"))


def _questions(column: str, languages: str) -> Pairs:
    found = (row for row in rows("xquad/questions.csv.gz") if languages in ("", row["lang"]))
    return ((row["question"], row[column].partition("-")[0]) for row in found)


def _paragraphs() -> Pairs:
    return ((row["context"], row["lang"]) for row in rows("xquad/paragraphs.csv.gz"))


def _domains() -> Pairs:
    domains = json.loads((DATA / "clinc150" / "domains.json").read_text())
    domain_of = {intent: domain for domain, intents in domains.items() for intent in intents}
    return ((row["text"], domain_of.get(row["intent"], OUT_OF_SCOPE)) for row in rows("clinc150/clinc150_full.csv.gz"))


def _clinc() -> Pairs:
    return ((row["text"], row["intent"]) for row in rows("clinc150/clinc150_full.csv.gz"))


def _mislabelled() -> Pairs:
    """Intents of a bank of which every fifth label is another one."""
    found = rows("banking77/train.csv.gz")
    draw, labels = random.Random(2), sorted({row["category"] for row in found})  # noqa: S311 - not for secrets
    return ((row["text"], draw.choice(labels) if draw.random() < 0.2 else row["category"]) for row in found)


#: Name -> most texts, and texts with labels.
SETS: dict[str, tuple[int, Callable[[], Pairs]]] = {
    "bitext-intents": (MOST, lambda: _bitext("intent")),
    "bitext-categories": (MOST, lambda: _bitext("category")),
    "sentiment-of-reviews": (MOST, _sentiment),
    "language-of-xquad-questions": (1_500, lambda: _questions("lang", "")),
    "language-of-xquad-paragraphs": (1_000, _paragraphs),
    "article-of-English-xquad-questions": (MOST, lambda: _questions("paragraph_id", "en")),
    "clinc150-intents": (MOST, _clinc),
    "clinc150-domains": (MOST, _domains),
    "banking77,-a-fifth-mislabelled": (MOST, _mislabelled),
    "clinc150-intents,-20,000": (20_000, _clinc),
}

if __name__ == "__main__":
    main()
