"""Worker seconds of each directory of tests, printed at the end of a run beside the budget of tests/budget.toml.

Worker seconds are the time that tests and their fixtures took, summed over all workers; CPU seconds count the test's
own process and the processes that ended meanwhile, and say less about how busy the machine was. Nothing fails here.
"""

import resource
import tomllib
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

BUDGET = Path(__file__).with_name("budget.toml")


class WorkerSeconds:
    """Adds up what the reports of tests say, in the process that prints the summary."""

    def __init__(self) -> None:
        self._worker: dict[str, float] = defaultdict(float)
        self._cpu: dict[str, float] = defaultdict(float)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        item.stash[_CPU] = _cpu_s()
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        now = _cpu_s()
        report.cpu_s = now - item.stash[_CPU]  # pyright: ignore[reportAttributeAccessIssue]
        item.stash[_CPU] = now
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        directory = _directory(report.nodeid)
        self._worker[directory] += report.duration
        self._cpu[directory] += getattr(report, "cpu_s", 0.0)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if hasattr(terminalreporter.config, "workerinput") or not self._worker:
            return
        budget: dict[str, int] = tomllib.loads(BUDGET.read_text())["worker_seconds"]
        terminalreporter.section("worker seconds by directory (CPU seconds, budget)")
        for directory, seconds in sorted(self._worker.items(), key=lambda item: -item[1]):
            allowed = budget.get(directory, "-")
            terminalreporter.write_line(f"{seconds:8.1f} ({self._cpu[directory]:7.1f}, {allowed:>4}) {directory}")
        total, cpu = sum(self._worker.values()), sum(self._cpu.values())
        terminalreporter.write_line(f"{total:8.1f} ({cpu:7.1f}, {sum(budget.values()):>4}) in all")


_CPU = pytest.StashKey[float]()


def _cpu_s() -> float:
    """CPU seconds of this process and of its children that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _directory(nodeid: str) -> str:
    parts = nodeid.split("::", 1)[0].split("/")[:-1]
    return "/".join(parts[:3] if parts[1:2] == ["unit"] or parts[1:2] == ["apps"] else parts[:2])
