"""A service over a small home, for all tests here."""

from pathlib import Path

import pytest
from service_world import ServiceWorld


@pytest.fixture
def world(tmp_path: Path) -> ServiceWorld:
    """A home of its own in which nothing is published."""
    return ServiceWorld(tmp_path / "home")
