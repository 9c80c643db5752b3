"""A home that is damaged before a night: what the night says, the way back, and whether it leads there."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path

from benchmarks.recovery.home import NEXT, Home, fingerprint
from benchmarks.recovery.killing import ended

NIGHT = ("run", "churn_nightly", "--date", str(NEXT))


@dataclass(frozen=True)
class Fault:
    """Damage, and the way back.

    Attributes:
        strike: damages the home.
        during: holds while the night runs, e.g. a full disk.
        mend: takes the way back.
        way_back: the same in words.
        lost: what does not come back, in words.
        command: of which the words are seen.
    """

    name: str
    way_back: str
    lost: str = "nothing"
    strike: Callable[[Home], object] = lambda _: None
    during: Callable[[Home], AbstractContextManager[object]] = lambda _: nullcontext()
    mend: Callable[[Home], object] = lambda _: None
    command: tuple[str, ...] = NIGHT


@dataclass
class Damaged:
    """The outcome of a fault; `different` as of kills."""

    name: str
    way_back: str
    lost: str
    code: int = 0
    seen: str = ""
    cpu_seconds: float = 0.0
    clean_cpu: float = 0.0
    different: list[str] = field(default_factory=list)

    def as_json(self) -> Mapping[str, object]:
        """Plain values, for the results' file."""
        return asdict(self)


def damaged(fault: Fault, base: Home, folder: Path) -> Damaged:
    """Strike a copy of the base home, run the night, mend it, run the night again and compare."""
    wanted, clean_cpu = _undisturbed(base, folder, fault.command)
    found = Damaged(fault.name, fault.way_back, fault.lost, clean_cpu=clean_cpu)
    home = base.copy(folder / ("fault-" + re.sub(r"\W", "-", fault.name)))
    fault.strike(home)
    with fault.during(home):
        hurt = ended(home, fault.command)
        found.code, found.seen = hurt.code, hurt.said
    fault.mend(home)
    again = ended(home, fault.command)
    found.cpu_seconds = round(again.cpu_seconds, 2)
    now = fingerprint(home)
    found.different = [f"exit code {again.code}: {again.said}"] if again.code else []
    found.different += sorted(name for name in wanted.keys() | now.keys() if wanted.get(name) != now.get(name))
    shutil.rmtree(home.folder)
    return found


@lru_cache
def _undisturbed(base: Home, folder: Path, command: tuple[str, ...]) -> tuple[Mapping[str, str], float]:
    home = base.copy(folder / f"undisturbed-{command[1]}")
    ended(home, ("models", "churn"))  # starts the server that the processes are forks of
    found = ended(home, command)
    if found.code:
        raise AssertionError(found.said)
    return fingerprint(home), found.cpu_seconds
