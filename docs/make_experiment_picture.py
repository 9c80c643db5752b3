"""Makes docs/pictures/experiment.png: `.venv/bin/python docs/make_experiment_picture.py` (20 CPU s).

The simulated shop's experiment as the report of 4 March 2025 shows it, by the settings that docs/experiments.md shows,
so that page and picture agree.
"""

import re
import tempfile
from datetime import date, timedelta
from pathlib import Path

import yaml

from assets.stages.experiments.report import evaluated
from assets.stages.ingestion.run import ingest
from models.experiments.picture import experiment_png
from models.ingestion import IngestionConfig
from models.settings import Settings
from resources.lake.delta import DeltaLake
from resources.source.simulated import SimulatedSourceConfig

PAGE = Path(__file__).with_name("experiments.md")
PICTURE = Path(__file__).parent / "pictures" / "experiment.png"
FIRST, UNTIL = date(2025, 1, 1), date(2025, 3, 4)
TABLES = ("exposures", "outcomes", "orders")


def main() -> None:
    """Ingest what the shop delivers, evaluate, write the picture and print the verdict."""
    (shown,) = re.findall(r"```yaml\n(settings:\n  experiments:\n.*?)```", PAGE.read_text(), re.DOTALL)
    settings = Settings.model_validate(yaml.safe_load(shown)["settings"])
    source = SimulatedSourceConfig(customers=3000, seed=7, first_day=FIRST.isoformat()).open()
    with tempfile.TemporaryDirectory() as folder:
        lake = DeltaLake(folder)
        for table in TABLES:
            ingest(
                table, source, lake, UNTIL, IngestionConfig(history_days=(UNTIL - FIRST) // timedelta(days=1)), "docs"
            )
        result = evaluated(lake, "ranker_trial", settings, UNTIL)
    PICTURE.write_bytes(experiment_png(result))
    print(result.verdict)


if __name__ == "__main__":
    main()
