"""Capabilities that some adapters of a port have and others lack; an adapter's config class declares its gaps.

Everything else that a port promises is asked of every adapter. `docs/adapters.md` is generated from this.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast


@dataclass(frozen=True)
class Gap:
    """A capability that an adapter lacks.

    Attributes:
        reason: one sentence.
        fails_with: a regular expression that is found in `<exception>: <message>` of its failing test.
    """

    reason: str
    fails_with: str = "^AssertionError"


#: Port -> name of the capability -> a sentence about an adapter that has it.
CAPABILITIES: Mapping[str, Mapping[str, str]] = {
    "lake": {
        "erasable": "The rows of an erased person leave every version and file, and no write brings them back.",
        "retained": "Files that only old versions of a table use are removed.",
    },
    "engine": {"memory_limit": "A query that needs more memory than the limit fails with a sentence."},
    "events": {
        "erasable": "Events and dead letters that name an erased person are removed, read by every group or not.",
        "retained": "Events that every group acknowledged, and dead letters, are removed when they are old.",
    },
    "trainer": {"contributions": "Models give each feature's contribution to the log-odds of a row."},
    "legacy_model": {
        "contributions": "The model gives the contribution of each input to the log-odds of a row.",
        "nulls": "NULL is passed on to the model.",
        "texts": "An input may be text.",
    },
    "sink": {
        "erasable": "The rows of an erased person leave every attempt and all storage, and no write brings them back.",
        "retained": "Attempts that no record names are removed when they are old.",
    },
    "registry": {"retaggable": "The tags of a registered version can be corrected."},
    "state_store": {
        "erasable": "State and alerts of an erased person leave the store, also what other rows hold of them."
    },
    "alert_store": {"erasable": "The alerts of an erased person, and the feedback on them, leave the store."},
    "feature_store": {
        "online": "The newest features of an entity are served, as a point-in-time join at that moment has them.",
        "pushable": "Rows are brought online as they are made; the newest of an entity wins, wherever it came from.",
        "logged": "A share of the rows that were served can be read again.",
        "erasable": "The rows of an erased person leave the online store and the log, and no write brings them back.",
    },
    "vectors": {
        "erasable": "The rows of an erased person leave every version of an index, and no build brings them back."
    },
    "language_model": {
        "free_text": "Questions without documents are answered.",
        "structured": "Answers are JSON that fits a schema.",
    },
    "notifier": {"erasable": "Notices are kept, and those that name an erased person are removed."},
}


def gaps_of(config: type) -> Mapping[str, Gap]:
    """Capability -> gap, as the adapter's config class declares them in its class variable `gaps`."""
    return cast(Mapping[str, Gap], getattr(config, "gaps", {}))


def tested_of(config: type) -> str:
    """Return the sentence about tests that lack the real service, "" if the adapter was tested with it."""
    return cast(str, getattr(config, "tested", ""))
