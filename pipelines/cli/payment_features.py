"""`tessera features fraud`: the window features of every payment of some days."""

from datetime import date, timedelta
from pathlib import Path

from assets.fraud import features as fraud_features
from assets.fraud import feedback as alert_feedback
from assets.fraud.app import FRAUD
from assets.stages.ingestion.run import ingest
from models.errors import TesseraError
from models.features.fraud_definitions import LOOKBACK_DAYS
from pipelines.cli.arguments import check_delivered
from pipelines.cli.console import out, working
from pipelines.cli.tables import write_table
from resources.stack.ports import Ports, active_ports


def features(first: date, last: date, file: Path) -> None:
    """Write one row per payment to `file`, ascending by moment and id; ingests what is not in the lake yet.

    Raises:
        TesseraError: the profile's source delivers no payments, or none on these days; or the file cannot be written.
    """
    ports = active_ports()
    _ingest(ports, first, last)
    with working("features of payments"):
        found = fraud_features.computed(ports.lake, ports.engine, first, last).read_all()
    if not found.num_rows:
        raise TesseraError(
            f"There are no payments from {first} to {last}.",
            expected="days on which the source delivered payments",
            todo="Choose other days.",
        )
    write_table(found, file)
    out.print(f"{found.num_rows:,} payments with {found.num_columns - 4} features written to {file}.")


def _ingest(ports: Ports, first: date, last: date) -> None:
    check_delivered(FRAUD, ports.stack)
    days = (last - first).days + LOOKBACK_DAYS
    config = ports.stack.settings.ingestion.model_copy(update={"history_days": days})
    for table in fraud_features.TABLES:
        with working(f"ingesting {table}"):
            ingest(table, ports.source, ports.lake, last, config, "tessera features")
    # What analysts said since the nightly job looked.
    seen = first - timedelta(days=LOOKBACK_DAYS)
    alert_feedback.copied_days(ports.lake, ports.alert_store, seen, last)
