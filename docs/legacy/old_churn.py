"""A churn script as many companies have one: pandas, scikit-learn, a pickle, a cron job. It knows nothing of Tessera.

`old_churn.py orders.csv CUTOFF HORIZON_DAYS FOLDER` trains on what was ordered until CUTOFF; writes old_churn.pkl, and
golden.csv: rows with the scores of today. The label looks HORIZON_DAYS ahead.
"""

# pyright: basic, reportIndexIssue=false, reportReturnType=false, reportArgumentType=false
# pyright: reportAttributeAccessIssue=false

import pickle
import sys
from pathlib import Path

import pandas as pd
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

INPUTS = ["recency", "orders", "spend", "tenure", "is_germany"]
ACTIVE_DAYS = 180


def customers(orders: pd.DataFrame, cutoff: pd.Timestamp) -> pd.DataFrame:
    """Return a row per customer who bought something in the last half year before the cut-off."""
    bought = orders[(orders.ordered_at <= cutoff) & ~orders.is_return]
    bought = bought.assign(value=bought.quantity * bought.unit_price)
    found = bought.groupby("customer_id").agg(
        first=("ordered_at", "min"),
        last=("ordered_at", "max"),
        orders=("order_id", "nunique"),
        spend=("value", "sum"),
        country=("country", "last"),
    )
    found["recency"] = (cutoff - found["last"]).dt.total_seconds() / 86400
    found["tenure"] = (cutoff - found["first"]).dt.total_seconds() / 86400
    found["is_germany"] = (found["country"] == "DE").astype(int)
    return found[found.recency <= ACTIVE_DAYS]


def main(file: str, cutoff_day: str, horizon_days: str, folder: str) -> None:
    """Train on what was ordered until the cut-off, and write the model and its golden rows."""
    orders = pd.read_csv(file)
    orders["ordered_at"] = pd.to_datetime(orders.ordered_at, format="ISO8601", utc=True)
    cutoff = pd.Timestamp(cutoff_day, tz="UTC") + pd.Timedelta(days=1)
    rows = customers(orders, cutoff)
    later = orders[(orders.ordered_at > cutoff) & (orders.ordered_at <= cutoff + pd.Timedelta(days=int(horizon_days)))]
    churned = ~rows.index.isin(later[~later.is_return].customer_id)

    model = make_pipeline(SimpleImputer(), GradientBoostingClassifier(n_estimators=60, max_depth=2, random_state=1))
    model.fit(rows[INPUTS].to_numpy(), churned)

    Path(folder, "old_churn.pkl").write_bytes(pickle.dumps(model))
    golden = rows[INPUTS].sample(60, random_state=1)
    golden["score"] = model.predict_proba(golden[INPUTS].to_numpy())[:, 1]
    golden.to_csv(Path(folder, "golden.csv"), index=False)
    print(f"trained on {len(rows):,} customers, {churned.mean():.0%} churned")


if __name__ == "__main__":
    main(*sys.argv[1:])
