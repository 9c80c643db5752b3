"""The shipped profile with a home of the test's own, as commands and sensors find it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.stack.loader import ROOT, Stack, active_stack


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    monkeypatch.setenv("TESSERA_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TESSERA_PROFILE", raising=False)
    monkeypatch.setenv("TESSERA_STACK", str(ROOT / "stack.yaml"))
    active_stack.cache_clear()
    yield active_stack()
    active_stack.cache_clear()
