"""What a process does that publishes attempts of one day again and again."""

from datetime import date
from pathlib import Path

from resources.conformance.score_sets import APP, audit_and_publish, publication, reader, some_rows
from resources.sink.delta_sink import DeltaSink


def publish_in_turn(folder: Path, day: date, said: Path, rounds: int) -> None:
    """Publish in turn three attempts, and write to `said` how often what was published became the published set."""
    sink = DeltaSink(str(folder), rows_per_file=11)
    moved = 0
    for number in range(rounds):
        seed = 1 + number % 3
        rows = some_rows(seed, 20)
        sink.write_attempt(APP, day, f"a{seed}", reader(rows))
        record = publication(f"a{seed}", rows, day=day, run_id=f"{said.name}-{number}")
        moved += audit_and_publish(sink, record) == record
    said.write_text(str(moved))
