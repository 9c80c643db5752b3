"""The page of features."""

from models.features import demand_definitions, fraud_definitions
from models.features.churn_definitions import CATEGORIES, FEATURES
from pipelines.docs.features import features_page


def test_every_feature_has_exactly_one_line_with_all_four_cells() -> None:
    rows = [line.split("|") for line in features_page().splitlines() if line.startswith("| `")]
    names = [*FEATURES, *CATEGORIES, *fraud_definitions.FEATURES, *demand_definitions.FEATURES]
    assert [row[1].strip(" `") for row in rows] == names
    assert all(len(row) == 6 and all(cell.strip() for cell in row[1:5]) for row in rows)
