"""Words of the texts of some days beside those of the days before. Imports polars."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from models.contracts import DELIVERED_ON
from models.watch.profile import Name
from models.watch.repetition import FEWEST_DAYS, LOOKBACK_DAYS

#: A word, in small letters.
WORDS = r"[\pL\pN]{2,}"
#: Texts of a day whose words are read, and texts of a day without which nothing is said.
_SAMPLED_TEXTS, _FEWEST_TEXTS = 128, 20


def words_of(text: pl.Expr) -> pl.Expr:
    """Return the words of each text, each once."""
    return text.str.to_lowercase().str.extract_all(WORDS).list.unique()


def words(rows: pl.DataFrame, before: pl.DataFrame, column: str) -> Iterator[tuple[Name, pl.DataFrame]]:
    """Yield by day (`delivered_on`, `value`, `n`) the largest rise of the share of texts that have one word.

    It is compared with the share in the `LOOKBACK_DAYS` before. Text that a step adds to every message is such a word.
    """
    every = pl.concat([before.select(DELIVERED_ON, column), rows.select(DELIVERED_ON, column)]).drop_nulls()
    step = pl.max_horizontal(pl.len().over(DELIVERED_ON) // _SAMPLED_TEXTS, 1)
    texts = every.filter(pl.int_range(pl.len()).over(DELIVERED_ON) % step == 0)
    of_day = texts.group_by(DELIVERED_ON).agg(n=pl.len())
    counted = texts.select(DELIVERED_ON, word=words_of(pl.col(column))).explode("word").drop_nulls()
    counts = counted.group_by(DELIVERED_ON, "word").len()
    found: list[tuple[object, float, int]] = []
    for day in sorted(rows[DELIVERED_ON].unique()):
        earlier = pl.col(DELIVERED_ON).is_between(pl.lit(day).dt.offset_by(f"-{LOOKBACK_DAYS}d"), pl.lit(day), "left")
        held, now = of_day.filter(earlier), of_day.filter(pl.col(DELIVERED_ON) == day)["n"].sum()
        if len(held) < FEWEST_DAYS or now < _FEWEST_TEXTS:
            continue
        usual = counts.filter(earlier).group_by("word").agg(usual=pl.col("len").sum() / held["n"].sum())
        here = counts.filter(pl.col(DELIVERED_ON) == day).join(usual, on="word", how="left")
        rise = here.select((pl.col("len") / now - pl.col("usual").fill_null(0.0)).max()).item()
        found.append((day, max(float(rise or 0.0), 0.0), int(now)))
    schema = {DELIVERED_ON: pl.Date, "value": pl.Float64, "n": pl.Float64}
    yield Name("word", column), pl.DataFrame(found, schema, orient="row")
