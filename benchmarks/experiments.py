"""Numbers of experiments against known truths: false positives under looking, power, CUPED, off-policy, assignment.

Every part is simulated, so that the truth is known: an effect that is none must rarely be found, one that is there
often, and the interval of an off-policy estimate must hold what the ranker would have brought.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.report import replace_section
from models.contracts import ORDERS
from models.contracts.checking import check_rows
from models.evaluation.shares import wilson_interval
from models.experiments.assignment import Assignment
from models.experiments.confidence import Sequence, adjusted, variance_left
from models.experiments.off_policy import LoggedSlots, OffPolicy, off_policy
from models.simulation.defects import DefectShares
from models.simulation.shop import Shop
from models.simulation.shown_lists import SLOTS, examined
from models.training.model import Vector

# pyright: basic

Draw = Callable[[np.random.Generator, tuple[int, int]], Vector]
_FIRST = date(2025, 1, 1)
_UNITS, _FROM, _PLANNED, _AT_ONCE = 3000, 100, 3000, 200
_LOOKS = (500, 1000, 2000, 3000)
_CUSTOMERS, _DAYS = 2000, 21
_REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "online_retail"
_COLUMNS = {"CustomerID": "customer_id", "Quantity": "quantity", "UnitPrice": "price", "InvoiceDate": "at"}


@dataclass(frozen=True)
class Looks:
    """Experiments that were looked at after each unit.

    Attributes:
        sequence: first unit per variant after which the sequence excludes 0, of each experiment; infinite if never.
        plain: the same of a plain 95 % interval.
        single: of each experiment, whether a plain interval excludes 0 at the end.
    """

    sequence: np.ndarray
    plain: np.ndarray
    single: np.ndarray


def main() -> None:
    """Measure, print and write the section."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--experiments", type=int, default=5_000, help="simulated ones, of each kind")
    arguments.add_argument("--logs", type=int, default=300, help="simulated logs of shuffled lists")
    arguments.add_argument("--dry", action="store_true", help="print the section instead of writing it")
    options = arguments.parse_args()
    started = time.process_time()
    parts = [
        "## Experiments: simulated ones, the truth being known",
        _looking(options.experiments),
        _cuped(),
        _off_policy(options.logs),
        _assignment(),
    ]
    body = "\n\n".join([*parts, f"{time.process_time() - started:.0f} CPU s."])
    print(body)
    if not options.dry:
        replace_section("experiments", body, libraries=["numpy", "polars"])


def _conversion(rng: np.random.Generator, shape: tuple[int, int]) -> Vector:
    return rng.binomial(1, 0.1, shape).astype(float)


def _spending(rng: np.random.Generator, shape: tuple[int, int]) -> Vector:
    return rng.lognormal(0, 1, shape) * rng.binomial(1, 0.3, shape)


def looked_at(draw: Draw, better: Draw, experiments: int, seed: int) -> Looks:
    """Simulate experiments; `better` draws the values of the variant, `draw` those of the control."""
    rng = np.random.default_rng(seed)
    parts = [_looks(rng, draw, better, min(_AT_ONCE, experiments - at)) for at in range(0, experiments, _AT_ONCE)]
    return Looks(*(np.concatenate([getattr(one, name) for one in parts]) for name in ("sequence", "plain", "single")))


def _looks(rng: np.random.Generator, draw: Draw, better: Draw, experiments: int) -> Looks:
    n = np.arange(1, _UNITS + 1)
    (mean_t, var_t), (mean_c, var_c) = (_moments(one(rng, (experiments, _UNITS)), n) for one in (better, draw))
    error = np.maximum(np.sqrt((var_t + var_c) / n)[:, _FROM:], 1e-12)
    away = np.abs(mean_t - mean_c)[:, _FROM:] / error
    sequence = Sequence(0.05, 2 * _PLANNED)
    factors = np.array([sequence.factor(2 * int(count)) for count in n[_FROM:]])
    return Looks(_first(away > factors), _first(away > 1.96), away[:, -1] > 1.96)


def _moments(values: Vector, n: np.ndarray) -> tuple[Vector, Vector]:
    mean = values.cumsum(1) / n
    return mean, ((values**2).cumsum(1) / n - mean**2) * n / np.maximum(n - 1, 1)


def _first(found: np.ndarray) -> Vector:
    return np.where(found.any(1), found.argmax(1) + _FROM + 1, np.inf)


def _looking(experiments: int) -> str:
    """Return false positives under looking after each unit, and power at known effects."""
    kinds: dict[str, tuple[Draw, Draw]] = {
        "conversion 10 %": (_conversion, lambda rng, shape: rng.binomial(1, 0.13, shape).astype(float)),
        "spending, skewed": (_spending, lambda rng, shape: _spending(rng, shape) * 1.3),
    }
    rates = ["| metric, without effect | sequence | plain 95 % interval |", "|---|---|---|"]
    power = ["| effect | " + " | ".join(f"{n:,} units" for n in _LOOKS) + " | one look at the end |", "|---" * 6 + "|"]
    for seed, (name, (draw, better)) in enumerate(kinds.items()):
        none = looked_at(draw, draw, experiments, seed)
        rates.append(f"| {name} | {_share(np.isfinite(none.sequence))} | {_share(np.isfinite(none.plain))} |")
        found = looked_at(draw, better, experiments, 100 + seed)
        by = [f"{float((found.sequence <= n).mean()):.1%}" for n in _LOOKS]
        power.append(f"| {name}, +30 % | {' | '.join(by)} | {float(found.single.mean()):.1%} |")
    return "\n".join(
        [
            f"Share of {experiments:,} experiments that show an effect at any look, looked at after each of"
            f" {_UNITS - _FROM:,} units per variant (95 % Wilson interval):",
            "",
            *rates,
            "",
            "Share that has found an effect which is there, by units per variant:",
            "",
            *power,
        ]
    )


def _share(found: np.ndarray) -> str:
    low, high = wilson_interval(int(found.sum()), found.size)
    return f"{found.mean():.2%} [{low:.2%}, {high:.2%}]"


def _cuped() -> str:
    """Return the variance that purchases before leave of later ones, in the simulated shop and in UCI Online Retail."""
    shop, first = Shop(3000, 7, _FIRST, DefectShares()), _FIRST + timedelta(days=60)
    kept = [check_rows(ORDERS, shop.delivered("orders", first + timedelta(days=n))).kept for n in range(56)]
    paid = (pl.col("quantity") * pl.col("unit_price")).alias("paid")
    simulated = pl.concat([pl.DataFrame(one) for one in kept]).with_columns(
        paid, pl.col("ordered_at").dt.date().alias("day")
    )
    shops = {"simulated shop": (simulated, first + timedelta(days=28))}
    if _REAL.exists():
        shops["UCI Online Retail, May 2011"] = (_online_retail(), date(2011, 5, 1))
    cells = [row for name, (lines, begins) in shops.items() for row in _cuped_rows(name, lines, begins)]
    return "\n".join(
        [
            "Variance of a customer's purchases in 28 days that CUPED leaves, by spending, by order lines and by both"
            " of the 28 days before; reports use both:",
            "",
            "| data | metric | customers | spending | lines | both | fewer units for the same interval |",
            "|---|---|---|---|---|---|---|",
            *cells,
        ]
    )


def _online_retail() -> pl.DataFrame:
    rows = pl.concat([pl.read_parquet(file, columns=list(_COLUMNS)) for file in sorted(_REAL.glob("*.parquet"))])
    named = rows.drop_nulls().rename(_COLUMNS).with_columns(pl.col("customer_id").cast(pl.String))
    return named.select(
        "customer_id", (pl.col("quantity") * pl.col("price")).alias("paid"), pl.col("at").dt.date().alias("day")
    )


def _cuped_rows(data: str, lines: pl.DataFrame, begins: date) -> Iterator[str]:
    days = timedelta(days=28)
    columns = (pl.col("paid").sum(), pl.len().cast(pl.Float64).alias("lines"))
    before, after = (
        lines.filter(pl.col("day").is_between(at, at + days, closed="left")).group_by("customer_id").agg(*columns)
        for at in (begins - days, begins)
    )
    joined = before.join(after, on="customer_id", how="full", coalesce=True, suffix="_after").fill_null(0)
    was = joined.select("paid", "lines").to_numpy()
    metrics = {"spending": joined["paid_after"], "order lines": joined["lines_after"], "any": joined["lines_after"] > 0}
    for name, column in metrics.items():
        now = column.cast(pl.Float64).to_numpy()
        left = [variance_left(now, adjusted(now, each)) for each in (was[:, 0], was[:, 1], was)]
        shown = " | ".join(f"{one:.1%}" for one in left)
        yield f"| {data} | {name} | {len(joined):,} | {shown} | {1 - left[-1]:.1%} |"


def _off_policy(logs: int) -> str:
    """Return bias and coverage of the estimates of `preference` from logs of `popular`, a fifth of slots shuffled."""
    found = [_estimated(seed) for seed in range(logs)]
    truth = np.array([one for _, one in found])
    lines = ["| estimate | mean | bias | deviation | 95 % interval holds the truth |", "|---|---|---|---|---|"]
    for name in ("ips", "snips", "dr"):
        each = [getattr(one, name) for one, _ in found]
        value = np.array([one.value for one in each])
        bias = value - truth
        error = bias.std(ddof=1) / np.sqrt(logs)
        covered = np.array([one.low <= at <= one.high for one, at in zip(each, truth, strict=True)])
        cells = (f"{value.mean():.4f}", f"{bias.mean():+.4f} ± {1.96 * error:.4f}", f"{bias.std(ddof=1):.4f}")
        lines.append(f"| {name.upper()} | {' | '.join(cells)} | {_share(covered)} |")
    slots = np.mean([one.slots for one, _ in found])
    worth = np.mean([one.effective_slots for one, _ in found])
    logged = np.mean([one.logged.value for one, _ in found])
    return "\n".join(
        [
            f"Clicks per slot of a ranker that was never shown, from {logs} logs of the simulated shop"
            f" ({_CUSTOMERS:,} customers, {_DAYS} days: {slots:,.0f} slots, worth {worth:,.0f} unweighted ones; 0.2 of"
            f" them shuffled). It would have {truth.mean():.4f}, what was shown has {logged:.4f}. DR by the click rate"
            " of each slot:",
            "",
            *lines,
        ]
    )


def _estimated(seed: int) -> tuple[OffPolicy, float]:
    """Return the estimate of `preference` by a log of a shop, and the truth for the same visitors."""
    lists = Shop(_CUSTOMERS, seed, _FIRST, DefectShares()).lists
    logs = [_log_of(lists, _FIRST.toordinal() + day) for day in range(_DAYS)]
    outcome, propensity, target, group, slot, truth = (np.concatenate(each) for each in zip(*logs, strict=True))
    rate = np.bincount(slot, outcome) / np.maximum(np.bincount(slot), 1)
    log = LoggedSlots(
        outcome=outcome,
        propensity=propensity,
        target=target,
        group=group,
        is_supported=np.ones(outcome.size, dtype=bool),
        predicted=rate[slot],
        predicted_target=rate[slot],
    )
    return off_policy(log), float(truth.mean())


def _log_of(lists: object, day: int) -> tuple[np.ndarray, ...]:
    shown = lists.happened(day)  # pyright: ignore[reportAttributeAccessIssue]
    customers = shown.customer.reshape(-1, SLOTS)[:, 0]
    _, preferred = lists.ranked(customers, day)  # pyright: ignore[reportAttributeAccessIssue]
    appeal = lists.appeal(customers[:, None], preferred)  # pyright: ignore[reportAttributeAccessIssue]
    truth = appeal * examined(np.arange(1, SLOTS + 1))
    wanted = (shown.product == preferred.ravel()).astype(float)
    return shown.clicked.astype(float), shown.propensity, wanted, shown.customer, shown.slot, truth.ravel()


def _assignment() -> str:
    """Return the CPU time of one assignment, one by one and by column."""
    import pyarrow as pa

    assignment, units = Assignment("trial", {"a": 0.5, "b": 0.3, "c": 0.2}), [f"u{n:08d}" for n in range(200_000)]
    started = time.process_time()
    for unit in units:
        assignment.variant(unit)
    single = (time.process_time() - started) / len(units) * 1e6
    started = time.process_time()
    assignment.column(pa.array(units))
    column = (time.process_time() - started) / len(units) * 1e6
    return f"Assignment: {single:.2f} µs CPU for one unit, {column:.2f} µs in a column of {len(units):,} (bar 2 µs)."


if __name__ == "__main__":
    main()
