"""Imports the modules of the tests that were asked for, for the server whose forks are the workers (fork_server.py).

Each worker would import them again: eight CPU seconds, and as many to rewrite their assertions in a fresh clone. A
worker's own pytest finds them imported and only collects what they hold.
"""

import atexit
import gc
import json
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis.internal.conjecture.providers import _get_local_constants  # pyright: ignore[reportPrivateUsage]

from tests.forked_workers import PLACES


class _ImportsOnly:
    """Imports test modules as pytest does, with rewritten assertions, and collects nothing."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> bool:
        before = _threads()
        for file in _files([session.config.rootpath / place for place in json.loads(os.environ[PLACES])]):
            sys.path.insert(0, str(file.parent))
            import_module(file.stem)
            if _threads() != before:
                raise SystemExit(f"{file} starts threads when it is imported, which forks do not have: {_threads()}")
        return True


def _files(places: list[Path]) -> Iterator[Path]:
    for place in places:
        yield from sorted(place.rglob("test_*.py")) if place.is_dir() else [place]


def _threads() -> list[str]:
    """List the names of native threads, but for those of the allocator, which know how to be forked."""
    names = [task.joinpath("comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
    return sorted(name for name in names if not name.startswith("jemalloc"))


_done = pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider"], plugins=[_ImportsOnly()])
assert _done == pytest.ExitCode.NO_TESTS_COLLECTED, _done
_get_local_constants()  # Hypothesis reads every module of ours for numbers and words to try: once for all workers
gc.collect()
gc.freeze()
atexit.register(gc.unfreeze)  # extensions report what is alive at the end as leaks
