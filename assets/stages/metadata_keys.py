"""Keys of the metadata that assets and checks attach in Dagster, read again by the summary card.

One convention: snake_case. Names of metrics, features, tables and gate checks are data: they are keys as they are.
"""

from __future__ import annotations

from typing import Final

#: Dagster's own keys.
ROW_COUNT: Final = "dagster/row_count"
COLUMN_SCHEMA: Final = "dagster/column_schema"

#: Shared by several assets.
NOTE: Final = "note"
LIMIT: Final = "limit"
LIMITS: Final = "limits"
MODEL_VERSION: Final = "model_version"
VERDICT: Final = "verdict"
REASON: Final = "reason"
DEGRADATION: Final = "degradation"
HOLDOUT: Final = "holdout"
CUSTOMERS: Final = "customers"

#: Contracted tables.
CONTRACT: Final = "contract"
CONTRACT_KEY: Final = "key"
FRESH_WITHIN: Final = "fresh_within"
ROWS_IN: Final = "rows_in"
ROWS_KEPT: Final = "rows_kept"
ROWS_QUARANTINED: Final = "rows_quarantined"
QUARANTINED_SHARE: Final = "quarantined_share"
QUARANTINED_SHARE_OF_ALL_DAYS: Final = "quarantined_share_of_all_days"
ROWS_LATE: Final = "rows_late"
ROWS_ALREADY_HELD: Final = "rows_already_held"
ROWS_EXCLUDED: Final = "rows_excluded"
ROWS_WAITING: Final = "rows_waiting"
ROWS_BEFORE_HISTORY: Final = "rows_before_the_history"
ROWS_ERASED: Final = "rows_erased"
IDS_TRIMMED: Final = "ids_trimmed"
FILES_VANISHED: Final = "files_vanished"
DAYS_INGESTED: Final = "days_ingested"
SECONDS: Final = "seconds"
REASONS: Final = "reasons"
QUARANTINE: Final = "quarantine"
ROWS_IN_SOURCE: Final = "rows_in_source"
FILES_READ: Final = "files_read"
FILES_NOT_READ: Final = "files_not_read"
NOTES: Final = "notes"
LABELS: Final = "labels"

#: The watch over contracted tables.
FINDINGS: Final = "findings"
FINDINGS_TABLE: Final = "findings_table"
MEASURES: Final = "measures"
HISTORY_DAYS: Final = "history_days"
PROFILES: Final = "profiles"
ACCEPTED: Final = "accepted"
DAYS_WITHOUT_ROWS: Final = "days_without_rows"
USUAL_GAP_DAYS: Final = "usual_gap_days"

#: Features and training sets.
FEATURES: Final = "features"
LAKE_VERSION: Final = "lake_version"
CUTOFFS: Final = "cutoffs"
DAYS: Final = "days"
TRAINED_ON: Final = "trained_on"
FRAUD_SHARE: Final = "fraud_share"
CHURN_RATE: Final = "churn_rate"

#: Candidates and champions.
KIND: Final = "kind"
VERSION: Final = "version"
AGAINST_CHAMPION: Final = "against_champion"
GATE_REPORT: Final = "gate_report"
GATE_VERDICT: Final = "gate_verdict"
GATE_DAY: Final = "gate_day"
GATE_VERSION: Final = "gate_version"
GATE_CHECKS: Final = "gate_checks"
GATE_CHECKS_PASSED: Final = "gate_checks_passed"
GATE_REASONS: Final = "gate_reasons"
CHAMPION_SINCE: Final = "champion_since"
BY_HAND: Final = "passed_by_hand"
PRECISION_AT_TOP_PER_DAY: Final = "precision_at_top_per_day"
COMPOSITION: Final = "composition"
ROUTER: Final = "router"
SEARCH: Final = "search"
DRAFTS: Final = "drafts"

#: Scores and publications.
STEPS: Final = "steps"
FEATURES_OF: Final = "features_of"
ATTEMPT: Final = "attempt"
MAX_PSI: Final = "max_psi"
MAX_PSI_FEATURE: Final = "max_psi_feature"
NOT_COMPARED: Final = "not_compared"
DRIFT: Final = "drift"
CONTACTS: Final = "contacts"
OVER_THRESHOLD: Final = "over_threshold"
MEAN_SCORE: Final = "mean_score"
DIGEST: Final = "digest"
PUBLISHED_BY_RUN: Final = "published_by_run"
PUBLICATION: Final = "publication"

#: Train/serve skew.
ROWS_COMPARED: Final = "rows_compared"
VALUE_SHARE: Final = "value_share"
STALE_SHARE: Final = "stale_share"
MISSING_SHARE: Final = "missing_share"
EXAMPLES_IN_LAKE: Final = "examples_in_lake"
FEATURE_SKEW: Final = "feature_skew"
STREAMED: Final = "streamed"
ONLY_ONLINE: Final = "only_online"
ONLY_OFFLINE: Final = "only_offline"
SCORES_DIFFERING: Final = "scores_differing"

#: Payments, events and alerts.
EVENTS: Final = "events"
PAYMENTS: Final = "payments"
SCORED: Final = "scored"
SCORED_AGAIN: Final = "scored_again"
REJECTED: Final = "rejected"
ERASED: Final = "of_erased_customers"
POSITION: Final = "position"
NOTICES_FAILED: Final = "notices_failed"
ALERTS: Final = "alerts"
ALREADY_RAISED: Final = "already_raised"
ADDED: Final = "added"
BUDGET: Final = "budget"
PAID_ON: Final = "paid_on"
LABELLED_SHARE: Final = "labelled_share"
COVERAGE: Final = "coverage"
PROMISED: Final = "promised"
SCORED_DAY: Final = "scored_day"
FRAUDS: Final = "frauds"

#: Tickets.
INTENTS: Final = "intents"
GUESTS: Final = "guests"
HANDED_OFF: Final = "handed_off"
OUT_OF_SCOPE: Final = "out_of_scope"
ESCALATED: Final = "escalated"
TICKETS: Final = "tickets"
LABELLED: Final = "labelled"
ARTICLE_LABELLED: Final = "article_labelled"
OPENED_ON: Final = "opened_on"

#: Vector indexes.
INDEX_VERSION: Final = "index_version"
TEXTS_EMBEDDED: Final = "texts_embedded"
VECTORS_COPIED: Final = "vectors_copied"
RECALL_AT_K: Final = "recall_at_k"
IS_NEW: Final = "is_new"

#: Experiments and impressions.
EXPERIMENT: Final = "experiment"
UNTIL: Final = "until"
UNITS: Final = "units"
MATURE_UNITS: Final = "mature_units"
EFFECT: Final = "effect"
EFFECT_LOW: Final = "effect_low"
EFFECT_HIGH: Final = "effect_high"
EFFECTS: Final = "effects"
PICTURE: Final = "picture"
SAMPLE_RATIO_P: Final = "sample_ratio_p"
SHOWN_ON: Final = "shown_on"
IMPRESSIONS: Final = "impressions"
CLICK_RATE: Final = "click_rate"
SHOWN_COVERAGE: Final = "shown_coverage"
GINI: Final = "gini"
TOP_SHARE: Final = "top_share"
POPULARITY_LIFT: Final = "popularity_lift"

#: Storage.
FILES_REMOVED: Final = "files_removed"
EVENTS_REMOVED: Final = "events_removed"
STATUS: Final = "status"
OPEN_NOTICES: Final = "open_notices"


def share_key(cause: str) -> str:
    """Return the key of the share of rows that differ for one cause of skew, e.g. `value_share`."""
    return f"{cause}_share"
