"""A process that publishes attempts of one day again and again: python publishing_race.py FOLDER DAY NAME ROUNDS.

Prints how often what it published became the published set.
"""

import sys
from datetime import date

from resources.conformance.score_sets import APP, audit_and_publish, publication, reader, some_rows
from resources.sink.delta_sink import DeltaSink


def main() -> None:
    """Publish in turn three attempts."""
    folder, day, name, rounds = sys.argv[1:]
    sink = DeltaSink(folder, rows_per_file=11)
    moved = 0
    for number in range(int(rounds)):
        seed = 1 + number % 3
        rows = some_rows(seed, 20)
        sink.write_attempt(APP, date.fromisoformat(day), f"a{seed}", reader(rows))
        record = publication(f"a{seed}", rows, day=date.fromisoformat(day), run_id=f"{name}-{number}")
        moved += audit_and_publish(sink, record) == record
    sys.stdout.write(str(moved))


if __name__ == "__main__":
    main()
