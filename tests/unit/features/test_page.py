"""The page of features."""

from importlib import import_module

from assets.apps import APPS
from pipelines.docs.features import features_page


def test_every_feature_has_exactly_one_line_with_all_four_cells() -> None:
    rows = [line.split("|") for line in features_page().splitlines() if line.startswith("| `")]
    listed = [import_module(f"models.features.{app.name}_definitions") for app in APPS]
    names = [name for app in listed for name in (*app.FEATURES, *getattr(app, "CATEGORIES", ()))]
    assert [row[1].strip(" `") for row in rows] == names
    assert all(len(row) == 6 and all(cell.strip() for cell in row[1:5]) for row in rows)
