"""A worker of the fraud stream over Postgres as a process of its own: `URL LIMIT`; a line for each batch it took in."""

import sys

from assets.fraud.stream.processor import FraudProcessor
from models.fraud.event_parsing import PaymentLimits
from resources.events.port import Events
from resources.events.postgres_events import PostgresEventsConfig
from resources.state_store.postgres_state_store import PostgresStateStoreConfig
from tests.faults.fraud_stream_process import KEPT_DAYS, Formula
from tests.fraud_store import FraudStore


def opened(url: str) -> tuple[Events, FraudStore]:
    return PostgresEventsConfig(url=url).open(), FraudStore(PostgresStateStoreConfig(url=url).open())


def work(events: Events, store: FraudStore, limit: int) -> None:
    """Until none is left that can be read."""
    stream = FraudProcessor(events, store, PaymentLimits(), keep_scores_days=KEPT_DAYS)
    while step := stream.process(Formula(), limit=limit).events:
        sys.stdout.write(f"{step}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    work(*opened(sys.argv[1]), int(sys.argv[2]))
