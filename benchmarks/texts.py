"""Text models on real data: intents, out of scope, retrieval, languages and sentiment, each beside its single models.

Every weight and threshold is chosen on validation rows that are split from the training rows (of XQuAD: on one half of
the paragraphs); test rows decide nothing. Intervals are 95 %, bootstrap over test texts; leads are paired.
"""

import argparse
import csv
import gzip
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np

from benchmarks.report import replace_section
from models.evaluation.bootstrap import Interval
from models.text.embedder import Embedder, Embeddings, RememberingEmbedder
from models.text.intent_evaluation import ROUTED, IntentEvaluation, LabelledTexts, evaluate_intents
from models.text.intent_training import FUSED
from models.text.intents import fit_embedding_intents, fit_linear_intents, fused
from models.text.label_names import label_text
from models.text.language import LanguageDetector, is_unsupported
from models.text.minilm import load_minilm
from models.text.paired import paired_difference, share_interval
from models.text.retrieval import DocumentScores, PassageIndex, fused_scores
from models.text.sentiment import sentiment as sentiment_of
from models.text.splitting import text_folds
from models.vectors.bm25_index import Bm25Index
from models.vectors.tokens import TOKENIZERS, grams

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
_WORDS = {
    "linear": "TF-IDF + linear SVM",
    "embedded": "MiniLM + logistic regression",
    FUSED: "both, fused",
    ROUTED: "router: linear, then fused",
}
#: Weights of BM25 that are tried.
BM25_WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0)
#: Ways to take texts apart that are tried: words, and words with their parts of so many characters.
TOKENIZERS_TRIED = {"words-1": "words", "grams-3": "words and 3", "grams-1": "words and 4", "grams-5": "words and 5"}
SHOTS, DRAWS = 15, 4


def main() -> None:
    """Measure the sections that are asked for, print and write them."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--only", choices=SECTIONS, help="only this section")
    arguments.add_argument("--cache", type=Path, help="folder that keeps vectors from run to run")
    arguments.add_argument("--dry", action="store_true", help="print the sections instead of writing them")
    options = arguments.parse_args()
    for name, section in SECTIONS.items():
        if options.only in (None, name):
            started = time.process_time()
            with Kept(options.cache) as kept:
                found = f"{section(kept)}\n\n{time.process_time() - started:.0f} CPU s."
            print(found, flush=True)
            if not options.dry:
                replace_section(f"texts-{name}", found, libraries=["scikit-learn", "tokenizers", "py3langid"])


class Kept:
    """MiniLM with the vectors of earlier runs, if a folder keeps them."""

    def __init__(self, folder: Path | None) -> None:
        self._file = None if folder is None else folder / "vectors.npz"
        self.minilm = load_minilm()
        self.remembering = RememberingEmbedder(self.minilm)
        self._texts: dict[str, None] = {}

    def __enter__(self) -> "Kept":
        """Read what is kept."""
        if self._file is not None and self._file.exists():
            content = np.load(self._file)
            texts = content["texts"].tolist()
            self.remembering.remember(texts, content["layers"])
            self._texts = dict.fromkeys(texts)
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the folder as it is: `ready` wrote it."""

    def ready(self, texts: Sequence[str]) -> None:
        """Embed texts, and keep their vectors."""
        new = dict.fromkeys(texts).keys() - self._texts.keys()
        self.remembering.layers(sorted(new))
        self._texts |= dict.fromkeys(sorted(new))
        if self._file is not None and new:
            known = list(self._texts)
            self._file.parent.mkdir(parents=True, exist_ok=True)
            np.savez(self._file, texts=np.array(known), layers=self.remembering.layers(known))


def rows(file: str) -> list[dict[str, str]]:
    """Read a data set."""
    with gzip.open(DATA / file, "rt", encoding="utf-8", newline="") as content:
        return list(csv.DictReader(content))


def banking77(kept: Kept) -> str:
    """77 intents of a bank, the official split."""
    parts = [rows(f"banking77/{part}.csv.gz") for part in ("train", "test")]
    train, test = (LabelledTexts([r["text"] for r in part], [r["category"] for r in part]) for part in parts)
    return _intents(
        "banking77: 77 intents of a bank", train, test, kept, "Goal: 0.935, and a lead over MiniLM above 0."
    )


def clinc150(kept: Kept) -> str:
    """150 intents and texts out of scope: all training rows, and 15 of each intent."""
    train, test = _clinc("train"), _clinc("test")
    head = "clinc150: 150 intents, and texts out of scope"
    inside = _chosen_rows(train, (label != "oos" for label in train.labels))
    return _intents(
        head, inside, test, kept, "The 100 `oos` training rows are not used. Goal: 0.90 in scope and a recall of 0.80."
    )


def few(kept: Kept) -> str:
    """Fifteen training rows of each intent: the first ones of the file, which are much alike, and some draws."""
    train, test = _clinc("train"), _clinc("test")
    parts = []
    for seed in (None, *range(DRAWS)):
        title = "the first of the file" if seed is None else f"draw {seed}"
        drawn = _drawn(train, seed)
        parts.append(_intents(f"clinc150, {SHOTS} texts of each intent, {title}", drawn, test, kept, "Goal: 0.91."))
    return "\n\n".join(parts)


class Last:
    """MiniLM whose layers are the last `columns` columns alone."""

    def __init__(self, embedder: Embedder, columns: int) -> None:
        self._embedder, self._columns, self.identity = embedder, columns, embedder.identity

    def embed(self, texts: Sequence[str]) -> Embeddings:
        """Return the vectors."""
        return self._embedder.embed(texts)

    def layers(self, texts: Sequence[str]) -> Embeddings:
        """Return the last columns."""
        return self._embedder.layers(texts)[:, -self._columns :]


def few_choice(kept: Kept) -> str:
    """The layers that a head reads, chosen on clinc150's validation split with 15 texts of each intent."""
    train, held = _clinc("train"), _clinc("val")
    held = _chosen_rows(held, (label != "oos" for label in held.labels))
    kept.ready([*train.texts, *held.texts, *map(label_text, set(train.labels))])
    lines = [
        "## clinc150, 15 texts of each intent: what a head reads, on the validation split",
        "",
        "| texts | layers | head alone | fused | with names: head alone | fused |",
        "|---|---|---|---|---|---|",
    ]
    for title, seed in (("the first of the file", None), ("draw 0", 0)):
        drawn = _drawn(train, seed)
        models = [fit_linear_intents(drawn.texts, drawn.labels, by_name=by_name) for by_name in (False, True)]
        right = np.searchsorted(models[0].labels, held.labels)
        margins = [model.scores(held.texts) for model in models]
        for layers in (1, 2, 3):
            cells: list[str] = []
            for by_name in (False, True):
                read = Last(kept.remembering, layers * kept.minilm.identity.dimension)
                head = fit_embedding_intents(read, drawn.texts, drawn.labels, by_name=by_name)
                logits = head.scores(held.texts)
                both = fused(margins[by_name], logits, 1.0)
                cells += [_told(share_interval(one.argmax(axis=1) == right)) for one in (logits, both)]
            lines.append(f"| {title} | last {layers} | {' | '.join(cells)} |")
    return "\n".join(
        [*lines, "", f"{len(held.texts):,} validation texts; margins of TF-IDF weigh 1; no test text is read."]
    )


def sentiment(kept: Kept) -> str:
    """Sentences of reviews; a fifth is held out, by text."""
    found = rows("uci_sentiment/sentences.csv.gz")
    texts, labels = [r["text"] for r in found], [r["label"] for r in found]
    held = text_folds(texts, labels, k=5, seed=7) == 0
    whole = LabelledTexts(texts, labels)
    train, test = _chosen_rows(whole, ~held), _chosen_rows(whole, held)
    return _intents("uci_sentiment: sentences of reviews, a fifth held out", train, test, kept, "Goal: 0.85.")


def _chosen_rows(rows: LabelledTexts, chosen: Iterable[bool]) -> LabelledTexts:
    kept = [place for place, each in enumerate(chosen) if each]
    return LabelledTexts([rows.texts[place] for place in kept], [rows.labels[place] for place in kept])


def _clinc(split: str) -> LabelledTexts:
    chosen = [r for r in rows("clinc150/clinc150_full.csv.gz") if r["split"] == split]
    return LabelledTexts([r["text"] for r in chosen], [r["intent"] for r in chosen])


def _drawn(train: LabelledTexts, seed: int | None) -> LabelledTexts:
    labels = np.array(train.labels)
    draw = np.random.default_rng(seed)
    rows_of = [np.flatnonzero(labels == name) for name in np.unique(labels) if name != "oos"]
    drawn = [rows[:SHOTS] if seed is None else draw.choice(rows, SHOTS, replace=False) for rows in rows_of]
    places: list[int] = np.concatenate(drawn).tolist()
    return LabelledTexts([train.texts[place] for place in places], [train.labels[place] for place in places])


def _intents(title: str, train: LabelledTexts, test: LabelledTexts, kept: Kept, goal: str) -> str:
    kept.ready([*train.texts, *test.texts])
    found = evaluate_intents(
        train, test, kept.minilm, retention=0.95, price_per_cpu_hour=0.05, remembered=kept.remembering
    )
    return "\n".join([f"## {title}", "", *_table(found), "", f"{_chosen(found)} {goal}"])


def _table(found: IntentEvaluation) -> list[str]:
    lines = [
        "| model | accuracy | fusion leads by | in scope at the threshold | out-of-scope recall | CPU ms per text |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in found.results.items():
        lead = "" if one.lead is None else f"{one.lead.value:+.4f} ({one.lead.low:+.4f} .. {one.lead.high:+.4f})"
        recall = "" if one.out_of_scope_recall is None else _told(one.out_of_scope_recall)
        lines.append(
            f"| {_WORDS[name]} | {_told(one.accuracy)} | {lead} | {_told(one.in_scope_accuracy)} | {recall} | "
            f"{one.cpu_ms_per_text:.2f} |"
        )
    return lines


def _chosen(found: IntentEvaluation) -> str:
    tried = ", ".join(f"{weight:g}: {value:.4f}" for weight, value in found.trained.weight_accuracy.items())
    return (
        f"{found.train_rows[0]:,} training texts, {found.test_rows[0]:,} test texts in scope and "
        f"{found.test_rows[1]:,} out of scope. On {found.trained.validation_rows:,} validation rows, accuracy by "
        f"weight of the margins is {tried}; chosen: {found.trained.weight:g}"
        f"{', with the names of labels as texts' * found.trained.by_name}. Thresholds keep 95 % of validation rows."
    )


def _told(found: Interval) -> str:
    return f"{found.value:.4f} ({found.low:.4f} .. {found.high:.4f})"


def tokenizers(_: Kept) -> str:
    """BM25 alone on XQuAD in twelve languages, by the tokenizer."""
    names = sorted({r["lang"] for r in rows("xquad/paragraphs.csv.gz")})
    found: dict[str, Mapping[str, np.ndarray]] = {}
    with patch.dict(TOKENIZERS, {f"grams-{length}": partial(grams, length=length) for length in (3, 5)}):  # type: ignore[arg-type]
        for name in names:
            asked, documents, right = _xquad(name)
            every = {one: Bm25Index(documents, one).scores(asked).argmax(axis=1) == right for one in TOKENIZERS_TRIED}
            found[name] = every | {"chosen on": right % 2 == 0}
    half = {one: np.mean([each[one][each["chosen on"]].mean() for each in found.values()]) for one in TOKENIZERS_TRIED}
    best = max(TOKENIZERS_TRIED, key=lambda one: half[one])
    told = ", ".join(f"{title}: {half[one]:.4f}" for one, title in TOKENIZERS_TRIED.items())
    lines = ["| language | words | as chosen | leads by |", "|---|---|---|---|"]
    for name, each in found.items():
        words, taken = (each[one][~each["chosen on"]] for one in ("words-1", best))
        lead = paired_difference(taken, words)
        lines.append(
            f"| {name} | {_told(share_interval(words))} | {_told(share_interval(taken))} | {lead.value:+.4f} "
            f"({lead.low:+.4f} .. {lead.high:+.4f}) |"
        )
    return "\n".join(
        [
            "## XQuAD: the paragraph of a question by BM25 alone, in twelve languages",
            "",
            *lines,
            "",
            f"R@1. The tokenizer is chosen by its mean over the languages on the questions of every second paragraph "
            f"(words and their parts of so many characters; {told}): {TOKENIZERS_TRIED[best]}, `{best}`; the table is "
            "about the questions of the others.",
        ]
    )


def _xquad(language: str) -> tuple[list[str], list[str], np.ndarray]:
    """Return questions, paragraphs, and the place of the paragraph of each question."""
    paragraphs = [r for r in rows("xquad/paragraphs.csv.gz") if r["lang"] == language]
    questions = [r for r in rows("xquad/questions.csv.gz") if r["lang"] == language]
    place = {r["paragraph_id"]: number for number, r in enumerate(paragraphs)}
    right = np.array([place[r["paragraph_id"]] for r in questions])
    return [r["question"] for r in questions], [r["context"] for r in paragraphs], right


def retrieval(kept: Kept) -> str:
    """English paragraphs of XQuAD, each found by its questions."""
    asked, documents, right = _xquad("en")
    lexical = Bm25Index(documents).scores(asked)
    dense = PassageIndex(documents, kept.remembering).scores(asked)
    chosen = right % 2 == 0

    def found(scores: DocumentScores) -> np.ndarray:
        return scores.argmax(axis=1) == right

    tried = {weight: float(found(fused_scores(lexical, dense, weight))[chosen].mean()) for weight in BM25_WEIGHTS}
    equal = [weight for weight in BM25_WEIGHTS if tried[weight] == max(tried.values())]
    best = equal[len(equal) // 2]
    both = found(fused_scores(lexical, dense, best))[~chosen]
    lines = [
        "## XQuAD, English: the paragraph of a question",
        "",
        "| search | R@1 | fusion leads by |",
        "|---|---|---|",
    ]
    for name, one in (("BM25", lexical), ("vectors of passages", dense)):
        alone = found(one)[~chosen]
        lead = paired_difference(both, alone)
        lines.append(
            f"| {name} | {_told(share_interval(alone))} | {lead.value:+.4f} ({lead.low:+.4f} .. {lead.high:+.4f}) |"
        )
    lines.append(f"| both, fused | {_told(share_interval(both))} | |")
    told = ", ".join(f"{weight:g}: {value:.4f}" for weight, value in tried.items())
    return "\n".join(
        [
            *lines,
            "",
            f"{len(documents)} paragraphs. The weight of BM25 is chosen on the {chosen.sum()} questions of every "
            f"second paragraph ({told}; of equal ones, the middle one): {best:g}; the table is about the {both.size} "
            "questions of the others. "
            "Goal: 0.95.",
        ]
    )


def word_list(_: Kept) -> str:
    """Sentences of reviews by the list of words of triage; nothing was trained or chosen on them."""
    found = rows("uci_sentiment/sentences.csv.gz")
    started = time.process_time()
    scores = np.array([sentiment_of(r["text"]) for r in found])
    each = (time.process_time() - started) / len(found) * 1e6
    happy = np.array([r["label"] == "1" for r in found])
    decided = scores != 0
    right = np.where(decided, (scores > 0) == happy, False)
    lines = [
        "## uci_sentiment: the list of words of triage",
        "",
        f"{len(found):,} sentences of reviews, half of them happy; the list knows a word of {decided.mean():.1%}.",
        "",
        "| | share | 95 % interval |",
        "|---|---|---|",
        *(
            f"| {title} | {share.value:.4f} | {share.low:.4f} .. {share.high:.4f} |"
            for title, share in (
                ("right where it knows a word", share_interval(right[decided])),
                ("right of all, a sentence without a word counted as wrong", share_interval(right)),
                ("happy ones that it calls unhappy", share_interval(scores[happy] < 0)),
                ("unhappy ones that it calls happy", share_interval(scores[~happy] > 0)),
            )
        ),
        "",
        f"{each:.0f} CPU µs each. Triage uses it to hand the unhappiest to a person, and not to sort tickets.",
    ]
    return "\n".join(lines)


def languages(_: Kept) -> str:
    """Questions of XQuAD in twelve languages."""
    questions = rows("xquad/questions.csv.gz")
    names = sorted({r["lang"] for r in questions})
    detector = LanguageDetector(names, "en")
    started = time.process_time()
    found = np.array([detector.detect(r["question"]).language == r["lang"] for r in questions])
    each = (time.process_time() - started) / len(questions) * 1e6
    shop = LanguageDetector(["de", "en", "fr"], "en")
    foreign = {
        name: np.array([shop.detect(r["question"]).is_default for r in questions if r["lang"] == name])
        for name in ("es", "de", "en")
    }
    known, spanish = np.concatenate([foreign["de"], foreign["en"]]), foreign["es"]
    return (
        f"## XQuAD: the language of a question\n\n{len(questions):,} questions in {len(names)} languages, by py3langid "
        f"restricted to these; it was not trained on them: {_told(share_interval(found))}; {each:.0f} CPU µs each. "
        "Goal: 0.995.\n\nA detector of English, German and French alone finds that "
        f"{_told(share_interval(spanish))} of the {spanish.size:,} Spanish questions are in none of these, and "
        f"{known.sum()} of the {known.size:,} "
        "English and German ones; a ticket in none of its languages has the shop's default language, and goes to a "
        f"person without a draft.\n\n{_cut_to_words(shop, questions)}"
    )


def _cut_to_words(shop: LanguageDetector, questions: Sequence[Mapping[str, str]]) -> str:
    """Return a table of how often a few words of the questions are known to be in none of the shop's languages."""
    draw = np.random.default_rng(7)
    lines = ["| words of a question | Spanish, seen | German, wrongly | English, wrongly |", "|---:|---:|---:|---:|"]
    for count in (1, 2, 3, 5):
        shares: list[str] = []
        for name in ("es", "de", "en"):
            split = [r["question"].split() for r in questions if r["lang"] == name]
            starts = ((words, draw.integers(0, len(words) - count + 1)) for words in split if len(words) >= count)
            cut = [" ".join(words[start : start + count]) for words, start in starts]
            shares.append(f"{np.mean([is_unsupported(shop.detect(one).confidence) for one in cut]):.3f}")
        lines.append(f"| {count} | {' | '.join(shares)} |")
    return "\n".join(lines)


SECTIONS: dict[str, Callable[[Kept], str]] = {
    "banking77": banking77,
    "clinc150": clinc150,
    "few": few,
    "few_choice": few_choice,
    "tokenizers": tokenizers,
    "retrieval": retrieval,
    "languages": languages,
    "sentiment": sentiment,
    "word_list": word_list,
}

if __name__ == "__main__":
    main()
