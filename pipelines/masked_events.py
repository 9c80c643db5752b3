"""Events of runs without secrets and e-mail addresses, before they are stored: errors, messages and metadata."""

import json
from typing import Any

import dagster as dg

from resources.masking import install, masked_values


def mask_events(instance: dg.DagsterInstance) -> None:
    """From now on, what this process tells `instance` of its runs is masked first."""
    install()
    if "handle_new_event" in vars(instance):
        return
    handle = instance.handle_new_event

    def masked_first(event: dg.EventLogEntry, **given: Any) -> Any:
        return handle(masked_event(event), **given)

    vars(instance)["handle_new_event"] = masked_first


def masked_event(event: dg.EventLogEntry) -> dg.EventLogEntry:
    """Return `event` itself if there is nothing to mask."""
    told = json.loads(dg.serialize_value(event))
    shown = masked_values(told)
    return event if shown == told else dg.deserialize_value(json.dumps(shown), dg.EventLogEntry)
