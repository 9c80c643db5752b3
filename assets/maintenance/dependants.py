"""Which tables of the lake are made from which: what a reingestion must drop or make anew."""

from assets.churn import features as churn_features
from assets.fraud import features as fraud_features

#: Contracted table -> tables whose rows depend on it. Catalogue prices judge orders.
DEPENDANTS: dict[str, tuple[str, ...]] = {
    "products": ("orders",),
    "orders": (churn_features.TABLE,),
    "payments": (fraud_features.TABLE,),
    "payment_labels": (fraud_features.TABLE,),
    "customers": (),
}
