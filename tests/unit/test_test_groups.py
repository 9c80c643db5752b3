"""Tests that share a fixture of their module stay on one worker."""

import pytest


@pytest.mark.xdist_group("probe")
def test_groups_are_kept_together(request: pytest.FixtureRequest) -> None:
    """With pytest 9.2 and pytest-xdist 3.8 they silently were not, and every such fixture was made twice."""
    grouped = bool(getattr(request.config.option, "loadgroup", False))
    assert request.node.nodeid.endswith("@probe") is grouped
