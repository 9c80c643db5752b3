"""Jobs. Each works on one day: the partition."""

import dagster as dg

from assets.churn import assets as churn
from assets.fraud import assets as fraud
from assets.maintenance import assets as storage
from assets.shop import assets as shop

_SHOP = dg.AssetSelection.groups("shop")
_LEARNING = dg.AssetSelection.assets(churn.champion)
_PUBLISHING = dg.AssetSelection.assets(churn.scores, churn.publication)

#: Under the daemon a failed run is repeated once, whole (every step may be repeated), and ended if it hangs.
_TAGS = {
    "tessera/app": "churn",
    "dagster/max_retries": "1",
    "dagster/retry_strategy": "ALL_STEPS",
    "dagster/max_runtime": "14400",
}

churn_nightly = dg.define_asset_job(
    "churn_nightly",
    selection=_SHOP | dg.AssetSelection.assets(churn.features) | _LEARNING | _PUBLISHING,
    description="Ingest, check contracts, compute features, train if there is no champion, score, audit, publish.",
    tags=_TAGS,
)

churn_training = dg.define_asset_job(
    "churn_training",
    selection=_SHOP | dg.AssetSelection.assets(churn.features) | _LEARNING,
    description="Train a challenger on the newest mature labels; it becomes champion only if it passes the gate.",
    config={"ops": {"churn__champion": {"config": {"train": "always"}}}},
    tags=_TAGS,
)

churn_fallback = dg.define_asset_job(
    "churn_fallback",
    selection=_PUBLISHING,
    description="Publish flagged scores when the nightly job could not: below the source that failed, the champion "
    "before, older features, else the last good scores.",
    config={"ops": {"churn__scores": {"config": {"worst": "last_good_scores"}}}},
    tags=_TAGS,
)

churn_online = dg.define_asset_job(
    "churn_online",
    selection=dg.AssetSelection.assets(churn.online_features, churn.served_features),
    description="Bring the online store up to the day's features; compare what was served that day with training.",
    tags=_TAGS,
)

_FRAUD_TAGS = _TAGS | {"tessera/app": "fraud"}
_FRAUD_ROWS = dg.AssetSelection.groups("payments") | dg.AssetSelection.assets(shop.customers, fraud.features)

fraud_nightly = dg.define_asset_job(
    "fraud_nightly",
    selection=_FRAUD_ROWS
    | dg.AssetSelection.assets(fraud.champion, fraud.scores, fraud.alerts, fraud.online_skew, fraud.matured),
    description="Ingest payments, labels and answers, compute features, train if there is no champion, score the day, "
    "add missing alerts, compare with the stream, judge the day whose labels have come.",
    tags=_FRAUD_TAGS,
)

fraud_training = dg.define_asset_job(
    "fraud_training",
    selection=_FRAUD_ROWS | dg.AssetSelection.assets(fraud.champion),
    description="Train a challenger on the newest payments with mature labels; it takes over only through the gate.",
    config={"ops": {"fraud__champion": {"config": {"train": "always"}}}},
    tags=_FRAUD_TAGS,
)

fraud_catch_up = dg.define_asset_job(
    "fraud_catch_up",
    selection=dg.AssetSelection.assets(fraud.stream),
    description="Take in the events of some offsets, as a worker would; those taken in before change nothing.",
    tags=_FRAUD_TAGS,
)

storage_weekly = dg.define_asset_job(
    "storage_weekly",
    selection=dg.AssetSelection.assets(storage.vacuum, storage.old_events),
    description="Remove files that no table has used for `storage.keep_hours`, and events older than "
    "`storage.keep_event_days`. The day only names the run.",
    tags=_TAGS | {"tessera/app": "storage"},
)
