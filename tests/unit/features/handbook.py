"""Payments of the fraud handbook and their labels, as events in the order in which they happened."""

from datetime import UTC, timedelta
from pathlib import Path

import duckdb

from models.events import Event
from models.fraud.event_parsing import LABEL, PAYMENT

LABEL_DELAY = timedelta(days=7)


def replayed(shared_data: Path, count: int, *, terminals: int = 10_000) -> list[Event]:
    """The first `count` events at that many terminals."""
    query = f"""SELECT TRANSACTION_ID, CUSTOMER_ID, TERMINAL_ID, TX_DATETIME, TX_AMOUNT, TX_FRAUD
        FROM '{shared_data}/fraud_handbook/transactions_*.parquet'
        WHERE TERMINAL_ID < {terminals} ORDER BY 4, 1 LIMIT {count}"""  # noqa: S608
    with duckdb.connect() as connection:
        rows = connection.execute(query).fetchall()
    events: list[Event] = []
    for number, customer, terminal, moment, amount, is_fraud in rows:
        paid_at = moment.replace(tzinfo=UTC)
        data = {
            "transaction_id": number,
            "customer_id": str(customer),
            "terminal_id": str(terminal),
            "amount": amount,
        }
        named = {"id": str(number), "source": "/payments", "type": PAYMENT}
        events.append(Event(**named, time=paid_at, subject=str(customer), data=data))
        if is_fraud:
            told = {"id": str(number), "source": "/labels", "type": LABEL}
            said = {"transaction_id": number, "is_fraud": True}
            events.append(Event(**told, time=paid_at + LABEL_DELAY, subject=str(customer), data=said))
    return sorted(events, key=lambda event: (event.time, event.type == PAYMENT))[:count]
