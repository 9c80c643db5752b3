"""A home of which files were damaged after a night publishes the same next night as one that is whole."""

import os
from datetime import timedelta
from pathlib import Path

from shop_home import DAY, Home

NEXT = DAY + timedelta(days=1)


def test_the_night_after_a_damage_publishes_what_an_undamaged_home_does(home: Home, tmp_path: Path) -> None:
    damaged = home.copy(tmp_path / "damaged")
    lake = damaged.opened().open("lake")
    for table, day in (("orders", DAY - timedelta(days=20)), ("churn_features", DAY)):
        (file,) = (Path(name) for name in lake.files(table, first=day, last=day))
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    for table in ("orders", "ingested_orders"):
        newest = max((damaged.folder / "lake" / table / "_delta_log").glob("*.json"))
        newest.write_bytes(b"")
    registry = damaged.folder / "mlflow" / "mlflow.db"
    os.truncate(registry, registry.stat().st_size // 2)
    home.tessera("run", "churn_nightly", "--date", NEXT.isoformat())
    said = damaged.tessera("run", "churn_nightly", "--date", NEXT.isoformat())
    # The champion comes from the cache, and the registry is named although the night did not need it.
    assert "The model registry's database" in said.out
    (line,) = [line for line in (damaged.folder / "notices.jsonl").read_text().splitlines() if "registry" in line]
    assert "cannot be used" in line
    assert damaged.digest(NEXT) == home.digest(NEXT)
    assert damaged.digest(DAY) == home.digest(DAY)
