"""Articles of a knowledge base: their newest versions, cut into passages that are searched."""

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types.

from __future__ import annotations

import polars as pl
import pyarrow as pa

from models.text.retrieval import passages

#: Columns of the rows of `passage_rows`; `id` is `<article_id>#<number of the passage>`.
PASSAGES = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("text", pa.string()),
        pa.field("article_id", pa.string()),
        pa.field("title", pa.string()),
        pa.field("passage", pa.string()),
        pa.field("language", pa.string()),
        pa.field("updated_at", pa.timestamp("us", "UTC")),
    ]
)


def newest_articles(versions: pa.Table) -> pa.Table:
    """Return the newest version of each article, ascending by id, without those that it retires.

    Args:
        versions: columns of the contract `articles`, any number of versions of an article in any order.
    """
    newest = pl.DataFrame(versions).sort("article_id", "updated_at").unique("article_id", keep="last")
    return newest.filter(~pl.col("is_retired")).sort("article_id").to_arrow().cast(versions.schema)


def passage_rows(articles: pa.Table) -> pa.Table:
    """Return the passages of articles as rows of a vector index (`PASSAGES`); each begins with the article's title.

    Args:
        articles: columns of the contract `articles`, one row per article.
    """
    rows = [row for article in articles.to_pylist() for row in _passages(article)]
    return pa.Table.from_pylist(rows, schema=PASSAGES)


def _passages(article: dict[str, object]) -> list[dict[str, object]]:
    title, body = _storable(article["title"]), _storable(article["body"])
    # Of a long body, the passages without the body itself: it is more than an answer can quote.
    found = passages(body)[1:] or [body]
    return [
        {
            "id": f"{article['article_id']}#{number}",
            "text": f"{title}\n{passage}",
            "article_id": article["article_id"],
            "title": title,
            "passage": passage,
            "language": str(article["language"]).lower(),
            "updated_at": article["updated_at"],
        }
        for number, passage in enumerate(found)
    ]


def _storable(text: object) -> str:
    """Return the text without zero characters, which no store of vectors takes."""
    return str(text).replace("\0", "")
