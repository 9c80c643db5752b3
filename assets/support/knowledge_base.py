"""The knowledge base: an index of the newest versions of its articles, and the search in it. Plain functions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, cast

from models.vectors.filters import Equal, OneOf
from models.vectors.spec import IndexSpec, VectorSpace

if TYPE_CHECKING:
    from assets.stages.vector_index.build import BuiltIndex
    from assets.stages.vector_index.recall_gate import RecallGate
    from models.text.embedder import Embedder, EmbedderIdentity, Embeddings
    from models.vectors.fusion import Hit
    from resources.lake.port import Lake
    from resources.vectors.port import VectorIndex, Vectors

COLLECTION = "articles"
_TABLE = "articles"
#: Passages that are searched for each article that is wanted: one article may have several of the best.
_PASSAGES_PER_ARTICLE = 4
#: Weights of the rankings by vectors and by words. Vectors of no model hold what the words hold, and find
#: less: chosen on seeds 1-3 by benchmarks/support_retrieval.py.
WEIGHTS, WITHOUT_MODEL = (1.0, 1.0), (0.0, 1.0)


@dataclass(frozen=True)
class FoundArticle:
    """An article that a search found.

    Attributes:
        article_id: of the article.
        title: of its newest version.
        passage: its best passage, to be quoted.
        language: ISO 639-1 code.
        updated_at: when its newest version was published, UTC.
        rank: from 1.
        score: of the fused rankings, and of what is known of the article; comparable within one search only.
    """

    article_id: str
    title: str
    passage: str
    language: str
    updated_at: datetime
    rank: int
    score: float


@dataclass(frozen=True)
class ArticleSearch:
    """The outcome of one search.

    Attributes:
        articles: the best first.
        index_version: number of the version of the index that was searched.
        note: a sentence if it was searched in other languages than asked for; else "".
    """

    articles: tuple[FoundArticle, ...]
    index_version: int
    note: str = ""


def index_articles(store: Vectors, lake: Lake, embedder: Embedder, *, gate: RecallGate | None = None) -> BuiltIndex:
    """Return what is served from now on: an index of the newest version of each article that is not retired.

    All articles in the lake are indexed, whatever day a run is for, so that an older night that is run again does not
    bring old articles back. Only passages that changed are embedded; without any change the served version stays.

    Args:
        store: keeps the index.
        lake: holds the table `articles`; without it, the index is empty.
        embedder: of passages, and later of queries.
        gate: demands on approximate search; None: the default ones.

    Raises:
        TesseraError: approximate search finds too little; the index before is served on.
    """
    from assets.stages.vector_index.build import VectorIndexPlan, build_index
    from assets.stages.vector_index.recall_gate import RecallGate
    from models.contracts import ARTICLES
    from models.text.articles import newest_articles, passage_rows

    versions = lake.scan(_TABLE).to_table() if lake.exists(_TABLE) else ARTICLES.lake_schema().empty_table()
    rows = passage_rows(newest_articles(versions))
    plan = VectorIndexPlan(COLLECTION, _spec(embedder.identity), embedder.embed, gate or RecallGate())
    return build_index(store, rows, plan)


def open_knowledge_base(store: Vectors, embedder: Embedder) -> KnowledgeBase:
    """Return the version of the index that is served now; it stays this one when the pointer moves.

    Raises:
        TesseraError: no index was published yet.
    """
    return KnowledgeBase(store.open(COLLECTION), embedder)


def search_articles(
    store: Vectors, embedder: Embedder, texts: Sequence[str], languages: Sequence[str | None], *, k: int = 5
) -> list[ArticleSearch]:
    """Open the index that is served, and search it: `KnowledgeBase.search`."""
    return open_knowledge_base(store, embedder).search(texts, languages, k=k)


@dataclass(frozen=True)
class KnowledgeBase:
    """One version of the index of articles, open for searching by vectors and words."""

    index: VectorIndex
    embedder: Embedder
    _space: VectorSpace = field(init=False)
    _weights: tuple[float, float] = field(init=False)

    def __post_init__(self) -> None:
        """Describe the space of the queries once."""
        from models.text.hashed import HASHED

        identity = self.embedder.identity
        object.__setattr__(self, "_space", _space_of(identity))
        object.__setattr__(self, "_weights", WITHOUT_MODEL if identity.name == HASHED else WEIGHTS)

    def search(
        self,
        texts: Sequence[str],
        languages: Sequence[str | None],
        *,
        k: int = 5,
        known: Sequence[Mapping[str, float]] | None = None,
    ) -> list[ArticleSearch]:
        """Return the `k` best articles for each text, in its language; in any language, with a note, if it has none.

        Args:
            texts: of tickets or questions.
            languages: ISO 639-1 code for each text; None: any language.
            k: articles wanted, 1 to 2,500.
            known: for each text, articles that answered such tickets with their probability: they are found whatever
                words they have, in whatever language, while they are in the index.

        Raises:
            TesseraError: the index was built by another embedder; the message names both.
        """
        vectors = self.embedder.embed(texts)
        found: dict[int, list[Hit]] = {}
        by_language: defaultdict[str | None, list[int]] = defaultdict(list)
        for place, language in enumerate(languages):
            by_language[language.lower() if language else None].append(place)
        for language, places in by_language.items():
            found |= self._hits(places, texts, vectors, language, k)
        missed = [place for place, language in enumerate(languages) if language and not found[place]]
        found |= self._hits(missed, texts, vectors, None, k) if missed else {}
        notes = {
            place: f"No article is in {languages[place]!r}: articles in all languages were searched."
            for place in missed
        }
        number, known = self.index.version.number, known or [{}] * len(texts)
        added = self._known_hits(texts, vectors, found, known)
        best = [_best([*found[at], *added.get(at, ())], known[at])[:k] for at in range(len(texts))]
        return [ArticleSearch(tuple(each), number, notes.get(at, "")) for at, each in enumerate(best)]

    def _known_hits(
        self,
        texts: Sequence[str],
        vectors: Embeddings,
        found: Mapping[int, Sequence[Hit]],
        known: Sequence[Mapping[str, float]],
    ) -> dict[int, list[Hit]]:
        """Return the passages of known articles that the search has not found; texts of the same ones are one batch."""
        groups: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
        for place, articles in enumerate(known):
            there = {str(hit.payload["article_id"]) for hit in found[place]}
            if missing := tuple(sorted(set(articles) - there)):
                groups[missing].append(place)
        hits: dict[int, list[Hit]] = {}
        for ids, places in groups.items():
            asked, near = [texts[place] for place in places], vectors[places]
            where, wanted = OneOf("article_id", ids), len(ids) * _PASSAGES_PER_ARTICLE
            rows = self.index.hybrid(near, asked, self._space, k=wanted, where=where, weights=self._weights)
            hits |= zip(places, rows, strict=True)
        return hits

    def _hits(
        self, places: Sequence[int], texts: Sequence[str], vectors: Embeddings, language: str | None, k: int
    ) -> dict[int, list[Hit]]:
        """Return the best passages for the texts at `places`."""
        where = Equal("language", language) if language else None
        asked, near = [texts[place] for place in places], vectors[list(places)]
        wanted = k * _PASSAGES_PER_ARTICLE
        hits = self.index.hybrid(near, asked, self._space, k=wanted, where=where, weights=self._weights)
        return dict(zip(places, hits, strict=True))


def _spec(identity: EmbedderIdentity) -> IndexSpec:
    return IndexSpec(
        space=_space_of(identity),
        payload={
            "article_id": "text",
            "title": "document",
            "passage": "document",
            "language": "text",
            "updated_at": "timestamp",
        },
    )


def _space_of(identity: EmbedderIdentity) -> VectorSpace:
    return VectorSpace(embedder=identity.name, digest=identity.digest, dimension=identity.dimension, metric="cosine")


def _best(passages: Sequence[Hit], known: Mapping[str, float]) -> list[FoundArticle]:
    """Return the articles of the passages, each once with its best passage, by the search and what is known of them.

    Passages are those that the search found, best first, then those of known articles that it has not found.
    """
    from models.support.article_prior import fused_score

    first: dict[str, Hit] = {}
    for hit in passages:
        first.setdefault(str(hit.payload["article_id"]), hit)
    if not known:
        return [_article(hit, rank, hit.score) for rank, hit in enumerate(first.values(), 1)]
    scores = {id: fused_score(rank, known.get(id, 0.0)) for rank, id in enumerate(first, 1)}
    order = sorted(first, key=lambda id: (-scores[id], id))
    return [_article(first[id], rank, scores[id]) for rank, id in enumerate(order, 1)]


def _article(hit: Hit, rank: int, score: float) -> FoundArticle:
    at = cast("datetime", hit.payload["updated_at"])
    texts = {name: str(hit.payload[name]) for name in ("article_id", "title", "passage", "language")}
    return FoundArticle(**texts, updated_at=at, rank=rank, score=score)
