"""Feast is loaded without the type checks that typeguard compiles into it, and leaves typeguard as it was."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LOADED = """
import typeguard
kept = typeguard.typechecked
from resources.feature_store.feast.session import load_feast
load_feast()
import feast
for what in (feast.Entity.__init__, feast.FeatureView.__init__, feast.FeatureService.__init__):
    assert not [name for name in what.__code__.co_names if "check_argument_types" in name]
    assert "check_argument_types" not in what.__globals__
assert typeguard.typechecked is kept
"""


@pytest.mark.slow
def test_feast_is_loaded_without_type_checks() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", LOADED], cwd=ROOT, check=True)
