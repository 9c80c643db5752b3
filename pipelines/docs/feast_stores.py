"""The page of the documentation that says which Feast store does what."""

from collections.abc import Iterator, Mapping
from importlib.metadata import version

from resources.conformance.feast_behaviours import OFFLINE, OFFLINE_STORES, ONLINE, ONLINE_STORES, Behaviour

_INTRODUCTION = """\
# What Feast's stores do, and ours

Tessera keeps Feast's registry, definitions and online protocol, and brings an offline store, an engine and three online
stores of its own, which plug into any Feast project by their dotted path. Every line below is a test in
`tests/conformance/feast_stores` that asks through Feast's own API, against a real Redis and a real Postgres. ✓ passes;
a number is a declared gap, whose test must fail in the declared way: a store that learns it breaks the suite until the
number is taken out. Feast {feast}, and the versions of `requirements/`.
"""
_OFFLINE = """\
## Offline stores

All read the same rows: Parquet files, or tables in Postgres.
"""
_ONLINE = """\
## Online stores

Ours are filled by our engine (`BulkEngine`), Feast's by Feast's local engine.
"""
_PAIRS = """\
## Together

Each offline store is also run with each online store, {pairs} pairs: what is served after two runs of `materialize` is,
for every key, what a point-in-time join gives at the end of the window. All pass.
"""


def feast_stores_page() -> str:
    """Markdown: per kind of store, behaviours x stores, and the gaps with their reasons."""
    pairs = len(OFFLINE_STORES) * len(ONLINE_STORES)
    parts = [
        _INTRODUCTION.format(feast=version("feast")),
        _OFFLINE,
        *_table(OFFLINE, OFFLINE_STORES),
        _ONLINE,
        *_table(ONLINE, ONLINE_STORES),
        _PAIRS.format(pairs=pairs),
    ]
    return "\n".join(parts)


def _table(behaviours: Mapping[str, Behaviour], stores: Mapping[str, str]) -> Iterator[str]:
    """Yield the table, then its numbered gaps; equal reasons share a number."""
    reasons = list(dict.fromkeys(gap.reason for one in behaviours.values() for gap in one.gaps.values()))
    numbers = {reason: number for number, reason in enumerate(reasons, 1)}
    yield f"| | because | {' | '.join(stores.values())} |"
    yield f"|---|---|{'---|' * len(stores)}"
    for behaviour in behaviours.values():
        gaps = {store: str(numbers[gap.reason]) for store, gap in behaviour.gaps.items()}
        cells = " | ".join(gaps.get(store, "✓") for store in stores)
        yield f"| {behaviour.statement} | {behaviour.because} | {cells} |"
    passed = {name: sum(store not in one.gaps for one in behaviours.values()) for store, name in stores.items()}
    yield f"| **of {len(behaviours)}** | | {' | '.join(f'**{passed[name]}**' for name in stores.values())} |"
    yield ""
    yield from (f"{number}. {reason}" for reason, number in numbers.items())
    yield ""
