"""Value of each group of churn features: the model without one group, and with that group alone.

Both shops go through source, contract, features and labels as in the nightly job; trainer and settings are the
profile's. AUC on the hold-out cut-off; the interval is a paired bootstrap over its customers (95 %, 500 draws).
"""

import tempfile
from datetime import date

import numpy as np
import pyarrow as pa
from sklearn.metrics import roc_auc_score

from benchmarks.report import replace_section
from models.contracts import ORDERS, PRODUCTS
from models.contracts.checking import check_rows
from models.features.churn import CATEGORIES, FEATURES, churn_features, churn_labels, training_cutoffs
from models.training.dataset import Split, split
from resources.stack.loader import ROOT, Stack, load_stack
from resources.stack.recipes import trainers_of

DRAWS = 500
SHOPS = {"online-retail": ("Online Retail", date(2011, 8, 31)), "local": ("simulated shop", date(2026, 1, 31))}
GROUPS: dict[str, tuple[str, ...]] = {
    "recency and tenure": ("recency_days", "tenure_days", "recency_share"),
    "frequency": ("orders_7", "orders_30", "orders_90", "orders_180", "orders_total", "orders_per_30_days",
                  "purchase_days_90", "purchase_days_total", "active_months_180"),
    "money": ("spend_30", "spend_90", "spend_180", "spend_total"),
    "basket": ("basket_value_mean", "basket_value_mean_90", "basket_value_last", "basket_value_last_ratio",
               "basket_lines_mean", "basket_items_mean", "unit_price_mean"),
    "assortment": ("products_90", "products_total", "products_per_line", "new_product_share_90"),
    "gaps": ("gap_mean_days", "gap_std_days", "gap_last_days", "gap_max_days"),
    "overdue": ("overdue_ratio", "overdue_z"),
    "trend": ("orders_trend_30", "orders_trend_90", "spend_trend_30", "spend_trend_90"),
    "returns": ("return_count_share", "return_value_share", "return_value_share_90"),
    "time of week": ("weekend_share", "weekday_top_share", "hour_mean"),
    "country": CATEGORIES,
}  # fmt: skip
assert sorted(name for group in GROUPS.values() for name in group) == sorted((*FEATURES, *CATEGORIES))


def main() -> None:
    """Measure both shops and write the section."""
    tables: list[str] = []
    with tempfile.TemporaryDirectory() as home:
        for profile, (title, as_of) in SHOPS.items():
            stack = load_stack(ROOT / "stack.yaml", profile, f"{home}/{profile}", {})
            tables += _table(title, stack, as_of)
    body = "\n".join(["## Which churn features pay", "", (__doc__ or "").split("\n\n", 1)[1].strip(), *tables])
    replace_section("churn-features", body, libraries=["xgboost", "scikit-learn", "duckdb"])


def _table(title: str, stack: Stack, as_of: date) -> list[str]:
    rows, holdout = _labelled(stack, as_of)
    everything = (*FEATURES, *CATEGORIES)
    full = _scored(stack, rows, holdout, everything)
    truth = full[0].holdout.labels
    lines = [
        "",
        f"### {title}",
        "",
        f"{len(full[0].train):,} training rows, {len(truth):,} hold-out rows ({truth.mean():.1%} churned), all "
        f"{len(everything)} features: AUC {roc_auc_score(truth, full[1]):.4f}.",
        "",
        "| group | AUC alone | AUC lost without it | 95 % |",
        "|---|---|---|---|",
    ]
    for name, group in GROUPS.items():
        alone = roc_auc_score(truth, _scored(stack, rows, holdout, group)[1])
        without = _scored(stack, rows, holdout, tuple(f for f in everything if f not in group))[1]
        lost = roc_auc_score(truth, full[1]) - roc_auc_score(truth, without)
        low, high = _interval(truth, full[1], without)
        lines.append(f"| {name} | {alone:.4f} | {lost:+.4f} | {low:+.4f} .. {high:+.4f} |")
        print(lines[-1], flush=True)
    return lines


def _labelled(stack: Stack, as_of: date) -> tuple[pa.Table, date]:
    source, engine, churn = stack.open("source"), stack.open("engine"), stack.settings.churn
    prices = None
    if "products" in source.tables():
        products = check_rows(PRODUCTS, source.read("products", stack.calendar.first_day, as_of).read_all()).kept
        prices = products.select(["product_id", "list_price", "currency", "delivered_on"])
    raw = source.read("orders", stack.calendar.first_day, as_of).read_all()
    orders = check_rows(ORDERS, raw, list_prices=prices).kept
    cutoffs = training_cutoffs(
        as_of,
        stack.calendar.first_day,
        horizon_days=churn.horizon_days,
        step_days=churn.cutoff_step_days,
        min_history_days=churn.min_history_days,
        max_cutoffs=churn.max_training_cutoffs,
    )
    days = pa.table({"feature_date": pa.array([*cutoffs.train, cutoffs.holdout], pa.date32())})
    tables = {"orders": orders, "cutoffs": days}
    rows = engine.query(churn_features, tables, population_days=churn.population_days).read_all()
    asked = {"orders": orders, "entities": rows}
    return engine.query(churn_labels, asked, horizon_days=churn.horizon_days, as_of=as_of).read_all(), cutoffs.holdout


def _scored(stack: Stack, rows: pa.Table, holdout: date, features: tuple[str, ...]) -> tuple[Split, np.ndarray]:
    divided = split(rows, features=features, holdout=holdout, horizon_days=stack.settings.churn.horizon_days)
    fit = trainers_of(stack.settings.churn.candidates)[0].fit(
        divided.train.rows, divided.train.labels, divided.train.groups
    )
    return divided, fit.model.predict(divided.holdout.rows)


def _interval(truth: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    draw = np.random.default_rng(7)
    gains = []
    for _ in range(DRAWS):
        rows = draw.integers(0, len(truth), len(truth))
        gains.append(roc_auc_score(truth[rows], ours[rows]) - roc_auc_score(truth[rows], theirs[rows]))
    low, high = np.quantile(gains, [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    main()
